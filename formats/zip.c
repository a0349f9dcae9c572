/* SPDX-License-Identifier: MIT */
#include "formats/zip.h"

#include <archive.h>
#include <archive_entry.h>
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

struct nx_zip_writer {
    struct archive *archive;
    nx_zip_sink_fn *sink; /* NULL: only count */
    void *opaque;
    uint64_t position;
    struct nx_error sink_error; /* what the sink said, for whoever called libarchive */
    uint64_t member_start;      /* position before the member's header */
    uint64_t member_left;       /* bytes of the open member still to come */
    uint64_t member_written;
};

static la_ssize_t take_bytes(struct archive *archive, void *opaque, const void *data, size_t len)
{
    struct nx_zip_writer *zip = opaque;
    /* libarchive is not told of a failure: it would leak a little.  failed() looks. */
    if (zip->sink && zip->sink_error.code == NX_OK)
        zip->sink(data, len, zip->opaque, &zip->sink_error);
    zip->position += len;
    return (la_ssize_t)len;
}

static bool failed(const struct nx_zip_writer *zip, int status)
{
    return status != ARCHIVE_OK || zip->sink_error.code != NX_OK;
}

static int fail_writer(struct nx_zip_writer *zip, const char *what, struct nx_error *err)
{
    if (zip->sink_error.code != NX_OK) {
        if (err)
            *err = zip->sink_error;
        return -1;
    }
    const char *text = archive_error_string(zip->archive);
    return nx_fail(err, NX_ERR_SYSTEM, "%s: %s", what, text ? text : "libarchive failed");
}

int nx_zip_writer_new(nx_zip_sink_fn *sink, void *opaque, struct nx_zip_writer **ret_zip,
                      struct nx_error *err)
{
    NX_AUTO_ZIP struct nx_zip_writer *zip = calloc(1, sizeof *zip);
    if (!zip || !(zip->archive = archive_write_new()))
        return nx_fail_errno(err, "ZIP writer");
    zip->sink = sink;
    zip->opaque = opaque;
    /* No blocking: after each call, everything has reached the sink and position is exact. */
    if (archive_write_set_format_zip(zip->archive) != ARCHIVE_OK ||
        archive_write_set_options(zip->archive, "zip:compression=store") != ARCHIVE_OK ||
        archive_write_set_bytes_per_block(zip->archive, 0) != ARCHIVE_OK ||
        archive_write_open(zip->archive, zip, NULL, take_bytes, NULL) != ARCHIVE_OK)
        return fail_writer(zip, "ZIP writer", err);
    *ret_zip = NX_STEAL(zip);
    return 0;
}

void nx_zip_writer_free(struct nx_zip_writer *zip)
{
    if (!zip)
        return;
    zip->sink = NULL; /* freeing closes, and closing writes a directory that nobody wants */
    archive_write_free(zip->archive);
    free(zip);
}

int nx_zip_begin(struct nx_zip_writer *zip, const char *name, uint64_t size, uint64_t *ret_offset,
                 struct nx_error *err)
{
    struct archive_entry *entry = archive_entry_new();
    if (!entry)
        return nx_fail_errno(err, "%s", name);
    zip->member_start = zip->position;
    zip->member_left = size;
    zip->member_written = 0;
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, (int64_t)size);
    int status = archive_write_header(zip->archive, entry);
    archive_entry_free(entry);
    if (failed(zip, status))
        return fail_writer(zip, name, err);
    if (ret_offset)
        *ret_offset = zip->position;
    return 0;
}

int nx_zip_write(struct nx_zip_writer *zip, const void *data, size_t len, struct nx_error *err)
{
    assert(len <= zip->member_left);
    for (size_t put = 0; put < len;) {
        la_ssize_t n = archive_write_data(zip->archive, (const char *)data + put, len - put);
        if (failed(zip, n > 0 ? ARCHIVE_OK : ARCHIVE_FATAL))
            return fail_writer(zip, "ZIP member", err);
        put += (size_t)n;
    }
    zip->member_left -= len;
    zip->member_written += len;
    return 0;
}

int nx_zip_end(struct nx_zip_writer *zip, uint64_t *ret_overhead, struct nx_error *err)
{
    assert(!zip->sink || zip->member_left == 0);
    if (failed(zip, archive_write_finish_entry(zip->archive)))
        return fail_writer(zip, "ZIP member", err);
    if (ret_overhead)
        *ret_overhead = zip->position - zip->member_start - zip->member_written;
    return 0;
}

int nx_zip_member(struct nx_zip_writer *zip, const char *name, const void *data, size_t len,
                  struct nx_error *err)
{
    if (nx_zip_begin(zip, name, len, NULL, err) < 0 || nx_zip_write(zip, data, len, err) < 0)
        return -1;
    return nx_zip_end(zip, NULL, err);
}

uint64_t nx_zip_position(const struct nx_zip_writer *zip)
{
    return zip->position;
}

int nx_zip_finish(struct nx_zip_writer *zip, struct nx_error *err)
{
    if (failed(zip, archive_write_close(zip->archive)))
        return fail_writer(zip, "ZIP directory", err);
    return 0;
}

/* ---- reading ---- */

static inline void nx_auto_reading(struct archive **archive)
{
    archive_read_free(*archive);
}

/* libarchive stopped: at the end of the data, most often. */
static int fail_without_memory(struct archive *archive, struct nx_error *err)
{
    return archive_errno(archive) == ENOMEM ? nx_fail_errno(err, "ZIP reader") : 0;
}

/* 1: all the bytes of the member that archive stands at; 0: the data ends before it does; -1: failed */
static int read_member(struct archive *archive, size_t max, struct nx_buffer *body,
                       struct nx_error *err)
{
    nx_buffer_init(body, max + 1);
    for (;;) {
        if (body->len > max)
            return 0;
        if (nx_buffer_reserve(body, 1, err) < 0)
            return -1;
        la_ssize_t n = archive_read_data(archive, body->data + body->len, body->cap - body->len);
        if (n == 0)
            return 1;
        if (n < 0)
            return fail_without_memory(archive, err);
        body->len += (size_t)n;
    }
}

int nx_zip_walk(const void *data, size_t len, size_t max, nx_zip_member_fn *member, void *opaque,
                struct nx_error *err)
{
    NX_AUTO(reading) struct archive *archive = archive_read_new();
    if (!archive || archive_read_support_format_zip_streamable(archive) != ARCHIVE_OK)
        return nx_fail_errno(err, "ZIP reader");
    if (archive_read_open_memory(archive, data, len) != ARCHIVE_OK)
        return fail_without_memory(archive, err); /* or too few bytes to know a ZIP by */
    struct archive_entry *entry;
    while (archive_read_next_header(archive, &entry) == ARCHIVE_OK) {
        const char *name = archive_entry_pathname(entry);
        if (!name || archive_entry_filetype(entry) != AE_IFREG)
            return nx_fail(err, NX_ERR_FORMAT, "a ZIP member that is no file");
        if (archive_entry_size_is_set(entry) && archive_entry_size(entry) > (int64_t)max)
            return 0;
        NX_AUTO_BUFFER struct nx_buffer body = NX_BUFFER_INIT(max);
        int ret = read_member(archive, max, &body, err);
        if (ret <= 0)
            return ret;
        ret = member(name, body.data, body.len, opaque, err);
        if (ret != 0)
            return ret < 0 ? -1 : 0;
    }
    return fail_without_memory(archive, err);
}
