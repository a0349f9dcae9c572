/* SPDX-License-Identifier: MIT */
/* A signed package altered at every place of its structure, in every way: nxpack verify notices each, and what
 * the engine reads is right or not read.
 */
#include <stdio.h>

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

int main(void)
{
    const TTest *const tests[] = { verify_notices_all, verify_notices_every_byte,
                                   engine_reads_right_from_file, engine_reads_right_from_web };
    Suite *suite = suite_create("altered");
    TCase *tcase = tcase_create("altered");
    tcase_set_timeout(tcase, 300);
    tcase_add_checked_fixture(tcase, setup, teardown);
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
