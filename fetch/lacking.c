/* SPDX-License-Identifier: MIT */
#include "fetch/lacking.h"

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

bool nx_lacking_bytes(const struct nx_tree *tree, bool with_memory, uint64_t *ret_bytes)
{
    *ret_bytes = 0;
    for (unsigned i = 0; i < tree->manifest->n_images; i++) {
        const struct nx_image *image = &tree->manifest->images[i];
        uint64_t count = nx_image_chunk_count(image);
        if (image->role == NX_IMAGE_MEMORY && !with_memory)
            continue;
        for (uint64_t n = 0, end; n < count; n = end) {
            NX_AUTO_LEAF struct nx_leaf leaf = { 0 };
            if (!nx_tree_leaf_here(tree, i, n, &leaf, &end))
                return false;
            *ret_bytes += lacking_of_leaf(tree, i, &leaf, end < count ? end : count);
        }
    }
    return true;
}
