/* SPDX-License-Identifier: MIT */
/* The index of a package: what stands where, and the pages of every image's tree.
 *
 *     roots | hot pages of the level below | … | hot leaves | other upper pages | other leaves
 *
 * Hot is what a boot set needs (placement.h); without one, all pages above the leaves are.  So a start
 * finds its index in its first request.  Within each part pages stand in the order of their level and of what they
 * point to.
 */
#ifndef NX_PACK_LAYOUT_H
#define NX_PACK_LAYOUT_H

#include "pack/placement.h"
#include "pack/store.h"

struct nx_layout {
    struct nx_buffer hot_upper; /* with the roots, lone ones included */
    struct nx_spool hot_leaves;
    struct nx_buffer upper;
    struct nx_spool leaves;
};
#define NX_LAYOUT_INIT                                       \
    {                                                        \
        .hot_leaves = NX_SPOOL_INIT, .leaves = NX_SPOOL_INIT \
    }

/* Make the index of all images of manifest, whose sizes, chunk sizes and chunk counts are set
 * and whose records (struct nx_store_record) stand in the same order.  placement says where chunks go to; NULL: they
 * stay.  Sets the images' root and root_digest, and the size of the manifest's index and boot_index.  beside: the output's path, for
 * temporary files.
 */
int nx_layout_make(struct nx_layout *layout, struct nx_spool *records,
                   const struct nx_placement *placement, struct nx_manifest *manifest,
                   const char *beside, struct nx_error *err);
void nx_layout_release(struct nx_layout *layout);

/* Bytes of all pages. */
uint64_t nx_layout_size(const struct nx_layout *layout);

static inline void nx_auto_layout(struct nx_layout *layout)
{
    nx_layout_release(layout);
}
#define NX_AUTO_LAYOUT NX_AUTO(layout) /* nx_layout_release() at the end of scope */

#endif
