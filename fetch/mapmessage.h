/* SPDX-License-Identifier: MIT */
/* The map of a machine's chunks as the engine sends it to the launcher (channel.h, NX_MSG_MAP), who believes nothing in it.
 *
 *     u32 images, then for each
 *         u8   log2 of the chunks of a unit (chunkmap.h)
 *         u64  units in each of the NX_CHUNK_STATES
 *         u64  units whose leaf of the index was looked at; of the others nobody knows yet which are empty
 *         u16  cells, then runs of equal ones until there are so many:
 *              u16 length, u8 share of each state but NX_CHUNK_EMPTY, in 255ths of a cell
 *
 * Little-endian.  Cells divide an image's units evenly.
 */
#ifndef NX_FETCH_MAPMESSAGE_H
#define NX_FETCH_MAPMESSAGE_H

#include <stdint.h>

#include "common/buffer.h"
#include "formats/manifest.h"

#define NX_MAP_CELLS_MAX     4096          /* of an image … */
#define NX_MAP_CELLS_ALL_MAX 16384         /* … and of all images together */
#define NX_MAP_MESSAGE_MAX   (192u * 1024) /* bytes */

/* What a chunk is, in the end: in an order in which the later one is shown where both would be true. */
enum nx_chunk_state {
    NX_CHUNK_EMPTY,   /* all zero: there is nothing to fetch */
    NX_CHUNK_ABSENT,  /* not here, or not known yet to be */
    NX_CHUNK_CACHED,  /* was here before, and is not read yet */
    NX_CHUNK_AHEAD,   /* fetched before anybody has read it */
    NX_CHUNK_READ,    /* read, and it was here */
    NX_CHUNK_AWAITED, /* read, and it had to be waited for */
    NX_CHUNK_STATES,
};

/* "empty", "absent", "cached", "ahead", "read", "awaited" */
const char *nx_chunk_state_name(enum nx_chunk_state state);

struct nx_map_run {
    unsigned length;                /* cells */
    uint8_t share[NX_CHUNK_STATES]; /* in 255ths; that of NX_CHUNK_EMPTY is what the others leave */
};

struct nx_map_image {
    uint64_t unit;                    /* chunks of one */
    uint64_t counts[NX_CHUNK_STATES]; /* units */
    uint64_t looked;
    unsigned cells;
};

/* How many cells an image of a package of n_images gets of those that were asked for. */
unsigned nx_map_cells(unsigned wanted, unsigned n_images);

int nx_map_write_header(struct nx_buffer *payload, unsigned n_images, struct nx_error *err);
int nx_map_write_image(struct nx_buffer *payload, const struct nx_map_image *image,
                       struct nx_error *err);
int nx_map_write_run(struct nx_buffer *payload, const struct nx_map_run *run, struct nx_error *err);

/* Is it a whole map, of at most NX_IMAGES_MAX images?  The three below need not be checked then. */
int nx_map_check(const struct nx_buffer *payload, struct nx_error *err);

/* In this order: the header, each image, its runs until their cells are all there.  -1: that is no map. */
int nx_map_read_header(struct nx_reader *r, unsigned *ret_n_images);
int nx_map_read_image(struct nx_reader *r, struct nx_map_image *ret_image);
int nx_map_read_run(struct nx_reader *r, unsigned cells_left, struct nx_map_run *ret_run);

#endif
