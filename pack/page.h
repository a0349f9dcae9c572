/* SPDX-License-Identifier: MIT */
/* A page for the web that offers machines: HTML5, which is well-formed XML too, in one file without scripts.  What packages
 * say of themselves is a stranger's: it stands there as text, and a policy in the page (CSP) forbids scripts, and everything
 * else but the page's own style and its pictures, in case a browser should see it otherwise.
 */
#ifndef NX_PACK_PAGE_H
#define NX_PACK_PAGE_H

#include "common/error.h"
#include "pack/offer.h"

#define NX_PAGE_OFFERS_MAX 64

struct nx_page_options {
    const char *
        title; /* NX_NAME_MAX bytes; NULL: the machine's name, or some words if there are several */
    const char *install; /* URL of what nxfetch can be installed from, or NULL */
};

/* Write the page that offers n machines (at least one) to the file path, whole or not at all. */
int nx_page_write(const char *path, const struct nx_offer *offers, size_t n,
                  const struct nx_page_options *options, struct nx_error *err);

#endif
