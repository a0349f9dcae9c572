/* SPDX-License-Identifier: MIT */
#ifndef NX_FETCH_APART_H
#define NX_FETCH_APART_H

#include "common/http.h"

/* nx_http_get() in a process of its own that is confined as the engine is: the launcher itself speaks with no server.  Of
 * the answer only body (request->body.max at most) and total come back.  Call it while the process has one thread.
 */
int nx_http_get_apart(const char *url, const struct nx_http_options *options,
                      struct nx_http_request *request, struct nx_error *err);

#endif
