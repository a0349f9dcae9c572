/* SPDX-License-Identifier: MIT */
#include "fetch/cachestore.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "common/io.h"
#include "fetch/segment.h"

#define LAYOUT_NAME   "layout"
#define SEGMENTS_NAME "segments"
#define HEADS_NAME    "heads"
#define LAYOUT_FORMAT "nxpk cache %u\n"
#define GATHER_MAX    1024 /* records changed in one transaction */

void nx_tell(const struct nx_teller *teller, const char *fmt, ...)
{
    char line[1024];
    va_list args;
    if (!teller->tell)
        return;
    va_start(args, fmt);
    vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    teller->tell(teller->opaque, line);
}

/* ---- the folder ------------------------------------------------------------ */

static int open_folder(const struct nx_cachestore *store, const char *name, int *ret_fd,
                       struct nx_error *err)
{
    if (mkdirat(store->dir_fd, name, 0700) < 0 && errno != EEXIST)
        return nx_fail_errno(err, "%s/%s", store->dir, name);
    *ret_fd = openat(store->dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_fd >= 0 ? 0 : nx_fail_errno(err, "%s/%s", store->dir, name);
}

static int open_dirs(struct nx_cachestore *store, struct nx_error *err)
{
    if (nx_make_folders(store->dir, err) < 0)
        return -1;
    store->dir_fd = open(store->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->dir_fd < 0)
        return nx_fail_errno(err, "%s", store->dir);
    return open_folder(store, SEGMENTS_NAME, &store->segments_fd, err) < 0
               ? -1
               : open_folder(store, HEADS_NAME, &store->heads_fd, err);
}

bool nx_cachestore_is_there(const struct nx_cachestore *store)
{
    return nx_cachedb_is_there(store->db);
}

/* ---- the layout ------------------------------------------------------------ */

/* What an older nxfetch still writes stays, and is of no use to us. */
static int clear(const struct nx_cachestore *store, struct nx_error *err)
{
    NX_AUTO_SEGMENT_LIST struct nx_segment_list list = { 0 };
    if (nx_segment_list(store->segments_fd, &list, err) < 0)
        return -1;
    for (size_t i = 0; i < list.count; i++) {
        struct nx_segment probe = NX_SEGMENT_INIT;
        if (!nx_segment_lock(store->segments_fd, list.items[i].number, &probe))
            continue;
        int r = nx_segment_remove(store->segments_fd, &probe, err);
        nx_segment_close(&probe);
        if (r < 0)
            return nx_fail_while(err, "%s", store->dir);
    }
    nx_cachedb_discard(store->dir_fd);
    return 0;
}

/* Until this file there was no other layout, so without it all is as it should be. */
static int check_layout(const struct nx_cachestore *store, const char *path,
                        const struct nx_teller *teller, struct nx_error *err)
{
    NX_AUTO_FREE char *text = NULL;
    char want[32];
    unsigned found = NX_CACHESTORE_LAYOUT;
    NX_AUTO_BUFFER struct nx_buffer have = NX_BUFFER_INIT(sizeof(want));
    size_t len = (size_t)snprintf(want, sizeof(want), LAYOUT_FORMAT, NX_CACHESTORE_LAYOUT);
    bool exists = faccessat(store->dir_fd, LAYOUT_NAME, F_OK, 0) == 0;
    if (exists && nx_read_file(path, sizeof(want), &have, NULL) == 0 && have.len == len &&
        memcmp(have.data, want, len) == 0)
        return 0;
    if (exists && (!have.data || sscanf((char *)have.data, LAYOUT_FORMAT, &found) != 1))
        nx_tell(teller, "%s: damaged: written anew", path);
    if (found > NX_CACHESTORE_LAYOUT)
        return nx_fail(err, NX_ERR_SYSTEM,
                       "%s: the cache is of a newer nxfetch (layout %u, this one knows %u): update "
                       "it, or name another folder with --cache-dir",
                       path, found, NX_CACHESTORE_LAYOUT);
    if (found < NX_CACHESTORE_LAYOUT) {
        nx_tell(teller, "%s: the cache is of an older nxfetch (layout %u): cleared", path, found);
        if (clear(store, err) < 0)
            return -1;
    }
    return nx_write_file(path, 0600, want, len, err);
}

static int have_layout(const struct nx_cachestore *store, const struct nx_teller *teller,
                       struct nx_error *err)
{
    NX_AUTO_FREE char *path = NULL;
    if (asprintf(&path, "%s/" LAYOUT_NAME, store->dir) < 0)
        return nx_fail_errno(err, "%s", store->dir);
    return check_layout(store, path, teller, err);
}

/* ---- the records of a segment ---------------------------------------------- */

typedef int change_fn(const struct nx_cachestore *store, const struct nx_placed *objects,
                      size_t count, struct nx_error *err);

static int forget(const struct nx_cachestore *store, const struct nx_placed *objects, size_t count,
                  struct nx_error *err)
{
    return nx_cachedb_forget(store->db, objects, count, err);
}

/* Those whose bytes are right and that are not recorded anywhere. */
static int record_unknown(const struct nx_cachestore *store, const struct nx_placed *objects,
                          size_t count, struct nx_error *err)
{
    NX_AUTO_FREE struct nx_placed *unknown = calloc(count, sizeof(*unknown));
    size_t n = 0;
    if (!unknown)
        return nx_fail_errno(err, "%s", store->dir);
    for (size_t i = 0; i < count; i++) {
        struct nx_place known;
        NX_AUTO_BYTES struct nx_bytes *bytes =
            nx_cachedb_find(store->db, &objects[i].digest, &known)
                ? NULL
                : nx_cachestore_read(store, &objects[i].digest, &objects[i].place, NULL);
        if (bytes)
            unknown[n++] = objects[i];
    }
    return n ? nx_cachedb_record(store->db, unknown, n, err) : 0;
}

/* Objects of one segment, gathered to be recorded or forgotten in large transactions. */
struct gather {
    const struct nx_cachestore *store;
    uint64_t segment;
    struct nx_placed items[GATHER_MAX];
    size_t count;
    change_fn *change;
    struct nx_error *err;
    bool failed;
};

static int gather_change(struct gather *gather)
{
    size_t count = gather->count;
    gather->count = 0;
    if (count && gather->change(gather->store, gather->items, count, gather->err) < 0)
        gather->failed = true;
    return gather->failed ? -1 : 0;
}

static int gather_object(const struct nx_digest *digest, uint64_t offset, uint32_t size,
                         void *opaque)
{
    struct gather *gather = opaque;
    gather->items[gather->count++] =
        (struct nx_placed){ *digest, { gather->segment, offset, size, 0 } };
    return gather->count == GATHER_MAX ? gather_change(gather) : 0;
}

/* Change the records of all objects of a segment. */
static int for_segment(const struct nx_cachestore *store, uint64_t segment, change_fn *change,
                       struct nx_error *err)
{
    NX_AUTO_FREE struct gather *gather = calloc(1, sizeof(*gather));
    if (!gather)
        return nx_fail_errno(err, "%s", store->dir);
    gather->store = store;
    gather->segment = segment;
    gather->change = change;
    gather->err = err;
    nx_segment_walk(store->segments_fd, segment, gather_object, gather);
    return gather->failed ? -1 : gather_change(gather);
}

/* A new database beside old segments: it was lost or damaged.  The headers tell what is there; what a power cut has left of
 * it is seen by reading it, which takes a disk not much longer than to look for the headers.
 */
static int rebuild(const struct nx_cachestore *store, bool damaged, const struct nx_teller *teller,
                   struct nx_error *err)
{
    NX_AUTO_SEGMENT_LIST struct nx_segment_list list = { 0 };
    if (nx_segment_list(store->segments_fd, &list, err) < 0)
        return -1;
    if (damaged || list.count)
        nx_tell(teller, "%s/index.mdb: %s: made anew from %zu segments", store->dir,
                damaged ? "damaged" : "missing or unfinished", list.count);
    for (size_t i = 0; i < list.count; i++)
        if (for_segment(store, list.items[i].number, record_unknown, err) < 0)
            return -1;
    return nx_cachedb_set_whole(store->db, err) < 0 ? -1 : nx_cachedb_sync(store->db, err);
}

int nx_cachestore_recover(const struct nx_cachestore *store, const struct nx_segment *segment,
                          struct nx_error *err)
{
    if (segment->size > 0 && fdatasync(segment->fd) < 0)
        return nx_fail_errno(err, "%s/segments: sync", store->dir);
    return for_segment(store, segment->number, record_unknown, err);
}

/* ---- open ------------------------------------------------------------------ */

static int open_parts(struct nx_cachestore *store, const struct nx_teller *teller,
                      struct nx_error *err)
{
    bool damaged;
    if (open_dirs(store, err) < 0 || have_layout(store, teller, err) < 0 ||
        nx_cachedb_open(store->dir_fd, store->dir, &store->db, &damaged, err) < 0)
        return -1;
    return nx_cachedb_is_whole(store->db) ? 0 : rebuild(store, damaged, teller, err);
}

int nx_cachestore_open(struct nx_cachestore *store, const char *dir, const struct nx_teller *teller,
                       struct nx_error *err)
{
    *store = (struct nx_cachestore)NX_CACHESTORE_INIT;
    store->dir = strdup(dir);
    if (!store->dir)
        return nx_fail_errno(err, "%s", dir);
    if (open_parts(store, teller, err) == 0)
        return 0;
    nx_cachestore_release(store);
    return -1;
}

void nx_cachestore_release(struct nx_cachestore *store)
{
    nx_cachedb_close(store->db);
    if (store->segments_fd >= 0)
        close(store->segments_fd);
    if (store->heads_fd >= 0)
        close(store->heads_fd);
    if (store->dir_fd >= 0)
        close(store->dir_fd);
    free(store->dir);
    *store = (struct nx_cachestore)NX_CACHESTORE_INIT;
}

/* ---- reading --------------------------------------------------------------- */

struct nx_bytes *nx_cachestore_read(const struct nx_cachestore *store,
                                    const struct nx_digest *digest, const struct nx_place *place,
                                    bool *ret_damaged)
{
    NX_AUTO_BYTES struct nx_bytes *bytes =
        nx_segment_read(store->segments_fd, place->segment, place->offset, place->size);
    struct nx_digest found;
    if (bytes)
        nx_digest_of(bytes->data, bytes->len, &found);
    bool right = bytes && nx_digest_equal(&found, digest);
    if (ret_damaged)
        *ret_damaged = bytes && !right;
    return right ? NX_STEAL(bytes) : NULL;
}

/* ---- heads ----------------------------------------------------------------- */

static char *head_path(const struct nx_cachestore *store, const struct nx_digest *key)
{
    char *path, hex[NX_DIGEST_HEX];
    return asprintf(&path, "%s/" HEADS_NAME "/%s", store->dir, nx_digest_hex(key, hex)) < 0 ? NULL
                                                                                            : path;
}

int nx_cachestore_put_head(const struct nx_cachestore *store, const struct nx_digest *key,
                           const struct nx_cache_head *head, struct nx_error *err)
{
    NX_AUTO_FREE char *path = head_path(store, key);
    if (!path)
        return nx_fail_errno(err, "%s", store->dir);
    return nx_write_file(path, 0600, head, sizeof(*head), err);
}

static bool read_head(const char *path, struct nx_cache_head *ret_head)
{
    const size_t older = offsetof(struct nx_cache_head, total);
    NX_AUTO_BUFFER struct nx_buffer buf = NX_BUFFER_INIT(sizeof(*ret_head));
    if (nx_read_file(path, buf.max, &buf, NULL) < 0 ||
        (buf.len != sizeof(*ret_head) && buf.len != older))
        return false;
    ret_head->total = 0;
    memcpy(ret_head, buf.data, buf.len);
    return ret_head->etag[sizeof(ret_head->etag) - 1] == '\0';
}

bool nx_cachestore_get_head(const struct nx_cachestore *store, const struct nx_digest *key,
                            struct nx_cache_head *ret_head)
{
    NX_AUTO_FREE char *path = head_path(store, key);
    struct nx_cache_head head;
    if (!path || !read_head(path, &head))
        return false;
    *ret_head = head;
    return true;
}

/* Call file() for each file in the folder of heads; the sum of what it returns. */
static uint64_t for_heads(const struct nx_cachestore *store,
                          unsigned (*file)(const struct nx_cachestore *store, const char *name))
{
    int fd = openat(store->heads_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    NX_AUTO_DIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    uint64_t sum = 0;
    if (!dir && fd >= 0)
        close(fd);
    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            sum += file(store, entry->d_name);
    return sum;
}

static unsigned count_head(const struct nx_cachestore *store, const char *name)
{
    struct nx_digest key;
    return nx_digest_parse(name, &key, NULL) == 0;
}

uint64_t nx_cachestore_count_heads(const struct nx_cachestore *store)
{
    return for_heads(store, count_head);
}

static unsigned tidy_head(const struct nx_cachestore *store, const char *name)
{
    struct nx_digest key;
    struct nx_cache_head head;
    struct nx_place place;
    if (nx_digest_parse(name, &key, NULL) == 0 && /* else another process is writing it */
        (!nx_cachestore_get_head(store, &key, &head) ||
         !nx_cachedb_find(store->db, &head.bytes, &place)))
        unlinkat(store->heads_fd, name, 0);
    return 0;
}

int nx_cachestore_tidy(const struct nx_cachestore *store, struct nx_error *err)
{
    if (nx_cachedb_tidy(store->db, store->segments_fd, err) < 0)
        return -1;
    for_heads(store, tidy_head);
    return 0;
}

/* ---- room ------------------------------------------------------------------ */

int nx_cachestore_lock(const struct nx_cachestore *store, int *ret_fd, struct nx_error *err)
{
    NX_AUTO_FD int fd = openat(store->segments_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd < 0 ? -1 : flock(fd, LOCK_EX);
    while (r < 0 && errno == EINTR)
        r = flock(fd, LOCK_EX);
    if (r < 0)
        return nx_fail_errno(err, "%s/segments", store->dir);
    *ret_fd = nx_steal_fd(&fd);
    return 0;
}

/* Remove a locked segment and its records.  The records first: what they name must not go before them, or another
 * process's put would believe them.  If the segment then stays after all, its objects are missed
 * only until they are put again.
 */
static int remove_segment(const struct nx_cachestore *store, const struct nx_segment *segment,
                          struct nx_error *err)
{
    if (for_segment(store, segment->number, forget, err) < 0 || nx_cachedb_sync(store->db, err) < 0)
        return -1;
    return nx_segment_remove(store->segments_fd, segment, err);
}

/* How much each segment counts: those that another process writes (locked) as much as they will grow. */
static uint64_t weigh(const struct nx_cachestore *store, struct nx_segment_list *list,
                      uint64_t segment_max)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < list->count; i++) {
        struct nx_segment_info *info = &list->items[i];
        struct nx_segment probe = NX_SEGMENT_INIT;
        if (!nx_segment_lock(store->segments_fd, info->number, &probe) && info->bytes < segment_max)
            info->bytes = segment_max;
        nx_segment_close(&probe);
        sum += info->bytes;
    }
    return sum;
}

int nx_cachestore_make_room(const struct nx_cachestore *store, uint64_t limit, uint64_t need,
                            uint64_t segment_max, uint64_t *ret_freed, struct nx_error *err)
{
    NX_AUTO_SEGMENT_LIST struct nx_segment_list list = { 0 };
    *ret_freed = 0;
    if (nx_segment_list(store->segments_fd, &list, err) < 0)
        return nx_fail_while(err, "%s", store->dir);
    uint64_t sum = weigh(store, &list, segment_max) + need;
    for (size_t i = 0; i < list.count && sum > limit; i++) {
        struct nx_segment segment = NX_SEGMENT_INIT;
        if (!nx_segment_lock(store->segments_fd, list.items[i].number, &segment))
            continue;
        int r = remove_segment(store, &segment, err);
        nx_segment_close(&segment);
        if (r < 0)
            return -1;
        sum -= list.items[i].bytes;
        *ret_freed += list.items[i].bytes;
    }
    return sum <= limit;
}
