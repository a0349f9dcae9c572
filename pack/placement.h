/* SPDX-License-Identifier: MIT */
/* Where the chunks of a package go when it is laid out anew by a record: those of the boot set first,
 * in the order of their first use, and then all others, in the order in which they stood.
 *
 * Only the boot set is kept in memory: a chunk outside of it moves by the bytes of the boot set, less those of it
 * that stood before it.
 */
#ifndef NX_PACK_PLACEMENT_H
#define NX_PACK_PLACEMENT_H

#include <stdbool.h>

#include "common/cleanup.h"
#include "formats/index.h"
#include "formats/record.h"

struct nx_placement;

/* The boot set is made of the first count touches of record. */
int nx_placement_new(const struct nx_record *record, size_t count,
                     struct nx_placement **ret_placement, struct nx_error *err);
void nx_placement_free(struct nx_placement *placement);

/* Tell where every chunk stands now, that of the boot set or not, before the rest is asked. */
void nx_placement_note(struct nx_placement *placement, unsigned image, uint64_t number,
                       const struct nx_index_entry *entry);

/* All were told: decide.  FORMAT if chunks of the boot set overlap. */
int nx_placement_settle(struct nx_placement *placement, const char *name, struct nx_error *err);

/* Give entry's chunk its new offset.  FORMAT if it overlaps one of the boot set. */
int nx_placement_move(const struct nx_placement *placement, struct nx_index_entry *entry,
                      struct nx_error *err);

/* Has this leaf of the image's index a chunk of the boot set? */
bool nx_placement_has_leaf(const struct nx_placement *placement, unsigned image, uint64_t leaf);

/* The boot set's chunks, each stored one once: number i in their new order, and in their old one. */
size_t nx_placement_count(const struct nx_placement *placement);
const struct nx_index_entry *nx_placement_hot(const struct nx_placement *placement, size_t i);
const struct nx_index_entry *nx_placement_by_offset(const struct nx_placement *placement, size_t i);
uint64_t nx_placement_hot_bytes(const struct nx_placement *placement);

NX_DEFINE_AUTO(struct nx_placement *, placement, nx_placement_free)
#define NX_AUTO_PLACEMENT NX_AUTO(placement)

#endif
