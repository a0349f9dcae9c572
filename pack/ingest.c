/* SPDX-License-Identifier: MIT */
/* The caller's thread keeps reads in flight, workers hash and compress, and the
 * consumer, which sees the chunks in order, adds them to the store (pipeline.h).
 */
#include "pack/ingest.h"

#include <inttypes.h>
#include <string.h>

#include "common/interrupt.h"
#include "common/progress.h"
#include "formats/chunk.h"
#include "pack/pipeline.h"

/* Read at once; a chunk if that is larger.  All slots together should fit into a processor's cache. */
#define BATCH_BYTES (256 * 1024)
#define RING_BYTES  (96 * 1024 * 1024)
#define IN_FLIGHT   8

/* What a worker found out about a chunk. */
struct chunk {
    bool zero;
    struct nx_digest content;
    size_t size;
    struct nx_digest digest; /* of the stored bytes */
};

/* Some neighbouring chunks on their way; a slot of the pipeline. */
struct batch {
    struct ingest *ingest;
    uint64_t first; /* number of its first chunk */
    unsigned count;
    size_t len;      /* bytes of raw */
    uint8_t *raw;    /* each of batch_bytes */
    uint8_t *stored; /* chunk i at i * chunk_size */
    struct chunk *chunks;
};

struct ingest {
    struct nx_source *source;
    struct nx_image *image;
    struct nx_store *store;
    const struct nx_ingest_options *options;
    struct nx_pipeline *pipeline;
    size_t batch_bytes;
    struct batch *ring;
    size_t ring_size;
    struct nx_hash *content; /* the consumer's */
};

int nx_source_measure(struct nx_source *source, uint32_t chunk_size, uint64_t *ret_size,
                      struct nx_index_bound *ret_bound, struct nx_error *err)
{
    struct nx_span run = { 0, 0 };
    uint64_t size = 0;
    nx_index_bound_start(ret_bound, (nx_source_size(source) + chunk_size - 1) / chunk_size);
    for (;;) {
        if (nx_source_next_data(source, run.offset + run.size, &run, err) < 0)
            return -1;
        if (run.size == 0)
            break;
        nx_index_bound_add(ret_bound, run.offset / chunk_size,
                           (run.offset + run.size - 1) / chunk_size);
        size += run.size;
    }
    *ret_size = size;
    return 0;
}

/* ---- workers ---- */

static void *worker_new(void *opaque, struct nx_error *err)
{
    const struct ingest *in = opaque;
    struct nx_compressor *compressor = nx_compressor_new(in->options->level);
    if (!compressor)
        nx_fail_errno(err, "compressor");
    return compressor;
}

static void worker_free(void *worker)
{
    nx_compressor_free(worker);
}

static int encode_batch(void *worker, void *slot, struct nx_error *err)
{
    struct batch *batch = slot;
    size_t chunk_size = batch->ingest->image->chunk_size;
    for (unsigned i = 0; i < batch->count; i++) {
        struct chunk *chunk = &batch->chunks[i];
        const uint8_t *raw = batch->raw + i * chunk_size;
        uint8_t *stored = batch->stored + i * chunk_size;
        size_t left = batch->len - i * chunk_size;
        size_t len = left < chunk_size ? left : chunk_size;
        chunk->zero = nx_is_zero(raw, len);
        if (chunk->zero)
            continue;
        nx_digest_of(raw, len, &chunk->content);
        if (nx_chunk_encode(worker, raw, len, stored, &chunk->size, err) < 0)
            return -1;
        if (chunk->size == len)
            chunk->digest = chunk->content; /* it is stored as it is */
        else
            nx_digest_of(stored, chunk->size, &chunk->digest);
    }
    return 0;
}

/* ---- the consumer ---- */

static int add_batch(void *opaque, void *slot, struct nx_error *err)
{
    struct ingest *in = opaque;
    struct batch *batch = slot;
    for (unsigned i = 0; i < batch->count; i++) {
        const struct chunk *chunk = &batch->chunks[i];
        if (chunk->zero)
            continue;
        nx_content_add(in->content, batch->first + i, &chunk->content);
        in->image->chunks++;
        if (nx_store_add(in->store, batch->first + i, &chunk->content,
                         batch->stored + (size_t)i * in->image->chunk_size, (uint32_t)chunk->size,
                         &chunk->digest, err) < 0)
            return -1;
    }
    *in->options->progress += batch->len;
    if (*in->options->progress > in->options->total)
        *in->options->progress = in->options->total;
    nx_progress_update(*in->options->progress);
    return 0;
}

static const struct nx_pipeline_ops ops = {
    .worker_new = worker_new,
    .worker_free = worker_free,
    .work = encode_batch,
    .consume = add_batch,
};

/* ---- the producer ---- */

static void read_done(void *opaque)
{
    struct batch *batch = opaque;
    nx_pipeline_submit(batch->ingest->pipeline, batch);
}

/* A slot that may be filled.  While reads are in flight the connection is served, not slept beside. */
static int next_batch(struct ingest *in, struct batch **ret_batch, struct nx_error *err)
{
    for (;;) {
        unsigned in_flight = nx_source_in_flight(in->source);
        void *slot = NULL;
        if (in_flight < IN_FLIGHT && nx_pipeline_next(in->pipeline, in_flight == 0, &slot) < 0)
            return nx_pipeline_finish(in->pipeline, err);
        *ret_batch = slot;
        if (slot)
            return 0;
        if (nx_source_wait(in->source, err) < 0)
            return -1;
    }
}

/* Read the chunks that run touches, from chunk number *next on. */
static int read_run(struct ingest *in, const struct nx_span *run, uint64_t *next,
                    struct nx_error *err)
{
    const struct nx_image *image = in->image;
    uint64_t chunk_size = image->chunk_size;
    uint64_t last = (run->offset + run->size - 1) / chunk_size;
    uint64_t n = run->offset / chunk_size;
    if (n < *next)
        n = *next;
    while (n <= last) {
        struct batch *batch;
        if (next_batch(in, &batch, err) < 0)
            return -1;
        uint64_t count = in->batch_bytes / chunk_size;
        if (count > last - n + 1)
            count = last - n + 1;
        uint64_t left = image->size - n * chunk_size;
        batch->first = n;
        batch->count = (unsigned)count;
        batch->len = left < count * chunk_size ? (size_t)left : (size_t)(count * chunk_size);
        if (nx_source_start_read(in->source, batch->raw, batch->len, n * chunk_size, read_done,
                                 batch, err) < 0)
            return -1;
        n += count;
    }
    *next = n;
    return 0;
}

static int read_all(struct ingest *in, struct nx_error *err)
{
    struct nx_span run = { 0, 0 };
    uint64_t next = 0;
    for (;;) {
        if (nx_source_next_data(in->source, run.offset + run.size, &run, err) < 0)
            return -1;
        if (run.size == 0)
            break;
        if (read_run(in, &run, &next, err) < 0)
            return -1;
    }
    while (nx_source_in_flight(in->source))
        if (nx_source_wait(in->source, err) < 0)
            return -1;
    return nx_pipeline_finish(in->pipeline, err);
}

/* ---- all together ---- */

static void free_ring(struct ingest *in)
{
    for (size_t i = 0; in->ring && i < in->ring_size; i++) {
        free(in->ring[i].raw);
        free(in->ring[i].stored);
        free(in->ring[i].chunks);
    }
    free(in->ring);
}

static int make_ring(struct ingest *in, struct nx_error *err)
{
    size_t chunk_size = in->image->chunk_size;
    in->batch_bytes = chunk_size > BATCH_BYTES ? chunk_size : BATCH_BYTES;
    in->ring_size = 4 * in->options->threads + IN_FLIGHT;
    if (in->ring_size > RING_BYTES / (2 * in->batch_bytes))
        in->ring_size = RING_BYTES / (2 * in->batch_bytes);
    in->ring = calloc(in->ring_size, sizeof *in->ring);
    if (!in->ring)
        return nx_fail_errno(err, "buffers");
    for (size_t i = 0; i < in->ring_size; i++) {
        struct batch *batch = &in->ring[i];
        batch->ingest = in;
        batch->raw = malloc(in->batch_bytes);
        batch->stored = malloc(in->batch_bytes);
        batch->chunks = calloc(in->batch_bytes / chunk_size, sizeof *batch->chunks);
        if (!batch->raw || !batch->stored || !batch->chunks)
            return nx_fail_errno(err, "buffers");
    }
    return 0;
}

int nx_ingest(struct nx_source *source, struct nx_image *image, struct nx_store *store,
              const struct nx_ingest_options *options, struct nx_error *err)
{
    struct ingest in = { .source = source, .image = image, .store = store, .options = options };
    NX_AUTO_HASH struct nx_hash *content = nx_hash_new();
    if (!content)
        return nx_fail_errno(err, "%s", image->name);
    in.content = content;
    nx_content_start(content, image->size, image->chunk_size);
    image->chunks = 0;
    int ret = make_ring(&in, err);
    if (ret == 0)
        ret = nx_pipeline_new(&ops, &in, in.ring, sizeof *in.ring, in.ring_size, options->threads,
                              &in.pipeline, err);
    if (ret == 0)
        ret = read_all(&in, err);
    /* After a failure requests into the ring may be on their way: libnbd takes answers only when it is
     * asked to, so a source that failed is safe as long as it is only freed. */
    nx_pipeline_free(in.pipeline);
    free_ring(&in);
    if (ret == 0)
        nx_hash_finish(content, &image->content);
    return ret;
}
