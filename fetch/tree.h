/* SPDX-License-Identifier: MIT */
/* The way through the index: from an image and a chunk's number to where its bytes are. Pages are
 * fetched on the way, verified, then checked.  Any thread.
 */
#ifndef NX_FETCH_TREE_H
#define NX_FETCH_TREE_H

#include <stdbool.h>

#include "fetch/blobs.h"
#include "formats/index.h"
#include "formats/manifest.h"

struct nx_tree {
    const struct nx_manifest *manifest; /* must outlive it */
    struct nx_blobs *blobs;
};

/* A leaf page, checked: the chunks first … first + 255. */
struct nx_leaf {
    struct nx_bytes *page; /* owned; NULL: none of these chunks is there */
    uint64_t first;
};

/* Have the root page of an image. */
int nx_tree_root(const struct nx_tree *tree, unsigned image, struct nx_error *err);

/* The leaf with chunk number n. */
int nx_tree_leaf(const struct nx_tree *tree, unsigned image, uint64_t n, struct nx_leaf *ret_leaf,
                 struct nx_error *err);

/* The first leaf that has a chunk with number n or above; its page is NULL if there is none. */
int nx_tree_next_leaf(const struct nx_tree *tree, unsigned image, uint64_t n,
                      struct nx_leaf *ret_leaf, struct nx_error *err);

/* The leaf with chunk number n, if all pages on the way are here; nothing is fetched, and nobody waits.  *ret_end: what is
 * answered, be it that its page is NULL, holds for the chunks n … end - 1.  False: a page is not here, or no good.
 */
bool nx_tree_leaf_here(const struct nx_tree *tree, unsigned image, uint64_t n,
                       struct nx_leaf *ret_leaf, uint64_t *ret_end);

/* Begin to fetch all pages of an image's index that are not here, in the background.  Waits only for
 * pages that have pages below them.
 */
int nx_tree_prefetch(const struct nx_tree *tree, unsigned image, struct nx_error *err);

/* The chunks of the boot set that are the image's: those which, with the pages on the way to them, lie within the first
 * boot_chunks and boot_index bytes.  *left, which is boot_index for the first image, is what may still be walked of the index: honest pages
 * lie side by side in it, forged ones may lead to the same pages again and again.
 */
typedef int nx_chunk_fn(const struct nx_blob *blob, void *opaque, struct nx_error *err);
int nx_tree_boot(const struct nx_tree *tree, unsigned image, nx_chunk_fn *chunk, void *opaque,
                 uint64_t *left, struct nx_error *err);

void nx_leaf_release(struct nx_leaf *leaf);

/* Chunk number n, which is in the leaf's range; false if it is all zero. */
bool nx_leaf_chunk(const struct nx_tree *tree, const struct nx_leaf *leaf, unsigned image,
                   uint64_t n, struct nx_blob *ret_blob);

static inline void nx_auto_leaf(struct nx_leaf *leaf)
{
    nx_leaf_release(leaf);
}
#define NX_AUTO_LEAF NX_AUTO(leaf)

#endif
