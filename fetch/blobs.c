/* SPDX-License-Identifier: MIT */
/* Threads: the memos, the cache and the flights have their own locks; the front does not change
 * once there are several threads.
 */
#include "fetch/blobs.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "fetch/flight.h"
#include "fetch/memo.h"
#include "formats/chunk.h"

#define PAGES_MEMORY  (6u << 20) /* bytes of index pages kept in memory */
#define CHUNKS_MEMORY (8u << 20) /* bytes of fetched chunks, for those that readahead brought */
#define LOST_MAX      16         /* times that a blob may leave memory between landing and use */

struct nx_blobs {
    struct nx_blobs_options options;
    struct nx_memo *pages;
    struct nx_memo *chunks;
    struct nx_flights *flights; /* NULL: local, or offline */
    uint8_t *front;             /* the package's first bytes */
    size_t front_len;
    size_t front_cached; /* so many of them are in the cache */
    uint64_t boot_end;
    struct nx_chunkmap *map; /* or NULL */
};

/* ---- counting -------------------------------------------------------------- */

static void count_fetched(struct nx_blobs *blobs, const struct nx_blob *blob)
{
    struct nx_report *report = blobs->options.report;
    struct nx_stats *stats = &report->stats;
    if (blob->page) {
        nx_report_add(report, &stats->index_bytes, blob->size);
        return;
    }
    if (blobs->map)
        nx_chunkmap_mark(blobs->map, blob->image, blob->number, NX_MARK_FETCHED);
    nx_report_add(report, &stats->chunks_fetched, 1);
    nx_report_add(report, &stats->images[blob->image].chunks_fetched, 1);
    nx_report_add(report, &stats->images[blob->image].bytes, blob->size);
}

static void count_hit(struct nx_blobs *blobs, const struct nx_blob *blob)
{
    struct nx_report *report = blobs->options.report;
    if (blob->page)
        return;
    nx_report_add(report, &report->stats.cache_hits, 1);
    nx_report_add(report, &report->stats.images[blob->image].cache_hits, 1);
}

/* ---- keeping --------------------------------------------------------------- */

static struct nx_memo *memo_of(struct nx_blobs *blobs, const struct nx_blob *blob)
{
    return blob->page ? blobs->pages : blobs->chunks;
}

static void keep_in_cache(struct nx_blobs *blobs, const struct nx_blob *blob,
                          struct nx_bytes *bytes)
{
    struct nx_report *report = blobs->options.report;
    if (!blobs->options.cache)
        return;
    nx_cache_put(blobs->options.cache, &blob->digest, bytes);
    if (!nx_cache_is_writable(blobs->options.cache))
        nx_memo_set_max(blobs->chunks, NX_BLOBS_UNCACHED_MAX);
    else if (!blob->page && blobs->options.count_kept)
        nx_report_add(report, &report->stats.have_bytes, blob->size);
}

/* A blob has come from the network (nx_flight_landed_fn). */
static void landed(const struct nx_blob *blob, struct nx_bytes *bytes, bool fresh, void *opaque)
{
    struct nx_blobs *blobs = opaque;
    if (!fresh) {
        keep_in_cache(blobs, blob, bytes);
        return;
    }
    count_fetched(blobs, blob);
    if (!blob->page && blob->offset + blob->size <= blobs->boot_end)
        nx_report_add(blobs->options.report, &blobs->options.report->stats.boot_have, blob->size);
    nx_memo_put(memo_of(blobs, blob), &blob->digest, bytes);
}

/* (nx_flight_busy_fn) */
static bool is_busy(void *opaque)
{
    const struct nx_blobs *blobs = opaque;
    return blobs->options.cache && nx_cache_is_busy(blobs->options.cache);
}

/* ---- sources --------------------------------------------------------------- */

static bool is_in_front(const struct nx_blobs *blobs, const struct nx_blob *blob)
{
    return blob->offset < blobs->front_len && blob->size <= blobs->front_len - blob->offset;
}

static struct nx_bytes *get_from_front(struct nx_blobs *blobs, const struct nx_blob *blob)
{
    if (!is_in_front(blobs, blob))
        return NULL;
    const uint8_t *data = blobs->front + blob->offset;
    struct nx_bytes *bytes = NULL;
    if (nx_chunk_verify(data, blob->size, &blob->digest, NULL) < 0 ||
        !(bytes = nx_bytes_copy(data, blob->size)))
        return NULL;
    bool hit = blob->offset + blob->size <= blobs->front_cached;
    (hit ? count_hit : count_fetched)(blobs, blob);
    /* The cache has it as a part of a head, which may go before it, too. */
    if (!hit || (blobs->options.cache && !nx_cache_has(blobs->options.cache, &blob->digest)))
        keep_in_cache(blobs, blob, bytes);
    nx_memo_put(memo_of(blobs, blob), &blob->digest, bytes);
    return bytes;
}

static struct nx_bytes *get_from_cache(struct nx_blobs *blobs, const struct nx_blob *blob)
{
    struct nx_bytes *bytes =
        blobs->options.cache ? nx_cache_get(blobs->options.cache, &blob->digest) : NULL;
    if (!bytes)
        return NULL;
    count_hit(blobs, blob);
    if (blob->page)
        nx_memo_put(blobs->pages, &blob->digest, bytes);
    return bytes;
}

static int get_from_file(struct nx_blobs *blobs, const struct nx_blob *blob,
                         struct nx_bytes **ret_bytes, struct nx_error *err)
{
    const struct nx_blobs_options *options = &blobs->options;
    NX_AUTO_BYTES struct nx_bytes *bytes = nx_bytes_new(blob->size);
    if (!bytes)
        return nx_fail_errno(err, "%s", options->name);
    if (nx_parts_read(options->parts, bytes->data, blob->size, blob->offset, err) < 0)
        return -1;
    nx_report_add(options->report, &options->report->stats.requests, 1);
    nx_report_add(options->report, &options->report->stats.bytes, blob->size);
    uint64_t within;
    char until[NX_VOLUME_UNTIL];
    const char *file = nx_parts_where(options->parts, blob->offset, &within);
    if (nx_chunk_verify(bytes->data, blob->size, &blob->digest, err) < 0)
        return nx_fail_while(
            err, "%s: damaged: %s at offset %" PRIu64 "%s", file,
            blob->page ? "index page" : "chunk", within,
            nx_volumes_until(&options->parts->volumes, blob->offset, blob->size, until));
    count_fetched(blobs, blob);
    if (blob->page)
        nx_memo_put(blobs->pages, &blob->digest, bytes);
    if (options->keep_local)
        keep_in_cache(blobs, blob, bytes);
    *ret_bytes = NX_STEAL(bytes);
    return 0;
}

/* What needs no waiting; NULL if it is not here. */
static struct nx_bytes *get_from_here(struct nx_blobs *blobs, const struct nx_blob *blob)
{
    struct nx_bytes *bytes = nx_memo_get(memo_of(blobs, blob), &blob->digest);
    if (!bytes)
        bytes = get_from_front(blobs, blob);
    if (!bytes)
        bytes = get_from_cache(blobs, blob);
    return bytes;
}

static int get_from_network(struct nx_blobs *blobs, const struct nx_blob *blob,
                            struct nx_bytes **ret_bytes, struct nx_error *err)
{
    for (int lost = 0; lost < LOST_MAX; lost++) {
        if (nx_flights_wait(blobs->flights, blob, ret_bytes, err) < 0)
            return -1;
        if (!*ret_bytes)
            *ret_bytes = get_from_here(blobs, blob);
        if (*ret_bytes)
            return 0;
    }
    return nx_fail(err, NX_ERR_SYSTEM, "no memory for a chunk of %" PRIu32 " bytes", blob->size);
}

static int get_from_afar(struct nx_blobs *blobs, const struct nx_blob *blob,
                         struct nx_bytes **ret_bytes, struct nx_error *err)
{
    if (blobs->options.parts)
        return get_from_file(blobs, blob, ret_bytes, err);
    if (blobs->flights)
        return get_from_network(blobs, blob, ret_bytes, err);
    return nx_fail(
        err, NX_ERR_NETWORK,
        "%s: %s at offset %" PRIu64
        " is not in the cache, and --offline forbids to fetch it: run nxfetch pull first",
        blobs->options.name, blob->page ? "the index page" : "the chunk", blob->offset);
}

int nx_blobs_get(struct nx_blobs *blobs, const struct nx_blob *blob, struct nx_bytes **ret_bytes,
                 struct nx_error *err)
{
    NX_AUTO_BYTES struct nx_bytes *bytes = get_from_here(blobs, blob);
    if (!bytes && get_from_afar(blobs, blob, &bytes, err) < 0)
        return -1;
    assert(bytes);
    /* A forged index may give one digest two sizes. */
    if (bytes->len != blob->size)
        return nx_fail(err, NX_ERR_FORMAT,
                       "%s: the index says %" PRIu32 " bytes at offset %" PRIu64
                       ", but their digest is that of %zu bytes",
                       blobs->options.name, blob->size, blob->offset, bytes->len);
    *ret_bytes = NX_STEAL(bytes);
    return 0;
}

struct nx_bytes *nx_blobs_peek(struct nx_blobs *blobs, const struct nx_blob *blob)
{
    NX_AUTO_BYTES struct nx_bytes *bytes = get_from_here(blobs, blob);
    if (!bytes && (!blobs->options.parts || get_from_file(blobs, blob, &bytes, NULL) < 0))
        return NULL;
    return bytes->len == blob->size ? NX_STEAL(bytes) : NULL;
}

bool nx_blobs_has(struct nx_blobs *blobs, const struct nx_blob *blob)
{
    NX_AUTO_BYTES struct nx_bytes *bytes = nx_memo_get(memo_of(blobs, blob), &blob->digest);
    return bytes || is_in_front(blobs, blob) ||
           (blobs->options.cache && nx_cache_has(blobs->options.cache, &blob->digest));
}

bool nx_blobs_is_near(const struct nx_blobs *blobs, const struct nx_blob *blob)
{
    return blobs->options.parts || is_in_front(blobs, blob);
}

bool nx_blobs_is_coming(struct nx_blobs *blobs, const struct nx_blob *blob)
{
    return blobs->flights && nx_flights_has(blobs->flights, &blob->digest);
}

static int by_offset(const void *a, const void *b)
{
    uint64_t x = ((const struct nx_blob *)a)->offset, y = ((const struct nx_blob *)b)->offset;
    return (x > y) - (x < y);
}

size_t nx_blobs_want(struct nx_blobs *blobs, const struct nx_blob *wanted, size_t count,
                     enum nx_priority priority, uint64_t request_max)
{
    if (!blobs->flights || count == 0)
        return 0; /* a file needs no readahead of ours */
    NX_AUTO_FREE struct nx_blob *missing = calloc(count, sizeof(*missing));
    if (!missing) {
        nx_flights_cannot_begin(blobs->flights, priority);
        return 0;
    }
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        if (!nx_blobs_has(blobs, &wanted[i]))
            missing[n++] = wanted[i];
    if (n == 0)
        return 0;
    qsort(missing, n, sizeof(*missing), by_offset);
    nx_flights_begin(blobs->flights, missing, n, priority, request_max);
    return n;
}

int nx_blobs_wait_below(struct nx_blobs *blobs, uint64_t bytes, struct nx_error *err)
{
    return blobs->flights ? nx_flights_wait_below(blobs->flights, bytes, err) : 0;
}

uint64_t nx_blobs_under_way(struct nx_blobs *blobs)
{
    return blobs->flights ? nx_flights_bytes(blobs->flights) : 0;
}

/* ---- new and free ---------------------------------------------------------- */

int nx_blobs_new(const struct nx_blobs_options *options, struct nx_blobs **ret_blobs,
                 struct nx_error *err)
{
    NX_AUTO_BLOBS struct nx_blobs *blobs = calloc(1, sizeof(*blobs));
    if (!blobs)
        return nx_fail_errno(err, "blobs");
    blobs->options = *options;
    if (nx_memo_new(PAGES_MEMORY, &blobs->pages, err) < 0 ||
        nx_memo_new(options->cache || options->parts ? CHUNKS_MEMORY : NX_BLOBS_UNCACHED_MAX,
                    &blobs->chunks, err) < 0)
        return -1;
    if (options->transport && nx_flights_new(options->transport, options->report, landed, is_busy,
                                             blobs, &blobs->flights, err) < 0)
        return -1;
    *ret_blobs = NX_STEAL(blobs);
    return 0;
}

int nx_blobs_set_front(struct nx_blobs *blobs, const void *data, size_t len, size_t cached,
                       struct nx_error *err)
{
    blobs->front = malloc(len);
    if (!blobs->front)
        return nx_fail_errno(err, "the package's head");
    memcpy(blobs->front, data, len);
    blobs->front_len = len;
    blobs->front_cached = cached;
    return 0;
}

void nx_blobs_set_map(struct nx_blobs *blobs, struct nx_chunkmap *map)
{
    blobs->map = map;
}

void nx_blobs_set_boot_end(struct nx_blobs *blobs, uint64_t offset)
{
    blobs->boot_end = offset;
}

const char *nx_blobs_name(const struct nx_blobs *blobs)
{
    return blobs->options.name;
}

void nx_blobs_stop(struct nx_blobs *blobs)
{
    if (blobs && blobs->flights)
        nx_flights_stop(blobs->flights);
}

void nx_blobs_free(struct nx_blobs *blobs)
{
    if (!blobs)
        return;
    nx_flights_free(blobs->flights);
    nx_memo_free(blobs->pages);
    nx_memo_free(blobs->chunks);
    free(blobs->front);
    free(blobs);
}
