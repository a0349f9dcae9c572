/* SPDX-License-Identifier: MIT */
/* A package in a local file, or in one with volumes, read as a whole: every page of its index and every chunk,
 * each checked against its digest before it is looked at, decoded on all CPUs.
 */
#ifndef NX_PACK_READER_H
#define NX_PACK_READER_H

#include "common/cleanup.h"
#include "formats/index.h"
#include "formats/package.h"

struct nx_reading {
    struct nx_parts parts;
    const char *name; /* the file's, for messages */
    struct nx_head *head;
};
#define NX_READING_INIT        \
    {                          \
        .parts = NX_PARTS_INIT \
    }

/* Open the file, with its volumes if it is cut, and read its head; the domain XML is validated too.  path must outlive
 * it.
 */
int nx_reading_open(struct nx_reading *reading, const char *path, struct nx_error *err);
void nx_reading_release(struct nx_reading *reading);

/* Takes a chunk's bytes; chunks come in ascending order, those that are all zero do not come. */
typedef int nx_chunk_sink_fn(uint64_t offset, const void *data, size_t len, void *opaque,
                             struct nx_error *err);

/* Read all of image, checking everything there is to check, its content digest last.  sink may
 * be NULL.  *progress grows by the bytes decoded and goes to nx_progress_update().
 */
int nx_reading_image(const struct nx_reading *reading, const struct nx_image *image,
                     unsigned threads, nx_chunk_sink_fn *sink, void *opaque, uint64_t *progress,
                     struct nx_error *err);

/* Walk the index of an image, every page checked: visit() gets each chunk that is not all zero, by
 * ascending number.  FORMAT if they are not as many as the manifest says.
 */
typedef int nx_chunk_visit_fn(uint64_t number, const struct nx_index_entry *entry, void *opaque,
                              struct nx_error *err);
int nx_reading_walk(const struct nx_reading *reading, const struct nx_image *image,
                    nx_chunk_visit_fn *visit, void *opaque, struct nx_error *err);

/* The stored bytes of a chunk into buf (entry->size bytes), checked against their digest. */
int nx_reading_chunk(const struct nx_reading *reading, const struct nx_index_entry *entry,
                     void *buf, struct nx_error *err);

/* Where a chunk stands, for messages: the file, and the offset in it. */
const char *nx_reading_where(const struct nx_reading *reading, const struct nx_index_entry *entry,
                             uint64_t *ret_within);

/* The device state as stored, checked; release it in both cases. */
int nx_reading_state(const struct nx_reading *reading, struct nx_buffer *ret_state,
                     struct nx_error *err);

/* Bytes that nx_reading_image() will decode for all images: the progress line's total. */
uint64_t nx_reading_total(const struct nx_reading *reading);

static inline void nx_auto_reading(struct nx_reading *reading)
{
    nx_reading_release(reading);
}
#define NX_AUTO_READING NX_AUTO(reading) /* nx_reading_release() at the end of scope */

#endif
