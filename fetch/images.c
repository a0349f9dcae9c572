/* SPDX-License-Identifier: MIT */
/* Threads: each reader works on its own; shared are the decoded chunks (memo.h), the
 * decompressors that nobody uses now, and the readahead's streams, under the lock.
 */
#include "fetch/images.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#include "common/clock.h"
#include "fetch/memo.h"
#include "fetch/readahead.h"
#include "formats/chunk.h"

#define DECODED_MEMORY (12u << 20) /* bytes of decoded chunks: guests read 4 KiB of 64 KiB */
#define IDLE_MAX       8           /* decompressors kept */
#define AROUND_MIN     (64u << 10) /* bytes that come with a missing page of memory, aligned: … */
#define AROUND_CHUNKS  2           /* … but so many chunks, at least, with one of a disk: … */
#define AROUND_MAX     (1u << 20)
#define AROUND_MISSES  8    /* … twice as many after so many that were missing, … */
#define AROUND_MS      1000 /* … until none was for so long */
#define PIECE_CHUNKS   256  /* chunks that one step of a read deals with: those of a leaf */

struct nx_images {
    struct nx_tree tree;
    struct nx_report *report;
    struct nx_recorder *recorder; /* or NULL */
    struct nx_chunkmap *map;      /* or NULL */
    bool generous;                /* with disks, too */
    struct nx_memo *decoded;

    pthread_mutex_t lock;
    struct nx_decompressor *idle[IDLE_MAX];       /* under lock */
    unsigned n_idle;                              /* under lock */
    struct nx_readahead readahead[NX_IMAGES_MAX]; /* under lock */
    struct misses {
        unsigned count;      /* in a row */
        int64_t last;        /* ms */
    } misses[NX_IMAGES_MAX]; /* under lock */
};

/* ---- decoding -------------------------------------------------------------- */

static struct nx_decompressor *take_decompressor(struct nx_images *images)
{
    pthread_mutex_lock(&images->lock);
    struct nx_decompressor *d = images->n_idle ? images->idle[--images->n_idle] : NULL;
    pthread_mutex_unlock(&images->lock);
    return d ? d : nx_decompressor_new();
}

static void give_decompressor(struct nx_images *images, struct nx_decompressor *d)
{
    pthread_mutex_lock(&images->lock);
    if (images->n_idle < IDLE_MAX)
        images->idle[images->n_idle++] = NX_STEAL(d);
    pthread_mutex_unlock(&images->lock);
    nx_decompressor_free(d);
}

static int decode(struct nx_images *images, const struct nx_bytes *stored, size_t len,
                  struct nx_bytes **ret_raw, struct nx_error *err)
{
    NX_AUTO_BYTES struct nx_bytes *raw = nx_bytes_new(len);
    struct nx_decompressor *d = take_decompressor(images);
    if (!raw || !d) {
        nx_decompressor_free(d);
        return nx_fail_errno(err, "decompression");
    }
    int r = nx_chunk_decode(d, stored->data, stored->len, raw->data, len, err);
    give_decompressor(images, d);
    if (r < 0)
        return -1;
    *ret_raw = NX_STEAL(raw);
    return 0;
}

/* The decoded bytes of chunk number n. */
static int get_chunk(struct nx_images *images, unsigned image, uint64_t n,
                     const struct nx_blob *blob, struct nx_bytes **ret_raw, struct nx_error *err)
{
    const struct nx_image *img = &images->tree.manifest->images[image];
    size_t len = nx_image_chunk_bytes(img, n);
    NX_AUTO_BYTES struct nx_bytes *raw = nx_memo_get(images->decoded, &blob->digest);
    /* The same stored bytes may stand for two lengths only in a forged package; then decode again, and fail. */
    if (!raw || raw->len != len) {
        NX_AUTO_BYTES struct nx_bytes *stored = NULL;
        nx_bytes_unref(NX_STEAL(raw));
        if (nx_blobs_get(images->tree.blobs, blob, &stored, err) < 0)
            return nx_fail_while(err, "image %s", img->name);
        if (decode(images, stored, len, &raw, err) < 0)
            return nx_fail_while(err, "%s: image %s, chunk %" PRIu64 ", at offset %" PRIu64,
                                 nx_blobs_name(images->tree.blobs), img->name, n, blob->offset);
        nx_memo_put(images->decoded, &blob->digest, raw);
    }
    *ret_raw = NX_STEAL(raw);
    return 0;
}

/* ---- reading --------------------------------------------------------------- */

/* A run of an image's chunks within one leaf. */
struct piece {
    unsigned image;
    uint64_t first; /* number of the first chunk */
    unsigned count;
    bool present[PIECE_CHUNKS];
    struct nx_blob blobs[PIECE_CHUNKS];
};

static void look_up(const struct nx_images *images, const struct nx_leaf *leaf, uint64_t last,
                    struct piece *piece)
{
    piece->count = 0;
    for (uint64_t n = piece->first;
         n <= last && piece->count < PIECE_CHUNKS && n < leaf->first + NX_INDEX_FANOUT;
         n++, piece->count++)
        piece->present[piece->count] =
            nx_leaf_chunk(&images->tree, leaf, piece->image, n, &piece->blobs[piece->count]);
}

/* Begin to fetch the piece's chunks that are not here; were there any? */
static bool want(struct nx_images *images, const struct piece *piece, enum nx_priority priority)
{
    struct nx_blob blobs[PIECE_CHUNKS];
    size_t count = 0;
    for (unsigned i = 0; i < piece->count; i++) {
        NX_AUTO_BYTES struct nx_bytes *raw = NULL;
        if (piece->present[i] && !(raw = nx_memo_get(images->decoded, &piece->blobs[i].digest)))
            blobs[count++] = piece->blobs[i];
    }
    return nx_blobs_want(images->tree.blobs, blobs, count, priority, NX_BLOBS_REQUEST_MAX) > 0;
}

/* Are all of the piece's chunks here, or on their way? */
static bool is_coming(struct nx_images *images, const struct piece *piece)
{
    for (unsigned i = 0; i < piece->count; i++) {
        NX_AUTO_BYTES struct nx_bytes *raw = NULL;
        if (piece->present[i] && !(raw = nx_memo_get(images->decoded, &piece->blobs[i].digest)) &&
            !nx_blobs_has(images->tree.blobs, &piece->blobs[i]) &&
            !nx_blobs_is_coming(images->tree.blobs, &piece->blobs[i]))
            return false;
    }
    return true;
}

/* How much to fetch around what is missing.  A chunk costs a round trip, in which the line would carry hundreds
 * of KiB.  The few that a boot set has not foreseen should cost few bytes; but a machine that begins something new
 * wants thousands, and is quicker with all their neighbours.  docs/benchmarks.md has the figures.
 */
static uint64_t around_chunks(struct nx_images *images, unsigned image)
{
    const struct nx_image *img = &images->tree.manifest->images[image];
    struct misses *misses = &images->misses[image];
    pthread_mutex_lock(&images->lock);
    int64_t now = nx_now_ms();
    if (now - misses->last > AROUND_MS)
        misses->count = 0;
    misses->last = now;
    unsigned doublings = misses->count++ / AROUND_MISSES;
    pthread_mutex_unlock(&images->lock);
    uint64_t bytes = doublings < 4 ? (uint64_t)AROUND_MIN << doublings : AROUND_MAX;
    uint64_t chunks = bytes / img->chunk_size;
    return img->role != NX_IMAGE_MEMORY && chunks < AROUND_CHUNKS ? AROUND_CHUNKS : chunks;
}

/* As want(), with neighbours. */
static bool want_around(struct nx_images *images, const struct nx_leaf *leaf,
                        const struct piece *piece)
{
    const struct nx_image *img = &images->tree.manifest->images[piece->image];
    uint64_t chunks = is_coming(images, piece) ? 0 : around_chunks(images, piece->image);
    if (chunks < 2 || chunks > PIECE_CHUNKS)
        return want(images, piece, NX_PRIORITY_DEMAND);
    struct piece around = { .image = piece->image, .first = piece->first & ~(chunks - 1) };
    uint64_t last = around.first + chunks - 1, end = nx_image_chunk_count(img) - 1;
    look_up(images, leaf, last < end ? last : end, &around);
    /* A neighbour that comes anyway, with the boot set, is in no hurry. */
    for (unsigned i = 0; i < around.count; i++) {
        uint64_t n = around.first + i;
        bool asked = n >= piece->first && n < piece->first + piece->count;
        if (!asked && around.present[i] && nx_blobs_is_coming(images->tree.blobs, &around.blobs[i]))
            around.present[i] = false;
    }
    return want(images, &around, NX_PRIORITY_DEMAND);
}

/* Begin to fetch what is behind the read, as far as its leaf tells. */
static void want_ahead(struct nx_images *images, const struct nx_leaf *leaf, unsigned image,
                       uint64_t end, uint64_t ahead)
{
    const struct nx_image *img = &images->tree.manifest->images[image];
    uint64_t limit = ahead < img->size - end ? end + ahead : img->size;
    struct piece piece = { .image = image, .first = (end + img->chunk_size - 1) / img->chunk_size };
    if (limit <= piece.first * img->chunk_size || piece.first < leaf->first)
        return;
    look_up(images, leaf, (limit - 1) / img->chunk_size, &piece);
    want(images, &piece, NX_PRIORITY_READAHEAD);
}

/* How many bytes behind a piece of a read are worth fetching, when some of the piece had to be fetched or none. */
static uint64_t note_read(struct nx_images *images, unsigned image, uint64_t offset, uint64_t len,
                          bool missing)
{
    /* Memory is touched page by page, in no order. */
    if (images->tree.manifest->images[image].role == NX_IMAGE_MEMORY)
        return 0;
    pthread_mutex_lock(&images->lock);
    uint64_t ahead = nx_readahead_note(&images->readahead[image], offset, len, missing);
    pthread_mutex_unlock(&images->lock);
    return ahead;
}

/* What a read wants of the image. */
struct span {
    uint64_t offset;
    uint8_t *buf;
    size_t len;
};

static int copy_chunk(struct nx_images *images, const struct piece *piece, unsigned i,
                      struct span *span, struct nx_error *err)
{
    const struct nx_image *img = &images->tree.manifest->images[piece->image];
    uint64_t n = piece->first + i;
    size_t skip = (size_t)(span->offset - n * img->chunk_size);
    size_t len = nx_image_chunk_bytes(img, n) - skip;
    if (len > span->len)
        len = span->len;
    if (piece->present[i]) {
        NX_AUTO_BYTES struct nx_bytes *raw = NULL;
        if (get_chunk(images, piece->image, n, &piece->blobs[i], &raw, err) < 0) {
            if (images->map) /* in vain, so it was no hit */
                nx_chunkmap_mark(images->map, piece->image, n, NX_MARK_AWAITED);
            return -1;
        }
        if (images->recorder)
            nx_recorder_touch(images->recorder, piece->image, n);
        if (images->map)
            nx_chunkmap_mark(images->map, piece->image, n, NX_MARK_READ);
        memcpy(span->buf, raw->data + skip, len);
    } else {
        memset(span->buf, 0, len);
    }
    *span = (struct span){ span->offset + len, span->buf + len, span->len - len };
    return 0;
}

/* Some of the piece is not here: which of it will the reader wait for? */
static void note_awaited(struct nx_images *images, const struct piece *piece)
{
    for (unsigned i = 0; images->map && i < piece->count; i++) {
        uint64_t n = piece->first + i;
        if (piece->present[i] && !nx_blobs_has(images->tree.blobs, &piece->blobs[i]) &&
            !(nx_chunkmap_marks(images->map, piece->image, n) & (NX_MARK_FETCHED | NX_MARK_READ)))
            nx_chunkmap_mark(images->map, piece->image, n, NX_MARK_AWAITED);
    }
}

/* Read the front of the span: as much as one leaf and one piece hold. */
static int read_piece(struct nx_images *images, unsigned image, struct span *span,
                      struct nx_error *err)
{
    const struct nx_image *img = &images->tree.manifest->images[image];
    struct piece piece = { .image = image, .first = span->offset / img->chunk_size };
    NX_AUTO_LEAF struct nx_leaf leaf = { 0 };
    if (nx_tree_leaf(&images->tree, image, piece.first, &leaf, err) < 0)
        return -1;
    uint64_t end = span->offset + span->len;
    look_up(images, &leaf, (end - 1) / img->chunk_size, &piece);
    uint64_t piece_end = (piece.first + piece.count) * img->chunk_size;
    if (end > piece_end)
        end = piece_end;
    bool missing = img->role == NX_IMAGE_MEMORY || images->generous
                       ? want_around(images, &leaf, &piece)
                       : want(images, &piece, NX_PRIORITY_DEMAND);
    uint64_t ahead = note_read(images, image, span->offset, end - span->offset, missing);
    if (ahead)
        want_ahead(images, &leaf, image, end, ahead);
    int64_t begun = nx_now_ms();
    if (missing)
        note_awaited(images, &piece);
    for (unsigned i = 0; i < piece.count; i++)
        if (copy_chunk(images, &piece, i, span, err) < 0)
            return -1;
    if (missing)
        nx_report_add(images->report, &images->report->stats.images[image].waited_ms,
                      (uint64_t)(nx_now_ms() - begun));
    return 0;
}

int nx_images_read(struct nx_images *images, unsigned image, uint64_t offset, void *buf, size_t len,
                   struct nx_error *err)
{
    struct nx_image_stats *stats = &images->report->stats.images[image];
    struct span span = { offset, buf, len };
    while (span.len > 0)
        if (read_piece(images, image, &span, err) < 0)
            return -1;
    nx_report_add(images->report, &stats->reads, 1);
    nx_report_add(images->report, &stats->read_bytes, len);
    return 0;
}

/* ---- new and free ---------------------------------------------------------- */

int nx_images_open_roots(struct nx_images *images, struct nx_error *err)
{
    for (unsigned i = 0; i < images->tree.manifest->n_images; i++)
        if (nx_tree_root(&images->tree, i, err) < 0)
            return -1;
    return 0;
}

void nx_images_set_recorder(struct nx_images *images, struct nx_recorder *recorder)
{
    images->recorder = recorder;
}

void nx_images_set_map(struct nx_images *images, struct nx_chunkmap *map)
{
    images->map = map;
}

void nx_images_set_generous(struct nx_images *images)
{
    images->generous = true;
}

const struct nx_tree *nx_images_tree(const struct nx_images *images)
{
    return &images->tree;
}

int nx_images_new(const struct nx_manifest *manifest, struct nx_blobs *blobs,
                  struct nx_report *report, struct nx_images **ret_images, struct nx_error *err)
{
    NX_AUTO_IMAGES struct nx_images *images = calloc(1, sizeof(*images));
    if (!images)
        return nx_fail_errno(err, "images");
    pthread_mutex_init(&images->lock, NULL);
    images->tree = (struct nx_tree){ manifest, blobs };
    images->report = report;
    if (nx_memo_new(DECODED_MEMORY, &images->decoded, err) < 0)
        return -1;
    *ret_images = NX_STEAL(images);
    return 0;
}

void nx_images_free(struct nx_images *images)
{
    if (!images)
        return;
    nx_memo_free(images->decoded);
    while (images->n_idle > 0)
        nx_decompressor_free(images->idle[--images->n_idle]);
    pthread_mutex_destroy(&images->lock);
    free(images);
}
