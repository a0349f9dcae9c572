/* SPDX-License-Identifier: MIT */
/* The cache's database: where each object stands.  LMDB, shared by processes; every commit is
 * atomic.  A power cut may undo the last one, and leaves the database whole: LMDB syncs a commit's pages before it
 * names them.  (With MDB_NOSYNC it might name pages that never came to the disk.)  Any thread.
 */
#ifndef NX_FETCH_CACHEDB_H
#define NX_FETCH_CACHEDB_H

#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/error.h"
#include "formats/digest.h"

struct nx_cachedb;

/* Where the bytes of an object stand. */
struct nx_place {
    uint64_t segment;
    uint64_t offset;
    uint32_t size;
    uint32_t zero; /* so that the struct has no padding: it is stored as it is */
};

struct nx_placed {
    struct nx_digest digest;
    struct nx_place place;
};

/* A damaged database is removed, and an empty one made; *ret_damaged says so. */
int nx_cachedb_open(int dir_fd, const char *dir, struct nx_cachedb **ret_db, bool *ret_damaged,
                    struct nx_error *err);
void nx_cachedb_close(struct nx_cachedb *db);

/* Remove its files: the next to open it makes them anew; those that have it open keep their own. */
void nx_cachedb_discard(int dir_fd);

/* Does it know all that stands in the segments?  Not before somebody has said so. */
bool nx_cachedb_is_whole(struct nx_cachedb *db);
int nx_cachedb_set_whole(struct nx_cachedb *db, struct nx_error *err);

/* Is its file still the one in the folder?  Another process may have removed it. */
bool nx_cachedb_is_there(const struct nx_cachedb *db);

/* What was changed until now survives a power cut. */
int nx_cachedb_sync(struct nx_cachedb *db, struct nx_error *err);

/* False if it is not known, or the database does not tell. */
bool nx_cachedb_find(struct nx_cachedb *db, const struct nx_digest *digest,
                     struct nx_place *ret_place);

/* Record count objects in one transaction. */
int nx_cachedb_record(struct nx_cachedb *db, const struct nx_placed *objects, size_t count,
                      struct nx_error *err);

/* Forget those of count objects that are still recorded at this very place. */
int nx_cachedb_forget(struct nx_cachedb *db, const struct nx_placed *objects, size_t count,
                      struct nx_error *err);

/* All that is recorded; *ret_objects is to be freed. */
int nx_cachedb_all(struct nx_cachedb *db, struct nx_placed **ret_objects, size_t *ret_count,
                   struct nx_error *err);
int nx_cachedb_count(struct nx_cachedb *db, uint64_t *ret_objects, struct nx_error *err);

/* Forget the objects whose segment is not in this folder. */
int nx_cachedb_tidy(struct nx_cachedb *db, int segments_fd, struct nx_error *err);

NX_DEFINE_AUTO(struct nx_cachedb *, cachedb, nx_cachedb_close)
#define NX_AUTO_CACHEDB NX_AUTO(cachedb)

#endif
