/* SPDX-License-Identifier: MIT */
/* nxserve as a CGI program (RFC 3875): it serves one package to the web server that
 * started it, on hosts whose own file serving cannot be set right.
 */
#ifndef NX_SERVE_CGI_H
#define NX_SERVE_CGI_H

#include <stdbool.h>

#include "common/error.h"

/* Was this process started by a web server?  Its arguments then come from the client
 * (section 4.4) and must not be looked at.
 */
bool nx_cgi_is_request(void);

/* Answer the request that the environment holds, on out_fd.  Failures that the client should
 * hear of are answers too; -1 is one that it can no longer be told.
 *
 * Only packages and references are served: the file may lie where the server would have asked for a
 * password or run a script, and the wrong answer would be its source.
 */
int nx_cgi_run(int out_fd, struct nx_error *err);

#endif
