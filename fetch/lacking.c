/* SPDX-License-Identifier: MIT */
#include "fetch/lacking.h"

static bool leaf_lacks(const struct nx_tree *tree, unsigned image, const struct nx_leaf *leaf,
                       uint64_t end)
{
    for (uint64_t n = leaf->first; leaf->page && n < end; n++) {
        struct nx_blob blob;
        if (nx_leaf_chunk(tree, leaf, image, n, &blob) && !nx_blobs_has(tree->blobs, &blob))
            return true;
    }
    return false;
}

bool nx_lacking_any(const struct nx_tree *tree, bool with_memory, bool (*over)(void *opaque),
                    void *opaque)
{
    for (unsigned i = 0; i < tree->manifest->n_images; i++) {
        const struct nx_image *image = &tree->manifest->images[i];
        uint64_t count = nx_image_chunk_count(image);
        if (image->role == NX_IMAGE_MEMORY && !with_memory)
            continue;
        for (uint64_t n = 0, end; n < count && !over(opaque); n = end) {
            NX_AUTO_LEAF struct nx_leaf leaf = { 0 };
            if (!nx_tree_leaf_here(tree, i, n, &leaf, &end) ||
                leaf_lacks(tree, i, &leaf, end < count ? end : count))
                return true;
        }
    }
    return false;
}
