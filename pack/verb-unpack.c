/* SPDX-License-Identifier: MIT */
#include "pack/verbs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/interrupt.h"
#include "common/json.h"
#include "common/log.h"
#include "common/progress.h"
#include "formats/devicestate.h"
#include "pack/cli.h"
#include "pack/imagefile.h"
#include "pack/pipeline.h"
#include "pack/reader.h"
#include "pack/unreduce.h"

#define DOMAIN_XML_MAX (2 * NX_DOMAIN_MAX) /* with paths put in */

enum {
    OPT_FORMAT = 256,
    OPT_THREADS,
};

static const struct option long_options[] = {
    { "format", required_argument, NULL, OPT_FORMAT },
    { "threads", required_argument, NULL, OPT_THREADS },
    NX_CLI_JSON,
    NX_CLI_LONG,
};

struct unpacking {
    struct nx_reading reading;
    const char *format;
    unsigned threads;
    char *dir; /* absolute */
    uint64_t progress;
    struct nx_unpacked images[NX_IMAGES_MAX];
};

static int write_chunk(uint64_t offset, const void *data, size_t len, void *opaque,
                       struct nx_error *err)
{
    return nx_imagefile_write(opaque, offset, data, len, err);
}

static int unpack_image(struct unpacking *u, unsigned i, struct nx_error *err)
{
    const struct nx_image *image = &u->reading.head->manifest->images[i];
    struct nx_unpacked *unpacked = &u->images[i];
    unpacked->image = image->name;
    unpacked->format = image->role == NX_IMAGE_DISK ? u->format : "raw";
    const char *suffix = image->role == NX_IMAGE_NVRAM ? "fd" : unpacked->format;
    if (asprintf(&unpacked->path, "%s/%s.%s", u->dir, image->name, suffix) < 0) {
        unpacked->path = NULL;
        return nx_fail_errno(err, "%s", image->name);
    }
    NX_AUTO_IMAGEFILE struct nx_imagefile file = NX_IMAGEFILE_INIT;
    if (nx_imagefile_open(&file, unpacked->path, unpacked->format, image->size, err) < 0 ||
        nx_reading_image(&u->reading, image, u->threads, write_chunk, &file, &u->progress, err) < 0)
        return -1;
    return nx_imagefile_commit(&file, err);
}

/* A file's path in the directory, where there is none of that name yet; to be freed. */
static int new_path(const struct unpacking *u, const char *name, char **ret_path,
                    struct nx_error *err)
{
    NX_AUTO_FREE char *path = NULL;
    if (asprintf(&path, "%s/%s", u->dir, name) < 0) {
        path = NULL;
        return nx_fail_errno(err, "%s", name);
    }
    if (access(path, F_OK) == 0)
        return nx_fail(err, NX_ERR_SYSTEM, "%s: exists: choose another directory, or remove it",
                       path);
    *ret_path = NX_STEAL(path);
    return 0;
}

static int write_domain(struct unpacking *u, struct nx_error *err)
{
    const struct nx_head *head = u->reading.head;
    NX_AUTO_FREE char *path = NULL;
    if (new_path(u, "domain.xml", &path, err) < 0)
        return -1;
    NX_AUTO_BUFFER struct nx_buffer xml = NX_BUFFER_INIT(DOMAIN_XML_MAX);
    if (nx_domain_unreduce(&head->domain_xml, u->images, head->manifest->n_images, &xml, err) < 0)
        return nx_fail_while(err, "%s", u->reading.name);
    return nx_write_file(path, 0644, xml.data, xml.len, err);
}

static int to_newfile(const void *data, size_t len, void *opaque, struct nx_error *err)
{
    const struct nx_newfile *file = opaque;
    return nx_write_full(file->fd, data, len, file->path, err);
}

/* A suspended machine's device state, as QEMU's -incoming takes it. */
static int write_state(struct unpacking *u, struct nx_error *err)
{
    const struct nx_manifest *m = u->reading.head->manifest;
    NX_AUTO_BUFFER struct nx_buffer state = NX_BUFFER_INIT(0);
    NX_AUTO_NEWFILE struct nx_newfile file = NX_NEWFILE_INIT;
    if (!m->suspended)
        return 0;
    NX_AUTO_FREE char *path = NULL;
    if (new_path(u, "device-state", &path, err) < 0 ||
        nx_reading_state(&u->reading, &state, err) < 0 ||
        nx_newfile_open(&file, path, 0644, err) < 0 ||
        nx_state_read(state.data, state.len, m->device_state_raw, to_newfile, &file, err) < 0)
        return -1;
    return nx_newfile_commit(&file, err);
}

static int make_dir(struct unpacking *u, const char *dir, struct nx_error *err)
{
    if (mkdir(dir, 0777) < 0 && errno != EEXIST)
        return nx_fail_errno(err, "%s", dir);
    u->dir = realpath(dir, NULL);
    return u->dir ? 0 : nx_fail_errno(err, "%s", dir);
}

static json_t *unpacked_json(const struct unpacking *u)
{
    const struct nx_manifest *m = u->reading.head->manifest;
    json_t *images = json_array();
    for (unsigned i = 0; i < m->n_images; i++)
        json_array_append_new(images, json_pack("{s:s, s:s, s:o}", "name", u->images[i].image,
                                                "format", u->images[i].format, "file",
                                                nx_json_text(u->images[i].path)));
    return json_pack("{s:o, s:s, s:s?, s:o}", "directory", nx_json_text(u->dir), "domain",
                     "domain.xml", "device-state", m->suspended ? "device-state" : NULL, "images",
                     images);
}

static int unpack(struct unpacking *u, const char *path, const char *dir, struct nx_error *err)
{
    if (nx_reading_open(&u->reading, path, err) < 0 || make_dir(u, dir, err) < 0)
        return -1;
    const struct nx_manifest *m = u->reading.head->manifest;
    nx_progress_start("unpacking", nx_reading_total(&u->reading));
    int ret = 0;
    for (unsigned i = 0; ret == 0 && i < m->n_images; i++)
        ret = unpack_image(u, i, err);
    nx_progress_end();
    if (ret < 0 || write_state(u, err) < 0 || write_domain(u, err) < 0)
        return -1;
    if (nx_json_wanted())
        return nx_json_print(unpacked_json(u), err);
    nx_log(NX_LOG_NOTICE, "%s: %u image%s%s and domain.xml unpacked into %s", path, m->n_images,
           m->n_images == 1 ? "" : "s", m->suspended ? ", the device state" : "", dir);
    return 0;
}

static int run(const char *path, const char *dir, const char *format, unsigned threads,
               struct nx_error *err)
{
    struct unpacking *u = calloc(1, sizeof *u);
    if (!u)
        return nx_fail_errno(err, "%s", path);
    u->reading = (struct nx_reading)NX_READING_INIT;
    u->format = format;
    u->threads = threads;
    int ret = unpack(u, path, dir, err);
    nx_reading_release(&u->reading);
    for (unsigned i = 0; i < NX_IMAGES_MAX; i++)
        free(u->images[i].path);
    free(u->dir);
    free(u);
    return ret;
}

int nx_verb_unpack(int argc, char **argv)
{
    struct nx_error err = NX_ERROR_INIT;
    const char *format = "raw";
    unsigned threads = nx_default_threads();
    int status;
    for (int c; (c = getopt_long(argc, argv, NX_CLI_SHORT, long_options, NULL)) != -1;) {
        if (c == OPT_FORMAT) {
            format = optarg;
        } else if (c == OPT_THREADS) {
            if (nx_cli_threads(optarg, &threads, &err) < 0)
                return nx_cli_fail(&err);
        } else if (nx_cli_option(c, &status)) {
            return status;
        }
    }
    if (strcmp(format, "raw") != 0 && strcmp(format, "qcow2") != 0)
        nx_fail(&err, NX_ERR_USAGE, "--format %s: neither raw nor qcow2", format);
    else if (nx_cli_count(argc, 2, 2, "PACKAGE and DIR", &err) == 0 &&
             run(argv[optind], argv[optind + 1], format, threads, &err) == 0)
        return 0;
    return nx_cli_fail(&err);
}
