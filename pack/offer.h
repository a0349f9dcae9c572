/* SPDX-License-Identifier: MIT */
/* A package that is offered on a page: what its head says, how it is reached, its picture. */
#ifndef NX_PACK_OFFER_H
#define NX_PACK_OFFER_H

#include "common/http.h"
#include "formats/machine.h"
#include "formats/package.h"
#include "pack/screenshot.h"

struct nx_offer_options {
    const struct nx_key *key;    /* must have signed it; NULL: whoever */
    const char *base;            /* the folder's URL where local files will be published, or NULL */
    struct nx_http_options http; /* for what is on the web already */
};

/* All addresses are ASCII, and either absolute http(s) URLs or names in the page's own folder. */
struct nx_offer {
    struct nx_head *head;
    struct nx_machine *machine;
    uint64_t size;  /* bytes of the package */
    bool cut;       /* into volumes, which nobody downloads by a click */
    char *address;  /* the URL that nxfetch is given */
    char *run;      /* where a click on "Run" leads: vmnetx+http(s), or the reference */
    char *download; /* the package or the reference itself */
    bool reference; /* it is a reference */
    struct nx_screenshot shot;
};

/* An http(s) URL as it can stand on a page: with vmnetx+ removed, ASCII only.  A USAGE error if it is none, or if there is
 * a user name or password in it.  *ret_url is to be freed.
 */
int nx_offer_url(const char *text, char **ret_url, struct nx_error *err);

/* Find out what name (a package or a reference, as a URL or a file) offers.  Whatever a reference pins must hold.  A picture
 * is looked for beside it, and beside the package that a reference names; one on the web that is not there or no good is
 * left out.  ret_offer is zeroed before; release it in both cases.
 */
int nx_offer_read(const char *name, const struct nx_offer_options *options,
                  struct nx_offer *ret_offer, struct nx_error *err);

void nx_offer_release(struct nx_offer *offer);

/* Bytes that a start fetches in one go: everything up to the end of the boot set; 0 if there is no boot set. */
uint64_t nx_offer_start_bytes(const struct nx_offer *offer);

#endif
