/* SPDX-License-Identifier: MIT */
/* Threads: one, that waits while the window is full; flights land on others. */
#include "fetch/pull.h"

#include <string.h>

#define GATHER_MAX 1024 /* chunks */
#define TURNS      3 /* walks in search of what is missing; what others remove meanwhile comes again */

/* Chunks gathered for the next ranges. */
struct gather {
    const struct nx_pull_options *options;
    struct nx_blob blobs[GATHER_MAX];
    size_t count;
    uint64_t bytes;
    bool check; /* look at the bytes of what is in the cache */
    uint64_t bytes_seen, chunks_missed;
};

/* What was walked over and is not on its way is here; what lands until the next call is added by who keeps it (blobs.h).
 * Equal chunks are counted each time, so that it could be all too soon: that is for nx_pull() to tell.
 */
static void show_progress(const struct gather *gather)
{
    struct nx_report *report = gather->options->report;
    uint64_t total = gather->options->tree->manifest->chunks.size;
    uint64_t missing = nx_blobs_under_way(gather->options->tree->blobs);
    uint64_t here = gather->bytes_seen > missing ? gather->bytes_seen - missing : 0;
    nx_report_set(report, &report->stats.have_bytes, here < total || !total ? here : total - 1);
}

/* Do not fetch faster than the cache's disk takes it: there must be room for what is on its way, or it is not kept. */
static int wait_for_cache(const struct nx_pull_options *options, struct nx_error *err)
{
    return nx_cache_wait_below(
        options->cache, NX_CACHE_QUEUE_MAX - options->window - 2 * options->request_max, err);
}

static int send_off(struct gather *gather, struct nx_error *err)
{
    const struct nx_pull_options *options = gather->options;
    struct nx_blobs *blobs = options->tree->blobs;
    if (nx_blobs_wait_below(blobs, options->window, err) < 0 || wait_for_cache(options, err) < 0)
        return -1;
    nx_blobs_want(blobs, gather->blobs, gather->count, NX_PRIORITY_BACKGROUND,
                  options->request_max);
    gather->count = 0;
    gather->bytes = 0;
    show_progress(gather);
    return 0;
}

/* Is the chunk in the cache?  A pull looks at the bytes: who asked for it wants to rely on them. */
static bool is_kept(const struct gather *gather, const struct nx_blob *blob)
{
    struct nx_cache *cache = gather->options->cache;
    if (!gather->check)
        return nx_cache_has(cache, &blob->digest);
    NX_AUTO_BYTES struct nx_bytes *bytes = nx_cache_get(cache, &blob->digest);
    return bytes != NULL;
}

static int add_chunk(struct gather *gather, const struct nx_blob *blob, struct nx_error *err)
{
    gather->bytes_seen += blob->size;
    if (is_kept(gather, blob))
        return 0;
    gather->chunks_missed++;
    gather->blobs[gather->count++] = *blob;
    gather->bytes += blob->size;
    if (gather->count < GATHER_MAX && gather->bytes < gather->options->request_max)
        return 0;
    return send_off(gather, err);
}

/* A source that nothing flies from: each chunk is read, and kept, at once. */
static int take_chunk(struct gather *gather, const struct nx_blob *blob, struct nx_error *err)
{
    NX_AUTO_BYTES struct nx_bytes *bytes = NULL;
    gather->bytes_seen += blob->size;
    show_progress(gather);
    if (is_kept(gather, blob))
        return 0;
    gather->chunks_missed++;
    if (nx_blobs_get(gather->options->tree->blobs, blob, &bytes, err) < 0)
        return -1;
    return wait_for_cache(gather->options, err);
}

static int pull_leaf(struct gather *gather, unsigned image, const struct nx_leaf *leaf,
                     struct nx_error *err)
{
    const struct nx_tree *tree = gather->options->tree;
    for (unsigned slot = 0; slot < NX_INDEX_FANOUT; slot++) {
        struct nx_blob blob;
        if (!nx_leaf_chunk(tree, leaf, image, leaf->first + slot, &blob))
            continue;
        bool here = nx_blobs_is_near(tree->blobs, &blob);
        if ((here ? take_chunk : add_chunk)(gather, &blob, err) < 0)
            return -1;
    }
    return 0;
}

static int pull_image(struct gather *gather, unsigned image, struct nx_error *err)
{
    uint64_t left = gather->options->tree->manifest->index.size;
    for (uint64_t n = 0;;) {
        NX_AUTO_LEAF struct nx_leaf leaf = { 0 };
        if (nx_tree_next_leaf(gather->options->tree, image, n, &leaf, err) < 0)
            return -1;
        if (!leaf.page)
            return 0;
        if (leaf.page->len > left)
            return nx_fail(err, NX_ERR_FORMAT, "image %u: pages of its index come again and again",
                           image);
        left -= leaf.page->len;
        if (pull_leaf(gather, image, &leaf, err) < 0)
            return -1;
        n = leaf.first + NX_INDEX_FANOUT;
    }
}

/* Fetch what the cache has not, and wait until it is kept. */
static int pull_missing(struct gather *gather, struct nx_error *err)
{
    const struct nx_pull_options *options = gather->options;
    const struct nx_manifest *manifest = options->tree->manifest;
    gather->bytes_seen = gather->chunks_missed = 0;
    for (int turn = 0; turn < 2; turn++)
        for (unsigned i = 0; i < manifest->n_images; i++)
            if ((manifest->images[i].role == NX_IMAGE_MEMORY) == (turn == !options->memory_first) &&
                pull_image(gather, i, err) < 0)
                return -1;
    if (send_off(gather, err) < 0 || nx_blobs_wait_below(options->tree->blobs, 1, err) < 0)
        return -1;
    show_progress(gather);
    return nx_cache_flush(options->cache, err);
}

int nx_pull(const struct nx_pull_options *options, struct nx_error *err)
{
    struct nx_report *report = options->report;
    NX_AUTO_FREE struct gather *gather = calloc(1, sizeof(*gather));
    if (!gather)
        return nx_fail_errno(err, "pull");
    gather->options = options;
    gather->check = options->check;
    for (int turn = 0; turn < TURNS; turn++) {
        if (pull_missing(gather, err) < 0)
            return -1;
        if (gather->chunks_missed == 0) {
            nx_report_set(report, &report->stats.have_bytes, options->tree->manifest->chunks.size);
            return 0;
        }
        gather->check = false; /* what has just come was checked */
    }
    return nx_fail(
        err, NX_ERR_SYSTEM,
        "the cache does not keep the package: %llu chunks were missing again; others may "
        "fill it at the same time, or clear it: raise its limit with --cache-size",
        (unsigned long long)gather->chunks_missed);
}
