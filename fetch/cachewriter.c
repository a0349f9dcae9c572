/* SPDX-License-Identifier: MIT */
/* Threads: items come from any; one thread of ours takes them from the queue, appends them to its segment, and
 * records them in batches.  The lock is never held over input or output.
 *
 *     queue -> (appended) -> batch -> (segment synced, recorded) -> gone
 */
#include "fetch/cachewriter.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <time.h>

#include "common/clock.h"
#include "fetch/digestmap.h"
#include "fetch/segment.h"

#define BATCH_MAX 1024 /* items recorded at a time */
#define BATCH_MS  1000 /* for so long they wait for others */
#define MAP_BITS  12

enum kind { OBJECT, FORGOTTEN, HEAD };

struct item {
    struct nx_map_node node; /* of an OBJECT or a FORGOTTEN: by digest; of a HEAD: its key */
    TAILQ_ENTRY(item) link;
    enum kind kind;
    struct nx_bytes *bytes;     /* OBJECT: until it is written */
    struct nx_place place;      /* OBJECT: once it is; FORGOTTEN: where it is not */
    struct nx_cache_head *head; /* HEAD */
};
TAILQ_HEAD(items, item);

struct nx_cachewriter {
    const struct nx_cachestore *store;
    uint64_t limit;
    uint64_t segment_max; /* our segment is left before it has more bytes */
    struct nx_teller teller;
    pthread_t thread;
    bool has_thread;

    /* the thread's */
    struct nx_segment segment;
    bool segment_is_new; /* its name is not synced yet */

    pthread_mutex_t lock;
    pthread_cond_t work;     /* for the thread */
    pthread_cond_t progress; /* for who waits for it */
    struct nx_map objects;   /* under lock */
    struct nx_map forgotten; /* under lock */
    struct items queue;      /* under lock */
    struct items batch;      /* under lock */
    size_t batch_count;      /* under lock */
    int64_t batch_due;       /* under lock: of the batch's first item */
    size_t items;            /* under lock: in queue and batch */
    uint64_t queued_bytes;   /* under lock */
    uint64_t awaited;        /* under lock: somebody waits until fewer are queued; 0: nobody */
    bool flush;              /* under lock: somebody waits until all is recorded */
    bool slow_told;          /* under lock */
    bool failed;             /* under lock: nothing is written any more */
    struct nx_error err;     /* under lock: why */
    bool quit;               /* under lock */
};

/* ---- items ----------------------------------------------------------------- */

static struct nx_map *map_of(struct nx_cachewriter *writer, enum kind kind)
{
    return kind == OBJECT ? &writer->objects : kind == FORGOTTEN ? &writer->forgotten : NULL;
}

static void free_item(struct item *item)
{
    nx_bytes_unref(item->bytes);
    free(item->head);
    free(item);
}

/* Put a new item into the queue, if it has none of its kind and digest.  The item is ours.  Under lock. */
static void enqueue(struct nx_cachewriter *writer, struct item *item)
{
    struct nx_map *map = map_of(writer, item->kind);
    if (writer->failed || (map && nx_map_find(map, &item->node.key))) {
        free_item(item);
        return;
    }
    if (map)
        nx_map_insert(map, &item->node);
    writer->queued_bytes += item->bytes ? item->bytes->len : 0;
    writer->items++;
    if (TAILQ_EMPTY(&writer->queue)) /* else the thread has not stopped for lack of work */
        pthread_cond_signal(&writer->work);
    TAILQ_INSERT_TAIL(&writer->queue, item, link);
}

/* It has left its list.  Under lock. */
static void done_with(struct nx_cachewriter *writer, struct item *item)
{
    struct nx_map *map = map_of(writer, item->kind);
    if (map)
        nx_map_remove(map, &item->node);
    free_item(item);
    if (--writer->items == 0)
        pthread_cond_broadcast(&writer->progress);
}

/* Who waits for room in the queue is not woken for each item.  Under lock. */
static void note_queued(struct nx_cachewriter *writer, uint64_t bytes)
{
    writer->queued_bytes = bytes;
    if (bytes < writer->awaited) {
        writer->awaited = 0;
        pthread_cond_broadcast(&writer->progress);
    }
}

static void drop_all(struct nx_cachewriter *writer, struct items *list) /* under lock */
{
    struct item *item;
    while ((item = TAILQ_FIRST(list))) {
        TAILQ_REMOVE(list, item, link);
        done_with(writer, item);
    }
}

static struct item *new_item(enum kind kind, const struct nx_digest *key)
{
    struct item *item = calloc(1, sizeof(*item));
    if (item) {
        item->kind = kind;
        item->node.key = *key;
    }
    return item;
}

static void add(struct nx_cachewriter *writer, struct item *item)
{
    pthread_mutex_lock(&writer->lock);
    enqueue(writer, item);
    pthread_mutex_unlock(&writer->lock);
}

/* Is there room in memory?  If not, true the first time in *ret_tell. */
static bool has_room(struct nx_cachewriter *writer, bool *ret_tell)
{
    pthread_mutex_lock(&writer->lock);
    bool room = writer->queued_bytes <= NX_CACHE_QUEUE_MAX;
    *ret_tell = !room && !writer->slow_told && !writer->failed;
    writer->slow_told |= !room;
    pthread_mutex_unlock(&writer->lock);
    return room;
}

void nx_cachewriter_put(struct nx_cachewriter *writer, const struct nx_digest *digest,
                        struct nx_bytes *bytes)
{
    bool tell;
    bool room = has_room(writer, &tell);
    if (tell)
        nx_tell(&writer->teller, "%s: its disk is too slow: not all that is fetched is kept",
                writer->store->dir);
    struct item *item =
        room && bytes->len <= NX_SEGMENT_OBJECT_MAX ? new_item(OBJECT, digest) : NULL;
    if (!item)
        return;
    item->bytes = nx_bytes_ref(bytes);
    add(writer, item);
}

void nx_cachewriter_put_head(struct nx_cachewriter *writer, const struct nx_digest *key,
                             const struct nx_cache_head *head)
{
    struct item *item = new_item(HEAD, key);
    if (!item)
        return;
    item->head = malloc(sizeof(*head));
    if (!item->head) {
        free_item(item);
        return;
    }
    *item->head = *head;
    add(writer, item);
}

void nx_cachewriter_forget(struct nx_cachewriter *writer, const struct nx_placed *object)
{
    struct item *item = new_item(FORGOTTEN, &object->digest);
    if (!item)
        return;
    item->place = object->place;
    add(writer, item);
}

enum nx_known nx_cachewriter_find(struct nx_cachewriter *writer, const struct nx_digest *digest,
                                  struct nx_bytes **ret_bytes, struct nx_place *ret_place)
{
    enum nx_known known = NX_KNOWN_NOT;
    pthread_mutex_lock(&writer->lock);
    struct item *item = NX_MAP_ENTRY(nx_map_find(&writer->objects, digest), struct item, node);
    if (item && item->bytes) {
        known = NX_KNOWN_QUEUED;
        *ret_bytes = nx_bytes_ref(item->bytes);
    } else if (item) {
        known = NX_KNOWN_WRITTEN;
        *ret_place = item->place;
    } else if (nx_map_find(&writer->forgotten, digest)) {
        known = NX_KNOWN_FORGOTTEN;
    }
    pthread_mutex_unlock(&writer->lock);
    return known;
}

/* ---- the thread: a segment ------------------------------------------------- */

/* After what it holds was recorded: when another process removes it, the records go with it. */
static void leave_segment(struct nx_cachewriter *writer)
{
    nx_segment_close(&writer->segment);
}

static int make_room(struct nx_cachewriter *writer, uint64_t need, struct nx_error *err)
{
    uint64_t freed;
    int r = writer->limit ? nx_cachestore_make_room(writer->store, writer->limit, need,
                                                    writer->segment_max, &freed, err)
                          : 1;
    if (r == 0)
        return nx_fail(err, NX_ERR_SYSTEM,
                       "%s: no room for %" PRIu64
                       " more bytes: others write to it, and it may hold "
                       "%" PRIu64,
                       writer->store->dir, need, writer->limit);
    return r < 0 ? -1 : 0;
}

static int take_segment(struct nx_cachewriter *writer, uint64_t size, struct nx_error *err)
{
    NX_AUTO_FD int lock = -1;
    uint64_t need = size > writer->segment_max ? size : writer->segment_max;
    if (nx_cachestore_lock(writer->store, &lock, err) < 0 || make_room(writer, need, err) < 0 ||
        nx_segment_open_for_append(writer->store->segments_fd, need - size, &writer->segment, err) <
            0)
        return -1;
    writer->segment_is_new = writer->segment.size == 0;
    return nx_cachestore_recover(writer->store, &writer->segment, err);
}

/* ---- the thread: recording ------------------------------------------------- */

/* Removed, or made anew by another process that found it damaged: what we write would be lost. */
static int check_there(const struct nx_cachewriter *writer, struct nx_error *err)
{
    struct stat st;
    if (nx_cachestore_is_there(writer->store) &&
        (writer->segment.fd < 0 || (fstat(writer->segment.fd, &st) == 0 && st.st_nlink > 0)))
        return 0;
    return nx_fail(err, NX_ERR_SYSTEM, "%s: it was removed while it was in use",
                   writer->store->dir);
}

/* What a record names must be on the disk before it. */
static int sync_segment(struct nx_cachewriter *writer, struct nx_error *err)
{
    if (writer->segment.fd < 0)
        return 0;
    if (fdatasync(writer->segment.fd) < 0 ||
        (writer->segment_is_new && fsync(writer->store->segments_fd) < 0))
        return nx_fail_errno(err, "%s/segments: sync", writer->store->dir);
    writer->segment_is_new = false;
    return 0;
}

/* Record those of a batch that are of one kind. */
static int record_kind(struct nx_cachewriter *writer, const struct items *batch, enum kind kind,
                       int (*change)(struct nx_cachedb *, const struct nx_placed *, size_t,
                                     struct nx_error *),
                       struct nx_error *err)
{
    struct nx_placed *objects = calloc(BATCH_MAX, sizeof(*objects));
    NX_AUTO_FREE void *owned = objects;
    size_t count = 0;
    if (!objects)
        return nx_fail_errno(err, "%s", writer->store->dir);
    const struct item *item;
    TAILQ_FOREACH(item, batch, link)
    if (item->kind == kind)
        objects[count++] = (struct nx_placed){ item->node.key, item->place };
    return count ? change(writer->store->db, objects, count, err) : 0;
}

static int record_heads(struct nx_cachewriter *writer, const struct items *batch,
                        struct nx_error *err)
{
    const struct item *item;
    TAILQ_FOREACH(item, batch, link)
    if (item->kind == HEAD &&
        nx_cachestore_put_head(writer->store, &item->node.key, item->head, err) < 0)
        return -1;
    return 0;
}

/* Only the thread changes the batch, so it may look at it without the lock. */
static int record_batch(struct nx_cachewriter *writer, struct nx_error *err)
{
    const struct items *batch = &writer->batch;
    return check_there(writer, err) < 0 || sync_segment(writer, err) < 0 ||
                   record_kind(writer, batch, FORGOTTEN, nx_cachedb_forget, err) < 0 ||
                   record_kind(writer, batch, OBJECT, nx_cachedb_record, err) < 0 ||
                   record_heads(writer, batch, err) < 0
               ? -1
               : 0;
}

static int settle(struct nx_cachewriter *writer, struct nx_error *err)
{
    if (TAILQ_EMPTY(&writer->batch))
        return 0;
    int r = record_batch(writer, err);
    pthread_mutex_lock(&writer->lock);
    drop_all(writer, &writer->batch);
    writer->batch_count = 0;
    pthread_mutex_unlock(&writer->lock);
    return r;
}

/* ---- the thread: writing --------------------------------------------------- */

static int have_segment(struct nx_cachewriter *writer, uint64_t size, struct nx_error *err)
{
    if (writer->segment.fd >= 0 && writer->segment.size + size <= writer->segment_max)
        return 0;
    if (writer->segment.fd >= 0 && settle(writer, err) < 0)
        return -1;
    leave_segment(writer);
    return take_segment(writer, size, err);
}

static bool is_forgotten(struct nx_cachewriter *writer, const struct nx_digest *digest)
{
    pthread_mutex_lock(&writer->lock);
    bool forgotten = nx_map_find(&writer->forgotten, digest) != NULL;
    pthread_mutex_unlock(&writer->lock);
    return forgotten;
}

/* 1: written, at *ret_place; 0: it is there already, or larger than half of the cache may be. */
static int write_object(struct nx_cachewriter *writer, const struct item *item,
                        struct nx_place *ret_place, struct nx_error *err)
{
    const struct nx_digest *digest = &item->node.key;
    uint32_t size = (uint32_t)item->bytes->len;
    struct nx_place known;
    if ((writer->limit && size > writer->limit / 2) ||
        (!is_forgotten(writer, digest) && nx_cachedb_find(writer->store->db, digest, &known)))
        return 0;
    if (have_segment(writer, NX_SEGMENT_HEADER + size, err) < 0)
        return -1;
    *ret_place = (struct nx_place){ .segment = writer->segment.number, .size = size };
    if (nx_segment_append(&writer->segment, digest, item->bytes->data, size, &ret_place->offset,
                          err) < 0)
        return nx_fail_while(err, "%s", writer->store->dir);
    return 1;
}

/* The item, first of the queue, becomes last of the batch; or it is gone.  Under lock. */
static void leave_queue(struct nx_cachewriter *writer, struct item *item, bool to_batch)
{
    TAILQ_REMOVE(&writer->queue, item, link);
    if (item->bytes) {
        note_queued(writer, writer->queued_bytes - item->bytes->len);
        nx_bytes_unref(NX_STEAL(item->bytes));
    }
    if (!to_batch) {
        done_with(writer, item);
        return;
    }
    if (writer->batch_count++ == 0)
        writer->batch_due = nx_now_ms() + BATCH_MS;
    if (item->kind == HEAD) /* a start's first: without it all that follows is found only online */
        writer->batch_due = nx_now_ms();
    TAILQ_INSERT_TAIL(&writer->batch, item, link);
}

static int take_item(struct nx_cachewriter *writer, struct item *item, struct nx_error *err)
{
    struct nx_place place = item->place;
    int r = item->kind == OBJECT ? write_object(writer, item, &place, err) : 1;
    if (r < 0)
        return -1;
    pthread_mutex_lock(&writer->lock);
    item->place = place;
    leave_queue(writer, item, r == 1);
    pthread_mutex_unlock(&writer->lock);
    return 0;
}

/* Nothing more can be written; what was is recorded if that is possible. */
static void fail(struct nx_cachewriter *writer, struct nx_error *err)
{
    settle(writer, NULL);
    check_there(writer, err); /* then the error is only what came of it */
    leave_segment(writer);
    nx_fail_while(err, "the cache");
    /* First: who waits for the writer may end the program as soon as it has failed. */
    nx_tell(&writer->teller, "%s: nothing more is kept in it", err->msg);
    pthread_mutex_lock(&writer->lock);
    writer->failed = true;
    writer->flush = false;
    writer->err = *err;
    drop_all(writer, &writer->queue);
    writer->queued_bytes = 0;
    pthread_cond_broadcast(&writer->progress);
    pthread_mutex_unlock(&writer->lock);
}

/* ---- the thread: what to do next ------------------------------------------- */

enum task { WAIT, TAKE, SETTLE, FLUSH, END };

static enum task next_task(const struct nx_cachewriter *writer) /* under lock */
{
    bool idle = TAILQ_EMPTY(&writer->queue);
    if (writer->batch_count > 0 &&
        (writer->batch_count == BATCH_MAX || nx_now_ms() >= writer->batch_due))
        return SETTLE;
    if (!idle)
        return TAKE;
    if (writer->quit && writer->batch_count > 0)
        return SETTLE;
    return writer->flush ? FLUSH : writer->quit ? END : WAIT;
}

static void wait_for_work(struct nx_cachewriter *writer) /* under lock */
{
    struct timespec until;
    if (writer->batch_count == 0) {
        pthread_cond_wait(&writer->work, &writer->lock);
        return;
    }
    until.tv_sec = writer->batch_due / 1000;
    until.tv_nsec = writer->batch_due % 1000 * 1000000;
    pthread_cond_timedwait(&writer->work, &writer->lock, &until);
}

/* Record all, and leave the segment to others. */
static int flush(struct nx_cachewriter *writer, struct nx_error *err)
{
    int r = settle(writer, err);
    if (r == 0)
        r = nx_cachedb_sync(writer->store->db, err);
    leave_segment(writer);
    if (r < 0)
        return -1; /* fail() tells who waits */
    pthread_mutex_lock(&writer->lock);
    writer->flush = false;
    pthread_cond_broadcast(&writer->progress);
    pthread_mutex_unlock(&writer->lock);
    return 0;
}

static void *writer_thread(void *opaque)
{
    struct nx_cachewriter *writer = opaque;
    for (;;) {
        struct nx_error err = NX_ERROR_INIT;
        enum task task;
        pthread_mutex_lock(&writer->lock);
        while ((task = next_task(writer)) == WAIT)
            wait_for_work(writer);
        struct item *item = TAILQ_FIRST(&writer->queue);
        pthread_mutex_unlock(&writer->lock);
        if (task == END)
            return NULL;
        if ((task == TAKE     ? take_item(writer, item, &err)
             : task == SETTLE ? settle(writer, &err)
                              : flush(writer, &err)) < 0)
            fail(writer, &err);
    }
}

/* ---- waiting for it -------------------------------------------------------- */

static int result(const struct nx_cachewriter *writer, struct nx_error *err) /* under lock */
{
    if (writer->failed && err)
        *err = writer->err;
    return writer->failed ? -1 : 0;
}

bool nx_cachewriter_is_alive(struct nx_cachewriter *writer)
{
    pthread_mutex_lock(&writer->lock);
    bool alive = !writer->failed;
    pthread_mutex_unlock(&writer->lock);
    return alive;
}

uint64_t nx_cachewriter_queued(struct nx_cachewriter *writer)
{
    pthread_mutex_lock(&writer->lock);
    uint64_t bytes = writer->queued_bytes;
    pthread_mutex_unlock(&writer->lock);
    return bytes;
}

int nx_cachewriter_wait_below(struct nx_cachewriter *writer, uint64_t bytes, struct nx_error *err)
{
    pthread_mutex_lock(&writer->lock);
    while (writer->queued_bytes >= bytes && !writer->failed) {
        if (writer->awaited < bytes)
            writer->awaited = bytes;
        pthread_cond_wait(&writer->progress, &writer->lock);
    }
    int r = result(writer, err);
    pthread_mutex_unlock(&writer->lock);
    return r;
}

int nx_cachewriter_flush(struct nx_cachewriter *writer, struct nx_error *err)
{
    pthread_mutex_lock(&writer->lock);
    writer->flush = true;
    pthread_cond_signal(&writer->work);
    while ((writer->items > 0 || writer->flush) && !writer->failed)
        pthread_cond_wait(&writer->progress, &writer->lock);
    int r = result(writer, err);
    pthread_mutex_unlock(&writer->lock);
    return r;
}

/* ---- new and free ---------------------------------------------------------- */

static void init_conditions(struct nx_cachewriter *writer)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&writer->work, &attr);
    pthread_cond_init(&writer->progress, &attr);
    pthread_condattr_destroy(&attr);
}

int nx_cachewriter_new(const struct nx_cachestore *store, uint64_t limit,
                       const struct nx_teller *teller, struct nx_cachewriter **ret_writer,
                       struct nx_error *err)
{
    NX_AUTO_CACHEWRITER struct nx_cachewriter *writer = calloc(1, sizeof(*writer));
    if (!writer)
        return nx_fail_errno(err, "%s", store->dir);
    writer->store = store;
    writer->limit = limit;
    writer->segment_max = limit && limit / 16 < NX_SEGMENT_SIZE ? limit / 16 : NX_SEGMENT_SIZE;
    writer->teller = *teller;
    writer->segment = (struct nx_segment)NX_SEGMENT_INIT;
    pthread_mutex_init(&writer->lock, NULL);
    init_conditions(writer);
    TAILQ_INIT(&writer->queue);
    TAILQ_INIT(&writer->batch);
    if (nx_map_init(&writer->objects, MAP_BITS, err) < 0 ||
        nx_map_init(&writer->forgotten, MAP_BITS, err) < 0)
        return -1;
    int rc = pthread_create(&writer->thread, NULL, writer_thread, writer);
    if (rc != 0)
        return nx_fail(err, NX_ERR_SYSTEM, "%s: thread: %s", store->dir, strerror(rc));
    writer->has_thread = true;
    *ret_writer = NX_STEAL(writer);
    return 0;
}

void nx_cachewriter_free(struct nx_cachewriter *writer)
{
    if (!writer)
        return;
    pthread_mutex_lock(&writer->lock);
    writer->quit = true;
    pthread_cond_signal(&writer->work);
    pthread_mutex_unlock(&writer->lock);
    if (writer->has_thread)
        pthread_join(writer->thread, NULL);
    leave_segment(writer);
    nx_map_release(&writer->objects);
    nx_map_release(&writer->forgotten);
    pthread_cond_destroy(&writer->work);
    pthread_cond_destroy(&writer->progress);
    pthread_mutex_destroy(&writer->lock);
    free(writer);
}
