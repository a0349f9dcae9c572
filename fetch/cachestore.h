/* SPDX-License-Identifier: MIT */
/* The cache on disk: its folder, with the segments and the database that tells what stands in them.
 *
 *     DIR/layout                            "nxpk cache 1": what is to be expected here
 *     DIR/index.mdb, index.mdb-lock
 *     DIR/segments/0000000000000001.seg …
 *     DIR/heads/DIGEST                      what is known of the URL that has this digest
 *
 * Order on disk: a segment's bytes, synced; then their records.  On removal: the records, synced; then the
 * segment.  So after a crash or a power cut no record names bytes that never came or have gone.
 *
 * Any thread; the struct does not change.  Among processes, who makes room and takes a segment to
 * write holds the lock of the segments' folder (nx_cachestore_lock()).
 */
#ifndef NX_FETCH_CACHESTORE_H
#define NX_FETCH_CACHESTORE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "fetch/bytes.h"
#include "fetch/cache.h"
#include "fetch/cachedb.h"
#include "fetch/segment.h"
#include "formats/digest.h"

#define NX_CACHESTORE_LAYOUT 1

/* A line that the user should read: something was wrong, and what was done. */
struct nx_teller {
    void (*tell)(void *opaque, const char *line); /* any thread; NULL: nobody listens */
    void *opaque;
};
void nx_tell(const struct nx_teller *teller, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

struct nx_cachestore {
    char *dir;
    int dir_fd, segments_fd, heads_fd;
    struct nx_cachedb *db;
};
#define NX_CACHESTORE_INIT      \
    {                           \
        NULL, -1, -1, -1, NULL, \
    }

/* Make what is missing.  An older layout is cleared, a newer one an error; a lost or damaged database is made
 * anew from the segments.
 */
int nx_cachestore_open(struct nx_cachestore *store, const char *dir, const struct nx_teller *teller,
                       struct nx_error *err);
void nx_cachestore_release(struct nx_cachestore *store);

/* False once somebody has removed the folder, or made its database anew. */
bool nx_cachestore_is_there(const struct nx_cachestore *store);

/* The bytes at a place, if they are what the digest says; else NULL, and *ret_damaged (unless that is NULL) tells wrong
 * bytes from a segment that has gone.
 */
struct nx_bytes *nx_cachestore_read(const struct nx_cachestore *store,
                                    const struct nx_digest *digest, const struct nx_place *place,
                                    bool *ret_damaged);

/* Heads of packages, by the digest of their URLs. */
int nx_cachestore_put_head(const struct nx_cachestore *store, const struct nx_digest *key,
                           const struct nx_cache_head *head, struct nx_error *err);
bool nx_cachestore_get_head(const struct nx_cachestore *store, const struct nx_digest *key,
                            struct nx_cache_head *ret_head);
uint64_t nx_cachestore_count_heads(const struct nx_cachestore *store);

/* Remove records and heads of what is not here any more. */
int nx_cachestore_tidy(const struct nx_cachestore *store, struct nx_error *err);

/* Record what stands in a locked segment and is not recorded: who wrote it was killed before that. */
int nx_cachestore_recover(const struct nx_cachestore *store, const struct nx_segment *segment,
                          struct nx_error *err);

/* Wait for the right to make room and to take a segment; it ends with the descriptor, or with the process. */
int nx_cachestore_lock(const struct nx_cachestore *store, int *ret_fd, struct nx_error *err);

/* Under that lock: remove the oldest segments, with their records, until `need` more bytes make no more
 * than limit.  What another process writes stays, and counts as segment_max bytes if it has fewer.
 * 1: done; 0: they do not fit even so.  *ret_freed bytes went.
 */
int nx_cachestore_make_room(const struct nx_cachestore *store, uint64_t limit, uint64_t need,
                            uint64_t segment_max, uint64_t *ret_freed, struct nx_error *err);

static inline void nx_auto_cachestore(struct nx_cachestore *store)
{
    nx_cachestore_release(store);
}
#define NX_AUTO_CACHESTORE NX_AUTO(cachestore)

#endif
