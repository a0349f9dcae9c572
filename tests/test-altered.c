/* SPDX-License-Identifier: MIT */
/* A signed package altered at every place of its structure, in every way: nxpack verify notices each, and what
 * the engine reads is right or not read.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/io.h"
#include "formats/chunk.h"
#include "tests/support/judge.h"
#include "tests/support/main.h"
#include "tests/support/origin.h"
#include "tests/support/places.h"

#define CHUNK 4096

/* More chunks than a leaf has, few of them with something in them. */
#define DISK_SIZE   (300 * CHUNK + 1000)
#define MEMORY_SIZE (1u << 20)

static struct test_image images[] = {
    { "disk0", NX_IMAGE_DISK, CHUNK, NULL, DISK_SIZE },
    { "memory", NX_IMAGE_MEMORY, CHUNK, NULL, MEMORY_SIZE },
};
static struct nx_buffer package = NX_BUFFER_INIT(1 << 20), bent = NX_BUFFER_INIT(2 << 20);
static struct places places;
static int big_fd; /* of a package over 4 GiB */

/* A chunk of noise, two of text and the last one; the rest is zero. */
static uint8_t *sparse_bytes(size_t size)
{
    NX_AUTO_FREE uint8_t *dense = test_image_bytes(3 * CHUNK, CHUNK, 1);
    uint8_t *data = calloc(1, size);
    memcpy(data + CHUNK, dense + CHUNK, 2 * CHUNK);
    memset(data + 7 * CHUNK, 'x', CHUNK);
    memset(data + size - 500, 'y', 500);
    return data;
}

static void setup(void)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_KEY struct nx_key *key = NULL;
    judge_setup();
    for (int i = 0; i < 2; i++)
        images[i].data = sparse_bytes(images[i].size);
    nx_assert_ok(nx_key_generate(&key, &err), err);
    test_package_build(images, 2, key, &package);
    NX_AUTO_HEAD struct nx_head *head = NULL;
    size_t need;
    nx_assert_ok(nx_head_parse(package.data, package.len, "test", &head, &need, &err), err);
    places_find(&package, head->manifest, &places);
    nx_assert_ok(judge_verify(judge_file(&package), &err), err);
}

static void teardown(void)
{
    judge_teardown();
    for (int i = 0; i < 2; i++)
        free((void *)images[i].data);
    nx_buffer_release(&package);
    nx_buffer_release(&bent);
    free(places.all);
}

/* Call judge() for each step-th of all alterations, of all places.  Returns how many there are. */
static unsigned for_each(void (*judge)(const char *what), unsigned step)
{
    unsigned n = 0;
    char what[256];
    for (size_t i = 0; i < places.n; i++)
        for (enum alteration how = 0; how < ALTERATIONS; how++) {
            if (!alter(&package, &places, i, how, &bent) || n++ % step != 0)
                continue;
            snprintf(what, sizeof(what), "%s at %zu (%zu bytes): %s", places.all[i].what,
                     places.all[i].at, places.all[i].len, alteration_name(how));
            judge(what);
        }
    return n;
}

static void must_be_noticed(const char *what)
{
    struct nx_error err;
    ck_assert_msg(judge_verify(judge_file(&bent), &err) < 0, "not noticed: %s", what);
}

START_TEST(verify_notices_all)
{
    unsigned n = for_each(must_be_noticed, 1);
    printf("%zu places, %u alterations, all noticed by verify\n", places.n, n);
    ck_assert_uint_gt(n, 3000);
}
END_TEST

/* Bytes from at on that a digest covers, which need no more than a sample. */
static size_t covered(size_t at)
{
    for (size_t i = 0; i < places.n; i++)
        if ((strcmp(places.all[i].what, "page") == 0 || strcmp(places.all[i].what, "chunk") == 0) &&
            places.all[i].at <= at && at < places.all[i].at + places.all[i].len)
            return places.all[i].at + places.all[i].len - at;
    return 0;
}

START_TEST(verify_notices_every_byte)
{
    struct nx_error err;
    unsigned n = 0;
    for (size_t at = 0; at<package.len; at += covered(at)> 64 ? 61 : 1, n++) {
        package.data[at] ^= 0x20; /* the case of a letter */
        ck_assert_msg(judge_verify(judge_file(&package), &err) < 0, "byte %zu: not noticed", at);
        package.data[at] ^= 0x20;
    }
    printf("%u of %zu bytes flipped, each noticed by verify\n", n, package.len);
    ck_assert_uint_gt(n, package.len / 4);
}
END_TEST

static unsigned reads, refusals;

static void count(int ret)
{
    reads += ret == 0;
    refusals += ret < 0;
}

static void read_file(const char *what)
{
    struct nx_error err;
    struct nx_engine_config config = { .path = judge_file(&bent) };
    mark_point();
    count(judge_read(&config, images, 2, &err));
}

START_TEST(engine_reads_right_from_file)
{
    for_each(read_file, 5);
    printf("from a file: %u read and right, %u refused\n", reads, refusals);
    ck_assert_uint_gt(reads, 100);
    ck_assert_uint_gt(refusals, 300);
}
END_TEST

static struct origin *origin;

static void read_web(const char *what)
{
    static unsigned version;
    struct nx_error err;
    char etag[32];
    snprintf(etag, sizeof(etag), "\"%u\"", ++version);
    origin_change(origin, etag, bent.data, bent.len);
    char *urls[] = { (char *)origin_url(origin) };
    struct nx_engine_config config = { .urls = urls, .n_urls = 1, .http = { .tries = 1 } };
    count(judge_read(&config, images, 2, &err));
}

START_TEST(engine_reads_right_from_web)
{
    origin = origin_start(package.data, package.len);
    for_each(read_web, 29);
    origin_stop(origin);
    printf("from the web: %u read and right, %u refused\n", reads, refusals);
    ck_assert_uint_gt(reads, 30);
    ck_assert_uint_gt(refusals, 50);
}
END_TEST

/* ---- ZIP64 ---- */

#define HOLE (UINT64_C(9) << 29) /* 4.5 GiB of zeros behind the chunks, which a package may have */

/* What is zero becomes a hole. */
static int write_sparse(const void *data, size_t len, void *opaque, struct nx_error *err)
{
    struct nx_zip_writer **zip = opaque;
    return nx_is_zero(data, len)
               ? 0
               : nx_pwrite_full(big_fd, data, len, nx_zip_position(*zip), "big.nxpk", err);
}

static void write_big(struct test_parts *parts, const struct nx_key *key, struct nx_error *err)
{
    struct nx_manifest *m = parts->manifest;
    NX_AUTO_ZIP struct nx_zip_writer *zip = NULL;
    NX_AUTO_FREE uint8_t *zeros = calloc(1, 1 << 20);
    m->chunks.size += HOLE;
    nx_assert_ok(nx_package_plan(m, err), *err);
    nx_assert_ok(nx_zip_writer_new(write_sparse, &zip, &zip, err), *err);
    nx_assert_ok(nx_package_write_head(zip, m, parts->domain.data, key, err), *err);
    nx_assert_ok(nx_zip_member(zip, "device-state", parts->state.data, parts->state.len, err),
                 *err);
    nx_assert_ok(nx_zip_member(zip, "index", parts->index.data, parts->index.len, err), *err);
    nx_assert_ok(nx_zip_begin(zip, "chunks", m->chunks.size, NULL, err), *err);
    nx_assert_ok(nx_zip_write(zip, parts->chunks.data, parts->chunks.len, err), *err);
    for (uint64_t done = 0; done < HOLE; done += 1 << 20)
        nx_assert_ok(nx_zip_write(zip, zeros, 1 << 20, err), *err);
    nx_assert_ok(nx_zip_end(zip, NULL, err), *err);
    nx_assert_ok(nx_zip_finish(zip, err), *err);
    ck_assert_int_eq(ftruncate(big_fd, (off_t)nx_zip_position(zip)), 0);
}

/* A package over 4 GiB has records that others do not: sizes of 64 bits behind the chunks, an extra field of
 * their entry in the directory, and two more records at the end.
 */
START_TEST(zip64_records)
{
    struct nx_error err;
    struct test_parts parts;
    NX_AUTO_KEY struct nx_key *key = NULL;
    const char *path = judge_file(&package);
    NX_AUTO_FD int fd = open(path, O_RDWR | O_TRUNC | O_CLOEXEC);
    big_fd = fd;
    nx_assert_ok(nx_key_generate(&key, &err), err);
    test_parts_make(images, 2, &parts);
    test_parts_plan(&parts);
    write_big(&parts, key, &err);
    nx_assert_ok(judge_verify(path, &err), err);
    struct stat st;
    ck_assert_int_eq(fstat(fd, &st), 0);
    unsigned n = 0;
    for (uint64_t at = nx_manifest_end(parts.manifest); at < (uint64_t)st.st_size; at += 29, n++) {
        uint8_t byte, other;
        ck_assert_int_eq(pread(fd, &byte, 1, (off_t)at), 1);
        other = byte ^ 0x10;
        ck_assert_int_eq(pwrite(fd, &other, 1, (off_t)at), 1);
        ck_assert_msg(judge_verify(path, &err) < 0, "byte %" PRIu64 ": not noticed", at);
        ck_assert_int_eq(pwrite(fd, &byte, 1, (off_t)at), 1);
    }
    printf("%u bytes behind 4.5 GiB flipped, each noticed by verify\n", n);
    test_parts_release(&parts);
}
END_TEST

/* For tests/slow/43-zip64.sh. */
static void add_slow(Suite *suite)
{
    TCase *tcase = tcase_create("zip64");
    tcase_set_timeout(tcase, 1200);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, zip64_records);
    suite_add_tcase(suite, tcase);
}

int main(void)
{
    const TTest *const tests[] = { verify_notices_all, verify_notices_every_byte,
                                   engine_reads_right_from_file, engine_reads_right_from_web };
    Suite *suite = suite_create("altered");
    TCase *tcase = tcase_create("altered");
    tcase_set_timeout(tcase, 900); /* with sanitizers, on a slow machine */
    tcase_add_checked_fixture(tcase, setup, teardown);
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    if (getenv("NX_SLOW"))
        add_slow(suite);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
