/* SPDX-License-Identifier: MIT */
/* From the path of a URL to a path below the served directory, and back. */
#ifndef NX_COMMON_PATH_H
#define NX_COMMON_PATH_H

#include <limits.h>
#include <stdbool.h>

#include "common/buffer.h"
#include "common/error.h"

struct nx_path {
    char text[PATH_MAX]; /* "vms/guest.nxpk": no slash at either end, no empty, "." or ".."
                          * component, no hidden file; "" for the directory itself */
    bool slash;          /* the URL ended in a slash: it means a directory */
};

/* Take the path of a URL ("/vms/guest%201.nxpk", or an absolute URL, RFC 9112 section 3.2.2).
 * 0, or the status to refuse it with: 400 for what is no path, 404 for a path that we never
 * serve (hidden files, "..", an encoded slash) or one too long.
 */
unsigned nx_path_from_url(const char *url, struct nx_path *ret_path);

/* The same for a path in which nothing is encoded any more, as a CGI program gets it. */
unsigned nx_path_from_plain(const char *plain, struct nx_path *ret_path);

/* Append text with everything but letters, digits, "-._~" and "/" percent-encoded. */
int nx_path_encode(const char *text, struct nx_buffer *out, struct nx_error *err);

#endif
