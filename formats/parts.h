/* SPDX-License-Identifier: MIT */
/* A package in local files: one, or a head with its volumes beside it.  Read and written by the offsets that it has in
 * one piece.
 */
#ifndef NX_FORMATS_PARTS_H
#define NX_FORMATS_PARTS_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "formats/manifest.h"

struct nx_part {
    int fd;
    char *path;
};

struct nx_parts {
    struct nx_part *files; /* the package or its head; then the volumes that are there */
    unsigned count;
    int missing;               /* errno for the volume after these */
    struct nx_volumes volumes; /* count 0: one file, or nx_parts_settle() has not been called */
    uint64_t size;             /* bytes of all together, from then on */
};
#define NX_PARTS_INIT \
    {                 \
        .files = NULL \
    }

/* Open the file at path, and whatever stands beside it with the names of volumes, with these flags of open().  Nothing
 * of them is read, so it can be done before the process gives up the right to open files.
 */
int nx_parts_open(struct nx_parts *parts, const char *path, int flags, struct nx_error *err);

/* The first file has turned out to be of the package with this manifest: keep those that belong to it.  FORMAT if it
 * is truncated, or if a volume is missing or has not the size that it must have: the message names it.
 */
int nx_parts_settle(struct nx_parts *parts, const struct nx_manifest *manifest,
                    struct nx_error *err);

void nx_parts_release(struct nx_parts *parts);

/* The first file. */
static inline int nx_parts_fd(const struct nx_parts *parts)
{
    return parts->files[0].fd;
}

/* For messages: the path of the file that offset is in, and the offset there. */
const char *nx_parts_where(const struct nx_parts *parts, uint64_t offset, uint64_t *ret_within);

/* As nx_pread_full(): exactly n bytes.  Any thread. */
int nx_parts_read(const struct nx_parts *parts, void *buf, size_t n, uint64_t offset,
                  struct nx_error *err);

/* Write n bytes over those that are there, and have them reach the disk. */
int nx_parts_write_through(const struct nx_parts *parts, const void *buf, size_t n, uint64_t offset,
                           struct nx_error *err);

static inline void nx_auto_parts(struct nx_parts *parts)
{
    nx_parts_release(parts);
}
#define NX_AUTO_PARTS NX_AUTO(parts) /* nx_parts_release() at the end of scope */

#endif
