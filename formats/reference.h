/* SPDX-License-Identifier: MIT */
/* A reference (.netx): the URLs of a package and, since nxpk, the digest of its
 * manifest and its signer's key.  VMNetX's own references, with `url` as an element or an
 * attribute and nothing else, are read too.
 */
#ifndef NX_FORMATS_REFERENCE_H
#define NX_FORMATS_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buffer.h"
#include "common/error.h"
#include "formats/digest.h"
#include "formats/key.h"

#define NX_REFERENCE_TYPE "application/x-vmnetx-reference+xml"
#define NX_REFERENCE_MAX  (64 * 1024) /* bytes */
#define NX_MIRRORS_MAX    16

struct nx_reference {
    char *urls[NX_MIRRORS_MAX]; /* http or https; the first is asked first */
    unsigned n_urls;            /* at least 1 */
    bool pinned;                /* the digest is set */
    struct nx_digest manifest_digest;
    struct nx_key *signer; /* NULL: not pinned */
};

int nx_reference_parse(const void *xml, size_t len, const char *name,
                       struct nx_reference **ret_reference, struct nx_error *err);
int nx_reference_write(const struct nx_reference *reference, struct nx_buffer *buf,
                       struct nx_error *err);
void nx_reference_free(struct nx_reference *reference);

static inline void nx_auto_reference(struct nx_reference **reference)
{
    nx_reference_free(*reference);
}
#define NX_AUTO_REFERENCE NX_AUTO(reference)

#endif
