/* SPDX-License-Identifier: MIT */
/* What of an HTTP request decides its answer, wherever it came from: a connection of
 * our own server, or the environment of a CGI program.
 */
#ifndef NX_SERVE_REQUEST_H
#define NX_SERVE_REQUEST_H

enum nx_method {
    NX_METHOD_GET,
    NX_METHOD_HEAD,
    NX_METHOD_OPTIONS,
    NX_METHOD_OTHER, /* nothing that a static server does */
};

/* Header fields are NULL when the request has none.  All strings are the caller's. */
struct nx_request {
    enum nx_method method;
    const char *range;
    const char *if_range;
    const char *if_match;
    const char *if_none_match;
    const char *if_modified_since;
    const char *if_unmodified_since;
};

/* The method of this name; names are case-sensitive (RFC 9110, section 9.1). */
enum nx_method nx_method_from_name(const char *name);

#endif
