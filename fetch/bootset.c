/* SPDX-License-Identifier: MIT */
#include "fetch/bootset.h"

#include <stdlib.h>

struct gather {
    const struct nx_tree *tree;
    struct nx_blob *blobs;
    size_t count, cap;
};

static int add(struct gather *gather, const struct nx_blob *blob, struct nx_error *err)
{
    if (gather->count == gather->cap) {
        size_t cap = gather->cap ? 2 * gather->cap : 1024;
        struct nx_blob *blobs = reallocarray(gather->blobs, cap, sizeof *blobs);
        if (!blobs)
            return nx_fail_errno(err, "boot set");
        gather->blobs = blobs;
        gather->cap = cap;
    }
    gather->blobs[gather->count++] = *blob;
    return 0;
}

static int take_chunk(const struct nx_blob *blob, void *opaque, struct nx_error *err)
{
    return add(opaque, blob, err);
}

static int by_offset(const void *a, const void *b)
{
    uint64_t x = ((const struct nx_blob *)a)->offset, y = ((const struct nx_blob *)b)->offset;
    return (x > y) - (x < y);
}

/* The first of them, which make at most max bytes. */
static size_t cut_to(const struct nx_blob *blobs, size_t count, uint64_t max)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += blobs[i].size;
        if (bytes > max)
            return i;
    }
    return count;
}

/* Equal chunks are stored once. */
static size_t drop_repeated(struct nx_blob *blobs, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || blobs[i].offset != blobs[kept - 1].offset)
            blobs[kept++] = blobs[i];
    return kept;
}

static void count_them(const struct gather *gather, struct nx_report *report)
{
    uint64_t all = 0, here = 0;
    for (size_t i = 0; i < gather->count; i++) {
        all += gather->blobs[i].size;
        if (nx_blobs_has(gather->tree->blobs, &gather->blobs[i]))
            here += gather->blobs[i].size;
    }
    nx_report_add(report, &report->stats.boot_bytes, all);
    nx_report_add(report, &report->stats.boot_have, here);
}

static int want(struct gather *gather, uint64_t max, struct nx_report *report, struct nx_error *err)
{
    const struct nx_manifest *manifest = gather->tree->manifest;
    uint64_t left = manifest->boot_index;
    for (unsigned i = 0; i < manifest->n_images; i++)
        if (nx_tree_boot(gather->tree, i, take_chunk, gather, &left, err) < 0)
            return -1;
    if (gather->count == 0)
        return 0;
    qsort(gather->blobs, gather->count, sizeof *gather->blobs, by_offset);
    gather->count = drop_repeated(gather->blobs, gather->count);
    gather->count = cut_to(gather->blobs, gather->count, max);
    count_them(gather, report);
    nx_blobs_want(gather->tree->blobs, gather->blobs, gather->count, NX_PRIORITY_BOOT,
                  NX_BOOT_REQUEST);
    return 0;
}

int nx_bootset_want(const struct nx_tree *tree, uint64_t max, struct nx_report *report,
                    struct nx_error *err)
{
    struct gather gather = { .tree = tree };
    int ret = tree->manifest->boot_chunks ? want(&gather, max, report, err) : 0;
    free(gather.blobs);
    return ret;
}
