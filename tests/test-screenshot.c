/* SPDX-License-Identifier: MIT */
/* Pictures that somebody else has made. */
#include "pack/screenshot.h"

#include <png.h>

#include "tests/support/main.h"

/* A grey PNG of so many pixels into shot. */
static void make_png(struct nx_screenshot *shot, unsigned width, unsigned height)
{
    png_image image = {
        .version = PNG_IMAGE_VERSION, .width = width, .height = height, .format = PNG_FORMAT_GRAY
    };
    NX_AUTO_FREE uint8_t *pixels = calloc(width, height);
    png_alloc_size_t len = PNG_IMAGE_PNG_SIZE_MAX(image);
    struct nx_error err;
    nx_buffer_init(&shot->png, NX_SCREENSHOT_MAX);
    nx_assert_ok(nx_buffer_reserve(&shot->png, len, &err), err);
    ck_assert(png_image_write_to_memory(&image, shot->png.data, &len, 0, pixels, 0, NULL));
    shot->png.len = len;
}

START_TEST(good)
{
    NX_AUTO_SCREENSHOT struct nx_screenshot shot = NX_SCREENSHOT_INIT;
    struct nx_error err;
    make_png(&shot, 640, 400);
    nx_assert_ok(nx_screenshot_check(&shot, "x.png", &err), err);
    ck_assert_uint_eq(shot.width, 640);
    ck_assert_uint_eq(shot.height, 400);
}
END_TEST

START_TEST(largest)
{
    NX_AUTO_SCREENSHOT struct nx_screenshot wide = NX_SCREENSHOT_INIT;
    NX_AUTO_SCREENSHOT struct nx_screenshot wider = NX_SCREENSHOT_INIT;
    struct nx_error err;
    make_png(&wide, NX_SCREENSHOT_SIDE, 1);
    nx_assert_ok(nx_screenshot_check(&wide, "x.png", &err), err);
    make_png(&wider, NX_SCREENSHOT_SIDE + 1, 1);
    nx_assert_fails(nx_screenshot_check(&wider, "x.png", &err), err, "x.png: 8193 x 1 pixels");
}
END_TEST

/* Cut anywhere, it is none; the last 12 bytes say that it ends, and nothing more. */
START_TEST(cut)
{
    NX_AUTO_SCREENSHOT struct nx_screenshot shot = NX_SCREENSHOT_INIT;
    struct nx_error err;
    make_png(&shot, 64, 40);
    for (size_t whole = shot.png.len; shot.png.len-- > 0;)
        if (shot.png.len < whole - 12)
            nx_assert_fails(nx_screenshot_check(&shot, "x.png", &err), err, "x.png: ");
}
END_TEST

static const struct {
    const char *bytes;
    size_t len;
    const char *message;
} bad[] = {
#define BYTES(text) (text), sizeof(text) - 1
    { BYTES(""), "x.png: not a PNG picture" },
    { BYTES("GIF89a"), "x.png: not a PNG picture" },
    { BYTES("<svg onload='alert(1)'/>"), "x.png: not a PNG picture" },
    { BYTES("\x89PNG\r\n\x1a\n"), "x.png: not a PNG picture" },
    /* 2147483647 x 2147483647 pixels, with a right checksum */
    { BYTES("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\x7f\xff\xff\xff\x7f\xff\xff\xff\x08\x02\0\0\0"
            "\x9b\xab\x9c\x31"),
      "x.png: not a PNG picture" },
};

START_TEST(refused)
{
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct nx_screenshot shot = NX_SCREENSHOT_INIT;
        struct nx_error err;
        shot.png.data = (uint8_t *)bad[i].bytes;
        shot.png.len = bad[i].len;
        nx_assert_fails(nx_screenshot_check(&shot, "x.png", &err), err, bad[i].message);
    }
}
END_TEST

static const struct {
    const char *package, *picture;
} names[] = {
    { "guest.nxpk", "guest.png" },
    { "dir.nxpk/guest", "dir.nxpk/guest.png" },
    { "/srv/guest.netx", "/srv/guest.png" },
    { "http://h/a/guest.nxpk", "http://h/a/guest.png" },
    { "guest.nxpk.old", "guest.nxpk.old.png" },
    { ".nxpk", ".nxpk.png" },
    { "dir/.nxpk", "dir/.nxpk.png" },
    { "nxpk", "nxpk.png" },
};

START_TEST(beside)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        NX_AUTO_FREE char *path = nx_screenshot_path(names[i].package);
        ck_assert_str_eq(path, names[i].picture);
    }
}
END_TEST

NX_TEST_MAIN("screenshot", good, largest, cut, refused, beside)
