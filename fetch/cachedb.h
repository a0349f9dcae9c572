/* SPDX-License-Identifier: MIT */
/* The cache's database: where each object stands.  LMDB, shared by processes; every commit is
 * atomic, and synced, since an unsynced LMDB may not survive a power cut whole.  Any thread.
 */
#ifndef NX_FETCH_CACHEDB_H
#define NX_FETCH_CACHEDB_H

#include <stdint.h>

#include "common/error.h"
#include "fetch/cache.h"
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

/* A damaged database is removed, and an empty one made. */
int nx_cachedb_open(int dir_fd, const char *dir, struct nx_cachedb **ret_db, struct nx_error *err);
void nx_cachedb_close(struct nx_cachedb *db);

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
int nx_cachedb_count(struct nx_cachedb *db, uint64_t *ret_objects, uint64_t *ret_heads,
                     struct nx_error *err);
int nx_cachedb_clear(struct nx_cachedb *db, struct nx_error *err);

int nx_cachedb_put_head(struct nx_cachedb *db, const struct nx_digest *key,
                        const struct nx_cache_head *head, struct nx_error *err);
bool nx_cachedb_get_head(struct nx_cachedb *db, const struct nx_digest *key,
                         struct nx_cache_head *ret_head);

NX_DEFINE_AUTO(struct nx_cachedb *, cachedb, nx_cachedb_close)
#define NX_AUTO_CACHEDB NX_AUTO(cachedb)

#endif
