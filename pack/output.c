/* SPDX-License-Identifier: MIT */
#include "pack/output.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/interrupt.h"
#include "common/progress.h"
#include "formats/package.h"

#define COPY_BYTES (1024 * 1024)

/* Bytes behind the index's last page that are rather left unused than all chunks copied, so many and that part of the
 * chunks'.
 */
#define UNUSED_MAX  (64 * 1024)
#define UNUSED_PART 256

/* Where the writer of the ZIP writes to. */
struct sink {
    const struct nx_newfile *file;
    bool standing; /* what comes stands in its place already */
};

static int to_file(const void *data, size_t len, void *opaque, struct nx_error *err)
{
    const struct sink *sink = opaque;
    if (!sink->standing)
        return nx_write_full(sink->file->fd, data, len, sink->file->path, err);
    return lseek(sink->file->fd, (off_t)len, SEEK_CUR) < 0
               ? nx_fail_errno(err, "%s", sink->file->path)
               : 0;
}

static int feed(struct nx_zip_writer *zip, struct nx_spool *spool, bool discard,
                struct nx_error *err)
{
    NX_AUTO_FREE char *buf = malloc(COPY_BYTES);
    if (!buf)
        return nx_fail_errno(err, "buffer");
    for (uint64_t at = 0; at < spool->size;) {
        size_t n = spool->size - at < COPY_BYTES ? (size_t)(spool->size - at) : COPY_BYTES;
        if (nx_check_interrupt(err) < 0 || nx_spool_read(spool, buf, n, at, err) < 0 ||
            nx_zip_write(zip, buf, n, err) < 0)
            return -1;
        at += n;
        if (discard)
            nx_spool_discard(spool, at);
        nx_progress_update(at);
    }
    return 0;
}

int nx_output_spool(struct nx_zip_writer *zip, struct nx_spool *spool, struct nx_error *err)
{
    return feed(zip, spool, true, err);
}

int nx_output_reserve(const struct nx_manifest *manifest, uint64_t index_max, uint64_t *ret_offset,
                      struct nx_error *err)
{
    NX_AUTO_FREE struct nx_manifest *m = malloc(sizeof *m);
    if (!m)
        return nx_fail_errno(err, "manifest");
    *m = *manifest;
    m->index.size = index_max;
    m->chunks.size = 0;
    for (unsigned i = 0; i < m->n_images; i++) {
        m->images[i].root = (struct nx_span){ index_max, NX_INDEX_PAGE_MAX };
        m->chunks.size += m->images[i].chunks * m->images[i].chunk_size;
    }
    if (nx_package_plan(m, err) < 0)
        return -1;
    *ret_offset = m->chunks.offset;
    return 0;
}

int nx_output_fit(struct nx_manifest *manifest, uint64_t offset, bool *ret_fits,
                  struct nx_error *err)
{
    uint64_t needed = manifest->index.size;
    uint64_t most = needed + UNUSED_MAX + manifest->chunks.size / UNUSED_PART;
    /* A larger index makes a longer manifest, so that it must be smaller again; where that goes
     * to and fro between two, there is none that fits.
     */
    for (int tries = 0; tries < 8; tries++) {
        if (nx_package_plan(manifest, err) < 0)
            return -1;
        *ret_fits = manifest->chunks.offset == offset;
        if (*ret_fits)
            return 0;
        manifest->index.size += offset - manifest->chunks.offset;
        if (manifest->index.size < needed || manifest->index.size > most)
            break;
    }
    manifest->index.size = needed;
    return 0;
}

/* A member must come to stand where the manifest, written before it, says. */
static int begin_member(struct nx_zip_writer *zip, const char *name, const struct nx_span *span,
                        struct nx_error *err)
{
    uint64_t offset;
    if (nx_zip_begin(zip, name, span->size, &offset, err) < 0)
        return -1;
    if (offset != span->offset)
        return nx_fail(err, NX_ERR_SYSTEM, "%s: libarchive put it at %" PRIu64 ", not %" PRIu64,
                       name, offset, span->offset);
    return 0;
}

static int write_state(const struct nx_output *output, struct nx_zip_writer *zip,
                       struct nx_error *err)
{
    if (!output->state)
        return 0;
    if (begin_member(zip, "device-state", &output->manifest->device_state, err) < 0 ||
        nx_zip_write(zip, output->state->data, output->state->len, err) < 0)
        return -1;
    return nx_zip_end(zip, NULL, err);
}

/* Zeros up to the end of the member. */
static int write_unused(struct nx_zip_writer *zip, uint64_t len, struct nx_error *err)
{
    static const uint8_t zeros[4096];
    for (uint64_t n; len > 0; len -= n) {
        n = len < sizeof zeros ? len : sizeof zeros;
        if (nx_zip_write(zip, zeros, n, err) < 0)
            return -1;
    }
    return 0;
}

static int write_index(const struct nx_output *output, struct nx_zip_writer *zip,
                       struct nx_error *err)
{
    struct nx_layout *layout = output->layout;
    if (begin_member(zip, "index", &output->manifest->index, err) < 0 ||
        nx_zip_write(zip, layout->hot_upper.data, layout->hot_upper.len, err) < 0 ||
        nx_output_spool(zip, &layout->hot_leaves, err) < 0 ||
        nx_zip_write(zip, layout->upper.data, layout->upper.len, err) < 0 ||
        nx_output_spool(zip, &layout->leaves, err) < 0 ||
        write_unused(zip, output->manifest->index.size - nx_layout_size(layout), err) < 0)
        return -1;
    return nx_zip_end(zip, NULL, err);
}

static int write_chunks(const struct nx_output *output, struct nx_zip_writer *zip,
                        struct sink *sink, struct nx_error *err)
{
    const struct nx_span *chunks = &output->manifest->chunks;
    if (begin_member(zip, "chunks", chunks, err) < 0)
        return -1;
    sink->standing = output->chunks != NULL; /* the ZIP's CRC-32 wants to see them all the same */
    int ret = output->chunks ? feed(zip, output->chunks, false, err)
                             : output->write_chunks(zip, output->opaque, err);
    sink->standing = false;
    return ret < 0 ? -1 : nx_zip_end(zip, NULL, err);
}

static int write_members(const struct nx_output *output, struct nx_zip_writer *zip,
                         struct sink *sink, struct nx_error *err)
{
    const struct nx_manifest *m = output->manifest;
    if (nx_package_write_head(zip, m, output->domain_xml, output->key, err) < 0 ||
        write_state(output, zip, err) < 0 || write_index(output, zip, err) < 0 ||
        write_chunks(output, zip, sink, err) < 0)
        return -1;
    return nx_zip_finish(zip, err);
}

int nx_output_write(const struct nx_output *output, struct nx_error *err)
{
    NX_AUTO_ZIP struct nx_zip_writer *zip = NULL;
    struct nx_manifest *m = output->manifest;
    if (nx_package_plan(m, err) < 0 || (m->volumes.count && nx_volumes_check(&m->volumes, err) < 0))
        return -1;
    nx_progress_start("writing", m->chunks.size);
    struct sink sink = { output->file, false };
    int ret = nx_zip_writer_new(to_file, &sink, &zip, err);
    if (ret == 0)
        ret = write_members(output, zip, &sink, err);
    nx_progress_end();
    return ret;
}
