/* SPDX-License-Identifier: MIT */
/* Segment files: where the cache's bytes stand, appended one object after the other.
 * They describe themselves, so that the database can be made anew from them.
 *
 *     offset  size
 *          0     4  "NXSG"
 *          4     4  size of the bytes, little-endian
 *          8    32  their SHA-256
 *         40  size  the bytes
 *
 * and again, up to the end of the file.  A file's number says its age.  The process that appends to
 * it holds an flock() on it; only what is not locked is removed.
 */
#ifndef NX_FETCH_SEGMENT_H
#define NX_FETCH_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "fetch/bytes.h"
#include "formats/digest.h"

#define NX_SEGMENT_SIZE       (UINT64_C(64) << 20) /* how large a segment grows, by default */
#define NX_SEGMENT_HEADER     40
#define NX_SEGMENT_OBJECT_MAX (64u << 20) /* bytes of one object: most device states, too */

/* The segments of a directory, oldest first. */
struct nx_segment_list {
    struct nx_segment_info {
        uint64_t number;
        uint64_t bytes; /* size of the file */
    } * items;          /* owned */
    size_t count;
    uint64_t bytes; /* of all */
};
int nx_segment_list(int dir_fd, struct nx_segment_list *ret_list, struct nx_error *err);
void nx_segment_list_release(struct nx_segment_list *list);

static inline void nx_auto_segment_list(struct nx_segment_list *list)
{
    nx_segment_list_release(list);
}
#define NX_AUTO_SEGMENT_LIST NX_AUTO(segment_list)

/* A segment that this process appends to. */
struct nx_segment {
    int fd; /* locked; -1: none */
    uint64_t number;
    uint64_t size; /* where the next object goes */
};
#define NX_SEGMENT_INIT \
    {                   \
        -1, 0, 0        \
    }

/* Take one of the newest segments if it is smaller than max bytes, whole, and nobody else writes it; or make
 * one.  An object that a crash left unfinished at its end is cut off.
 */
int nx_segment_open_for_append(int dir_fd, uint64_t max, struct nx_segment *ret_segment,
                               struct nx_error *err);
void nx_segment_close(struct nx_segment *segment);

/* Append an object; *ret_offset is where its bytes begin.  On failure what was written of it is cut off. */
int nx_segment_append(struct nx_segment *segment, const struct nx_digest *digest, const void *data,
                      uint32_t size, uint64_t *ret_offset, struct nx_error *err);

/* Read size bytes, or NULL if they are not there.  They are not checked. */
struct nx_bytes *nx_segment_read(int dir_fd, uint64_t number, uint64_t offset, uint32_t size);

/* Call object() for each object, in order, until it returns non-zero or a header makes no sense.  False then, or if
 * the file cannot be read; what is left behind a true is nothing, or the beginning of an object.
 */
typedef int nx_segment_object_fn(const struct nx_digest *digest, uint64_t offset, uint32_t size,
                                 void *opaque);
bool nx_segment_walk(int dir_fd, uint64_t number, nx_segment_object_fn *object, void *opaque);

/* Lock a segment that is to be removed; false if another process appends to it, or it is gone. */
bool nx_segment_lock(int dir_fd, uint64_t number, struct nx_segment *ret_segment);

/* Remove the file of a locked segment; it stays open until it is closed. */
int nx_segment_remove(int dir_fd, const struct nx_segment *segment, struct nx_error *err);

#endif
