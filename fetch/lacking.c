/* SPDX-License-Identifier: MIT */
#include "fetch/lacking.h"

#include "common/clock.h"

static uint64_t lacking_of_leaf(const struct nx_tree *tree, unsigned image,
                                const struct nx_leaf *leaf, uint64_t end)
{
    uint64_t bytes = 0;
    for (uint64_t n = leaf->first; leaf->page && n < end; n++) {
        struct nx_blob blob;
        if (nx_leaf_chunk(tree, leaf, image, n, &blob) && !nx_blobs_is_near(tree->blobs, &blob) &&
            !nx_blobs_has(tree->blobs, &blob))
            bytes += blob.size;
    }
    return bytes;
}

static void count_image(const struct nx_tree *tree, unsigned image, int64_t due,
                        struct nx_lacking *lacking)
{
    uint64_t count = nx_image_chunk_count(&tree->manifest->images[image]);
    for (uint64_t n = 0, end; n < count; n = end) {
        NX_AUTO_LEAF struct nx_leaf leaf = { 0 };
        lacking->incomplete = nx_now_ms() >= due;
        if (lacking->incomplete)
            return;
        if (nx_tree_leaf_here(tree, image, n, &leaf, &end))
            lacking->bytes += lacking_of_leaf(tree, image, &leaf, end < count ? end : count);
        else
            lacking->unknown = true;
    }
}

struct nx_lacking nx_lacking_count(const struct nx_tree *tree, bool with_memory, int64_t due)
{
    struct nx_lacking lacking = { 0 };
    for (unsigned i = 0; i < tree->manifest->n_images && !lacking.incomplete; i++)
        if (with_memory || tree->manifest->images[i].role != NX_IMAGE_MEMORY)
            count_image(tree, i, due, &lacking);
    return lacking;
}
