/* SPDX-License-Identifier: MIT */
/* What a machine that must not use the network (--offline) will miss. */
#ifndef NX_FETCH_LACKING_H
#define NX_FETCH_LACKING_H

#include <stdbool.h>
#include <stdint.h>

#include "fetch/tree.h"

struct nx_lacking {
    uint64_t
        bytes; /* as stored, of chunks that are not here; each as often as it is used: it may be more than there is */
    bool unknown;    /* pages of the index are not here either, so that nobody knows */
    bool incomplete; /* the time was over: so many at least */
};

/* Look each chunk of disks and, with_memory, of memory up in the cache, some microseconds for each, until `due` (nx_now_ms()).
 * Nothing is fetched.  One thread.
 */
struct nx_lacking nx_lacking_count(const struct nx_tree *tree, bool with_memory, int64_t due);

#endif
