/* SPDX-License-Identifier: MIT */
/* Memory that comes page by page, in any order, some again, is read as the image that it makes: from the stream where
 * that stands in a file, and from the temporary file where it does not.
 */
#include "pack/pages.h"

#include <sys/mman.h>

#include "common/io.h"
#include "formats/migration.h"
#include "tests/support/main.h"

#define PAGE    4096
#define PAGES   700  /* more than are read at once */
#define STREAM  1000 /* where in the file it begins */
#define STREAMS ((PAGES + 100) * (PAGE + 100))

static uint8_t want[PAGES * PAGE], have[PAGES * PAGE];
static struct nx_buffer stream;

static void add(struct nx_pages *pages, unsigned page, unsigned seed, size_t gap)
{
    static const uint8_t header[256] = { 1, 2, 3 };
    struct nx_error err;
    uint8_t data[PAGE];
    for (size_t i = 0; i < PAGE; i++)
        data[i] = (uint8_t)(seed + i * (seed + 1) + i / 256);
    nx_assert_ok(nx_buffer_add(&stream, header, gap, &err), err);
    nx_assert_ok(nx_pages_add(pages, (uint64_t)page * PAGE, data, stream.len, &err), err);
    nx_assert_ok(nx_buffer_add(&stream, data, PAGE, &err), err);
    memcpy(want + page * PAGE, data, PAGE);
}

static void add_filled(struct nx_pages *pages, unsigned page, uint8_t byte)
{
    struct nx_error err;
    memset(want + page * PAGE, byte, PAGE);
    nx_assert_ok(nx_pages_add(pages, (uint64_t)page * PAGE, byte ? want + page * PAGE : NULL,
                              NX_MIGRATION_FILLED, &err),
                 err);
}

static void done(void *opaque)
{
    ++*(unsigned *)opaque;
}

/* Pages 0 to 9 in order with the gaps of a stream, holes, a page that comes again, one that becomes zero, a
 * filled one, a large gap, an order that is none, and a long run up to the end.
 */
static void fill(struct nx_pages *pages)
{
    memset(want, 0, sizeof want);
    for (unsigned i = 0; i < 10; i++)
        add(pages, i, i, i == 0 ? 20 : 8);
    add(pages, 20, 50, 200);
    add(pages, 13, 51, 8);
    add(pages, 12, 52, 8);
    add_filled(pages, 14, 0xaa);
    add(pages, 15, 53, 8);
    add(pages, 4, 54, 8);
    add_filled(pages, 7, 0);
    for (unsigned i = 100; i < PAGES; i++)
        add(pages, i, i, i % 90 ? 8 : i % 60);
}

static void check_runs(struct nx_source *source)
{
    static const uint64_t runs[][2] = {
        { 0, 7 }, { 8, 10 }, { 12, 16 }, { 20, 21 }, { 100, PAGES }
    };
    struct nx_error err;
    struct nx_span run = { 0, 0 };
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        nx_assert_ok(nx_source_next_data(source, run.offset + run.size, &run, &err), err);
        ck_assert_uint_eq(run.offset, runs[i][0] * PAGE);
        ck_assert_uint_eq(run.offset + run.size, runs[i][1] * PAGE);
    }
    nx_assert_ok(nx_source_next_data(source, run.offset + run.size, &run, &err), err);
    ck_assert_uint_eq(run.size, 0);
    nx_assert_ok(nx_source_next_data(source, 5 * PAGE + 100, &run, &err), err);
    ck_assert_uint_eq(run.offset, 5 * PAGE + 100);
    ck_assert_uint_eq(run.size, 2 * PAGE - 100);
}

static void check_pages(bool in_place)
{
    struct nx_error err;
    NX_AUTO_PAGES struct nx_pages *pages = NULL;
    NX_AUTO_SOURCE struct nx_source *source = NULL;
    NX_AUTO_FD int fd = memfd_create("save", MFD_CLOEXEC);
    nx_buffer_init(&stream, STREAMS);
    nx_assert_ok(nx_pages_new(sizeof want, fd, in_place ? STREAM : 0, "a.save",
                              "/tmp/test-pack-pages", &pages, &err),
                 err);
    fill(pages);
    if (in_place)
        nx_assert_ok(nx_pwrite_full(fd, stream.data, stream.len, STREAM, "a.save", &err), err);
    nx_buffer_release(&stream);
    nx_assert_ok(nx_pages_open(pages, &source, &err), err);
    ck_assert_uint_eq(nx_source_size(source), sizeof want);
    check_runs(source);
    for (size_t step = PAGE; step <= sizeof want; step *= 6) {
        unsigned reads = 0, asked = 0;
        memset(have, 0xee, sizeof have);
        for (size_t at = 0; at < sizeof have; at += step, asked++) {
            size_t len = sizeof have - at < step ? sizeof have - at : step;
            nx_assert_ok(nx_source_start_read(source, have + at, len, at, done, &reads, &err), err);
        }
        ck_assert_uint_eq(reads, asked);
        ck_assert_mem_eq(have, want, sizeof want);
    }
    if (!in_place)
        return;
    ck_assert_int_eq(ftruncate(fd, STREAM + 50 * PAGE), 0);
    nx_assert_fails(
        nx_source_start_read(source, have, sizeof have, 0, done, &(unsigned){ 0 }, &err), err,
        "a.save: ends at");
}

START_TEST(from_the_stream)
{
    check_pages(true);
}
END_TEST

START_TEST(from_a_temporary_file)
{
    check_pages(false);
}
END_TEST

NX_TEST_MAIN("pack-pages", from_the_stream, from_a_temporary_file)
