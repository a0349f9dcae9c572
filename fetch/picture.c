/* SPDX-License-Identifier: MIT */
#include "fetch/picture.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"

int nx_picture_open(const struct nx_instance *instance, char **ret_path, struct nx_error *err)
{
    NX_AUTO_FREE char *path = nx_instance_path(instance, "screen.png");
    if (!path)
        return nx_fail_errno(err, "screenshot");
    NX_AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return nx_fail_errno(err, "%s", path);
    *ret_path = NX_STEAL(path);
    return 0;
}

int nx_picture_save(const char *path, const char *out, struct nx_error *err)
{
    static const char magic[] = "\x89PNG\r\n\x1a\n";
    NX_AUTO_BUFFER struct nx_buffer png = NX_BUFFER_INIT(0);
    if (nx_read_file(path, NX_PICTURE_MAX, &png, err) < 0)
        return nx_fail_while(err, "screenshot");
    if (png.len < sizeof magic - 1 || memcmp(png.data, magic, sizeof magic - 1) != 0)
        return nx_fail(err, NX_ERR_SYSTEM, "screenshot: QEMU has written no PNG file");
    if (nx_write_file(out, 0644, png.data, png.len, err) < 0)
        return -1;
    nx_log(NX_LOG_NOTICE, "%s: a picture of the machine's screen", out);
    return 0;
}
