/* SPDX-License-Identifier: MIT */
#include "formats/index.h"

#include "tests/support/main.h"

/* An image of 600 chunks (two levels) and a package that has room for its children. */
static struct nx_manifest manifest = { .index = { 1000, 100000 }, .chunks = { 200000, 1000000 } };
static struct nx_image image = { .size = 599 * 65536 + 100, .chunk_size = 65536 };

static struct nx_index_entry entry(uint64_t offset, uint32_t size)
{
    struct nx_index_entry e = { offset, size, { { 1, 2, 3 } } };
    return e;
}

START_TEST(levels)
{
    ck_assert_uint_eq(nx_index_levels(1), 1);
    ck_assert_uint_eq(nx_index_levels(256), 1);
    ck_assert_uint_eq(nx_index_levels(257), 2);
    ck_assert_uint_eq(nx_index_levels(65536), 2);
    ck_assert_uint_eq(nx_index_levels(65537), 3);
    ck_assert_uint_eq(nx_index_levels(NX_IMAGE_SIZE_MAX / NX_CHUNK_SIZE_MIN), 5);
    ck_assert_uint_eq(nx_index_slot(0x123456, 0), 0x56);
    ck_assert_uint_eq(nx_index_slot(0x123456, 1), 0x34);
    ck_assert_uint_eq(nx_index_slot(0x123456, 2), 0x12);
}
END_TEST

START_TEST(write_and_read)
{
    struct nx_error err;
    NX_AUTO_BUFFER struct nx_buffer buf = NX_BUFFER_INIT(NX_INDEX_PAGE_MAX);
    static struct nx_index_page page;
    nx_index_page_start(&page, 0);
    const unsigned slots[] = { 0, 7, 8, 63, 200, 255 };
    for (unsigned i = 0; i < 6; i++) {
        struct nx_index_entry e = entry(i * 1000, 1000 + i);
        nx_index_page_set(&page, slots[i], &e);
    }
    nx_assert_ok(nx_index_page_write(&page, &buf, &err), err);
    ck_assert_uint_eq(buf.len, nx_index_page_size(6));
    nx_assert_ok(nx_index_page_check(buf.data, buf.len, 0, 0, &manifest, &image, &err), err);
    struct nx_index_entry found;
    for (unsigned i = 0; i < 6; i++) {
        ck_assert(nx_index_page_get(buf.data, slots[i], &found));
        ck_assert_uint_eq(found.offset, i * 1000);
        ck_assert_uint_eq(found.size, 1000 + i);
        ck_assert_int_eq(found.digest.bytes[2], 3);
    }
    ck_assert(!nx_index_page_get(buf.data, 1, &found));
    ck_assert_uint_eq(nx_index_page_next(buf.data, 9), 63);
    ck_assert_uint_eq(nx_index_page_next(buf.data, 255), 255);
    ck_assert_uint_eq(nx_index_page_next(buf.data, 64), 200);
}
END_TEST

/* One field of a good page is bent; each is refused with its own words. */
START_TEST(bad_pages)
{
    static const struct {
        const char *what;
        unsigned level;
        uint64_t first;
        struct nx_index_entry entry;
        unsigned at; /* offset of a byte to change, 0: none */
        uint8_t value;
        int shorten;
        const char *message;
    } cases[] = {
        { "short", 0, 0, { 0, 10, { { 0 } } }, 0, 0, 60, "too short" },
        { "magic", 0, 0, { 0, 10, { { 0 } } }, 1, 'Y', 0, "no index page here" },
        { "level", 0, 0, { 0, 10, { { 0 } } }, 4, 1, 0, "level 1 in the place of level 0" },
        { "reserved", 0, 0, { 0, 10, { { 0 } } }, 5, 1, 0, "reserved" },
        { "count", 0, 0, { 0, 10, { { 0 } } }, 6, 2, 0, "says 2 children and marks 1" },
        { "bitmap", 0, 0, { 0, 10, { { 0 } } }, 9, 1, 0, "says 1 children and marks 2" },
        { "cut", 0, 0, { 0, 10, { { 0 } } }, 0, 0, 1, "83 bytes says 1 children" },
        { "no bytes", 0, 0, { 0, 0, { { 0 } } }, 0, 0, 0, "index entry of 0 bytes" },
        { "large chunk", 0, 0, { 0, 65537, { { 0 } } }, 0, 0, 0, "at most 65536" },
        { "large last chunk", 0, 596, { 0, 101, { { 0 } } }, 0, 0, 0, "at most 100" },
        { "behind the end",
          0,
          597,
          { 0, 10, { { 0 } } },
          0,
          0,
          0,
          "names chunk 600 of an image of 600" },
        { "far chunk", 0, 0, { 999999, 10, { { 0 } } }, 0, 0, 0, "behind the end at 1000000" },
        { "huge offset", 0, 0, { UINT64_MAX, 10, { { 0 } } }, 0, 0, 0, "behind the end" },
        { "far page", 1, 0, { 99999, 84, { { 0 } } }, 0, 0, 0, "behind the end at 100000" },
        { "large page", 1, 0, { 0, 11305, { { 0 } } }, 0, 0, 0, "at most 11304" },
    };
    static struct nx_index_page page;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nx_error err;
        NX_AUTO_BUFFER struct nx_buffer buf = NX_BUFFER_INIT(NX_INDEX_PAGE_MAX);
        nx_index_page_start(&page, cases[i].level);
        /* Slot 3 is chunk first + 3 in a leaf; in a page of level 1, slot 0 is in range. */
        nx_index_page_set(&page, cases[i].level ? 0 : 3, &cases[i].entry);
        nx_assert_ok(nx_index_page_write(&page, &buf, &err), err);
        if (cases[i].at)
            buf.data[cases[i].at] = cases[i].value;
        nx_assert_fails(nx_index_page_check(buf.data, buf.len - (size_t)cases[i].shorten,
                                            cases[i].level, cases[i].first, &manifest, &image,
                                            &err),
                        err, cases[i].message);
    }
}
END_TEST

NX_TEST_MAIN("index", levels, write_and_read, bad_pages)
