/* SPDX-License-Identifier: MIT */
/* Threads: units are atomic bytes; the rest does not change. */
#include "fetch/chunkmap.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "fetch/mapmessage.h"

struct nx_chunkmap {
    const struct nx_manifest *manifest;
    struct units {
        _Atomic(uint8_t) *marks; /* one a unit */
        uint64_t count;
        unsigned shift; /* a unit is 1 << shift chunks */
    } images[NX_IMAGES_MAX];
};

int nx_chunkmap_new(const struct nx_manifest *manifest, struct nx_chunkmap **ret_map,
                    struct nx_error *err)
{
    NX_AUTO_CHUNKMAP struct nx_chunkmap *map = calloc(1, sizeof *map);
    if (!map)
        return nx_fail_errno(err, "map of chunks");
    map->manifest = manifest;
    for (unsigned i = 0; i < manifest->n_images; i++) {
        struct units *units = &map->images[i];
        uint64_t chunks = nx_image_chunk_count(&manifest->images[i]);
        uint64_t last = chunks ? chunks - 1 : 0;
        while ((last >> units->shift) + 1 > NX_CHUNKMAP_UNITS / manifest->n_images)
            units->shift++;
        units->count = (last >> units->shift) + 1;
        units->marks = calloc(units->count, sizeof *units->marks);
        if (!units->marks)
            return nx_fail_errno(err, "map of chunks");
    }
    *ret_map = NX_STEAL(map);
    return 0;
}

void nx_chunkmap_free(struct nx_chunkmap *map)
{
    for (unsigned i = 0; map && i < NX_IMAGES_MAX; i++)
        free(map->images[i].marks);
    free(map);
}

void nx_chunkmap_mark(struct nx_chunkmap *map, unsigned image, uint64_t number, unsigned marks)
{
    const struct units *units = &map->images[image];
    _Atomic(uint8_t) *unit = &units->marks[number >> units->shift];
    /* Most reads are of what was read before: they need not have the cache line for themselves. */
    if ((atomic_load_explicit(unit, memory_order_relaxed) & marks) != marks)
        atomic_fetch_or_explicit(unit, (uint8_t)marks, memory_order_relaxed);
}

unsigned nx_chunkmap_marks(const struct nx_chunkmap *map, unsigned image, uint64_t number)
{
    const struct units *units = &map->images[image];
    return atomic_load_explicit(&units->marks[number >> units->shift], memory_order_relaxed);
}

uint64_t nx_chunkmap_unit(const struct nx_chunkmap *map, unsigned image)
{
    return UINT64_C(1) << map->images[image].shift;
}

static enum nx_chunk_state state_of(unsigned marks)
{
    if (marks & NX_MARK_READ)
        return marks & NX_MARK_AWAITED ? NX_CHUNK_AWAITED : NX_CHUNK_READ;
    if (marks & NX_MARK_FETCHED)
        return NX_CHUNK_AHEAD;
    if (marks & NX_MARK_KEPT)
        return NX_CHUNK_CACHED;
    return (marks & NX_MARK_LOOKED) && !(marks & NX_MARK_STORED) ? NX_CHUNK_EMPTY : NX_CHUNK_ABSENT;
}

/* Shares of a whole in 255ths, rounded down; what is there at all shows. */
static void take_shares(const uint64_t counts[NX_CHUNK_STATES], uint64_t all,
                        struct nx_map_run *ret_run)
{
    unsigned left = 255;
    for (unsigned i = NX_CHUNK_STATES - 1; i > NX_CHUNK_EMPTY; i--) {
        unsigned share = (unsigned)(counts[i] * 255 / all);
        if (counts[i] && share == 0)
            share = 1;
        ret_run->share[i] = (uint8_t)(share < left ? share : left);
        left -= ret_run->share[i];
    }
    ret_run->share[NX_CHUNK_EMPTY] = (uint8_t)left;
    /* What rounding has left is nothing empty. */
    if (!counts[NX_CHUNK_EMPTY] && counts[NX_CHUNK_ABSENT])
        ret_run->share[NX_CHUNK_ABSENT] = (uint8_t)(ret_run->share[NX_CHUNK_ABSENT] + left);
}

/* The cell of units first … end - 1; adds them to the image's sums. */
static void make_cell(const struct units *units, uint64_t first, uint64_t end,
                      struct nx_map_image *sums, struct nx_map_run *ret_run)
{
    uint64_t counts[NX_CHUNK_STATES] = { 0 };
    for (uint64_t i = first; i < end; i++) {
        unsigned marks = atomic_load_explicit(&units->marks[i], memory_order_relaxed);
        counts[state_of(marks)]++;
        sums->looked += (marks & NX_MARK_LOOKED) != 0;
    }
    for (unsigned i = 0; i < NX_CHUNK_STATES; i++)
        sums->counts[i] += counts[i];
    *ret_run = (struct nx_map_run){ .length = 1 };
    take_shares(counts, end - first, ret_run);
}

static int write_cells(const struct units *units, struct nx_map_image *sums,
                       struct nx_buffer *payload, struct nx_error *err)
{
    struct nx_map_run run = { 0 }, cell;
    for (unsigned i = 0; i < sums->cells; i++) {
        uint64_t first = units->count * i / sums->cells;
        make_cell(units, first, units->count * (i + 1) / sums->cells, sums, &cell);
        if (run.length && memcmp(run.share, cell.share, sizeof run.share) == 0) {
            run.length++;
            continue;
        }
        if (run.length && nx_map_write_run(payload, &run, err) < 0)
            return -1;
        run = cell;
    }
    return nx_map_write_run(payload, &run, err);
}

static int write_image(const struct units *units, unsigned cells, struct nx_buffer *payload,
                       struct nx_error *err)
{
    NX_AUTO_BUFFER struct nx_buffer runs = NX_BUFFER_INIT(NX_MAP_MESSAGE_MAX);
    struct nx_map_image sums = { .unit = UINT64_C(1) << units->shift,
                                 .cells = units->count < cells ? (unsigned)units->count : cells };
    if (write_cells(units, &sums, &runs, err) < 0 || nx_map_write_image(payload, &sums, err) < 0)
        return -1;
    return nx_buffer_add(payload, runs.data, runs.len, err);
}

int nx_chunkmap_write(const struct nx_chunkmap *map, unsigned cells, struct nx_buffer *payload,
                      struct nx_error *err)
{
    unsigned n = map->manifest->n_images;
    if (nx_map_write_header(payload, n, err) < 0)
        return -1;
    for (unsigned i = 0; i < n; i++)
        if (write_image(&map->images[i], nx_map_cells(cells, n), payload, err) < 0)
            return -1;
    return 0;
}
