/* SPDX-License-Identifier: MIT */
/* The caller's thread walks the index, workers read, check and decode chunks, and the
 * consumer, which sees them in order, hands them on (pipeline.h).
 */
#include "pack/reader.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "common/interrupt.h"
#include "common/io.h"
#include "common/progress.h"
#include "formats/chunk.h"
#include "formats/domain.h"
#include "formats/index.h"
#include "pack/pipeline.h"

#define RING_BYTES (96 * 1024 * 1024)

int nx_reading_open(struct nx_reading *reading, const char *path, struct nx_error *err)
{
    *reading = (struct nx_reading)NX_READING_INIT;
    reading->name = path;
    if (nx_parts_open(&reading->parts, path, O_RDONLY, err) < 0)
        return -1;
    if (nx_head_read(nx_parts_fd(&reading->parts), path, &reading->head, err) < 0 ||
        nx_parts_settle(&reading->parts, reading->head->manifest, err) < 0) {
        nx_reading_release(reading);
        return -1;
    }
    const struct nx_buffer *domain = &reading->head->domain_xml;
    if (nx_domain_validate(domain->data, domain->len, "domain.xml", err) < 0) {
        nx_reading_release(reading);
        return nx_fail_while(err, "%s", path);
    }
    return 0;
}

void nx_reading_release(struct nx_reading *reading)
{
    nx_parts_release(&reading->parts);
    nx_head_free(reading->head);
    *reading = (struct nx_reading)NX_READING_INIT;
}

uint64_t nx_reading_total(const struct nx_reading *reading)
{
    const struct nx_manifest *m = reading->head->manifest;
    uint64_t total = 0;
    for (unsigned i = 0; i < m->n_images; i++)
        total += m->images[i].chunks * m->images[i].chunk_size;
    return total;
}

/* ---- the walk ---- */

struct walk {
    const struct nx_reading *reading;
    const struct nx_image *image;
    nx_chunk_visit_fn *visit;
    void *opaque;
    uint64_t chunks; /* seen so far */
    uint64_t left; /* bytes of the index: forged pages may lead to the same ones again and again */
};

static int read_page(struct walk *w, uint8_t *page, const struct nx_index_entry *entry,
                     unsigned level, uint64_t first, struct nx_error *err)
{
    const struct nx_reading *reading = w->reading;
    const struct nx_manifest *m = reading->head->manifest;
    uint64_t at = m->index.offset + entry->offset, within;
    const char *name = nx_parts_where(&reading->parts, at, &within);
    if (entry->size > w->left)
        return nx_fail(err, NX_ERR_FORMAT, "%s: image %s: pages of its index come again and again",
                       reading->name, w->image->name);
    w->left -= entry->size;
    if (nx_parts_read(&reading->parts, page, entry->size, at, err) < 0)
        return -1;
    struct nx_digest digest;
    nx_digest_of(page, entry->size, &digest);
    if (!nx_digest_equal(&digest, &entry->digest))
        return nx_fail(err, NX_ERR_FORMAT,
                       "%s: image %s, index page at offset %" PRIu64 ": damaged: its digest is "
                       "not what its parent says",
                       name, w->image->name, within);
    if (nx_index_page_check(page, entry->size, level, first, m, w->image, err) < 0)
        return nx_fail_while(err, "%s: image %s, at offset %" PRIu64, name, w->image->name, within);
    return 0;
}

/* At most NX_INDEX_LEVELS_MAX deep: the level falls by one with each call. */
static int walk(struct walk *w, const struct nx_index_entry *entry, unsigned level, uint64_t first,
                struct nx_error *err)
{
    uint8_t page[NX_INDEX_PAGE_MAX];
    if (nx_check_interrupt(err) < 0 || read_page(w, page, entry, level, first, err) < 0)
        return -1;
    unsigned slot = nx_index_page_next(page, 0);
    for (; slot < NX_INDEX_FANOUT; slot = nx_index_page_next(page, slot + 1)) {
        struct nx_index_entry child;
        nx_index_page_get(page, slot, &child);
        uint64_t number = first + ((uint64_t)slot << (8 * level));
        w->chunks += level == 0;
        int ret = level ? walk(w, &child, level - 1, number, err)
                        : w->visit(number, &child, w->opaque, err);
        if (ret < 0)
            return -1;
    }
    return 0;
}

int nx_reading_walk(const struct nx_reading *reading, const struct nx_image *image,
                    nx_chunk_visit_fn *visit, void *opaque, struct nx_error *err)
{
    struct walk w = { reading, image, visit, opaque, 0, reading->head->manifest->index.size };
    const struct nx_index_entry root = { image->root.offset, (uint32_t)image->root.size,
                                         image->root_digest };
    if (walk(&w, &root, nx_index_levels(nx_image_chunk_count(image)) - 1, 0, err) < 0)
        return -1;
    if (w.chunks != image->chunks)
        return nx_fail(err, NX_ERR_FORMAT,
                       "%s: image %s: %" PRIu64 " chunks, its manifest says %" PRIu64,
                       reading->name, image->name, w.chunks, image->chunks);
    return 0;
}

/* ---- stored bytes ---- */

int nx_reading_chunk(const struct nx_reading *reading, const struct nx_index_entry *entry,
                     void *buf, struct nx_error *err)
{
    uint64_t at = reading->head->manifest->chunks.offset + entry->offset;
    if (nx_parts_read(&reading->parts, buf, entry->size, at, err) < 0)
        return -1;
    return nx_chunk_verify(buf, entry->size, &entry->digest, err);
}

const char *nx_reading_where(const struct nx_reading *reading, const struct nx_index_entry *entry,
                             uint64_t *ret_within)
{
    return nx_parts_where(&reading->parts, reading->head->manifest->chunks.offset + entry->offset,
                          ret_within);
}

int nx_reading_state(const struct nx_reading *reading, struct nx_buffer *ret_state,
                     struct nx_error *err)
{
    const struct nx_manifest *m = reading->head->manifest;
    struct nx_digest digest;
    nx_buffer_init(ret_state, NX_DEVICE_STATE_STORED_MAX);
    if (nx_buffer_reserve(ret_state, m->device_state.size, err) < 0 ||
        nx_parts_read(&reading->parts, ret_state->data, m->device_state.size,
                      m->device_state.offset, err) < 0)
        return -1;
    ret_state->len = m->device_state.size;
    nx_digest_of(ret_state->data, ret_state->len, &digest);
    return nx_digest_equal(&digest, &m->device_state_digest)
               ? 0
               : nx_fail(err, NX_ERR_FORMAT, "%s: its device state is damaged", reading->name);
}

/* ---- whole images ---- */

/* A chunk on its way; a slot of the pipeline. */
struct item {
    uint64_t number;
    struct nx_index_entry entry;
    size_t len; /* of raw */
    uint8_t *stored, *raw;
    struct nx_digest content;
};

struct replay {
    const struct nx_reading *reading;
    const struct nx_image *image;
    nx_chunk_sink_fn *sink;
    void *opaque;
    uint64_t *progress;
    struct nx_pipeline *pipeline;
    struct item *ring;
    size_t ring_size;
    struct nx_hash *content; /* the consumer's */
};

/* ---- workers ---- */

struct worker {
    const struct replay *replay;
    struct nx_decompressor *decompressor;
};

static void worker_free(void *opaque)
{
    struct worker *worker = opaque;
    nx_decompressor_free(worker->decompressor);
    free(worker);
}

static void *worker_new(void *opaque, struct nx_error *err)
{
    struct worker *worker = calloc(1, sizeof *worker);
    if (worker) {
        worker->replay = opaque;
        worker->decompressor = nx_decompressor_new();
        if (worker->decompressor)
            return worker;
        worker_free(worker);
    }
    nx_fail_errno(err, "decompressor");
    return NULL;
}

static int decode(const struct worker *worker, struct item *item, struct nx_error *err)
{
    const struct nx_reading *reading = worker->replay->reading;
    uint64_t within;
    char until[NX_VOLUME_UNTIL];
    const char *name = nx_reading_where(reading, &item->entry, &within);
    uint64_t at = reading->head->manifest->chunks.offset + item->entry.offset;
    if (nx_reading_chunk(reading, &item->entry, item->stored, err) < 0 ||
        nx_chunk_decode(worker->decompressor, item->stored, item->entry.size, item->raw, item->len,
                        err) < 0)
        return nx_fail_while(
            err, "%s: image %s, chunk %" PRIu64 ", at offset %" PRIu64 "%s", name,
            worker->replay->image->name, item->number, within,
            nx_volumes_until(&reading->parts.volumes, at, item->entry.size, until));
    nx_digest_of(item->raw, item->len, &item->content);
    return 0;
}

static int work(void *opaque, void *slot, struct nx_error *err)
{
    return decode(opaque, slot, err);
}

/* ---- the consumer ---- */

static int consume(void *opaque, void *slot, struct nx_error *err)
{
    struct replay *r = opaque;
    const struct item *item = slot;
    nx_content_add(r->content, item->number, &item->content);
    *r->progress += item->len;
    nx_progress_update(*r->progress);
    if (!r->sink)
        return 0;
    return r->sink(item->number * r->image->chunk_size, item->raw, item->len, r->opaque, err);
}

static const struct nx_pipeline_ops ops = {
    .worker_new = worker_new,
    .worker_free = worker_free,
    .work = work,
    .consume = consume,
};

/* ---- the producer ---- */

static int submit_chunk(uint64_t number, const struct nx_index_entry *entry, void *opaque,
                        struct nx_error *err)
{
    struct replay *r = opaque;
    void *slot;
    if (nx_check_interrupt(err) < 0)
        return -1;
    if (nx_pipeline_next(r->pipeline, true, &slot) < 0)
        return nx_pipeline_finish(r->pipeline, err);
    struct item *item = slot;
    item->number = number;
    item->entry = *entry;
    item->len = nx_image_chunk_bytes(r->image, number);
    nx_pipeline_submit(r->pipeline, item);
    return 0;
}

static int replay(struct replay *r, struct nx_error *err)
{
    const struct nx_image *image = r->image;
    if (nx_reading_walk(r->reading, image, submit_chunk, r, err) < 0 ||
        nx_pipeline_finish(r->pipeline, err) < 0)
        return -1;
    struct nx_digest content;
    nx_hash_finish(r->content, &content);
    if (!nx_digest_equal(&content, &image->content))
        return nx_fail(err, NX_ERR_FORMAT, "%s: image %s: not the content that its manifest names",
                       r->reading->name, image->name);
    return 0;
}

/* ---- all together ---- */

static void free_ring(struct replay *r)
{
    for (size_t i = 0; r->ring && i < r->ring_size; i++) {
        free(r->ring[i].stored);
        free(r->ring[i].raw);
    }
    free(r->ring);
}

static int make_ring(struct replay *r, unsigned threads, struct nx_error *err)
{
    size_t chunk_size = r->image->chunk_size;
    r->ring_size = 8 * threads;
    if (r->ring_size > RING_BYTES / (2 * chunk_size))
        r->ring_size = RING_BYTES / (2 * chunk_size);
    r->ring = calloc(r->ring_size, sizeof *r->ring);
    if (!r->ring)
        return nx_fail_errno(err, "buffers");
    for (size_t i = 0; i < r->ring_size; i++) {
        r->ring[i].stored = malloc(chunk_size);
        r->ring[i].raw = malloc(chunk_size);
        if (!r->ring[i].stored || !r->ring[i].raw)
            return nx_fail_errno(err, "buffers");
    }
    return 0;
}

int nx_reading_image(const struct nx_reading *reading, const struct nx_image *image,
                     unsigned threads, nx_chunk_sink_fn *sink, void *opaque, uint64_t *progress,
                     struct nx_error *err)
{
    NX_AUTO_HASH struct nx_hash *content = nx_hash_new();
    struct replay r = { .reading = reading,
                        .image = image,
                        .sink = sink,
                        .opaque = opaque,
                        .progress = progress,
                        .content = content };
    if (!content)
        return nx_fail_errno(err, "%s", image->name);
    nx_content_start(content, image->size, image->chunk_size);
    int ret = make_ring(&r, threads, err);
    if (ret == 0)
        ret = nx_pipeline_new(&ops, &r, r.ring, sizeof *r.ring, r.ring_size, threads, &r.pipeline,
                              err);
    if (ret == 0)
        ret = replay(&r, err);
    nx_pipeline_free(r.pipeline);
    free_ring(&r);
    return ret;
}
