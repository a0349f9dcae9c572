/* SPDX-License-Identifier: MIT */
/* The index of a package: what stands where, and the pages of every image's tree.
 *
 *     roots | pages of the level below them | … | leaves in disk order
 *
 * Everything above the leaves is in front, so that a start finds it in its first request.
 */
#ifndef NX_PACK_LAYOUT_H
#define NX_PACK_LAYOUT_H

#include "pack/store.h"

struct nx_layout {
    struct nx_buffer
        upper; /* the index's first bytes: all pages above the leaves, and lone roots */
    struct nx_spool leaves; /* the rest */
};
#define NX_LAYOUT_INIT          \
    {                           \
        .leaves = NX_SPOOL_INIT \
    }

/* Make the index of all images of manifest, whose sizes, chunk sizes and chunk counts are set
 * and whose records store has in the same order.  Sets their root and root_digest and the
 * sizes of the manifest's index and chunks.  beside: the output's path, for temporary files.
 */
int nx_layout_make(struct nx_layout *layout, struct nx_store *store, struct nx_manifest *manifest,
                   const char *beside, struct nx_error *err);
void nx_layout_release(struct nx_layout *layout);

static inline void nx_auto_layout(struct nx_layout *layout)
{
    nx_layout_release(layout);
}
#define NX_AUTO_LAYOUT NX_AUTO(layout) /* nx_layout_release() at the end of scope */

#endif
