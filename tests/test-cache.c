/* SPDX-License-Identifier: MIT */
/* The cache: what it keeps, and what it survives. */
#include "fetch/cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
#include "tests/support/main.h"

static char scratch[64], dir[80];

static void setup(void)
{
    strcpy(scratch, "/tmp/nxpk-cache.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(scratch));
    snprintf(dir, sizeof(dir), "%s/deep/cache", scratch);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static void teardown(void)
{
    nftw(scratch, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

#define OBJECT_SIZE 50000

/* Object number n: its bytes and digest. */
static void make_object(unsigned n, uint8_t data[static OBJECT_SIZE], struct nx_digest *ret_digest)
{
    /* By words: sanitizers look at each write. */
    for (size_t i = 0; i < OBJECT_SIZE / sizeof(uint64_t); i++)
        ((uint64_t *)data)[i] = (i + 1) * (n + 1) * UINT64_C(0x9e3779b97f4a7c15);
    nx_digest_of(data, OBJECT_SIZE, ret_digest);
}

static struct nx_cache *open_cache(uint64_t limit)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_cache *cache = NULL;
    nx_assert_ok(nx_cache_open(dir, limit, &cache, &err), err);
    return cache;
}

static void put(struct nx_cache *cache, unsigned first, unsigned count)
{
    static uint8_t data[OBJECT_SIZE] __attribute__((aligned(8)));
    struct nx_error err = NX_ERROR_INIT;
    for (unsigned n = first; n < first + count; n++) {
        struct nx_digest digest;
        make_object(n, data, &digest);
        nx_assert_ok(nx_cache_put(cache, &digest, data, OBJECT_SIZE, &err), err);
    }
}

/* How many of the objects the cache has; those that it gives must be right. */
static unsigned count_hits(struct nx_cache *cache, unsigned first, unsigned count)
{
    static uint8_t data[OBJECT_SIZE] __attribute__((aligned(8)));
    unsigned hits = 0;
    for (unsigned n = first; n < first + count; n++) {
        struct nx_digest digest;
        make_object(n, data, &digest);
        NX_AUTO_BYTES struct nx_bytes *bytes = nx_cache_get(cache, &digest);
        if (!bytes)
            continue;
        ck_assert_uint_eq(bytes->len, OBJECT_SIZE);
        ck_assert_mem_eq(bytes->data, data, OBJECT_SIZE);
        hits++;
    }
    return hits;
}

static struct nx_cache_usage usage_of(struct nx_cache *cache)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_cache_usage usage;
    nx_assert_ok(nx_cache_show(cache, &usage, &err), err);
    return usage;
}

/* Write at an offset of a file of the cache (its first segment, or the database). */
static void damage(const char *name, off_t offset, const char *bytes, size_t len)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    NX_AUTO_FD int fd = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_msg(fd >= 0, "%s", path);
    ck_assert_int_eq(pwrite(fd, bytes, len, offset), (ssize_t)len);
}

#define SEGMENT_1 "segments/0000000000000001.seg"

START_TEST(test_keeps)
{
    struct nx_cache *cache = open_cache(0);
    ck_assert_uint_eq(count_hits(cache, 0, 10), 0);
    put(cache, 0, 10);
    ck_assert_uint_eq(count_hits(cache, 0, 10), 10); /* not yet recorded */
    put(cache, 0, 10);
    ck_assert_uint_eq(usage_of(cache).entries, 10);
    uint64_t bytes = usage_of(cache).bytes;
    put(cache, 0, 10); /* recorded: not written again */
    ck_assert_uint_eq(usage_of(cache).bytes, bytes);
    nx_cache_close(cache);

    cache = open_cache(0);
    ck_assert_uint_eq(count_hits(cache, 0, 10), 10);
    put(cache, 10, 1); /* into the same segment */
    ck_assert_uint_eq(usage_of(cache).segments, 1);
    nx_cache_close(cache);
}
END_TEST

START_TEST(test_damaged_bytes_are_a_miss)
{
    struct nx_cache *cache = open_cache(0);
    put(cache, 0, 5);
    nx_cache_close(cache);
    damage(SEGMENT_1, 40 + 1000, "damage", 6);
    cache = open_cache(0);
    ck_assert_uint_eq(count_hits(cache, 0, 5), 4);
    put(cache, 0, 1); /* it heals */
    ck_assert_uint_eq(count_hits(cache, 0, 5), 5);
    nx_cache_close(cache);
}
END_TEST

START_TEST(test_verify)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_cache_verdict verdict;
    struct nx_cache *cache = open_cache(0);
    put(cache, 0, 5);
    nx_cache_flush(cache, &err);
    damage(SEGMENT_1, 40 + 1000, "damage", 6);
    nx_assert_ok(nx_cache_verify(cache, NULL, NULL, &verdict, &err), err);
    ck_assert_uint_eq(verdict.good, 4);
    ck_assert_uint_eq(verdict.bad, 1);
    ck_assert_uint_eq(usage_of(cache).entries, 4);
    nx_cache_close(cache);
}
END_TEST

/* A lost database is made anew from the segments; a damaged one too. */
START_TEST(test_damaged_database)
{
    char path[128];
    struct nx_cache *cache = open_cache(0);
    put(cache, 0, 5);
    nx_cache_close(cache);
    snprintf(path, sizeof(path), "%s/index.mdb", dir);
    switch (_i) {
    case 0:
        ck_assert_int_eq(unlink(path), 0);
        break;
    case 1:
        damage("index.mdb", 0, "this is no database, neither here nor there", 43);
        damage("index.mdb", 4096, "this is no database, neither here nor there", 43);
        break;
    default:
        ck_assert_int_eq(truncate(path, 2 * 4096), 0);
    }
    cache = open_cache(0);
    ck_assert_uint_eq(count_hits(cache, 0, 5), 5);
    nx_cache_close(cache);
}
END_TEST

/* A crash in the middle of an append: the next one goes on behind what is whole. */
START_TEST(test_torn_segment)
{
    char path[128];
    struct nx_cache *cache = open_cache(0);
    put(cache, 0, 3);
    nx_cache_close(cache);
    snprintf(path, sizeof(path), "%s/" SEGMENT_1, dir);
    ck_assert_int_eq(truncate(path, 2 * (OBJECT_SIZE + 40) + 1234), 0);
    cache = open_cache(0);
    ck_assert_uint_eq(count_hits(cache, 0, 3), 2);
    put(cache, 2, 2);
    nx_cache_close(cache);
    snprintf(path, sizeof(path), "%s/index.mdb", dir);
    ck_assert_int_eq(unlink(path), 0);
    cache = open_cache(0); /* from the headers alone */
    ck_assert_uint_eq(count_hits(cache, 0, 4), 4);
    nx_cache_close(cache);
}
END_TEST

START_TEST(test_limit)
{
    uint64_t limit = 4 << 20;
    struct nx_cache *cache = open_cache(limit);
    put(cache, 0, 200); /* 10 MB */
    struct nx_cache_usage usage = usage_of(cache);
    ck_assert_uint_le(usage.bytes, limit + OBJECT_SIZE);
    ck_assert_uint_gt(usage.bytes, limit / 2);
    ck_assert_uint_gt(usage.segments, 2);
    ck_assert_uint_eq(count_hits(cache, 190, 10), 10); /* the newest stay */
    ck_assert_uint_eq(count_hits(cache, 0, 50), 0);    /* the oldest went */
    ck_assert_uint_eq(usage.entries, count_hits(cache, 0, 200));
    nx_cache_close(cache);
}
END_TEST

START_TEST(test_prune_and_clear)
{
    struct nx_error err = NX_ERROR_INIT;
    uint64_t freed;
    struct nx_cache *cache = open_cache(8 << 20);
    put(cache, 0, 100);
    uint64_t bytes = usage_of(cache).bytes;
    nx_assert_ok(nx_cache_prune(cache, 2 << 20, &freed, &err), err);
    ck_assert_uint_le(usage_of(cache).bytes, 2 << 20);
    ck_assert_uint_eq(bytes - freed, usage_of(cache).bytes);
    ck_assert_uint_gt(count_hits(cache, 0, 100), 10);
    nx_assert_ok(nx_cache_clear(cache, &freed, &err), err);
    ck_assert_uint_eq(usage_of(cache).bytes, 0);
    ck_assert_uint_eq(usage_of(cache).entries, 0);
    put(cache, 0, 3); /* it is still a cache */
    ck_assert_uint_eq(count_hits(cache, 0, 3), 3);
    nx_cache_close(cache);
}
END_TEST

/* Processes side by side: each finds what the other has put, and no byte is ever wrong. */
START_TEST(test_processes)
{
    enum { PROCESSES = 4, EACH = 60 };
    pid_t pids[PROCESSES];
    for (unsigned p = 0; p < PROCESSES; p++) {
        pids[p] = fork();
        ck_assert_int_ge(pids[p], 0);
        if (pids[p] > 0)
            continue;
        struct nx_cache *cache = open_cache(_i ? 4 << 20 : 0);
        for (unsigned n = 0; n < EACH; n++) {
            put(cache, p * EACH + n, 1);
            put(cache, 10000 + n, 1); /* the same for all */
            count_hits(cache, 0, PROCESSES * EACH);
        }
        nx_cache_close(cache);
        _exit(0);
    }
    for (unsigned p = 0; p < PROCESSES; p++) {
        int status;
        ck_assert_int_eq(waitpid(pids[p], &status, 0), pids[p]);
        ck_assert_int_eq(status, 0);
    }
    struct nx_cache *cache = open_cache(0);
    if (_i == 0) {
        ck_assert_uint_eq(count_hits(cache, 0, PROCESSES * EACH), PROCESSES * EACH);
        ck_assert_uint_eq(count_hits(cache, 10000, EACH), EACH);
    } else {
        ck_assert_uint_gt(count_hits(cache, 0, PROCESSES * EACH), 0);
    }
    nx_cache_close(cache);
}
END_TEST

START_TEST(test_segment_removed_by_another)
{
    struct nx_cache *cache = open_cache(0);
    char path[128];
    put(cache, 0, 3);
    ck_assert_uint_eq(usage_of(cache).entries, 3);
    snprintf(path, sizeof(path), "%s/" SEGMENT_1, dir);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_uint_eq(count_hits(cache, 0, 3), 0);
    ck_assert_uint_eq(usage_of(cache).entries, 0);
    nx_cache_close(cache);
}
END_TEST

START_TEST(test_heads)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_cache_head head = { .manifest = { { 1 } }, .bytes = { { 2 } }, .etag = "\"e\"" };
    struct nx_cache_head found;
    struct nx_cache *cache = open_cache(0);
    ck_assert(!nx_cache_get_head(cache, "http://h/x", &found));
    nx_assert_ok(nx_cache_put_head(cache, "http://h/x", &head, &err), err);
    nx_cache_close(cache);
    cache = open_cache(0);
    ck_assert(nx_cache_get_head(cache, "http://h/x", &found));
    ck_assert_mem_eq(&found, &head, sizeof(head));
    ck_assert(!nx_cache_get_head(cache, "http://h/y", &found));
    nx_cache_close(cache);
}
END_TEST

START_TEST(test_unusable)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_cache *cache;
    snprintf(dir, sizeof(dir), "%s/file", scratch);
    nx_assert_ok(nx_write_file(dir, 0600, "x", 1, &err), err);
    nx_assert_fails(nx_cache_open(dir, 0, &cache, &err), err, "the cache cannot be used");
    ck_assert_ptr_nonnull(strstr(err.msg, dir));
}
END_TEST

/* A full disk: one error, then silence; what was there can still be read. */
START_TEST(test_full_disk)
{
    struct nx_error err = NX_ERROR_INIT;
    static uint8_t data[OBJECT_SIZE] __attribute__((aligned(8)));
    snprintf(dir, sizeof(dir), "%s/small", scratch);
    ck_assert_int_eq(mkdir(dir, 0700), 0);
    if (mount("none", dir, "tmpfs", 0, "size=512k") < 0)
        return; /* only root can make a small disk */
    struct nx_cache *cache = open_cache(0);
    unsigned failures = 0;
    for (unsigned n = 0; n < 30; n++) {
        struct nx_digest digest;
        make_object(n, data, &digest);
        if (nx_cache_put(cache, &digest, data, OBJECT_SIZE, &err) < 0)
            failures++;
    }
    ck_assert_uint_eq(failures, 1);
    ck_assert_ptr_nonnull(strstr(err.msg, "No space left"));
    ck_assert(!nx_cache_is_writable(cache));
    ck_assert_uint_gt(count_hits(cache, 0, 30), 3);
    nx_cache_close(cache);
    umount2(dir, MNT_DETACH);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cache");
    TCase *tcase = tcase_create("cache");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, test_keeps);
    tcase_add_test(tcase, test_damaged_bytes_are_a_miss);
    tcase_add_test(tcase, test_verify);
    tcase_add_loop_test(tcase, test_damaged_database, 0, 3);
    tcase_add_test(tcase, test_torn_segment);
    tcase_add_test(tcase, test_limit);
    tcase_add_test(tcase, test_prune_and_clear);
    tcase_add_loop_test(tcase, test_processes, 0, 2);
    tcase_add_test(tcase, test_segment_removed_by_another);
    tcase_add_test(tcase, test_heads);
    tcase_add_test(tcase, test_unusable);
    tcase_add_test(tcase, test_full_disk);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
