/* SPDX-License-Identifier: MIT */
#include "pack/original.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/process.h"
#include "pack/detect.h"
#include "pack/qemunbd.h"

#define INFO_MAX (1024 * 1024) /* bytes of qemu-img's answer */

NX_DEFINE_AUTO(json_t *, json, json_decref)

/* path as seen from the directory of the file beside; to be freed. */
static char *resolve(const char *path, const char *beside)
{
    const char *slash = strrchr(beside, '/');
    char *joined = NULL;
    if (path[0] == '/')
        joined = strdup(path);
    else if (asprintf(&joined, "%.*s%s", slash ? (int)(slash - beside + 1) : 0, beside, path) < 0)
        return NULL;
    /* An absolute path without links, so that it can be compared and handed on. */
    NX_AUTO_FREE char *given = joined;
    return given ? realpath(given, NULL) : NULL;
}

static int take_stamp(int fd, const char *path, struct nx_stamp *stamp, struct nx_error *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return nx_fail_errno(err, "%s", path);
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        return nx_fail(err, NX_ERR_SYSTEM, "%s: is neither a file nor a block device", path);
    stamp->device = st.st_dev;
    stamp->inode = st.st_ino;
    stamp->size = st.st_size;
    stamp->modified = st.st_mtim;
    return 0;
}

/* A chain must not come back to a file that it has. */
static int check_new(const struct nx_original *original, const struct nx_stamp *stamp,
                     const char *path, struct nx_error *err)
{
    for (unsigned i = 0; i < original->n_files; i++)
        if (original->files[i].device == stamp->device && original->files[i].inode == stamp->inode)
            return nx_fail(err, NX_ERR_FORMAT, "%s: is its own backing file", path);
    return 0;
}

/* Open one file of the chain, note what it is now, and check its format. */
static int add_file(struct nx_original *original, const char *path, const char *format,
                    struct nx_error *err)
{
    if (original->n_files == NX_CHAIN_MAX)
        return nx_fail(err, NX_ERR_FORMAT, "%s: has more than %d backing files", original->path,
                       NX_CHAIN_MAX - 1);
    /* O_NONBLOCK: a FIFO must not hold us. */
    NX_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return nx_fail_errno(err, "%s", path);
    struct nx_stamp *stamp = &original->files[original->n_files];
    if (take_stamp(fd, path, stamp, err) < 0 || check_new(original, stamp, path, err) < 0 ||
        nx_image_check_format(fd, path, format, err) < 0)
        return -1;
    stamp->path = strdup(path);
    if (!stamp->path)
        return nx_fail_errno(err, "%s", path);
    original->n_files++;
    return 0;
}

/* What qemu-img says of an image, without opening the files that it is based on. */
static int ask_qemu_img(const char *path, const char *format, bool in_use, json_t **ret_info,
                        struct nx_error *err)
{
    NX_AUTO_ARGS struct nx_args args = { 0 };
    nx_args_add(&args, "qemu-img");
    nx_args_add(&args, "info");
    nx_args_add(&args, "--output=json");
    nx_args_addf(&args, "--format=%s", format);
    if (in_use)
        nx_args_add(&args, "--force-share");
    nx_args_add(&args, "--");
    nx_args_add(&args, path);
    NX_AUTO_BUFFER struct nx_buffer out = NX_BUFFER_INIT(INFO_MAX);
    if (nx_run(&args, &out, err) < 0) {
        const char *said = strstr(err->msg, "exit status ");
        if (said && (said = strstr(said, ": "))) {
            struct nx_error qemu = *err;
            return nx_fail_qemu(err, path, qemu.msg + (said + 2 - err->msg));
        }
        return nx_fail_while(err, "qemu-img (of the package qemu-utils)");
    }
    json_error_t wrong;
    json_t *info = json_loadb((const char *)out.data, out.len, 0, &wrong);
    if (!info)
        return nx_fail(err, NX_ERR_SYSTEM, "%s: qemu-img info: %s", path, wrong.text);
    *ret_info = info;
    return 0;
}

static const char *text_of(const json_t *info, const char *key)
{
    return json_string_value(json_object_get(info, key));
}

/* The file that info's image is based on: *ret_path (to be freed) is NULL if there is none. */
static int find_backing(const json_t *info, const char *path, char **ret_path,
                        const char **ret_format, struct nx_error *err)
{
    *ret_path = NULL;
    const char *backing = text_of(info, "full-backing-filename");
    if (!backing)
        return 0;
    const char *said = text_of(info, "backing-filename-format");
    if (!said)
        return nx_fail(err, NX_ERR_FORMAT,
                       "%s: does not say the format of its backing file: run qemu-img rebase -u "
                       "-b '%s' -F FORMAT on it",
                       path, backing);
    *ret_format = nx_image_format(said);
    if (!*ret_format)
        return nx_fail(err, NX_ERR_FORMAT,
                       "%s: its backing file has the format '%s', not an image's", path, said);
    *ret_path = resolve(backing, path);
    if (!*ret_path)
        return nx_fail_errno(err, "%s: its backing file %s", path, backing);
    return 0;
}

static bool is_own_file(const json_t *info, const char *format)
{
    const json_t *data = json_object_get(json_object_get(info, "format-specific"), "data");
    return strcmp(format, "raw") == 0 ||
           (strcmp(format, "qcow2") == 0 && data && !json_object_get(data, "data-file"));
}

/* The image itself, and not what it is based on. */
static void take_info(struct nx_original *original, const json_t *info)
{
    original->size = (uint64_t)json_integer_value(json_object_get(info, "virtual-size"));
    original->own_file = is_own_file(info, original->format);
}

static int walk_chain(struct nx_original *original, bool in_use, struct nx_error *err)
{
    NX_AUTO_FREE char *path = strdup(original->path);
    if (!path)
        return nx_fail_errno(err, "%s", original->path);
    for (const char *format = original->format; path;) {
        if (add_file(original, path, format, err) < 0)
            return -1;
        json_t *raw_info = NULL;
        if (ask_qemu_img(path, format, in_use, &raw_info, err) < 0)
            return -1;
        NX_AUTO(json) json_t *info = raw_info;
        if (original->n_files == 1)
            take_info(original, info);
        if (json_is_true(json_object_get(info, "encrypted")))
            return nx_fail(err, NX_ERR_FORMAT,
                           "%s: is encrypted: decrypt it with qemu-img convert first", path);
        char *backing = NULL;
        if (nx_image_format_has_backing(format) &&
            find_backing(info, path, &backing, &format, err) < 0)
            return -1;
        free(path);
        path = backing;
    }
    return 0;
}

static int open_chain(struct nx_original *original, const struct nx_domain_disk *disk,
                      const char *xml_path, bool in_use, struct nx_error *err)
{
    const char *format = disk->format ? disk->format : "raw";
    original->format = nx_image_format(format);
    if (!original->format)
        return nx_fail(err, NX_ERR_FORMAT,
                       "%s: images of type '%s' cannot be packed: convert it with qemu-img convert",
                       disk->path, format);
    original->path = resolve(disk->path, xml_path);
    if (!original->path)
        return nx_fail_errno(err, "%s", disk->path);
    if (walk_chain(original, in_use, err) < 0)
        return -1;
    if (original->size == 0)
        return nx_fail(err, NX_ERR_FORMAT, "%s: is empty", original->path);
    return 0;
}

int nx_original_open(struct nx_original *original, const struct nx_domain_disk *disk,
                     const char *xml_path, bool in_use, struct nx_error *err)
{
    *original = (struct nx_original){ 0 };
    if (open_chain(original, disk, xml_path, in_use, err) == 0)
        return 0;
    nx_original_release(original);
    return nx_fail_while(err, "%s:%d", xml_path, disk->line);
}

void nx_original_release(struct nx_original *original)
{
    for (unsigned i = 0; i < original->n_files; i++)
        free(original->files[i].path);
    free(original->path);
    *original = (struct nx_original){ 0 };
}

int nx_original_check_unchanged(const struct nx_original *original, struct nx_error *err)
{
    for (unsigned i = 0; i < original->n_files; i++) {
        const struct nx_stamp *then = &original->files[i];
        struct stat now;
        if (stat(then->path, &now) < 0)
            return nx_fail_errno(err, "%s", then->path);
        if (now.st_dev != then->device || now.st_ino != then->inode || now.st_size != then->size ||
            now.st_mtim.tv_sec != then->modified.tv_sec ||
            now.st_mtim.tv_nsec != then->modified.tv_nsec)
            return nx_fail(err, NX_ERR_SYSTEM,
                           "%s: changed while it was packed: shut down what writes to it, then "
                           "pack again",
                           then->path);
    }
    return 0;
}
