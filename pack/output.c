/* SPDX-License-Identifier: MIT */
#include "pack/output.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/interrupt.h"
#include "common/progress.h"
#include "formats/package.h"

#define COPY_BYTES (1024 * 1024)

static int to_file(const void *data, size_t len, void *opaque, struct nx_error *err)
{
    const struct nx_newfile *file = opaque;
    return nx_write_full(file->fd, data, len, file->path, err);
}

int nx_output_spool(struct nx_zip_writer *zip, struct nx_spool *spool, struct nx_error *err)
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
        nx_spool_discard(spool, at);
        nx_progress_update(at);
    }
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

static int write_index(const struct nx_output *output, struct nx_zip_writer *zip,
                       struct nx_error *err)
{
    struct nx_layout *layout = output->layout;
    if (begin_member(zip, "index", &output->manifest->index, err) < 0 ||
        nx_zip_write(zip, layout->hot_upper.data, layout->hot_upper.len, err) < 0 ||
        nx_output_spool(zip, &layout->hot_leaves, err) < 0 ||
        nx_zip_write(zip, layout->upper.data, layout->upper.len, err) < 0 ||
        nx_output_spool(zip, &layout->leaves, err) < 0)
        return -1;
    return nx_zip_end(zip, NULL, err);
}

static int write_members(const struct nx_output *output, struct nx_zip_writer *zip,
                         struct nx_error *err)
{
    const struct nx_manifest *m = output->manifest;
    if (nx_package_write_head(zip, m, output->domain_xml, output->key, err) < 0 ||
        write_state(output, zip, err) < 0 || write_index(output, zip, err) < 0 ||
        begin_member(zip, "chunks", &m->chunks, err) < 0 ||
        output->write_chunks(zip, output->opaque, err) < 0 || nx_zip_end(zip, NULL, err) < 0)
        return -1;
    return nx_zip_finish(zip, err);
}

int nx_output_write(const struct nx_output *output, struct nx_error *err)
{
    NX_AUTO_ZIP struct nx_zip_writer *zip = NULL;
    if (nx_package_plan(output->manifest, err) < 0)
        return -1;
    nx_progress_start("writing", output->manifest->chunks.size);
    int ret = nx_zip_writer_new(to_file, output->file, &zip, err);
    if (ret == 0)
        ret = write_members(output, zip, err);
    nx_progress_end();
    return ret;
}
