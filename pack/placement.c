/* SPDX-License-Identifier: MIT */
#include "pack/placement.h"

#include <inttypes.h>
#include <stdlib.h>

/* A chunk that was touched. */
struct touched {
    uint32_t image;
    uint64_t number;
    size_t order; /* of its first touch */
    bool found;   /* it is not all zero */
    struct nx_index_entry entry;
};

/* Stored bytes that move to the front. */
struct moved {
    struct nx_index_entry entry; /* where they stand now */
    size_t order;
    uint64_t before; /* bytes of the boot set that stand before these now */
    uint64_t to;
};

struct nx_placement {
    struct touched *touched; /* by image and number */
    size_t n_touched;
    struct moved *moved;               /* by offset */
    const struct nx_index_entry **hot; /* by order */
    size_t n_moved;
    uint64_t bytes;
};

static int by_chunk(const void *a, const void *b)
{
    const struct touched *x = a, *y = b;
    if (x->image != y->image)
        return x->image < y->image ? -1 : 1;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

static int by_offset(const void *a, const void *b)
{
    const struct moved *x = a, *y = b;
    if (x->entry.offset != y->entry.offset)
        return x->entry.offset < y->entry.offset ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

/* The first of several that are by_chunk() but for their order the same. */
static size_t drop_repeated(struct touched *touched, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || touched[i].image != touched[kept - 1].image ||
            touched[i].number != touched[kept - 1].number)
            touched[kept++] = touched[i];
    return kept;
}

int nx_placement_new(const struct nx_record *record, size_t count,
                     struct nx_placement **ret_placement, struct nx_error *err)
{
    NX_AUTO_PLACEMENT struct nx_placement *p = calloc(1, sizeof *p);
    if (!p || !(p->touched = calloc(count + 1, sizeof *p->touched)))
        return nx_fail_errno(err, "boot set");
    for (size_t i = 0; i < count; i++)
        p->touched[i] = (struct touched){ .image = record->touches[i].image,
                                          .number = record->touches[i].number,
                                          .order = i };
    qsort(p->touched, count, sizeof *p->touched, by_chunk);
    p->n_touched = drop_repeated(p->touched, count);
    *ret_placement = NX_STEAL(p);
    return 0;
}

void nx_placement_free(struct nx_placement *placement)
{
    if (!placement)
        return;
    free(placement->touched);
    free(placement->moved);
    free(placement->hot);
    free(placement);
}

/* The first touched chunk at or behind this one. */
static size_t lower_bound(const struct nx_placement *p, unsigned image, uint64_t number)
{
    const struct touched key = { .image = image, .number = number };
    size_t low = 0, high = p->n_touched;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (by_chunk(&p->touched[middle], &key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void nx_placement_note(struct nx_placement *placement, unsigned image, uint64_t number,
                       const struct nx_index_entry *entry)
{
    size_t i = lower_bound(placement, image, number);
    if (i == placement->n_touched)
        return;
    struct touched *touched = &placement->touched[i];
    if (touched->image != image || touched->number != number)
        return;
    touched->found = true;
    touched->entry = *entry;
}

bool nx_placement_has_leaf(const struct nx_placement *placement, unsigned image, uint64_t leaf)
{
    /* A touched chunk that is all zero makes its leaf hot, too: that must be known at a start. */
    size_t i = lower_bound(placement, image, leaf * NX_INDEX_FANOUT);
    return i < placement->n_touched && placement->touched[i].image == image &&
           placement->touched[i].number / NX_INDEX_FANOUT == leaf;
}

/* ---- deciding ---- */

static int overlap(const char *name, const struct nx_index_entry *entry, struct nx_error *err)
{
    return nx_fail(err, NX_ERR_FORMAT,
                   "%s: the chunk at offset %" PRIu64 " overlaps another: pack the machine anew",
                   name, entry->offset);
}

/* Equal stored bytes move once, for the first of their touches. */
static int gather(struct nx_placement *p, const char *name, struct nx_error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n_touched; i++)
        if (p->touched[i].found)
            p->moved[n++] =
                (struct moved){ .entry = p->touched[i].entry, .order = p->touched[i].order };
    qsort(p->moved, n, sizeof *p->moved, by_offset);
    for (size_t i = 0; i < n; i++) {
        const struct moved *next = &p->moved[i];
        const struct moved *last = p->n_moved ? &p->moved[p->n_moved - 1] : NULL;
        if (last && last->entry.offset == next->entry.offset &&
            last->entry.size == next->entry.size)
            continue;
        if (last && last->entry.offset + last->entry.size > next->entry.offset)
            return overlap(name, &next->entry, err);
        p->moved[p->n_moved] = *next;
        p->moved[p->n_moved++].before = p->bytes;
        p->bytes += next->entry.size;
    }
    return 0;
}

static int by_order(const void *a, const void *b)
{
    const struct moved *x = *(struct moved *const *)a, *y = *(struct moved *const *)b;
    return (x->order > y->order) - (x->order < y->order);
}

int nx_placement_settle(struct nx_placement *p, const char *name, struct nx_error *err)
{
    p->moved = calloc(p->n_touched + 1, sizeof *p->moved);
    NX_AUTO_FREE struct moved **ordered = calloc(p->n_touched + 1, sizeof *ordered);
    p->hot = calloc(p->n_touched + 1, sizeof *p->hot);
    if (!p->moved || !ordered || !p->hot)
        return nx_fail_errno(err, "boot set");
    if (gather(p, name, err) < 0)
        return -1;
    for (size_t i = 0; i < p->n_moved; i++)
        ordered[i] = &p->moved[i];
    qsort(ordered, p->n_moved, sizeof *ordered, by_order);
    uint64_t to = 0;
    for (size_t i = 0; i < p->n_moved; i++) {
        ordered[i]->to = to;
        to += ordered[i]->entry.size;
        p->hot[i] = &ordered[i]->entry;
    }
    return 0;
}

/* ---- asking ---- */

int nx_placement_move(const struct nx_placement *p, struct nx_index_entry *entry,
                      struct nx_error *err)
{
    size_t low = 0, high = p->n_moved; /* the first that stands behind the entry's offset */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (p->moved[middle].entry.offset <= entry->offset)
            low = middle + 1;
        else
            high = middle;
    }
    const struct moved *next = low < p->n_moved ? &p->moved[low] : NULL;
    const struct moved *last = low > 0 ? &p->moved[low - 1] : NULL;
    if (last && last->entry.offset == entry->offset && last->entry.size == entry->size) {
        entry->offset = last->to;
        return 0;
    }
    if ((last && last->entry.offset + last->entry.size > entry->offset) ||
        (next && entry->offset + entry->size > next->entry.offset))
        return overlap("boot set", entry, err);
    uint64_t before = last ? last->before + last->entry.size : 0;
    entry->offset += p->bytes - before;
    return 0;
}

size_t nx_placement_count(const struct nx_placement *placement)
{
    return placement->n_moved;
}

const struct nx_index_entry *nx_placement_hot(const struct nx_placement *placement, size_t i)
{
    return placement->hot[i];
}

const struct nx_index_entry *nx_placement_by_offset(const struct nx_placement *placement, size_t i)
{
    return &placement->moved[i].entry;
}

uint64_t nx_placement_hot_bytes(const struct nx_placement *placement)
{
    return placement->bytes;
}
