/* SPDX-License-Identifier: MIT */
/* Where an image's bytes stand in its own file, as `qemu-img map` tells it, so that most of them can be read straight
 * from there: through qemu-nbd each is copied twice more, a fifth of what packing a disk costs.
 *
 * Only a shortcut: what is not known here (compressed clusters, backing files, an image in more pieces than are worth
 * their memory) is read through qemu-nbd, which must have opened the image before and keeps it locked against writers.
 * One thread at a time.
 */
#ifndef NX_PACK_HOSTMAP_H
#define NX_PACK_HOSTMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct nx_host_extent {
    uint64_t start, end; /* in the image */
    uint64_t offset;     /* of start, in the file; if not zero */
    bool zero;
};

struct nx_hostmap {
    int fd;
    struct nx_host_extent *extents; /* in the image's order; there may be gaps */
    size_t count;
    size_t at; /* the one that was found last: reads go forward */
};
#define NX_HOSTMAP_INIT \
    {                   \
        .fd = -1        \
    }

/* Ask about the image at path (absolute), of QEMU's format, whose bytes all stand in that file.  If that cannot be had,
 * the map is empty: no error.
 */
void nx_hostmap_open(struct nx_hostmap *map, const char *path, const char *format);
void nx_hostmap_release(struct nx_hostmap *map);

/* 1: the bytes are in buf; 0: it is not known where all of them stand; -1: reading failed. */
int nx_hostmap_read(struct nx_hostmap *map, void *buf, size_t len, uint64_t offset,
                    const char *path, struct nx_error *err);

#endif
