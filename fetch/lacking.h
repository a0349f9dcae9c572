/* SPDX-License-Identifier: MIT */
/* What a machine that must not use the network (--offline) will miss. */
#ifndef NX_FETCH_LACKING_H
#define NX_FETCH_LACKING_H

#include <stdbool.h>
#include <stdint.h>

#include "fetch/tree.h"

/* The stored bytes of the chunks that are not here, of disks and, with_memory, of memory; each chunk as often as it is used, so
 * that it may be more than there is.  False if pages of the index are not here either, so that nobody knows.  Nothing is fetched;
 * it looks each chunk up in the cache, some microseconds.  One thread.
 */
bool nx_lacking_bytes(const struct nx_tree *tree, bool with_memory, uint64_t *ret_bytes);

#endif
