/* SPDX-License-Identifier: MIT */
/* What has become of each chunk while this nxfetch runs: whether it was fetched, read, waited for.  It is always
 * noted, since that costs one atomic OR a chunk; nothing is added up before somebody asks (`nxfetch status`).
 *
 * Memory is bounded, whatever the images' sizes: a byte for each unit, at most NX_CHUNKMAP_UNITS of them for all images
 * together, and a unit stands for one chunk or, in an image of so many that this would not do, for 2, 4, 8, ... that stand side by
 * side.  A disk of 1 TiB in chunks of 64 KiB has units of 16, so each is 1 MiB of it.  What happened to one chunk of a unit is
 * shown for the whole of it.  The pages of the table that nothing was noted in need no memory.
 */
#ifndef NX_FETCH_CHUNKMAP_H
#define NX_FETCH_CHUNKMAP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/error.h"
#include "formats/manifest.h"

#define NX_CHUNKMAP_UNITS (1u << 20)

struct nx_chunkmap;

/* Bits of a unit. */
enum nx_chunk_mark {
    NX_MARK_FETCHED = 1, /* it has come from the network, or out of the local package */
    NX_MARK_AWAITED = 2, /* a read had to wait for it */
    NX_MARK_READ = 4,
    NX_MARK_STORED = 8,  /* it is not all zero … */
    NX_MARK_LOOKED = 16, /* … which is known: its leaf of the index was looked at */
    NX_MARK_KEPT = 32,   /* it was here when it was looked for */
};

/* manifest must outlive it. */
int nx_chunkmap_new(const struct nx_manifest *manifest, struct nx_chunkmap **ret_map,
                    struct nx_error *err);
void nx_chunkmap_free(struct nx_chunkmap *map);

/* Set marks of a chunk's unit.  Any thread; number lies within the image. */
void nx_chunkmap_mark(struct nx_chunkmap *map, unsigned image, uint64_t number, unsigned marks);

/* The marks of a chunk's unit. */
unsigned nx_chunkmap_marks(const struct nx_chunkmap *map, unsigned image, uint64_t number);

/* Chunks of a unit, a power of two. */
uint64_t nx_chunkmap_unit(const struct nx_chunkmap *map, unsigned image);

/* Append the map as a message (mapmessage.h), with at most `cells` cells for each image. */
int nx_chunkmap_write(const struct nx_chunkmap *map, unsigned cells, struct nx_buffer *payload,
                      struct nx_error *err);

NX_DEFINE_AUTO(struct nx_chunkmap *, chunkmap, nx_chunkmap_free)
#define NX_AUTO_CHUNKMAP NX_AUTO(chunkmap)

#endif
