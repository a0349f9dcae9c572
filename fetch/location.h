/* SPDX-License-Identifier: MIT */
/* What the user names: a package or a reference, on the web or here. */
#ifndef NX_FETCH_LOCATION_H
#define NX_FETCH_LOCATION_H

#include <stdbool.h>
#include <stddef.h>

#include "common/cleanup.h"
#include "common/error.h"
#include "common/http.h"
#include "formats/reference.h"

/* Where a package is, and what is known of it beforehand.  Either path or urls. */
struct nx_location {
    char *text;                     /* as the user wrote it */
    char *path;                     /* a local package */
    char *url;                      /* the web address that the user wrote, without vmnetx+ */
    struct nx_reference *reference; /* what led here, with its pins; NULL: nothing did */
    bool reference_is_local;        /* it is a file that the user has */
    char *const *urls;              /* of the package, the best first; owned by the fields above */
    unsigned n_urls;
};

/* What the first bytes of a file say that it is. */
enum nx_content {
    NX_CONTENT_PACKAGE,   /* a ZIP archive */
    NX_CONTENT_REFERENCE, /* XML */
    NX_CONTENT_OTHER,
};
enum nx_content nx_content_of(const void *data, size_t len);

/* Find out what text names.  A local file is judged by its content, never by its
 * name; a URL whose path ends in .netx is fetched and read as a reference, any
 * other is taken for a package (nx_location_retry_as_reference() corrects that, and so a
 * package costs no request more).  offline: a reference on the web is an error.
 */
int nx_location_resolve(const char *text, const struct nx_http_options *http, bool offline,
                        struct nx_location **ret_location, struct nx_error *err);

/* The package at location's URL turned out not to be one.  If a reference stands there
 * instead, location becomes what that names, and the answer is true.  If not, false: why the
 * package is none is then the better message.
 */
bool nx_location_retry_as_reference(struct nx_location *location,
                                    const struct nx_http_options *http);

/* How messages call the package: its path, or its URL without user name and password.
 * Into text, cut to its size; returns text.
 */
const char *nx_location_name(const struct nx_location *location, char text[static 512]);

/* What the user has named (location->text), for messages: without the user name and password that may stand in a URL. */
const char *nx_location_typed(const char *text, char typed[static 512]);

void nx_location_free(struct nx_location *location);

NX_DEFINE_AUTO(struct nx_location *, location, nx_location_free)
#define NX_AUTO_LOCATION NX_AUTO(location)

#endif
