/* SPDX-License-Identifier: MIT */
/* `nxfetch status --web`: the status of running machines as a page for the user's own browser. */
#ifndef NX_FETCH_STATUSPAGE_H
#define NX_FETCH_STATUSPAGE_H

#include "common/error.h"
#include "fetch/webserver.h"

/* Serve the page, say on stdout where it is, and go on until a signal comes.  machine: only this one (peers.h), or NULL: all that
 * run, also those that begin later.
 */
int nx_statuspage_serve(const struct nx_web_address *address, const char *machine,
                        struct nx_error *err);

#endif
