/* SPDX-License-Identifier: MIT */
/* Whether a machine that must not use the network (--offline) will miss something. */
#ifndef NX_FETCH_LACKING_H
#define NX_FETCH_LACKING_H

#include <stdbool.h>

#include "fetch/tree.h"

/* Is a page of the index not here, or a chunk of disks or, with_memory, of memory?  Nothing is fetched; where all is here, each chunk
 * is looked up in the cache, some microseconds.  When over() is true, which is asked now and then, it ends with false.  One thread.
 */
bool nx_lacking_any(const struct nx_tree *tree, bool with_memory, bool (*over)(void *opaque),
                    void *opaque);

#endif
