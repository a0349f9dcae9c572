/* SPDX-License-Identifier: MIT */
#include "formats/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/io.h"

/* ---- opening ---- */

/* Many volumes are more files than a process may usually have open; how many it may at all is far more. */
static int open_one(const char *path, int flags)
{
    struct rlimit limit;
    int fd = open(path, flags);
    if (fd >= 0 || errno != EMFILE || getrlimit(RLIMIT_NOFILE, &limit) < 0 ||
        limit.rlim_cur >= limit.rlim_max)
        return fd;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
        errno = EMFILE;
        return -1;
    }
    return open(path, flags);
}

/* The file with this number.  1: it is there; 0: parts->missing says why not; -1: no memory */
static int add_file(struct nx_parts *parts, const char *path, int flags, struct nx_error *err)
{
    struct nx_part *files = reallocarray(parts->files, parts->count + 1, sizeof *files);
    if (!files)
        return nx_fail_errno(err, "%s", path);
    parts->files = files;
    struct nx_part *file = &files[parts->count];
    file->path = nx_volume_path(path, parts->count);
    if (!file->path)
        return nx_fail_errno(err, "%s", path);
    file->fd = open_one(file->path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (file->fd >= 0) {
        parts->count++;
        return 1;
    }
    parts->missing = errno;
    free(file->path);
    return 0;
}

int nx_parts_open(struct nx_parts *parts, const char *path, int flags, struct nx_error *err)
{
    *parts = (struct nx_parts)NX_PARTS_INIT;
    int ret = add_file(parts, path, flags, err);
    if (ret == 0) {
        errno = parts->missing;
        ret = nx_fail_errno(err, "%s", path);
    }
    while (ret > 0 && parts->count <= NX_VOLUMES_MAX)
        ret = add_file(parts, path, flags, err);
    if (ret >= 0)
        return 0;
    nx_parts_release(parts);
    return -1;
}

static void close_from(struct nx_parts *parts, unsigned first)
{
    while (parts->count > first) {
        struct nx_part *file = &parts->files[--parts->count];
        close(file->fd);
        free(file->path);
    }
}

void nx_parts_release(struct nx_parts *parts)
{
    close_from(parts, 0);
    free(parts->files);
    *parts = (struct nx_parts)NX_PARTS_INIT;
}

/* ---- which of them belong together ---- */

static int fail_missing(const struct nx_parts *parts, unsigned number, struct nx_error *err)
{
    char suffix[NX_VOLUME_SUFFIX];
    return nx_fail(err, parts->missing == ENOENT ? NX_ERR_FORMAT : NX_ERR_SYSTEM,
                   "%s%s: %s: volume %u of the package's %u must stand beside its head",
                   parts->files[0].path, nx_volume_suffix(number, suffix), strerror(parts->missing),
                   number, parts->volumes.count);
}

static int measure(const struct nx_part *file, uint64_t *ret_size, struct nx_error *err)
{
    struct stat st;
    if (fstat(file->fd, &st) < 0)
        return nx_fail_errno(err, "%s", file->path);
    *ret_size = (uint64_t)st.st_size;
    return 0;
}

static int check_volume(const struct nx_parts *parts, unsigned number, uint64_t *ret_size,
                        struct nx_error *err)
{
    uint64_t least, most;
    if (measure(&parts->files[number], ret_size, err) < 0)
        return -1;
    nx_volumes_bounds(&parts->volumes, number, &least, &most);
    if (*ret_size < least)
        return nx_fail(err, NX_ERR_FORMAT,
                       "%s: truncated, or a volume of another package: %" PRIu64
                       " bytes of at least %" PRIu64,
                       parts->files[number].path, *ret_size, least);
    if (*ret_size > most)
        return nx_fail(err, NX_ERR_FORMAT,
                       "%s: a volume of another package: %" PRIu64 " bytes, at most %" PRIu64
                       " are its own",
                       parts->files[number].path, *ret_size, most);
    return 0;
}

static int settle_volumes(struct nx_parts *parts, const struct nx_volumes *volumes,
                          struct nx_error *err)
{
    uint64_t last = 0;
    parts->volumes = *volumes;
    for (unsigned i = 1; i <= volumes->count; i++) {
        if (i >= parts->count)
            return fail_missing(parts, i, err);
        if (check_volume(parts, i, &last, err) < 0)
            return -1;
    }
    parts->size = volumes->head + (volumes->count - 1) * volumes->size + last;
    close_from(parts, volumes->count + 1);
    return 0;
}

int nx_parts_settle(struct nx_parts *parts, const struct nx_manifest *manifest,
                    struct nx_error *err)
{
    if (measure(&parts->files[0], &parts->size, err) < 0)
        return -1;
    if (nx_manifest_is_cut(manifest, parts->size))
        return settle_volumes(parts, &manifest->volumes, err);
    close_from(parts, 1);
    uint64_t least = nx_manifest_least(manifest, parts->size);
    if (parts->size < least)
        return nx_fail(err, NX_ERR_FORMAT, "%s: truncated: %" PRIu64 " bytes of at least %" PRIu64,
                       parts->files[0].path, parts->size, least);
    return 0;
}

/* ---- reading and writing ---- */

/* The file that offset is in, and how many of n bytes. */
static const struct nx_part *find(const struct nx_parts *parts, uint64_t offset, size_t *n,
                                  uint64_t *ret_within)
{
    struct nx_volume_place place = nx_volumes_place(&parts->volumes, offset);
    if (*n > place.left)
        *n = (size_t)place.left;
    *ret_within = place.offset;
    return &parts->files[place.file];
}

const char *nx_parts_where(const struct nx_parts *parts, uint64_t offset, uint64_t *ret_within)
{
    size_t ignored = 0;
    return find(parts, offset, &ignored, ret_within)->path;
}

int nx_parts_read(const struct nx_parts *parts, void *buf, size_t n, uint64_t offset,
                  struct nx_error *err)
{
    for (size_t done = 0, some; done < n; done += some) {
        uint64_t within;
        some = n - done;
        const struct nx_part *file = find(parts, offset + done, &some, &within);
        if (nx_pread_full(file->fd, (char *)buf + done, some, within, file->path, err) < 0)
            return -1;
    }
    return 0;
}

int nx_parts_write_through(const struct nx_parts *parts, const void *buf, size_t n, uint64_t offset,
                           struct nx_error *err)
{
    for (size_t done = 0, some; done < n; done += some) {
        uint64_t within;
        some = n - done;
        const struct nx_part *file = find(parts, offset + done, &some, &within);
        if (nx_pwrite_full(file->fd, (const char *)buf + done, some, within, file->path, err) < 0)
            return -1;
        if (fdatasync(file->fd) < 0)
            return nx_fail_errno(err, "%s: fsync", file->path);
    }
    return 0;
}
