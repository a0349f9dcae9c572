/* SPDX-License-Identifier: MIT */
/* Configuration for other web servers, so that they serve packages as nxserve does:
 * our media types (common/types.h), our caching and CORS (common/policy.h), no compression, ranges.
 * The texts are serve/snippets/NAME.in, built into the program; nginx/, apache/, lighttpd/ and
 * caddy/ hold the results, ready to include (tests/12-nxserve.sh keeps them the same).
 */
#ifndef NX_SERVE_SNIPPET_H
#define NX_SERVE_SNIPPET_H

#include "common/buffer.h"
#include "common/error.h"

/* Append the snippet for server ("nginx", "apache", "lighttpd", "caddy") to out.
 * USAGE error for any other name.
 */
int nx_snippet_write(const char *server, struct nx_buffer *out, struct nx_error *err);

#endif
