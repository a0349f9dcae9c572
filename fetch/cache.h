/* SPDX-License-Identifier: MIT */
/* What was fetched once: stored bytes (chunks, index pages, heads) by their SHA-256, for
 * all packages together.
 *
 * Nothing in it is believed: every read is checked against its digest, and bytes that are
 * wrong, or whose segment has gone, are a miss.  So a crash, a full disk, or another process that
 * removes a segment only ever cost a second fetch.  Several processes may use one
 * cache; each appends to a segment of its own.
 *
 * All functions may be called from any thread.  Open it after fork(), never before: LMDB forbids
 * that a process uses an environment that its parent opened.
 */
#ifndef NX_FETCH_CACHE_H
#define NX_FETCH_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "fetch/bytes.h"
#include "formats/digest.h"

#define NX_CACHE_LIMIT_DEFAULT (UINT64_C(10) << 30) /* bytes of segments */

#define NX_CACHE_QUEUE_MAX (UINT64_C(32) << 20) /* bytes that wait to be written */

struct nx_cache;

struct nx_cache_options {
    const char *dir; /* made (mode 0700) if it is missing */
    /* Bytes of segments; the oldest go before they become more.  0: no limit. */
    uint64_t limit;
    /* What the user should know, a line naming the file: what was damaged and is repaired, and why nothing
     * more is kept.  Any thread; may be NULL.
     */
    void (*tell)(void *opaque, const char *line);
    void *opaque;
};

int nx_cache_open(const struct nx_cache_options *options, struct nx_cache **ret_cache,
                  struct nx_error *err);

/* Flush and close.  NULL is fine. */
void nx_cache_close(struct nx_cache *cache);

/* Is it probably there?  (The bytes are not looked at.) */
bool nx_cache_has(struct nx_cache *cache, const struct nx_digest *digest);

/* The bytes of this digest, checked; or NULL: a miss, whatever the reason. */
struct nx_bytes *nx_cache_get(struct nx_cache *cache, const struct nx_digest *digest);

/* Keep bytes whose digest was checked; takes a reference of its own.  Never waits: they are written later, in
 * order, or not at all if too much waits already (nx_cache_wait_below()), or if writing has failed.
 */
void nx_cache_put(struct nx_cache *cache, const struct nx_digest *digest, struct nx_bytes *bytes);

/* Is anything still written?  Not once writing has failed. */
bool nx_cache_is_writable(struct nx_cache *cache);

/* Does so much wait to be written that more might not be kept? */
bool nx_cache_is_busy(struct nx_cache *cache);

/* Wait until fewer than so many bytes wait to be written.  Fails if nothing is written any more, and says why. */
int nx_cache_wait_below(struct nx_cache *cache, uint64_t bytes, struct nx_error *err);

/* Wait until all that was put is recorded, and would survive a power cut.  Fails as above. */
int nx_cache_flush(struct nx_cache *cache, struct nx_error *err);

/* What is known of a package's URL: the first bytes of its file, kept like any others. */
struct nx_cache_head {
    struct nx_digest manifest; /* digest of manifest.xml */
    struct nx_digest bytes;    /* of the first bytes of the file: nx_cache_get() */
    char etag[256];            /* the server's strong ETag, or "" */
    uint64_t total;            /* bytes of that file; 0 if an older nxfetch has kept this */
};
/* As nx_cache_put(); recorded after what was put before. */
void nx_cache_put_head(struct nx_cache *cache, const char *url, const struct nx_cache_head *head);
bool nx_cache_get_head(struct nx_cache *cache, const char *url, struct nx_cache_head *ret_head);

/* For `nxfetch cache`. */

struct nx_cache_usage {
    uint64_t bytes;    /* of all segments */
    uint64_t limit;    /* as nx_cache_open() got it */
    uint64_t segments; /* files */
    uint64_t entries;  /* objects that the database knows */
    uint64_t heads;    /* packages, by URL */
};
int nx_cache_show(struct nx_cache *cache, struct nx_cache_usage *ret_usage, struct nx_error *err);

/* Remove oldest segments until at most limit bytes are left; *ret_freed bytes went.  A segment that
 * another nxfetch is writing stays.
 */
int nx_cache_prune(struct nx_cache *cache, uint64_t limit, uint64_t *ret_freed,
                   struct nx_error *err);

/* Remove everything that no other nxfetch is writing; what it is writing stays known. */
int nx_cache_clear(struct nx_cache *cache, uint64_t *ret_freed, struct nx_error *err);

struct nx_cache_verdict {
    uint64_t good, good_bytes;
    uint64_t bad; /* wrong or missing: dropped from the database */
};
/* Read every object and drop the bad ones.  progress (may be NULL) is called with bytes read so far and
 * the bytes of all segments; it ends the walk (NX_ERR_CANCELLED) by returning non-zero.
 */
int nx_cache_verify(struct nx_cache *cache,
                    int (*progress)(uint64_t done, uint64_t total, void *opaque), void *opaque,
                    struct nx_cache_verdict *ret_verdict, struct nx_error *err);

NX_DEFINE_AUTO(struct nx_cache *, cache, nx_cache_close)
#define NX_AUTO_CACHE NX_AUTO(cache)

#endif
