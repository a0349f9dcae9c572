/* SPDX-License-Identifier: MIT */
/* Which chunks are stored already: a map from the digest of a chunk's content to where
 * it stands.  It is kept in a temporary LMDB file, so that memory does not grow
 * with the image.  One thread at a time.
 */
#ifndef NX_PACK_DEDUP_H
#define NX_PACK_DEDUP_H

#include "common/cleanup.h"
#include "common/error.h"
#include "formats/index.h"

struct nx_dedup;

/* beside: the output's path; the temporary file stands, without a name, in its directory. */
int nx_dedup_new(const char *beside, struct nx_dedup **ret_dedup, struct nx_error *err);
void nx_dedup_free(struct nx_dedup *dedup);

/* 1 and *entry if content is known; 0 if not, and then *entry is remembered for it; -1 on failure. */
int nx_dedup_find_or_add(struct nx_dedup *dedup, const struct nx_digest *content,
                         struct nx_index_entry *entry, struct nx_error *err);

NX_DEFINE_AUTO(struct nx_dedup *, dedup, nx_dedup_free)
#define NX_AUTO_DEDUP NX_AUTO(dedup) /* nx_dedup_free() at the end of scope */

#endif
