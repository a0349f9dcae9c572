/* SPDX-License-Identifier: MIT */
#include "pack/imagefile.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "common/process.h"

/* qemu-img writes into the temporary file that is there, so that its name and mode stay. */
static int create_qcow2(const char *path, uint64_t size, struct nx_error *err)
{
    NX_AUTO_ARGS struct nx_args args = { 0 };
    nx_args_add(&args, "qemu-img");
    nx_args_add(&args, "create");
    nx_args_add(&args, "-q");
    nx_args_add(&args, "-f");
    nx_args_add(&args, "qcow2");
    nx_args_add(&args, "--");
    nx_args_add(&args, path);
    nx_args_addf(&args, "%" PRIu64, size);
    if (nx_run(&args, NULL, err) < 0)
        return nx_fail_while(err, "qemu-img (of the package qemu-utils)");
    return 0;
}

static int open_format(struct nx_imagefile *image, const char *format, uint64_t size,
                       struct nx_error *err)
{
    if (strcmp(format, "raw") == 0) {
        if (ftruncate(image->file.fd, (off_t)size) < 0)
            return nx_fail_errno(err, "%s", image->file.path);
        return 0;
    }
    if (create_qcow2(image->file.temp, size, err) < 0)
        return -1;
    return nx_qemunbd_open(&image->server, image->file.temp, format, true, err);
}

int nx_imagefile_open(struct nx_imagefile *image, const char *path, const char *format,
                      uint64_t size, struct nx_error *err)
{
    *image = (struct nx_imagefile)NX_IMAGEFILE_INIT;
    if (access(path, F_OK) == 0)
        return nx_fail(err, NX_ERR_SYSTEM, "%s: exists: choose another directory, or remove it",
                       path);
    if (nx_newfile_open(&image->file, path, 0644, err) < 0)
        return -1;
    if (open_format(image, format, size, err) == 0)
        return 0;
    nx_imagefile_release(image);
    return -1;
}

int nx_imagefile_write(struct nx_imagefile *image, uint64_t offset, const void *data, size_t len,
                       struct nx_error *err)
{
    if (!image->server.nbd)
        return nx_pwrite_full(image->file.fd, data, len, offset, image->file.path, err);
    if (nbd_pwrite(image->server.nbd, data, len, offset, 0) < 0)
        return nx_qemunbd_fail(&image->server, err);
    return 0;
}

int nx_imagefile_commit(struct nx_imagefile *image, struct nx_error *err)
{
    if (image->server.nbd) {
        if (nbd_flush(image->server.nbd, 0) < 0 || nbd_shutdown(image->server.nbd, 0) < 0)
            return nx_qemunbd_fail(&image->server, err);
        nx_qemunbd_release(
            &image->server); /* waits for qemu-nbd, which writes its last on the way out */
    }
    return nx_newfile_commit(&image->file, err);
}

void nx_imagefile_release(struct nx_imagefile *image)
{
    nx_qemunbd_release(&image->server);
    nx_newfile_release(&image->file);
}
