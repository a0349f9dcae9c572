/* SPDX-License-Identifier: MIT */
/* Two passes.  The first reads each image once, in disk order, into the store; the second
 * lays out the package and copies the stored bytes to their places.
 */
#include "pack/build.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "common/interrupt.h"
#include "common/io.h"
#include "common/log.h"
#include "common/progress.h"
#include "formats/package.h"
#include "pack/author.h"
#include "pack/ingest.h"
#include "pack/layout.h"

#define COPY_BYTES (1024 * 1024)

struct build {
    const struct nx_build_options *options;
    const char *xml_path;
    const char *out_path;
    struct nx_author author;
    struct nx_source *sources[NX_IMAGES_MAX];
    struct nx_store store;
    struct nx_layout layout;
    struct nx_manifest *manifest;
    struct nx_newfile out;
};

/* ---- what the manifest says of the whole ---- */

/* Now, or the time that SOURCE_DATE_EPOCH names (reproducible-builds.org). */
static int creation_time(time_t *ret_time, struct nx_error *err)
{
    const char *text = getenv("SOURCE_DATE_EPOCH");
    if (!text || !*text) {
        *ret_time = time(NULL);
        return 0;
    }
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || *end || value < 0 || value > 253402300799) /* the year 9999 */
        return nx_fail(err, NX_ERR_USAGE,
                       "SOURCE_DATE_EPOCH is '%s', not a number of seconds since 1970", text);
    *ret_time = (time_t)value;
    return 0;
}

/* A text of the user's must fit; one from the domain XML is cut, between UTF-8 characters. */
static int set_text(char *field, size_t size, const char *what, const char *given,
                    const char *fallback, struct nx_error *err)
{
    if (given && strlen(given) >= size)
        return nx_fail(err, NX_ERR_USAGE, "the %s is longer than %zu bytes", what, size - 1);
    const char *text = given ? given : fallback ? fallback : "";
    size_t len = strnlen(text, size - 1);
    while (len && text[len] && ((unsigned char)text[len] & 0xc0) == 0x80)
        len--;
    memcpy(field, text, len);
    field[len] = 0;
    return 0;
}

static int describe(struct build *b, struct nx_error *err)
{
    struct nx_manifest *m = b->manifest;
    const struct nx_domain *domain = &b->author.domain;
    const char *name = domain->title && *domain->title ? domain->title : domain->name;
    time_t now;
    if (creation_time(&now, err) < 0 ||
        set_text(m->name, sizeof m->name, "name", b->options->name, name, err) < 0 ||
        set_text(m->description, sizeof m->description, "description", b->options->description,
                 domain->description, err) < 0)
        return -1;
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(m->created, sizeof m->created, "%Y-%m-%dT%H:%M:%SZ", &tm);
    snprintf(m->generator, sizeof m->generator, "nxpack %s", NX_VERSION);
    m->serial = b->options->serial ? b->options->serial : (uint64_t)now;
    m->domain.size = domain->xml.len;
    nx_digest_of(domain->xml.data, domain->xml.len, &m->domain_digest);
    return 0;
}

/* ---- pass 1: images into the store ---- */

/* All sources are opened before any thread starts (qemunbd.h), and before anything is written. */
static int open_sources(struct build *b, uint64_t *ret_data, struct nx_error *err)
{
    uint64_t all = 0;
    for (unsigned i = 0; i < b->author.n_images; i++) {
        const struct nx_author_image *author = &b->author.images[i];
        if (nx_source_open(author->original.path, author->original.format, &b->sources[i], err) < 0)
            return -1;
        uint64_t data;
        if (nx_source_data_size(b->sources[i], &data, err) < 0)
            return -1;
        all += data;
        struct nx_image *image = &b->manifest->images[i];
        snprintf(image->name, sizeof image->name, "%s", author->name);
        image->role = author->role;
        image->size = nx_source_size(b->sources[i]);
        image->chunk_size =
            author->role == NX_IMAGE_NVRAM ? NX_NVRAM_CHUNK_DEFAULT : b->options->chunk_size;
        if (image->size > NX_IMAGE_SIZE_MAX)
            return nx_fail(err, NX_ERR_FORMAT, "%s: larger than %" PRIu64 " TiB",
                           author->original.path, NX_IMAGE_SIZE_MAX >> 40);
        b->manifest->n_images++;
    }
    *ret_data = all;
    return 0;
}

static int ingest_images(struct build *b, uint64_t data, struct nx_error *err)
{
    uint64_t progress = 0;
    const struct nx_ingest_options options = { b->options->level, b->options->threads, &progress,
                                               data };
    for (unsigned i = 0; i < b->author.n_images; i++) {
        const struct nx_original *original = &b->author.images[i].original;
        if (nx_ingest(b->sources[i], &b->manifest->images[i], &b->store, &options, err) < 0 ||
            nx_original_check_unchanged(original, err) < 0)
            return -1;
        nx_source_free(NX_STEAL(b->sources[i])); /* a machine may have its disk back */
    }
    return 0;
}

/* ---- pass 2: the package ---- */

static int to_file(const void *data, size_t len, void *opaque, struct nx_error *err)
{
    const struct nx_newfile *file = opaque;
    return nx_write_full(file->fd, data, len, file->path, err);
}

static int copy_spool(struct nx_zip_writer *zip, struct nx_spool *spool, struct nx_error *err)
{
    NX_AUTO_FREE void *buf = malloc(COPY_BYTES);
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

static int write_members(struct build *b, struct nx_zip_writer *zip, struct nx_error *err)
{
    const struct nx_manifest *m = b->manifest;
    if (nx_package_write_head(zip, m, b->author.domain.xml.data, b->options->key, err) < 0 ||
        begin_member(zip, "index", &m->index, err) < 0 ||
        nx_zip_write(zip, b->layout.upper.data, b->layout.upper.len, err) < 0 ||
        copy_spool(zip, &b->layout.leaves, err) < 0 || nx_zip_end(zip, NULL, err) < 0)
        return -1;
    if (begin_member(zip, "chunks", &m->chunks, err) < 0 ||
        copy_spool(zip, &b->store.chunks, err) < 0 || nx_zip_end(zip, NULL, err) < 0)
        return -1;
    return nx_zip_finish(zip, err);
}

static int write_package(struct build *b, struct nx_error *err)
{
    if (nx_layout_make(&b->layout, &b->store, b->manifest, b->out_path, err) < 0 ||
        nx_package_plan(b->manifest, err) < 0)
        return -1;
    NX_AUTO_ZIP struct nx_zip_writer *zip = NULL;
    nx_progress_start("writing", b->manifest->chunks.size);
    int ret = nx_zip_writer_new(to_file, &b->out, &zip, err);
    if (ret == 0)
        ret = write_members(b, zip, err);
    nx_progress_end();
    return ret;
}

/* ---- all together ---- */

static void tell(const struct build *b)
{
    uint64_t size = 0;
    char content[32], package[32];
    for (unsigned i = 0; i < b->manifest->n_images; i++)
        size += b->manifest->images[i].size;
    nx_log(NX_LOG_NOTICE, "%s: %s in %u image%s packed into %s%s", b->out_path,
           nx_human_bytes(size, content), b->manifest->n_images,
           b->manifest->n_images == 1 ? "" : "s",
           nx_human_bytes(nx_manifest_end(b->manifest), package),
           b->options->key ? "" : "; not signed: nxpack sign does that, or -k KEY");
}

static void tell_notes(const struct nx_domain *domain, const char *xml_path)
{
    for (size_t i = 0; i < domain->n_notes; i++)
        if (domain->notes[i].verdict != NX_DOMAIN_REFUSED)
            nx_log(NX_LOG_INFO, "%s:%d: %s", xml_path, domain->notes[i].line,
                   domain->notes[i].message);
}

static int build(struct build *b, struct nx_error *err)
{
    uint64_t data = 0;
    if (nx_author_read(&b->author, b->xml_path, err) < 0)
        return -1;
    tell_notes(&b->author.domain, b->xml_path);
    if (nx_author_open_images(&b->author, b->xml_path, err) < 0 || describe(b, err) < 0 ||
        open_sources(b, &data, err) < 0 || nx_newfile_open(&b->out, b->out_path, 0644, err) < 0 ||
        nx_store_open(&b->store, b->out_path, err) < 0)
        return -1;
    nx_progress_start("packing", data);
    int ret = ingest_images(b, data, err);
    nx_progress_end();
    if (ret < 0 || write_package(b, err) < 0 || nx_check_interrupt(err) < 0 ||
        nx_newfile_commit(&b->out, err) < 0)
        return -1;
    tell(b);
    return 0;
}

int nx_build(const char *xml_path, const char *out_path, const struct nx_build_options *options,
             struct nx_error *err)
{
    struct build b = {
        .options = options,
        .xml_path = xml_path,
        .out_path = out_path,
        .store = NX_STORE_INIT,
        .layout = NX_LAYOUT_INIT,
        .manifest = calloc(1, sizeof *b.manifest),
        .out = NX_NEWFILE_INIT,
    };
    int ret = b.manifest ? build(&b, err) : nx_fail_errno(err, "manifest");
    for (unsigned i = 0; i < NX_IMAGES_MAX; i++)
        nx_source_free(b.sources[i]);
    nx_layout_release(&b.layout);
    nx_store_release(&b.store);
    nx_newfile_release(&b.out);
    nx_author_release(&b.author);
    nx_manifest_free(b.manifest);
    return ret;
}
