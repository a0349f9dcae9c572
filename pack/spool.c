/* SPDX-License-Identifier: MIT */
#include "pack/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"

#define SPOOL_BUFFER (256 * 1024)

/* For file systems without O_TMPFILE (NFS, FUSE, overlayfs of old kernels). */
static int open_unlinked(const char *dir)
{
    NX_AUTO_FREE char *path = NULL;
    if (asprintf(&path, "%s/.nxpack-XXXXXX", dir) < 0) {
        path = NULL;
        return -1;
    }
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    return fd;
}

int nx_spool_open(struct nx_spool *spool, const char *beside, struct nx_error *err)
{
    *spool = (struct nx_spool)NX_SPOOL_INIT;
    NX_AUTO_FREE char *dir = nx_folder_of(beside);
    if (!dir || asprintf(&spool->name, "%s: temporary file", dir) < 0) {
        spool->name = NULL;
        return nx_fail_errno(err, "temporary file");
    }
    spool->buffer = malloc(SPOOL_BUFFER);
    spool->fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (spool->fd < 0)
        spool->fd = open_unlinked(dir);
    if (!spool->buffer || spool->fd < 0) {
        nx_fail_errno(err, "%s", spool->name);
        nx_spool_release(spool);
        return -1;
    }
    return 0;
}

int nx_spool_open_within(struct nx_spool *spool, int fd, uint64_t base, const char *name,
                         struct nx_error *err)
{
    *spool = (struct nx_spool)NX_SPOOL_INIT;
    spool->base = base;
    spool->name = strdup(name);
    spool->buffer = malloc(SPOOL_BUFFER);
    spool->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (spool->name && spool->buffer && spool->fd >= 0)
        return 0;
    nx_fail_errno(err, "%s", name);
    nx_spool_release(spool);
    return -1;
}

int nx_spool_flush(struct nx_spool *spool, struct nx_error *err)
{
    if (nx_pwrite_full(spool->fd, spool->buffer, spool->pending,
                       spool->base + spool->size - spool->pending, spool->name, err) < 0)
        return -1;
    spool->pending = 0;
    return 0;
}

int nx_spool_add(struct nx_spool *spool, const void *data, size_t len, struct nx_error *err)
{
    if (spool->pending + len > SPOOL_BUFFER && nx_spool_flush(spool, err) < 0)
        return -1;
    if (len > SPOOL_BUFFER) {
        if (nx_pwrite_full(spool->fd, data, len, spool->base + spool->size, spool->name, err) < 0)
            return -1;
    } else {
        memcpy(spool->buffer + spool->pending, data, len);
        spool->pending += len;
    }
    spool->size += len;
    return 0;
}

int nx_spool_read(struct nx_spool *spool, void *buf, size_t len, uint64_t offset,
                  struct nx_error *err)
{
    if (spool->pending && nx_spool_flush(spool, err) < 0)
        return -1;
    return nx_pread_full(spool->fd, buf, len, spool->base + offset, spool->name, err);
}

void nx_spool_discard(struct nx_spool *spool, uint64_t offset)
{
    fallocate(spool->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
              (off_t)(spool->base + offset));
}

void nx_spool_release(struct nx_spool *spool)
{
    if (spool->fd >= 0)
        close(spool->fd);
    free(spool->buffer);
    free(spool->name);
    *spool = (struct nx_spool)NX_SPOOL_INIT;
}
