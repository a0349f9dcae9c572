/* SPDX-License-Identifier: MIT */
/* Each image is read once, in disk order, and its chunks are written where they are to stay: behind room for the largest
 * index that they can have.  Then the head and the index are written before them.  Only where much of that room would
 * stay unused (images with many zeros that are no holes) are the chunks copied to another file.
 */
#include "pack/build.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/interrupt.h"
#include "common/io.h"
#include "common/log.h"
#include "common/progress.h"
#include "pack/author.h"
#include "pack/cut.h"
#include "pack/ingest.h"
#include "pack/layout.h"
#include "pack/output.h"
#include "pack/suspended.h"
#include "pack/train.h"

#define MEMORY_IMAGE "memory"
#define STATE_LEVEL  15 /* of zstd: every start fetches the device state, which is small */

struct build {
    const struct nx_build_options *options;
    const char *xml_path;   /* where the domain comes from: the XML, or the save */
    const char *given_path; /* the XML that was given, if it comes from a save; or NULL */
    const char *out_path;
    char *save_path;                /* owned; NULL: the machine is packed as switched off */
    bool found;                     /* save_path was not named: it is libvirt's managed save */
    struct nx_suspended *suspended; /* NULL, too */
    struct nx_author author;
    struct nx_source *sources[NX_IMAGES_MAX];
    uint64_t index_max; /* bytes, of all images */
    uint64_t chunks_at; /* where in out the store's chunks stand */
    struct nx_store store;
    struct nx_layout layout;
    struct nx_manifest *manifest;
    struct nx_newfile out;
    struct nx_screenshot shot;
};

/* ---- the domain ---- */

static void tell_notes(const struct nx_domain *domain, const char *xml_path)
{
    for (size_t i = 0; i < domain->n_notes; i++)
        if (domain->notes[i].verdict != NX_DOMAIN_REFUSED)
            nx_log(NX_LOG_INFO, "%s:%d: %s", xml_path, domain->notes[i].line,
                   domain->notes[i].message);
}

/* The medium that it was installed from is easily forgotten, and larger than all the rest. */
static void warn_of_media(const struct nx_author *author)
{
    char size[32];
    const struct nx_domain_disk *disk;
    for (unsigned i = 0; i < author->n_images && (disk = nx_author_disk(author, i)); i++)
        if (disk->device == NX_DISK_CDROM)
            nx_log(NX_LOG_WARNING,
                   "%s: is in the CD-ROM drive, and packed with the rest: %s; take it out (virsh "
                   "change-media --eject) if users do not need it",
                   disk->path, nx_human_bytes(author->images[i].original.size, size));
}

/* The save's XML has the live addresses; the author's only says which machine is meant. */
static int check_same(const struct nx_author *given, const struct nx_author *saved,
                      const struct build *b, struct nx_error *err)
{
    const char *a = given->machine->uuid, *s = saved->machine->uuid;
    bool by_uuid = a && s;
    if (by_uuid ? strcasecmp(a, s) == 0 : strcmp(given->machine->name, saved->machine->name) == 0)
        return 0;
    return nx_fail(err, NX_ERR_USAGE, "%s: is a save of another domain (%s%s%s) than %s (%s%s%s)",
                   b->save_path, saved->machine->name, by_uuid ? ", UUID " : "", by_uuid ? s : "",
                   b->xml_path, given->machine->name, by_uuid ? ", UUID " : "", by_uuid ? a : "");
}

/* Take the domain from the save file. */
static int read_saved(struct build *b, struct nx_error *err)
{
    struct nx_author given = b->author;
    const struct nx_buffer *xml = NULL;
    b->author = (struct nx_author){ 0 };
    int ret = nx_suspended_open(b->save_path, &b->suspended, err);
    if (ret == 0) {
        xml = nx_suspended_xml(b->suspended);
        ret = nx_author_parse(&b->author, xml->data, xml->len, b->save_path, err);
    }
    if (ret == 0 && given.machine)
        ret = check_same(&given, &b->author, b, err);
    b->given_path = given.machine ? b->xml_path : NULL;
    b->xml_path = b->save_path;
    nx_author_release(&given);
    if (ret == 0)
        ret = nx_suspended_check_machine(b->suspended, b->author.machine, err);
    if (ret < 0 && b->found)
        return nx_fail_while(err, "its managed save (--no-memory packs the disks only)");
    return ret;
}

static int read_given(struct build *b, struct nx_error *err)
{
    const struct nx_buffer *xml = b->options->xml;
    return xml ? nx_author_parse(&b->author, xml->data, xml->len, b->xml_path, err)
               : nx_author_read(&b->author, b->xml_path, err);
}

static int read_author(struct build *b, struct nx_error *err)
{
    const struct nx_build_options *options = b->options;
    const char *save = options->memory_path;
    if (!options->xml && nx_suspended_is_save(b->xml_path)) {
        if (save || options->no_memory)
            return nx_fail(err, NX_ERR_USAGE, "%s: is a save file itself: leave %s away",
                           b->xml_path, save ? "--memory" : "--no-memory");
        save = b->xml_path;
    } else if (read_given(b, err) < 0) {
        return -1;
    } else if (!options->xml && !save && !options->no_memory &&
               nx_suspended_find(b->xml_path, b->author.machine->name, &b->save_path, err) < 0) {
        return -1;
    }
    if (save && !(b->save_path = strdup(save)))
        return nx_fail_errno(err, "%s", save);
    b->found = b->save_path && !save;
    return b->save_path ? read_saved(b, err) : 0;
}

/* Not a reason not to pack it: many machines have no secret, and some can be told. */
static void warn_of_clones(const struct build *b)
{
    nx_log(NX_LOG_WARNING,
           "%s: whoever resumes it gets the same memory, with its random numbers, keys and "
           "addresses%s",
           b->save_path,
           b->author.machine->genid
               ? ", though its vmgenid will be a new one"
               : "; with <genid/> in its domain a guest that knows vmgenid would be told");
}

static void tell_saved(const struct build *b)
{
    char memory[32];
    const struct nx_machine *machine = b->author.machine;
    nx_log(NX_LOG_NOTICE, "%s: packed as it was saved, a %s with %s of memory%s%s", b->save_path,
           machine->machine, nx_human_bytes(machine->memory, memory),
           b->given_path ? "; the domain is the one in it, not that of " : "",
           b->given_path ? b->given_path : "");
    warn_of_clones(b);
}

static int check_disks(const struct build *b, struct nx_error *err)
{
    for (unsigned i = 0; b->suspended && !b->options->ignore_times && i < b->author.n_images; i++)
        if (nx_suspended_check_disk(b->suspended, &b->author.images[i].original, err) < 0)
            return -1;
    return 0;
}

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
    time_t now = 0;
    if (creation_time(&now, err) < 0 ||
        set_text(m->name, sizeof m->name, "name", b->options->name, name, err) < 0 ||
        set_text(m->description, sizeof m->description, "description", b->options->description,
                 domain->description, err) < 0)
        return -1;
    nx_utc(now, m->created);
    if (b->options->expires)
        nx_utc(b->options->expires, m->expires);
    snprintf(m->generator, sizeof m->generator, "nxpack %s", NX_VERSION);
    m->serial = b->options->serial ? b->options->serial : (uint64_t)now;
    m->volumes.size = b->options->volume_size;
    m->domain.size = domain->xml.len;
    nx_digest_of(domain->xml.data, domain->xml.len, &m->domain_digest);
    return 0;
}

/* Split the save file, and note its device state. */
static int add_state(struct build *b, struct nx_error *err)
{
    struct nx_manifest *m = b->manifest;
    if (!b->suspended)
        return 0;
    if (nx_suspended_split(b->suspended, b->author.machine, b->out_path, STATE_LEVEL, err) < 0)
        return -1;
    const struct nx_buffer *state = nx_suspended_state(b->suspended);
    m->suspended = true;
    m->device_state.size = state->len;
    m->device_state_raw = nx_suspended_state_raw(b->suspended);
    nx_digest_of(state->data, state->len, &m->device_state_digest);
    return 0;
}

/* ---- images into the store ---- */

/* Note an image whose source is open; *data grows by what is to be read. */
static int add_image(struct build *b, const char *name, enum nx_image_role role,
                     uint32_t chunk_size, const char *path, uint64_t *data, struct nx_error *err)
{
    unsigned i = b->manifest->n_images;
    uint64_t bytes;
    struct nx_index_bound bound;
    if (nx_source_measure(b->sources[i], chunk_size, &bytes, &bound, err) < 0)
        return -1;
    *data += bytes;
    b->index_max += bound.bytes;
    struct nx_image *image = &b->manifest->images[i];
    snprintf(image->name, sizeof image->name, "%s", name);
    image->role = role;
    image->size = nx_source_size(b->sources[i]);
    image->chunk_size = chunk_size;
    image->chunks = bound.chunks; /* at most */
    if (image->size > NX_IMAGE_SIZE_MAX)
        return nx_fail(err, NX_ERR_FORMAT, "%s: larger than %" PRIu64 " TiB", path,
                       NX_IMAGE_SIZE_MAX >> 40);
    b->manifest->n_images++;
    return 0;
}

/* All sources are opened before any thread starts (qemunbd.h). */
static int open_sources(struct build *b, uint64_t *ret_data, struct nx_error *err)
{
    const struct nx_build_options *options = b->options;
    *ret_data = 0;
    for (unsigned i = 0; i < b->author.n_images; i++) {
        const struct nx_author_image *author = &b->author.images[i];
        uint32_t chunk_size =
            author->role == NX_IMAGE_NVRAM ? NX_NVRAM_CHUNK_DEFAULT : options->chunk_size;
        if (nx_source_open(author->original.path, author->original.format,
                           author->original.own_file, &b->sources[i], err) < 0 ||
            add_image(b, author->name, author->role, chunk_size, author->original.path, ret_data,
                      err) < 0)
            return -1;
    }
    if (!b->suspended)
        return 0;
    if (b->author.n_images == NX_IMAGES_MAX)
        return nx_fail(err, NX_ERR_FORMAT, "%s: with its memory it has more than %d images",
                       b->save_path, NX_IMAGES_MAX);
    if (nx_suspended_open_memory(b->suspended, &b->sources[b->author.n_images], err) < 0)
        return -1;
    return add_image(b, MEMORY_IMAGE, NX_IMAGE_MEMORY, options->memory_chunk_size, b->save_path,
                     ret_data, err);
}

static int ingest_images(struct build *b, uint64_t data, struct nx_error *err)
{
    uint64_t progress = 0;
    const struct nx_ingest_options options = { b->options->level, b->options->threads, &progress,
                                               data };
    for (unsigned i = 0; i < b->manifest->n_images; i++) {
        if (nx_ingest(b->sources[i], &b->manifest->images[i], &b->store, &options, err) < 0)
            return -1;
        if (i < b->author.n_images &&
            nx_original_check_unchanged(&b->author.images[i].original, err) < 0)
            return -1;
        nx_source_free(NX_STEAL(b->sources[i])); /* a machine may have its disk back */
    }
    if (b->suspended && nx_suspended_drop_memory(b->suspended, err) < 0)
        return -1;
    if (b->options->images_read)
        b->options->images_read(b->options->opaque);
    return 0;
}

/* ---- the package ---- */

static int copy_chunks(struct nx_zip_writer *zip, void *opaque, struct nx_error *err)
{
    struct build *b = opaque;
    return nx_output_spool(zip, &b->store.chunks, err);
}

static void replace_out(struct build *b, struct nx_newfile *file)
{
    nx_newfile_release(&b->out);
    b->out = *file;
    *file = (struct nx_newfile)NX_NEWFILE_INIT;
}

static int write_package(struct build *b, struct nx_error *err)
{
    bool fits;
    NX_AUTO_NEWFILE struct nx_newfile copy = NX_NEWFILE_INIT;
    struct nx_output output = {
        .file = &b->out,
        .manifest = b->manifest,
        .domain_xml = b->author.domain.xml.data,
        .key = b->options->key,
        .state = b->suspended ? nx_suspended_state(b->suspended) : NULL,
        .layout = &b->layout,
        .opaque = b,
        .chunks = &b->store.chunks,
    };
    if (nx_spool_flush(&b->store.chunks, err) < 0 ||
        nx_layout_make(&b->layout, &b->store.records, NULL, b->manifest, b->out_path, err) < 0)
        return -1;
    b->manifest->chunks.size = b->store.chunks.size;
    if (nx_output_fit(b->manifest, b->chunks_at, &fits, err) < 0)
        return -1;
    if (fits)
        return nx_output_write(&output, err);
    output.file = &copy;
    output.chunks = NULL;
    output.write_chunks = copy_chunks;
    if (nx_newfile_open(&copy, b->out_path, 0644, err) < 0 || nx_output_write(&output, err) < 0)
        return -1;
    replace_out(b, &copy);
    return 0;
}

/* ---- training ---- */

/* The untrained package stands complete under its temporary name: run it from there, and write it anew. */
static int train(struct build *b, struct nx_error *err)
{
    NX_AUTO_RECORD struct nx_record *record = NULL;
    NX_AUTO_NEWFILE struct nx_newfile trained = NX_NEWFILE_INIT;
    if (nx_train_run(b->out.temp, b->options->train_seconds, &record,
                     b->options->screenshot ? &b->shot : NULL, err) < 0)
        return -1;
    if (nx_newfile_open(&trained, b->out_path, 0644, err) < 0 ||
        nx_train_layout(b->out.temp, record, b->options->key, b->options->volume_size, &trained,
                        err) < 0)
        return -1;
    replace_out(b, &trained);
    return 0;
}

static int maybe_train(struct build *b, struct nx_error *err)
{
    enum nx_train_mode mode = b->options->train;
    struct nx_error why = NX_ERROR_INIT;
    if (mode == NX_TRAIN_NEVER || (mode == NX_TRAIN_MEMORY && !b->suspended) || train(b, &why) == 0)
        return 0;
    if (mode == NX_TRAIN_ALWAYS || why.code == NX_ERR_CANCELLED) {
        *err = why;
        return nx_fail_while(err, "training");
    }
    nx_log(NX_LOG_WARNING,
           "%s: not trained, so that each start will need hundreds of requests: %s; nxpack train "
           "does it later",
           b->out_path, why.msg);
    return 0;
}

/* ---- all together ---- */

static void tell(const struct build *b, unsigned n_volumes)
{
    uint64_t size = 0;
    char content[32], package[32], volumes[48] = "";
    if (n_volumes)
        snprintf(volumes, sizeof volumes, ", %u volume%s beside its head", n_volumes,
                 n_volumes == 1 ? "" : "s");
    else if (b->options->volume_size)
        snprintf(volumes, sizeof volumes, ", which is no larger than a volume");
    for (unsigned i = 0; i < b->manifest->n_images; i++)
        size += b->manifest->images[i].size;
    nx_log(NX_LOG_NOTICE, "%s: %s in %u image%s packed into %s%s%s", b->out_path,
           nx_human_bytes(size, content), b->manifest->n_images,
           b->manifest->n_images == 1 ? "" : "s",
           nx_human_bytes(nx_manifest_end(b->manifest), package), volumes,
           b->options->key ? "" : "; not signed: nxpack sign does that, or -k KEY");
}

/* Now, and not after hours of compressing. */
static void warn_of_many_volumes(const struct build *b, uint64_t data)
{
    uint64_t size = b->options->volume_size;
    if (size && data / size >= NX_VOLUMES_MAX)
        nx_log(NX_LOG_WARNING,
               "%s: if its %" PRIu64 " MiB do not compress to %" PRIu64
               " MiB, there will be more than %d volumes, and no package; volumes of %" PRIu64
               "M are large enough for certain",
               b->out_path, data >> 20, NX_VOLUMES_MAX * size >> 20, NX_VOLUMES_MAX,
               (data / NX_VOLUMES_MAX >> 20) + 2);
}

static int build(struct build *b, struct nx_error *err)
{
    uint64_t data = 0;
    unsigned n_volumes = 0;
    if (read_author(b, err) < 0)
        return -1;
    if (b->options->screenshot &&
        nx_screenshot_check_machine(b->author.machine, b->xml_path, err) < 0)
        return -1;
    tell_notes(&b->author.domain, b->xml_path);
    if (nx_author_open_images(&b->author, b->xml_path, false, err) < 0 || check_disks(b, err) < 0 ||
        describe(b, err) < 0 || nx_newfile_open(&b->out, b->out_path, 0644, err) < 0)
        return -1;
    warn_of_media(&b->author);
    if (add_state(b, err) < 0)
        return -1;
    if (b->suspended)
        tell_saved(b);
    if (open_sources(b, &data, err) < 0 ||
        nx_output_reserve(b->manifest, b->index_max, &b->chunks_at, err) < 0 ||
        nx_store_open(&b->store, b->out.fd, b->chunks_at, b->out_path, err) < 0)
        return -1;
    warn_of_many_volumes(b, data);
    nx_progress_start("packing", data);
    int ret = ingest_images(b, data, err);
    nx_progress_end();
    if (ret < 0 || write_package(b, err) < 0 || maybe_train(b, err) < 0 ||
        nx_check_interrupt(err) < 0 || nx_cut_commit(&b->out, &n_volumes, err) < 0)
        return -1;
    tell(b, n_volumes);
    return b->options->screenshot ? nx_screenshot_write(&b->shot, b->out_path, err) : 0;
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
        .shot = NX_SCREENSHOT_INIT,
    };
    int ret = b.manifest ? build(&b, err) : nx_fail_errno(err, "manifest");
    for (unsigned i = 0; i < NX_IMAGES_MAX; i++)
        nx_source_free(b.sources[i]);
    nx_layout_release(&b.layout);
    nx_store_release(&b.store);
    nx_newfile_release(&b.out);
    nx_screenshot_release(&b.shot);
    nx_author_release(&b.author);
    nx_suspended_free(b.suspended);
    free(b.save_path);
    nx_manifest_free(b.manifest);
    return ret;
}
