/* SPDX-License-Identifier: MIT */
#include "pack/hostmap.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "common/process.h"

/* Bytes of qemu-img's answer: 20,000 extents, for which jansson needs some 30 MB. */
#define ANSWER_MAX (2u << 20)

/* A non-negative number of entry; false if there is none. */
static bool number_of(const json_t *entry, const char *key, uint64_t *ret_value)
{
    const json_t *value = json_object_get(entry, key);
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *ret_value = (uint64_t)json_integer_value(value);
    return true;
}

/* Is it known where the entry's bytes stand, in a file of file_size bytes? */
static bool take_entry(const json_t *entry, uint64_t file_size, struct nx_host_extent *ret_extent)
{
    uint64_t start, length, depth, end;
    if (!number_of(entry, "start", &start) || !number_of(entry, "length", &length) ||
        !number_of(entry, "depth", &depth) || __builtin_add_overflow(start, length, &end))
        return false;
    *ret_extent = (struct nx_host_extent){ .start = start, .end = end };
    ret_extent->zero = json_is_true(json_object_get(entry, "zero"));
    if (ret_extent->zero)
        return true;
    return depth == 0 && json_is_true(json_object_get(entry, "data")) &&
           number_of(entry, "offset", &ret_extent->offset) && ret_extent->offset <= file_size &&
           length <= file_size - ret_extent->offset;
}

static void take_answer(struct nx_hostmap *map, const json_t *answer, uint64_t file_size)
{
    size_t i;
    const json_t *entry;
    map->extents = calloc(json_array_size(answer) + 1, sizeof *map->extents);
    if (!map->extents)
        return;
    json_array_foreach(answer, i, entry)
    {
        struct nx_host_extent extent;
        uint64_t end = map->count ? map->extents[map->count - 1].end : 0;
        if (take_entry(entry, file_size, &extent) && extent.start >= end)
            map->extents[map->count++] = extent;
    }
}

void nx_hostmap_open(struct nx_hostmap *map, const char *path, const char *format)
{
    *map = (struct nx_hostmap)NX_HOSTMAP_INIT;
    NX_AUTO_ARGS struct nx_args args = { 0 };
    nx_args_add(&args, "qemu-img");
    nx_args_add(&args, "map");
    nx_args_add(&args, "--output=json");
    nx_args_addf(&args, "--format=%s", format);
    nx_args_add(&args, "--");
    nx_args_add(&args, path);
    NX_AUTO_BUFFER struct nx_buffer out = NX_BUFFER_INIT(ANSWER_MAX);
    struct stat st;
    if (nx_run(&args, &out, NULL) < 0)
        return;
    map->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (map->fd < 0 || fstat(map->fd, &st) < 0 || !S_ISREG(st.st_mode))
        return;
    posix_fadvise(map->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    json_t *answer = json_loadb((const char *)out.data, out.len, 0, NULL);
    if (answer)
        take_answer(map, answer, (uint64_t)st.st_size);
    json_decref(answer);
}

void nx_hostmap_release(struct nx_hostmap *map)
{
    if (map->fd >= 0)
        close(map->fd);
    free(map->extents);
    *map = (struct nx_hostmap)NX_HOSTMAP_INIT;
}

/* The extent that offset lies in, or NULL. */
static const struct nx_host_extent *find(struct nx_hostmap *map, uint64_t offset)
{
    if (map->at >= map->count || offset < map->extents[map->at].start)
        map->at = 0;
    while (map->at < map->count && map->extents[map->at].end <= offset)
        map->at++;
    return map->at < map->count && offset >= map->extents[map->at].start ? &map->extents[map->at]
                                                                         : NULL;
}

int nx_hostmap_read(struct nx_hostmap *map, void *buf, size_t len, uint64_t offset,
                    const char *path, struct nx_error *err)
{
    for (uint8_t *at = buf; len > 0;) {
        const struct nx_host_extent *extent = find(map, offset);
        if (!extent)
            return 0;
        size_t n = extent->end - offset < len ? (size_t)(extent->end - offset) : len;
        if (extent->zero)
            memset(at, 0, n);
        else if (nx_pread_full(map->fd, at, n, extent->offset + (offset - extent->start), path,
                               err) < 0)
            return -1;
        at += n;
        offset += n;
        len -= n;
    }
    return 1;
}
