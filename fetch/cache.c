/* SPDX-License-Identifier: MIT */
/* Threads: the store does not change, and the writer has its own lock, which is never held over
 * input or output: so no read waits for what is written, recorded or removed.
 */
#include "fetch/cache.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "fetch/cachewriter.h"
#include "fetch/segment.h"
#include "fetch/cachestore.h"

struct nx_cache {
    struct nx_cachestore store;
    uint64_t limit;
    struct nx_teller teller;
    struct nx_cachewriter *writer;
    atomic_bool damage_told;
};

/* ---- open and close -------------------------------------------------------- */

/* Remove the oldest segments until at most limit bytes are left. */
static int shrink(struct nx_cache *cache, uint64_t limit, uint64_t *ret_freed, struct nx_error *err)
{
    NX_AUTO_FD int lock = -1;
    if (nx_cachestore_lock(&cache->store, &lock, err) < 0)
        return -1;
    return nx_cachestore_make_room(&cache->store, limit, 0, 0, ret_freed, err) < 0 ? -1 : 0;
}

int nx_cache_open(const struct nx_cache_options *options, struct nx_cache **ret_cache,
                  struct nx_error *err)
{
    const struct nx_teller teller = { options->tell, options->opaque };
    NX_AUTO_CACHE struct nx_cache *cache = calloc(1, sizeof(*cache));
    if (!cache)
        return nx_fail_errno(err, "%s", options->dir);
    cache->store = (struct nx_cachestore)NX_CACHESTORE_INIT;
    cache->limit = options->limit;
    cache->teller = teller;
    uint64_t freed;
    if (nx_cachestore_open(&cache->store, options->dir, &teller, err) < 0 ||
        (cache->limit && shrink(cache, cache->limit, &freed, err) < 0) ||
        nx_cachewriter_new(&cache->store, cache->limit, &teller, &cache->writer, err) < 0)
        return nx_fail_while(err, "the cache cannot be used");
    *ret_cache = NX_STEAL(cache);
    return 0;
}

void nx_cache_close(struct nx_cache *cache)
{
    if (!cache)
        return;
    nx_cachewriter_free(cache->writer);
    nx_cachestore_release(&cache->store);
    free(cache);
}

/* ---- reading --------------------------------------------------------------- */

/* Where an object is: its bytes, if they wait to be written, or its place.  False: a miss. */
static bool find(struct nx_cache *cache, const struct nx_digest *digest,
                 struct nx_bytes **ret_bytes, struct nx_place *ret_place)
{
    switch (nx_cachewriter_find(cache->writer, digest, ret_bytes, ret_place)) {
    case NX_KNOWN_QUEUED:
    case NX_KNOWN_WRITTEN:
        return true;
    case NX_KNOWN_FORGOTTEN:
        return false;
    default:
        return nx_cachedb_find(cache->store.db, digest, ret_place);
    }
}

bool nx_cache_has(struct nx_cache *cache, const struct nx_digest *digest)
{
    NX_AUTO_BYTES struct nx_bytes *bytes = NULL;
    struct nx_place place;
    return find(cache, digest, &bytes, &place);
}

/* Once: a bad disk has many. */
static void tell_damage(struct nx_cache *cache, const struct nx_place *place)
{
    if (!atomic_exchange(&cache->damage_told, true))
        nx_tell(&cache->teller,
                "%s/segments/%016" PRIx64 ".seg: damaged at offset %" PRIu64
                ": fetched anew; try nxfetch cache verify",
                cache->store.dir, place->segment, place->offset);
}

struct nx_bytes *nx_cache_get(struct nx_cache *cache, const struct nx_digest *digest)
{
    struct nx_bytes *bytes = NULL;
    struct nx_placed object = { .digest = *digest };
    if (!find(cache, digest, &bytes, &object.place))
        return NULL;
    bool damaged = false;
    if (!bytes)
        bytes = nx_cachestore_read(&cache->store, digest, &object.place, &damaged);
    if (damaged)
        tell_damage(cache, &object.place);
    if (!bytes) /* or put would think that it is there */
        nx_cachewriter_forget(cache->writer, &object);
    return bytes;
}

/* ---- writing --------------------------------------------------------------- */

void nx_cache_put(struct nx_cache *cache, const struct nx_digest *digest, struct nx_bytes *bytes)
{
    nx_cachewriter_put(cache->writer, digest, bytes);
}

bool nx_cache_is_writable(struct nx_cache *cache)
{
    return nx_cachewriter_is_alive(cache->writer);
}

bool nx_cache_is_busy(struct nx_cache *cache)
{
    return nx_cachewriter_queued(cache->writer) > NX_CACHE_QUEUE_MAX / 2;
}

int nx_cache_wait_below(struct nx_cache *cache, uint64_t bytes, struct nx_error *err)
{
    return nx_cachewriter_wait_below(cache->writer, bytes, err);
}

int nx_cache_flush(struct nx_cache *cache, struct nx_error *err)
{
    return nx_cachewriter_flush(cache->writer, err);
}

/* ---- heads ----------------------------------------------------------------- */

void nx_cache_put_head(struct nx_cache *cache, const char *url, const struct nx_cache_head *head)
{
    struct nx_digest key;
    nx_digest_of(url, strlen(url), &key);
    nx_cachewriter_put_head(cache->writer, &key, head);
}

bool nx_cache_get_head(struct nx_cache *cache, const char *url, struct nx_cache_head *ret_head)
{
    struct nx_digest key;
    nx_digest_of(url, strlen(url), &key);
    return nx_cachestore_get_head(&cache->store, &key, ret_head);
}

/* ---- for people ------------------------------------------------------------ */

int nx_cache_show(struct nx_cache *cache, struct nx_cache_usage *ret_usage, struct nx_error *err)
{
    struct nx_cache_usage usage = { .limit = cache->limit };
    NX_AUTO_SEGMENT_LIST struct nx_segment_list list = { 0 };
    if (nx_cache_flush(cache, err) < 0 ||
        nx_segment_list(cache->store.segments_fd, &list, err) < 0 ||
        nx_cachedb_count(cache->store.db, &usage.entries, err) < 0)
        return -1;
    usage.heads = nx_cachestore_count_heads(&cache->store);
    usage.segments = list.count;
    usage.bytes = list.bytes;
    *ret_usage = usage;
    return 0;
}

int nx_cache_prune(struct nx_cache *cache, uint64_t limit, uint64_t *ret_freed,
                   struct nx_error *err)
{
    /* Our own segment may go too, so it is left first. */
    return nx_cache_flush(cache, err) < 0 || shrink(cache, limit, ret_freed, err) < 0 ||
                   nx_cachestore_tidy(&cache->store, err) < 0
               ? -1
               : 0;
}

int nx_cache_clear(struct nx_cache *cache, uint64_t *ret_freed, struct nx_error *err)
{
    return nx_cache_prune(cache, 0, ret_freed, err);
}

static int by_place(const void *a, const void *b)
{
    const struct nx_place *x = &((const struct nx_placed *)a)->place;
    const struct nx_place *y = &((const struct nx_placed *)b)->place;
    if (x->segment != y->segment)
        return x->segment < y->segment ? -1 : 1;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static void verify_object(struct nx_cache *cache, const struct nx_placed *object,
                          struct nx_cache_verdict *verdict)
{
    NX_AUTO_BYTES struct nx_bytes *bytes =
        nx_cachestore_read(&cache->store, &object->digest, &object->place, NULL);
    if (!bytes) {
        verdict->bad++;
        nx_cachewriter_forget(cache->writer, object);
        return;
    }
    verdict->good++;
    verdict->good_bytes += bytes->len;
}

int nx_cache_verify(struct nx_cache *cache,
                    int (*progress)(uint64_t done, uint64_t total, void *opaque), void *opaque,
                    struct nx_cache_verdict *ret_verdict, struct nx_error *err)
{
    struct nx_cache_verdict verdict = { 0 };
    struct nx_cache_usage usage;
    NX_AUTO_FREE struct nx_placed *objects = NULL;
    size_t count;
    if (nx_cache_show(cache, &usage, err) < 0 ||
        nx_cachedb_all(cache->store.db, &objects, &count, err) < 0)
        return -1;
    qsort(objects, count, sizeof(*objects), by_place);
    for (size_t i = 0; i < count; i++) {
        verify_object(cache, &objects[i], &verdict);
        if (progress && progress(verdict.good_bytes, usage.bytes, opaque) != 0)
            return nx_fail(err, NX_ERR_CANCELLED, "interrupted");
    }
    *ret_verdict = verdict;
    return nx_cache_flush(cache, err);
}
