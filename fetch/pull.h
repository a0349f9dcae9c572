/* SPDX-License-Identifier: MIT */
/* The whole package into the cache: `nxfetch pull`, and background completion. */
#ifndef NX_FETCH_PULL_H
#define NX_FETCH_PULL_H

#include "fetch/blobs.h"
#include "fetch/tree.h"

struct nx_pull_options {
    const struct nx_tree *tree;
    struct nx_cache *cache;
    struct nx_report *report;
    bool check;           /* look at what is in the cache already, not only for its record */
    bool memory_first;    /* it stands still without a page; otherwise memory comes last */
    uint64_t request_max; /* bytes of one range */
    uint64_t window;      /* bytes on their way at a time */
};

/* Large ranges, and enough of them to fill any line. */
#define NX_PULL_REQUEST (4u << 20)
#define NX_PULL_WINDOW  (16u << 20)
/* Small ones, behind which nobody waits for long. */
#define NX_COMPLETE_REQUEST (512u << 10)
#define NX_COMPLETE_WINDOW  (1u << 20)

/* Fetch every page and chunk that the cache has not; where it was interrupted, it goes on the next time.
 * have_bytes of the statistics tells how far it is.
 */
int nx_pull(const struct nx_pull_options *options, struct nx_error *err);

#endif
