/* SPDX-License-Identifier: MIT */
/* LMDB believes its file: over a damaged one it crashes, or writes where live records stand.  So a child
 * process reads all of it first, and may crash in our place.
 */
#ifndef NX_FETCH_MDBCHECK_H
#define NX_FETCH_MDBCHECK_H

#include <stddef.h>

/* Address space, not memory: 4 GiB is room for some 30 million objects.  LMDB cannot grow it while
 * other processes look, so it is what it is from the start.
 */
#define NX_MDB_MAP_SIZE   (sizeof(size_t) > 4 ? (size_t)4 << 30 : (size_t)256 << 20)
#define NX_MDB_TABLES_MAX 4

/* 0: whole, or not there; MDB_CORRUPTED: to be thrown away; ETIMEDOUT: its disk does not give it; or another errno.
 * The caller must not have it open.
 */
int nx_mdbcheck(const char *path);

#endif
