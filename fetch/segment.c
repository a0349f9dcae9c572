/* SPDX-License-Identifier: MIT */
/* Threads: a struct nx_segment belongs to whoever holds the cache's lock; the rest has no state. */
#include "fetch/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "common/buffer.h"
#include "common/io.h"

static const char magic[4] = { 'N', 'X', 'S', 'G' };

struct name {
    char text[32];
};

static struct name name_of(uint64_t number)
{
    struct name name;
    snprintf(name.text, sizeof(name.text), "%016" PRIx64 ".seg", number);
    return name;
}

/* The number in a file's name; false if it is not a segment's. */
static bool number_of(const char *text, uint64_t *ret_number)
{
    unsigned long long number;
    char rest[8];
    if (strlen(text) != 20 || strspn(text, "0123456789abcdef") != 16 ||
        sscanf(text, "%16llx%4s", &number, rest) != 2 || strcmp(rest, ".seg") != 0)
        return false;
    *ret_number = number;
    return true;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = ((const struct nx_segment_info *)a)->number;
    uint64_t y = ((const struct nx_segment_info *)b)->number;
    return (x > y) - (x < y);
}

static int list_add(struct nx_segment_list *list, uint64_t number, uint64_t bytes,
                    struct nx_error *err)
{
    if ((list->count & (list->count - 1)) == 0) { /* full at each power of two */
        size_t room = list->count ? 2 * list->count : 1;
        void *items = realloc(list->items, room * sizeof(*list->items));
        if (!items)
            return nx_fail_errno(err, "list of segments");
        list->items = items;
    }
    list->items[list->count++] = (struct nx_segment_info){ number, bytes };
    list->bytes += bytes;
    return 0;
}

int nx_segment_list(int dir_fd, struct nx_segment_list *ret_list, struct nx_error *err)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    NX_AUTO_DIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        nx_fail_errno(err, "the cache's segments");
        if (fd >= 0)
            close(fd);
        return -1;
    }
    NX_AUTO_SEGMENT_LIST struct nx_segment_list list = { 0 };
    struct dirent *entry;
    while ((entry = readdir(dir))) {
        uint64_t number;
        struct stat st;
        if (!number_of(entry->d_name, &number) ||
            fstatat(dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue; /* not ours, or gone since */
        if (list_add(&list, number, (uint64_t)st.st_size, err) < 0)
            return -1;
    }
    if (list.count)
        qsort(list.items, list.count, sizeof(*list.items), by_number);
    *ret_list = list;
    list.items = NULL;
    return 0;
}

void nx_segment_list_release(struct nx_segment_list *list)
{
    free(list->items);
    *list = (struct nx_segment_list){ 0 };
}

static int note_end(const struct nx_digest *digest, uint64_t offset, uint32_t size, void *opaque)
{
    *(uint64_t *)opaque = offset + size;
    return 0;
}

bool nx_segment_lock(int dir_fd, uint64_t number, struct nx_segment *ret_segment)
{
    NX_AUTO_FD int fd = openat(dir_fd, name_of(number).text, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &st) < 0)
        return false;
    if (st.st_nlink == 0) /* it was removed between open and flock */
        return false;
    *ret_segment = (struct nx_segment){ nx_steal_fd(&fd), number, (uint64_t)st.st_size };
    return true;
}

/* Take an existing segment to append to; false if another process writes it or it has no room. */
static bool take(int dir_fd, uint64_t number, uint64_t max, struct nx_segment *ret_segment)
{
    struct nx_segment segment;
    if (!nx_segment_lock(dir_fd, number, &segment))
        return false;
    uint64_t end = 0;
    if (segment.size >= max || !nx_segment_walk(dir_fd, number, note_end, &end) ||
        (end < segment.size && ftruncate(segment.fd, (off_t)end) < 0)) {
        nx_segment_close(&segment);
        return false;
    }
    segment.size = end;
    *ret_segment = segment;
    return true;
}

static int create(int dir_fd, uint64_t number, struct nx_segment *ret_segment, struct nx_error *err)
{
    for (;; number++) {
        NX_AUTO_FD int fd =
            openat(dir_fd, name_of(number).text, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0 && errno == EEXIST)
            continue; /* another process was quicker */
        if (fd < 0)
            return nx_fail_errno(err, "the cache's segment %s", name_of(number).text);
        if (flock(fd, LOCK_EX | LOCK_NB) < 0)
            continue; /* another process has found it and taken it already */
        *ret_segment = (struct nx_segment){ nx_steal_fd(&fd), number, 0 };
        return 0;
    }
}

int nx_segment_open_for_append(int dir_fd, uint64_t max, struct nx_segment *ret_segment,
                               struct nx_error *err)
{
    NX_AUTO_SEGMENT_LIST struct nx_segment_list list = { 0 };
    if (nx_segment_list(dir_fd, &list, err) < 0)
        return -1;
    /* Only the newest few: an old one would soon leave with all that we append. */
    for (size_t i = list.count; i > 0 && i + 4 > list.count; i--)
        if (take(dir_fd, list.items[i - 1].number, max, ret_segment))
            return 0;
    uint64_t newest = list.count ? list.items[list.count - 1].number : 0;
    return create(dir_fd, newest + 1, ret_segment, err);
}

void nx_segment_close(struct nx_segment *segment)
{
    if (segment->fd >= 0)
        close(segment->fd);
    segment->fd = -1;
}

static void put_header(uint8_t header[static NX_SEGMENT_HEADER], const struct nx_digest *digest,
                       uint32_t size)
{
    memcpy(header, magic, 4);
    for (int i = 0; i < 4; i++)
        header[4 + i] = (uint8_t)(size >> (8 * i));
    memcpy(header + 8, digest->bytes, NX_DIGEST_SIZE);
}

/* With one call, unless the disk takes a part only: then that is gone on with, or says why. */
static int write_both(const struct nx_segment *segment, uint8_t header[static NX_SEGMENT_HEADER],
                      const void *data, uint32_t size, struct nx_error *err)
{
    struct iovec parts[] = { { header, NX_SEGMENT_HEADER }, { (void *)data, size } };
    uint64_t at = segment->size;
    ssize_t r = pwritev(segment->fd, parts, 2, (off_t)at);
    size_t written = r < 0 ? 0 : (size_t)r;
    for (int i = 0; i < 2; at += parts[i++].iov_len) {
        size_t done = written < parts[i].iov_len ? written : parts[i].iov_len;
        written -= done;
        if (nx_pwrite_full(segment->fd, (const uint8_t *)parts[i].iov_base + done,
                           parts[i].iov_len - done, at + done, "the cache's segment", err) < 0)
            return -1;
    }
    return 0;
}

int nx_segment_append(struct nx_segment *segment, const struct nx_digest *digest, const void *data,
                      uint32_t size, uint64_t *ret_offset, struct nx_error *err)
{
    uint8_t header[NX_SEGMENT_HEADER];
    put_header(header, digest, size);
    if (write_both(segment, header, data, size, err) < 0) {
        if (ftruncate(segment->fd, (off_t)segment->size) < 0) {
            /* Then a header without its bytes stays behind: the walk ends there. */
        }
        return -1;
    }
    *ret_offset = segment->size + sizeof(header);
    segment->size += sizeof(header) + size;
    return 0;
}

struct nx_bytes *nx_segment_read(int dir_fd, uint64_t number, uint64_t offset, uint32_t size)
{
    if (size > NX_SEGMENT_OBJECT_MAX)
        return NULL;
    NX_AUTO_FD int fd = openat(dir_fd, name_of(number).text, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    NX_AUTO_BYTES struct nx_bytes *bytes = nx_bytes_new(size);
    if (!bytes || nx_pread_full(fd, bytes->data, size, offset, "segment", NULL) < 0)
        return NULL;
    return NX_STEAL(bytes);
}

static bool parse_header(const uint8_t header[static NX_SEGMENT_HEADER],
                         struct nx_digest *ret_digest, uint32_t *ret_size)
{
    if (memcmp(header, magic, 4) != 0)
        return false;
    uint32_t size = 0;
    for (int i = 0; i < 4; i++)
        size |= (uint32_t)header[4 + i] << (8 * i);
    memcpy(ret_digest->bytes, header + 8, NX_DIGEST_SIZE);
    *ret_size = size;
    return size <= NX_SEGMENT_OBJECT_MAX;
}

bool nx_segment_walk(int dir_fd, uint64_t number, nx_segment_object_fn *object, void *opaque)
{
    NX_AUTO_FD int fd = openat(dir_fd, name_of(number).text, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return false;
    uint64_t end = (uint64_t)st.st_size;
    for (uint64_t at = 0; at + NX_SEGMENT_HEADER <= end;) {
        uint8_t header[NX_SEGMENT_HEADER];
        struct nx_digest digest;
        uint32_t size;
        if (nx_pread_full(fd, header, sizeof(header), at, "segment", NULL) < 0 ||
            !parse_header(header, &digest, &size))
            return false;
        at += NX_SEGMENT_HEADER;
        if (size > end - at)
            return true;
        if (object(&digest, at, size, opaque) != 0)
            return false;
        at += size;
    }
    return true;
}

int nx_segment_remove(int dir_fd, const struct nx_segment *segment, struct nx_error *err)
{
    struct name name = name_of(segment->number);
    return unlinkat(dir_fd, name.text, 0) == 0
               ? 0
               : nx_fail_errno(err, "the cache's segment %s", name.text);
}
