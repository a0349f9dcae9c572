/* SPDX-License-Identifier: MIT */
#include "pack/zipcheck.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "common/interrupt.h"
#include "common/io.h"
#include "common/progress.h"

#define BLOCK (1024 * 1024)

/* The archive that is written again, and where in the file its next byte should stand. */
struct again {
    const struct nx_reading *reading;
    struct nx_zip_writer *zip;
    uint64_t at;
    bool copying; /* the bytes have just been read from there */
    uint8_t *buf; /* BLOCK bytes */
};

static int fail_at(const struct again *again, uint64_t at, struct nx_error *err)
{
    uint64_t within;
    const char *name = nx_parts_where(&again->reading->parts, at, &within);
    return nx_fail(err, NX_ERR_FORMAT,
                   "%s: at offset %" PRIu64
                   ": the ZIP archive around its members (headers, checksums, directory) is not as "
                   "nxpack writes it: damaged or changed since; get or pack it again",
                   name, within);
}

static int compare(const void *data, size_t len, void *opaque, struct nx_error *err)
{
    struct again *again = opaque;
    const struct nx_reading *reading = again->reading;
    const uint8_t *want = data;
    uint8_t have[4096];
    for (size_t done = 0; !again->copying && done < len;) {
        size_t n = len - done < sizeof have ? len - done : sizeof have;
        if (nx_parts_read(&reading->parts, have, n, again->at + done, err) < 0)
            return -1;
        for (size_t i = 0; i < n; i++)
            if (have[i] != want[done + i])
                return fail_at(again, again->at + done + i, err);
        done += n;
    }
    again->at += len;
    return 0;
}

/* A member from its place in the file. */
static int copy(struct again *again, const char *name, const struct nx_span *span,
                uint64_t *progress, struct nx_error *err)
{
    uint64_t offset;
    if (nx_zip_begin(again->zip, name, span->size, &offset, err) < 0)
        return -1;
    if (offset != span->offset)
        return nx_fail(err, NX_ERR_FORMAT,
                       "%s: the manifest says that %s stands at %" PRIu64
                       ", but in the ZIP archive it stands at %" PRIu64,
                       again->reading->name, name, span->offset, offset);
    again->copying = true;
    for (uint64_t done = 0; done < span->size;) {
        size_t n = span->size - done < BLOCK ? (size_t)(span->size - done) : BLOCK;
        if (nx_check_interrupt(err) < 0 ||
            nx_parts_read(&again->reading->parts, again->buf, n, offset + done, err) < 0 ||
            nx_zip_write(again->zip, again->buf, n, err) < 0)
            return -1;
        done += n;
        nx_progress_update(*progress += n);
    }
    again->copying = false;
    return nx_zip_end(again->zip, NULL, err);
}

static int write_again(struct again *again, uint64_t *progress, struct nx_error *err)
{
    const struct nx_head *head = again->reading->head;
    const struct nx_manifest *m = head->manifest;
    if (nx_head_write_front(head, again->zip, err) < 0 ||
        copy(again, "domain.xml", &m->domain, progress, err) < 0 ||
        (m->suspended && copy(again, "device-state", &m->device_state, progress, err) < 0) ||
        copy(again, "index", &m->index, progress, err) < 0 ||
        copy(again, "chunks", &m->chunks, progress, err) < 0)
        return -1;
    return nx_zip_finish(again->zip, err);
}

int nx_zip_check(const struct nx_reading *reading, uint64_t *progress, struct nx_error *err)
{
    struct again again = { .reading = reading };
    NX_AUTO_FREE uint8_t *buf = malloc(BLOCK);
    NX_AUTO_ZIP struct nx_zip_writer *zip = NULL;
    if (!buf)
        return nx_fail_errno(err, "buffer");
    if (nx_zip_writer_new(compare, &again, &zip, err) < 0)
        return -1;
    again.buf = buf;
    again.zip = zip;
    if (write_again(&again, progress, err) < 0)
        return -1;
    return reading->parts.size == again.at ? 0 : fail_at(&again, again.at, err);
}
