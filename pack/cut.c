/* SPDX-License-Identifier: MIT */
#include "pack/cut.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/interrupt.h"
#include "common/progress.h"
#include "formats/package.h"

#define COPY_BYTES (1024 * 1024)

/* The volumes that are being made, in files that are written, synced and closed. */
struct cut {
    struct nx_newfile *out;
    struct nx_volumes volumes;       /* count 0: it stays one file */
    struct stat st;                  /* of the whole */
    char *temps[NX_VOLUMES_MAX + 1]; /* by number; NULL: not written, or it has its name */
    unsigned named;                  /* so many have their names */
    uint64_t copied;
};

/* ---- writing them ---- */

static int copy(struct cut *cut, const struct nx_newfile *to, uint64_t from, uint64_t end,
                struct nx_error *err)
{
    NX_AUTO_FREE char *buf = malloc(COPY_BYTES);
    if (!buf)
        return nx_fail_errno(err, "buffer");
    while (from < end) {
        size_t n = end - from < COPY_BYTES ? (size_t)(end - from) : COPY_BYTES;
        if (nx_check_interrupt(err) < 0 ||
            nx_pread_full(cut->out->fd, buf, n, from, cut->out->path, err) < 0 ||
            nx_write_full(to->fd, buf, n, to->path, err) < 0)
            return -1;
        from += n;
        nx_progress_update(cut->copied += n);
    }
    return 0;
}

static int write_volume(struct cut *cut, unsigned number, uint64_t from, uint64_t end,
                        struct nx_error *err)
{
    NX_AUTO_NEWFILE struct nx_newfile file = NX_NEWFILE_INIT;
    NX_AUTO_FREE char *path = nx_volume_path(cut->out->path, number);
    if (!path)
        return nx_fail_errno(err, "%s", cut->out->path);
    if (nx_newfile_open(&file, path, 0600, err) < 0 || copy(cut, &file, from, end, err) < 0)
        return -1;
    if (fchmod(file.fd, cut->st.st_mode & 07777) < 0 || fsync(file.fd) < 0)
        return nx_fail_errno(err, "%s", path);
    cut->temps[number] = NX_STEAL(file.temp);
    return 0;
}

/* From the last on, each taken off the whole's end: so no more than one of them takes room twice. */
static int write_volumes(struct cut *cut, struct nx_error *err)
{
    const struct nx_volumes *volumes = &cut->volumes;
    uint64_t end = (uint64_t)cut->st.st_size;
    for (unsigned n = volumes->count; n > 0; n--) {
        uint64_t from = volumes->head + (n - 1) * volumes->size;
        if (end - from > volumes->size)
            return nx_fail(err, NX_ERR_SYSTEM,
                           "%s: more stands behind its chunks than its last volume has room for",
                           cut->out->path);
        if (write_volume(cut, n, from, end, err) < 0)
            return -1;
        if (ftruncate(cut->out->fd, (off_t)from) < 0)
            return nx_fail_errno(err, "%s", cut->out->path);
        end = from;
    }
    return 0;
}

/* ---- naming them ---- */

/* Is what has the name now cut as well?  Whatever cannot be read as a package is not. */
static bool is_cut(const char *path)
{
    NX_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    NX_AUTO_HEAD struct nx_head *head = NULL;
    struct stat st;
    return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
           nx_head_read(fd, path, &head, NULL) == 0 &&
           nx_manifest_is_cut(head->manifest, (uint64_t)st.st_size);
}

static int name_volumes(struct cut *cut, struct nx_error *err)
{
    for (unsigned n = 1; n <= cut->volumes.count; n++) {
        NX_AUTO_FREE char *path = nx_volume_path(cut->out->path, n);
        if (!path || rename(cut->temps[n], path) < 0)
            return nx_fail_errno(err, "%s: volume %u: rename", cut->out->path, n);
        free(NX_STEAL(cut->temps[n]));
        cut->named = n;
    }
    return cut->volumes.count ? nx_sync_folder(cut->out->path, err) : 0;
}

/* Volumes from this number on, as far as they go without a gap. */
static void remove_volumes(const char *path, unsigned first, unsigned last)
{
    for (unsigned n = first; n <= last; n++) {
        NX_AUTO_FREE char *volume = nx_volume_path(path, n);
        if (!volume || unlink(volume) < 0)
            return;
    }
}

static int name_all(struct cut *cut, struct nx_error *err)
{
    const char *path = cut->out->path;
    bool was_cut = is_cut(path), goes = was_cut && cut->volumes.count;
    if (fsync(cut->out->fd) < 0)
        return nx_fail_errno(err, "%s: fsync", path);
    if (goes && (unlink(path) < 0 || nx_sync_folder(path, err) < 0))
        return nx_fail_errno(err, "%s", path);
    if (name_volumes(cut, err) < 0 || nx_newfile_commit(cut->out, err) < 0)
        return goes ? nx_fail_while(err, "the package that had this name is removed") : -1;
    if (was_cut)
        remove_volumes(path, cut->volumes.count + 1, NX_VOLUMES_MAX);
    return 0;
}

/* ---- all together ---- */

static int read_volumes(struct cut *cut, struct nx_error *err)
{
    NX_AUTO_HEAD struct nx_head *head = NULL;
    if (fstat(cut->out->fd, &cut->st) < 0)
        return nx_fail_errno(err, "%s", cut->out->path);
    if (nx_head_read(cut->out->fd, cut->out->path, &head, err) < 0)
        return -1;
    cut->volumes = head->manifest->volumes;
    return 0;
}

static int commit(struct cut *cut, struct nx_error *err)
{
    if (read_volumes(cut, err) < 0)
        return -1;
    if (cut->volumes.count == 0)
        return name_all(cut, err);
    nx_progress_start("cutting", (uint64_t)cut->st.st_size - cut->volumes.head);
    int ret = write_volumes(cut, err);
    nx_progress_end();
    if (ret < 0 || nx_check_interrupt(err) < 0)
        return -1;
    return name_all(cut, err);
}

int nx_cut_commit(struct nx_newfile *out, unsigned *ret_volumes, struct nx_error *err)
{
    struct cut cut = { .out = out };
    int ret = commit(&cut, err);
    for (unsigned n = 0; n <= NX_VOLUMES_MAX; n++) {
        if (cut.temps[n])
            unlink(cut.temps[n]);
        free(cut.temps[n]);
    }
    if (ret < 0) {
        remove_volumes(out->path, 1, cut.named);
        return -1;
    }
    *ret_volumes = cut.volumes.count;
    return 0;
}
