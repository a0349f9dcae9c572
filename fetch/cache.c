/* SPDX-License-Identifier: MIT */
/* Threads: put, flush and everything that removes take the lock; get and has take it only to look
 * at what is not yet recorded.  Reading segments needs no lock: each read opens the file anew, and a
 * file that has gone is a miss.
 *
 * Order on disk: bytes, then (up to a second later, many at once) their record.  A crash
 * between the two loses records, never makes a wrong one that a digest would not catch.
 */
#include "fetch/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#include "common/io.h"
#include "fetch/cachedb.h"
#include "fetch/digestmap.h"
#include "fetch/segment.h"

#define PENDING_MAX 1024 /* records kept back before a flush */

struct pending {
    struct nx_map_node node;
    struct nx_place place;
};

struct nx_cache {
    int dir_fd;
    int segments_fd;
    uint64_t limit;
    uint64_t segment_max; /* our segment is left when it has reached so many bytes */
    struct nx_cachedb *db;

    pthread_mutex_t lock;
    struct nx_segment segment; /* under lock */
    struct nx_map pending_map; /* under lock */
    struct pending *pending;   /* under lock; [PENDING_MAX] */
    size_t n_pending;          /* under lock */
    bool write_failed;         /* under lock */
};

/* ---- open and close -------------------------------------------------------- */

static int open_dirs(struct nx_cache *cache, const char *dir, struct nx_error *err)
{
    if (nx_make_folders(dir, err) < 0)
        return -1;
    cache->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (cache->dir_fd < 0)
        return nx_fail_errno(err, "%s", dir);
    if (mkdirat(cache->dir_fd, "segments", 0700) < 0 && errno != EEXIST)
        return nx_fail_errno(err, "%s/segments", dir);
    cache->segments_fd = openat(cache->dir_fd, "segments", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (cache->segments_fd < 0)
        return nx_fail_errno(err, "%s/segments", dir);
    return 0;
}

/* Objects of one segment, gathered to be recorded or forgotten in large transactions. */
struct gather {
    struct nx_cache *cache;
    uint64_t segment;
    struct nx_placed items[PENDING_MAX];
    size_t count;
    int (*apply)(struct nx_cachedb *db, const struct nx_placed *objects, size_t count,
                 struct nx_error *err);
    struct nx_error *err;
    bool failed;
};

static int gather_apply(struct gather *gather)
{
    size_t count = gather->count;
    gather->count = 0;
    if (count && gather->apply(gather->cache->db, gather->items, count, gather->err) < 0)
        gather->failed = true;
    return gather->failed ? -1 : 0;
}

static int gather_object(const struct nx_digest *digest, uint64_t offset, uint32_t size,
                         void *opaque)
{
    struct gather *gather = opaque;
    gather->items[gather->count++] =
        (struct nx_placed){ *digest, { gather->segment, offset, size, 0 } };
    return gather->count == PENDING_MAX ? gather_apply(gather) : 0;
}

/* Apply a change to the records of all objects of a segment. */
static int for_segment(struct nx_cache *cache, uint64_t segment,
                       int (*apply)(struct nx_cachedb *, const struct nx_placed *, size_t,
                                    struct nx_error *),
                       struct nx_error *err)
{
    NX_AUTO_FREE struct gather *gather = calloc(1, sizeof(*gather));
    if (!gather)
        return nx_fail_errno(err, "cache");
    *gather = (struct gather){ .cache = cache, .segment = segment, .apply = apply, .err = err };
    nx_segment_walk(cache->segments_fd, segment, gather_object, gather);
    return gather->failed ? -1 : gather_apply(gather);
}

/* A new database beside old segments: it was lost or damaged.  The headers tell what is there. */
static int rebuild_if_empty(struct nx_cache *cache, struct nx_error *err)
{
    uint64_t objects, heads;
    if (nx_cachedb_count(cache->db, &objects, &heads, err) < 0)
        return -1;
    if (objects > 0)
        return 0;
    NX_AUTO_SEGMENT_LIST struct nx_segment_list list = { 0 };
    if (nx_segment_list(cache->segments_fd, &list, err) < 0)
        return -1;
    for (size_t i = 0; i < list.count; i++)
        if (for_segment(cache, list.items[i].number, nx_cachedb_record, err) < 0)
            return -1;
    return 0;
}

static int shrink(struct nx_cache *cache, uint64_t limit, uint64_t *ret_freed,
                  struct nx_error *err);

int nx_cache_open(const char *dir, uint64_t limit, struct nx_cache **ret_cache,
                  struct nx_error *err)
{
    NX_AUTO_CACHE struct nx_cache *cache = calloc(1, sizeof(*cache));
    if (!cache)
        return nx_fail_errno(err, "%s", dir);
    cache->dir_fd = cache->segments_fd = -1;
    cache->segment = (struct nx_segment)NX_SEGMENT_INIT;
    pthread_mutex_init(&cache->lock, NULL);
    cache->limit = limit;
    cache->segment_max = limit && limit / 8 < NX_SEGMENT_SIZE ? limit / 8 : NX_SEGMENT_SIZE;
    cache->pending = calloc(PENDING_MAX, sizeof(*cache->pending));
    if (!cache->pending)
        return nx_fail_errno(err, "%s", dir);
    uint64_t freed;
    if (nx_map_init(&cache->pending_map, 9, err) < 0 || open_dirs(cache, dir, err) < 0 ||
        nx_cachedb_open(cache->dir_fd, dir, &cache->db, err) < 0 ||
        rebuild_if_empty(cache, err) < 0 || (limit && shrink(cache, limit, &freed, err) < 0))
        return nx_fail_while(err, "the cache cannot be used");
    *ret_cache = NX_STEAL(cache);
    return 0;
}

void nx_cache_close(struct nx_cache *cache)
{
    if (!cache)
        return;
    if (cache->db)
        nx_cache_flush(cache, NULL);
    nx_segment_close(&cache->segment);
    nx_cachedb_close(cache->db);
    if (cache->segments_fd >= 0)
        close(cache->segments_fd);
    if (cache->dir_fd >= 0)
        close(cache->dir_fd);
    nx_map_release(&cache->pending_map);
    free(cache->pending);
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}

/* ---- reading --------------------------------------------------------------- */

static bool find_pending(struct nx_cache *cache, const struct nx_digest *digest,
                         struct nx_place *ret_place)
{
    struct pending *p =
        NX_MAP_ENTRY(nx_map_find(&cache->pending_map, digest), struct pending, node);
    if (p)
        *ret_place = p->place;
    return p != NULL;
}

static bool find(struct nx_cache *cache, const struct nx_digest *digest, struct nx_place *ret_place)
{
    pthread_mutex_lock(&cache->lock);
    bool found = find_pending(cache, digest, ret_place);
    pthread_mutex_unlock(&cache->lock);
    return found || nx_cachedb_find(cache->db, digest, ret_place);
}

bool nx_cache_has(struct nx_cache *cache, const struct nx_digest *digest)
{
    struct nx_place place;
    return find(cache, digest, &place);
}

/* The bytes at a place, if they are what the digest says. */
static struct nx_bytes *read_checked(struct nx_cache *cache, const struct nx_digest *digest,
                                     const struct nx_place *place)
{
    NX_AUTO_BYTES struct nx_bytes *bytes =
        nx_segment_read(cache->segments_fd, place->segment, place->offset, place->size);
    if (!bytes)
        return NULL;
    struct nx_digest found;
    nx_digest_of(bytes->data, bytes->len, &found);
    return nx_digest_equal(&found, digest) ? NX_STEAL(bytes) : NULL;
}

struct nx_bytes *nx_cache_get(struct nx_cache *cache, const struct nx_digest *digest)
{
    struct nx_placed object = { .digest = *digest };
    if (!find(cache, digest, &object.place))
        return NULL;
    struct nx_bytes *bytes = read_checked(cache, digest, &object.place);
    if (!bytes) /* forget it, or put would think that it is there */
        nx_cachedb_forget(cache->db, &object, 1, NULL);
    return bytes;
}

/* ---- writing --------------------------------------------------------------- */

static int flush_locked(struct nx_cache *cache, struct nx_error *err)
{
    if (cache->n_pending == 0)
        return 0;
    NX_AUTO_FREE struct nx_placed *objects = calloc(cache->n_pending, sizeof(*objects));
    if (!objects)
        return nx_fail_errno(err, "cache");
    for (size_t i = 0; i < cache->n_pending; i++)
        objects[i] = (struct nx_placed){ cache->pending[i].node.key, cache->pending[i].place };
    if (nx_cachedb_record(cache->db, objects, cache->n_pending, err) < 0)
        return -1;
    for (size_t i = 0; i < cache->n_pending; i++)
        nx_map_remove(&cache->pending_map, &cache->pending[i].node);
    cache->n_pending = 0;
    return 0;
}

/* Turn a failure to write into the end of all writing. */
static int write_result(struct nx_cache *cache, int r)
{
    if (r < 0)
        cache->write_failed = true;
    return r;
}

int nx_cache_flush(struct nx_cache *cache, struct nx_error *err)
{
    pthread_mutex_lock(&cache->lock);
    int r = cache->write_failed ? 0 : write_result(cache, flush_locked(cache, err));
    pthread_mutex_unlock(&cache->lock);
    return r;
}

/* Remove a segment and its records.  1: removed, 0: another process writes it, -1: error. */
static int remove_segment(struct nx_cache *cache, uint64_t number, struct nx_error *err)
{
    /* The records first: what they name must not go before them, or another process's put
     * would believe them.  If the segment then stays after all, its objects are missed only
     * until they are put again.
     */
    struct nx_segment probe = NX_SEGMENT_INIT;
    if (!nx_segment_lock(cache->segments_fd, number, &probe))
        return 0;
    int r = for_segment(cache, number, nx_cachedb_forget, err);
    if (r == 0)
        r = nx_segment_remove(cache->segments_fd, &probe, err);
    nx_segment_close(&probe);
    return r < 0 ? -1 : 1;
}

/* Remove the oldest segments until at most limit bytes are left. */
static int shrink(struct nx_cache *cache, uint64_t limit, uint64_t *ret_freed, struct nx_error *err)
{
    NX_AUTO_SEGMENT_LIST struct nx_segment_list list = { 0 };
    if (nx_segment_list(cache->segments_fd, &list, err) < 0)
        return -1;
    uint64_t freed = 0;
    for (size_t i = 0; i < list.count && list.bytes - freed > limit; i++) {
        int r = remove_segment(cache, list.items[i].number, err);
        if (r < 0)
            return -1;
        if (r > 0)
            freed += list.items[i].bytes;
    }
    *ret_freed = freed;
    return 0;
}

/* Have a segment that can take another object. */
static int have_segment(struct nx_cache *cache, struct nx_error *err)
{
    if (cache->segment.fd >= 0 && cache->segment.size < cache->segment_max)
        return 0;
    if (cache->segment.fd >= 0) {
        /* The records must be there when the segment is removed, to be removed with it. */
        if (flush_locked(cache, err) < 0)
            return -1;
        nx_segment_close(&cache->segment);
    }
    uint64_t freed;
    if (cache->limit && shrink(cache, cache->limit - cache->segment_max, &freed, err) < 0)
        return -1;
    return nx_segment_open_for_append(cache->segments_fd, cache->segment_max, &cache->segment, err);
}

static int put_locked(struct nx_cache *cache, const struct nx_digest *digest, const void *data,
                      size_t size, struct nx_error *err)
{
    struct nx_place known;
    if (find_pending(cache, digest, &known))
        return 0;
    if (cache->n_pending == PENDING_MAX && flush_locked(cache, err) < 0)
        return -1;
    if (have_segment(cache, err) < 0)
        return -1;
    struct nx_place place = { .segment = cache->segment.number, .size = (uint32_t)size };
    if (nx_segment_append(&cache->segment, digest, data, place.size, &place.offset, err) < 0)
        return -1;
    struct pending *p = &cache->pending[cache->n_pending++];
    *p = (struct pending){ .node.key = *digest, .place = place };
    nx_map_insert(&cache->pending_map, &p->node);
    return 0;
}

int nx_cache_put(struct nx_cache *cache, const struct nx_digest *digest, const void *data,
                 size_t size, struct nx_error *err)
{
    struct nx_place known;
    if (size > NX_SEGMENT_OBJECT_MAX || nx_cachedb_find(cache->db, digest, &known))
        return 0;
    int r = 0;
    pthread_mutex_lock(&cache->lock);
    if (!cache->write_failed)
        r = write_result(cache, put_locked(cache, digest, data, size, err));
    pthread_mutex_unlock(&cache->lock);
    return r;
}

bool nx_cache_is_writable(struct nx_cache *cache)
{
    pthread_mutex_lock(&cache->lock);
    bool writable = !cache->write_failed;
    pthread_mutex_unlock(&cache->lock);
    return writable;
}

/* ---- heads ----------------------------------------------------------------- */

int nx_cache_put_head(struct nx_cache *cache, const char *url, const struct nx_cache_head *head,
                      struct nx_error *err)
{
    struct nx_digest key;
    nx_digest_of(url, strlen(url), &key);
    return nx_cachedb_put_head(cache->db, &key, head, err);
}

bool nx_cache_get_head(struct nx_cache *cache, const char *url, struct nx_cache_head *ret_head)
{
    struct nx_digest key;
    nx_digest_of(url, strlen(url), &key);
    return nx_cachedb_get_head(cache->db, &key, ret_head);
}

/* ---- for people ------------------------------------------------------------ */

int nx_cache_show(struct nx_cache *cache, struct nx_cache_usage *ret_usage, struct nx_error *err)
{
    struct nx_cache_usage usage = { .limit = cache->limit };
    NX_AUTO_SEGMENT_LIST struct nx_segment_list list = { 0 };
    if (nx_cache_flush(cache, err) < 0 || nx_segment_list(cache->segments_fd, &list, err) < 0 ||
        nx_cachedb_count(cache->db, &usage.entries, &usage.heads, err) < 0)
        return -1;
    usage.segments = list.count;
    usage.bytes = list.bytes;
    *ret_usage = usage;
    return 0;
}

int nx_cache_prune(struct nx_cache *cache, uint64_t limit, uint64_t *ret_freed,
                   struct nx_error *err)
{
    pthread_mutex_lock(&cache->lock);
    int r = flush_locked(cache, err);
    nx_segment_close(&cache->segment); /* ours may go too */
    if (r == 0)
        r = shrink(cache, limit, ret_freed, err);
    pthread_mutex_unlock(&cache->lock);
    return r;
}

int nx_cache_clear(struct nx_cache *cache, uint64_t *ret_freed, struct nx_error *err)
{
    if (nx_cache_prune(cache, 0, ret_freed, err) < 0)
        return -1;
    return nx_cachedb_clear(cache->db, err);
}

static int by_place(const void *a, const void *b)
{
    const struct nx_place *x = &((const struct nx_placed *)a)->place;
    const struct nx_place *y = &((const struct nx_placed *)b)->place;
    if (x->segment != y->segment)
        return x->segment < y->segment ? -1 : 1;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static int verify_object(struct nx_cache *cache, const struct nx_placed *object,
                         struct nx_cache_verdict *verdict, struct nx_error *err)
{
    NX_AUTO_BYTES struct nx_bytes *bytes = read_checked(cache, &object->digest, &object->place);
    if (!bytes) {
        verdict->bad++;
        return nx_cachedb_forget(cache->db, object, 1, err);
    }
    verdict->good++;
    verdict->good_bytes += bytes->len;
    return 0;
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
        nx_cachedb_all(cache->db, &objects, &count, err) < 0)
        return -1;
    qsort(objects, count, sizeof(*objects), by_place);
    for (size_t i = 0; i < count; i++) {
        if (verify_object(cache, &objects[i], &verdict, err) < 0)
            return -1;
        if (progress && progress(verdict.good_bytes, usage.bytes, opaque) != 0)
            return nx_fail(err, NX_ERR_CANCELLED, "interrupted");
    }
    *ret_verdict = verdict;
    return 0;
}
