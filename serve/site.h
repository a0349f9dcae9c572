/* SPDX-License-Identifier: MIT */
/* A directory as a web site: which answer a URL gets. */
#ifndef NX_SERVE_SITE_H
#define NX_SERVE_SITE_H

#include "common/error.h"
#include "serve/answer.h"
#include "serve/request.h"

/* Answer a request for url (its path, still encoded, without the query) from the directory
 * root_fd: a file, a folder's index.html or listing, a redirection to a folder's URL with its
 * slash, or a refusal.  Fails only when no answer could be made (memory).  Safe from several threads.
 */
int nx_site_answer(int root_fd, const struct nx_request *request, const char *url,
                   struct nx_answer *ret_answer, struct nx_error *err);

#endif
