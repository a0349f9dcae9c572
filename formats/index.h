/* SPDX-License-Identifier: MIT */
/* The index: for each image a tree of pages, 256 children a page.  A leaf (level 0)
 * points to chunks, a page of level n to pages of level n - 1.  Absent children are
 * zero, so runs of zeros cost nothing and a start fetches only the pages on its way.
 *
 * A page, little-endian:
 *
 *     offset  size
 *          0     4  "NXIX"
 *          4     1  level
 *          5     1  0
 *          6     2  count of children present, 0 to 256
 *          8    32  bitmap: bit i % 8 of byte i / 8 is set if child i is present
 *         40  44*n  for each child present, in ascending order:
 *                       8  offset, from the first byte of the index (of the chunks, in a leaf)
 *                       4  size in bytes, stored
 *                      32  SHA-256 of these stored bytes
 *
 * The level says nothing that the parent does not; it is there for people, and checked.
 */
#ifndef NX_FORMATS_INDEX_H
#define NX_FORMATS_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/error.h"
#include "formats/digest.h"
#include "formats/manifest.h"

#define NX_INDEX_FANOUT     256
#define NX_INDEX_HEADER     40
#define NX_INDEX_ENTRY      44
#define NX_INDEX_PAGE_MAX   (NX_INDEX_HEADER + NX_INDEX_FANOUT * NX_INDEX_ENTRY) /* 11,304 bytes */
#define NX_INDEX_LEVELS_MAX 5 /* 256^5 chunks are more than any image may have */

struct nx_index_entry {
    uint64_t offset;
    uint32_t size;
    struct nx_digest digest;
};

/* Levels of the tree over so many chunks: the least n >= 1 with 256^n >= chunks.  The root's level is one less. */
unsigned nx_index_levels(uint64_t chunks);

/* The child of a page of this level on the way to chunk number n. */
unsigned nx_index_slot(uint64_t n, unsigned level);

/* Bytes of a page with count children. */
size_t nx_index_page_size(unsigned count);

/* Check a page whose digest was right: its form, its level, that every child lies
 * within the index (or the chunks) of manifest, that chunks are no larger than the image's, pages no larger than
 * NX_INDEX_PAGE_MAX, and that no child lies behind the image's end.
 * first is the number of the first chunk below the page.  After it, the functions
 * below may be used on the same bytes without another thought.
 */
int nx_index_page_check(const void *page, size_t len, unsigned level, uint64_t first,
                        const struct nx_manifest *manifest, const struct nx_image *image,
                        struct nx_error *err);

/* Child number slot of a checked page; false if it is absent (all zero). */
bool nx_index_page_get(const void *page, unsigned slot, struct nx_index_entry *ret_entry);

/* The first child present at or after slot, or NX_INDEX_FANOUT. */
unsigned nx_index_page_next(const void *page, unsigned slot);

/* The most bytes that an index can need whose chunks lie in certain runs. */
struct nx_index_bound {
    uint64_t bytes;
    uint64_t chunks;
    unsigned levels;
    uint64_t next
        [NX_INDEX_LEVELS_MAX]; /* the first child of the pages of this level that is not counted yet */
};

void nx_index_bound_start(struct nx_index_bound *bound, uint64_t chunks_of_image);
/* Chunks first to last may be there.  Runs come in ascending order; they may overlap. */
void nx_index_bound_add(struct nx_index_bound *bound, uint64_t first, uint64_t last);

/* A page that is being written. */
struct nx_index_page {
    unsigned level;
    unsigned count;
    bool present[NX_INDEX_FANOUT];
    struct nx_index_entry entries[NX_INDEX_FANOUT];
};

void nx_index_page_start(struct nx_index_page *page, unsigned level);
void nx_index_page_set(struct nx_index_page *page, unsigned slot,
                       const struct nx_index_entry *entry);

/* Append the page's bytes to buf. */
int nx_index_page_write(const struct nx_index_page *page, struct nx_buffer *buf,
                        struct nx_error *err);

#endif
