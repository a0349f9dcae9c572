/* SPDX-License-Identifier: MIT */
/* libarchive does not tell where a member's bytes stand, so they are compared with
 * what stands at the place that the manifest names.
 */
#include "pack/zipcheck.h"

#include <archive.h>
#include <archive_entry.h>
#include <inttypes.h>
#include <string.h>

#include "common/interrupt.h"
#include "common/io.h"
#include "common/progress.h"

#define BLOCK (1024 * 1024)

/* The members in order.  span: the manifest's word on it, NULL if it has none. */
struct member {
    const char *name;
    const struct nx_span *span;
};

static inline void nx_auto_archive(struct archive **archive)
{
    archive_read_free(*archive);
}

static int fail_archive(struct archive *archive, const char *file, const char *what,
                        struct nx_error *err)
{
    const char *text = archive_error_string(archive);
    return nx_fail(err, NX_ERR_FORMAT, "%s: as a ZIP archive: %s: %s", file, what,
                   text ? text : "damaged");
}

/* len bytes of a member, at offset in it, against the file at the member's place. */
static int compare(const struct nx_reading *reading, const struct member *member, const void *data,
                   size_t len, uint64_t offset, void *buf, struct nx_error *err)
{
    if (offset > member->span->size || len > member->span->size - offset)
        return nx_fail(err, NX_ERR_FORMAT,
                       "%s: %s has more than the %" PRIu64 " bytes that its manifest names",
                       reading->name, member->name, member->span->size);
    uint64_t at = member->span->offset + offset;
    if (nx_pread_full(reading->fd, buf, len, at, reading->name, err) < 0)
        return -1;
    if (memcmp(buf, data, len) != 0)
        return nx_fail(err, NX_ERR_FORMAT,
                       "%s: the ZIP archive's %s does not stand at %" PRIu64
                       ", where its manifest says",
                       reading->name, member->name, member->span->offset);
    return 0;
}

static int check_data(const struct nx_reading *reading, struct archive *archive,
                      const struct member *member, void *data, void *other, uint64_t *progress,
                      struct nx_error *err)
{
    uint64_t offset = 0;
    for (;;) {
        if (nx_check_interrupt(err) < 0)
            return -1;
        la_ssize_t n = archive_read_data(archive, data, BLOCK);
        if (n < 0)
            return fail_archive(archive, reading->name, member->name, err);
        if (n == 0)
            break;
        if (member->span && compare(reading, member, data, (size_t)n, offset, other, err) < 0)
            return -1;
        offset += (uint64_t)n;
        nx_progress_update(*progress += (uint64_t)n);
    }
    if (member->span && offset != member->span->size)
        return nx_fail(err, NX_ERR_FORMAT,
                       "%s: %s has %" PRIu64 " bytes, its manifest says %" PRIu64, reading->name,
                       member->name, offset, member->span->size);
    return 0;
}

static int check_members(const struct nx_reading *reading, struct archive *archive,
                         const struct member *members, size_t count, uint64_t *progress,
                         struct nx_error *err)
{
    NX_AUTO_FREE void *data = malloc(BLOCK);
    NX_AUTO_FREE void *other = malloc(BLOCK);
    if (!data || !other)
        return nx_fail_errno(err, "buffers");
    for (size_t i = 0; i < count; i++) {
        struct archive_entry *entry;
        if (archive_read_next_header(archive, &entry) != ARCHIVE_OK)
            return fail_archive(archive, reading->name, members[i].name, err);
        const char *name = archive_entry_pathname(entry);
        if (!name || strcmp(name, members[i].name) != 0)
            return nx_fail(err, NX_ERR_FORMAT, "%s: the ZIP archive has '%.60s' in the place of %s",
                           reading->name, name ? name : "", members[i].name);
        if (check_data(reading, archive, &members[i], data, other, progress, err) < 0)
            return -1;
    }
    struct archive_entry *entry;
    if (archive_read_next_header(archive, &entry) != ARCHIVE_EOF)
        return nx_fail(err, NX_ERR_FORMAT, "%s: the ZIP archive has something behind its chunks",
                       reading->name);
    return 0;
}

int nx_zip_check(const struct nx_reading *reading, uint64_t *progress, struct nx_error *err)
{
    const struct nx_manifest *m = reading->head->manifest;
    struct member members[8] = {
        { "mimetype", NULL },   { "manifest.xml", NULL },     { "manifest.sig", NULL },
        { "signer.pem", NULL }, { "domain.xml", &m->domain },
    };
    size_t count = 5;
    if (m->suspended)
        members[count++] = (struct member){ "device-state", &m->device_state };
    members[count++] = (struct member){ "index", &m->index };
    members[count++] = (struct member){ "chunks", &m->chunks };

    NX_AUTO(archive) struct archive *archive = archive_read_new();
    if (!archive || archive_read_support_format_zip_seekable(archive) != ARCHIVE_OK)
        return nx_fail_errno(err, "ZIP reader");
    if (lseek(reading->fd, 0, SEEK_SET) < 0 ||
        archive_read_open_fd(archive, reading->fd, BLOCK) != ARCHIVE_OK)
        return fail_archive(archive, reading->name, "opening it", err);
    return check_members(reading, archive, members, count, progress, err);
}
