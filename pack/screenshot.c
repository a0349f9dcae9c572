/* SPDX-License-Identifier: MIT */
#include "pack/screenshot.h"

#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/io.h"
#include "common/log.h"
#include "common/types.h"

char *nx_screenshot_path(const char *package)
{
    size_t stem = nx_media_type_of(package)->ours ? nx_name_stem(package) : strlen(package);
    char *path;
    return asprintf(&path, "%.*s.png", (int)stem, package) < 0 ? NULL : path;
}

/* Into a buffer that is thrown away: what can be decoded here can be shown elsewhere. */
static bool decode(png_image *image)
{
    image->format = PNG_FORMAT_RGB;
    NX_AUTO_FREE void *pixels = malloc(PNG_IMAGE_SIZE(*image));
    if (!pixels) {
        snprintf(image->message, sizeof image->message, "no memory for its pixels");
        return false;
    }
    return png_image_finish_read(image, NULL, pixels, 0, NULL);
}

int nx_screenshot_check(struct nx_screenshot *shot, const char *name, struct nx_error *err)
{
    png_image image = { .version = PNG_IMAGE_VERSION };
    if (shot->png.len > NX_SCREENSHOT_MAX)
        return nx_fail(err, NX_ERR_FORMAT, "%s: larger than %d MiB: no screenshot", name,
                       NX_SCREENSHOT_MAX >> 20);
    if (!png_image_begin_read_from_memory(&image, shot->png.data, shot->png.len))
        return nx_fail(err, NX_ERR_FORMAT, "%s: not a PNG picture: %s", name, image.message);
    shot->width = image.width;
    shot->height = image.height;
    bool sane = image.width <= NX_SCREENSHOT_SIDE && image.height <= NX_SCREENSHOT_SIDE;
    int ret = !sane ? nx_fail(err, NX_ERR_FORMAT, "%s: %u x %u pixels: no screenshot", name,
                              shot->width, shot->height)
              : !decode(&image) ? nx_fail(err, NX_ERR_FORMAT, "%s: a damaged PNG picture: %s", name,
                                          image.message)
                                : 0;
    png_image_free(&image);
    return ret;
}

int nx_screenshot_check_machine(const struct nx_machine *machine, const char *name,
                                struct nx_error *err)
{
    if (nx_machine_has_screen(machine))
        return 0;
    return nx_fail(err, NX_ERR_USAGE,
                   "%s: the machine has no screen (<video>) to take a picture of: leave "
                   "--screenshot out",
                   name);
}

int nx_screenshot_write(const struct nx_screenshot *shot, const char *package, struct nx_error *err)
{
    NX_AUTO_FREE char *path = nx_screenshot_path(package);
    struct stat st;
    if (!path || stat(package, &st) < 0)
        return nx_fail_errno(err, "%s", package);
    if (nx_write_file(path, st.st_mode & 0666, shot->png.data, shot->png.len, err) < 0)
        return nx_fail_while(err, "%s is written, but not its screenshot", package);
    nx_log(NX_LOG_NOTICE, "%s: the machine's screen, %u x %u pixels", path, shot->width,
           shot->height);
    return 0;
}

void nx_screenshot_release(struct nx_screenshot *shot)
{
    nx_buffer_release(&shot->png);
}
