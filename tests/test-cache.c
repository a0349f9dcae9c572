/* SPDX-License-Identifier: MIT */
/* The cache: what it keeps, and what it survives. */
#include "fetch/cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
#include "fetch/segment.h"
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

/* What the cache has told: lines, each ended by a newline. */
static char told[4096];

static void hear(void *opaque, const char *line)
{
    size_t len = strlen(told);
    (void)opaque;
    snprintf(told + len, sizeof(told) - len, "%s\n", line);
}

#define assert_told(text) ck_assert_msg(strstr(told, text), "told \"%s\", not \"%s\"", told, text)
#define assert_silent()   ck_assert_str_eq(told, "")

static struct nx_cache *open_cache(uint64_t limit)
{
    const struct nx_cache_options options = { dir, limit, hear, NULL };
    struct nx_error err = NX_ERROR_INIT;
    struct nx_cache *cache = NULL;
    told[0] = '\0';
    nx_assert_ok(nx_cache_open(&options, &cache, &err), err);
    return cache;
}

/* Whoever puts more than the queue takes waits, as a pull does. */
static void put(struct nx_cache *cache, unsigned first, unsigned count)
{
    for (unsigned n = first; n < first + count; n++) {
        static uint8_t data[OBJECT_SIZE] __attribute__((aligned(8)));
        struct nx_digest digest;
        make_object(n, data, &digest);
        NX_AUTO_BYTES struct nx_bytes *bytes = nx_bytes_copy(data, OBJECT_SIZE);
        nx_cache_put(cache, &digest, bytes);
        nx_cache_wait_below(cache, NX_CACHE_QUEUE_MAX / 2, NULL);
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

/* As another process sees them. */
static uint64_t bytes_of_segments(void)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/segments", dir);
    NX_AUTO_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    NX_AUTO_SEGMENT_LIST struct nx_segment_list list = { 0 };
    return fd >= 0 && nx_segment_list(fd, &list, NULL) == 0 ? list.bytes : 0;
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
    assert_silent();
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
    assert_told(SEGMENT_1 ": damaged at offset 40");
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
    assert_told(_i == 0 ? "index.mdb: missing" : "index.mdb: damaged");
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

/* A header in the middle is damaged: what stands behind it is not thrown away. */
START_TEST(test_damaged_header)
{
    struct nx_cache *cache = open_cache(0);
    put(cache, 0, 5);
    nx_cache_close(cache);
    damage(SEGMENT_1, OBJECT_SIZE + 40, "damage", 6);
    cache = open_cache(0);
    put(cache, 5, 1);
    ck_assert_uint_eq(count_hits(cache, 0, 6), 6);
    nx_cache_close(cache);
    cache = open_cache(0);
    ck_assert_uint_eq(count_hits(cache, 0, 6), 6);
    nx_cache_close(cache);
}
END_TEST

/* What a killed process has written and not recorded is found by who goes on with its segment. */
START_TEST(test_killed_writer)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct nx_cache *cache = open_cache(0);
        put(cache, 0, 1);
        nx_cache_flush(cache, NULL);
        put(cache, 1, 9);
        nx_cache_wait_below(cache, 1, NULL);
        kill(getpid(), SIGKILL);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status));
    struct nx_cache *cache = open_cache(0);
    assert_silent();
    put(cache, 10, 1);
    nx_cache_flush(cache, NULL);
    ck_assert_uint_eq(count_hits(cache, 0, 11), 11);
    ck_assert_uint_eq(usage_of(cache).bytes, 11 * (OBJECT_SIZE + 40));
    nx_cache_close(cache);
}
END_TEST

/* Removed while it is in use: it says so, and goes on without. */
START_TEST(test_removed)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_cache *cache = open_cache(0);
    put(cache, 0, 3);
    nx_assert_ok(nx_cache_flush(cache, &err), err);
    nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    ck_assert_uint_eq(count_hits(cache, 0, 3), 0);
    put(cache, 3, 3);
    nx_assert_fails(nx_cache_flush(cache, &err), err, "removed while it was in use");
    ck_assert_ptr_nonnull(strstr(err.msg, dir));
    assert_told("nothing more is kept");
    put(cache, 6, 3);
    nx_cache_close(cache);
    cache = open_cache(0);
    assert_silent();
    put(cache, 0, 3);
    ck_assert_uint_eq(count_hits(cache, 0, 6), 3);
    nx_cache_close(cache);
}
END_TEST

/* What another process is writing stays known when the rest is cleared. */
START_TEST(test_clear_beside_a_writer)
{
    struct nx_error err = NX_ERROR_INIT;
    int ready[2], go[2];
    uint64_t freed;
    char c = 0;
    struct nx_cache_head head = { .manifest = { { 1 } } };
    ck_assert_int_eq(pipe(ready), 0);
    ck_assert_int_eq(pipe(go), 0);
    struct nx_cache *cache = open_cache(0);
    put(cache, 0, 3); /* into a segment that nobody holds afterwards */
    nx_cache_put_head(cache, "http://h/gone", &head);
    nx_cache_close(cache);
    damage(SEGMENT_1, 0, "damage", 6); /* so that it is not gone on with */
    pid_t pid = fork();
    if (pid == 0) {
        cache = open_cache(0);
        put(cache, 10, 3);
        make_object(10, (uint8_t[OBJECT_SIZE]){ 0 }, &head.bytes);
        nx_cache_put_head(cache, "http://h/kept", &head);
        nx_cache_wait_below(cache, 1, NULL); /* written, and soon recorded */
        if (write(ready[1], &c, 1) != 1 || read(go[0], &c, 1) != 1)
            _exit(1);
        bool right = count_hits(cache, 10, 3) == 3 && count_hits(cache, 0, 3) == 0;
        nx_cache_close(cache);
        _exit(!right);
    }
    ck_assert_int_eq(read(ready[0], &c, 1), 1);
    cache = open_cache(0);
    while (usage_of(cache).heads < 2)
        usleep(10000);
    nx_assert_ok(nx_cache_clear(cache, &freed, &err), err);
    ck_assert_uint_eq(freed, 3 * (OBJECT_SIZE + 40));
    ck_assert_uint_eq(usage_of(cache).entries, 3);
    ck_assert_uint_eq(usage_of(cache).heads, 1);
    ck_assert_uint_eq(count_hits(cache, 10, 3), 3);
    ck_assert_int_eq(write(go[1], &c, 1), 1);
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    nx_cache_close(cache);
}
END_TEST

static void write_layout(const char *text)
{
    struct nx_error err = NX_ERROR_INIT;
    char path[128];
    snprintf(path, sizeof(path), "%s/layout", dir);
    nx_assert_ok(nx_write_file(path, 0600, text, strlen(text), &err), err);
}

START_TEST(test_other_layouts)
{
    const struct nx_cache_options options = { dir, 0, hear, NULL };
    struct nx_error err = NX_ERROR_INIT;
    struct nx_cache *cache = open_cache(0);
    put(cache, 0, 3);
    nx_cache_close(cache);
    write_layout("nxpk cache 2\n");
    nx_assert_fails(nx_cache_open(&options, &cache, &err), err, "of a newer nxfetch");
    ck_assert_ptr_nonnull(strstr(err.msg, dir));
    write_layout("nxpk\x80 cache 1\n");
    cache = open_cache(0);
    assert_told("layout: damaged: written anew");
    ck_assert_uint_eq(count_hits(cache, 0, 3), 3);
    nx_cache_close(cache);
    cache = open_cache(0);
    assert_silent();
    nx_cache_close(cache);
    write_layout("nxpk cache 0\n");
    cache = open_cache(0);
    assert_told("of an older nxfetch (layout 0): cleared");
    ck_assert_uint_eq(usage_of(cache).bytes, 0);
    ck_assert_uint_eq(count_hits(cache, 0, 3), 0);
    nx_cache_close(cache);
    cache = open_cache(0);
    assert_silent();
    nx_cache_close(cache);
}
END_TEST

/* Before the file `layout` there was one layout, without the mark that the database is whole. */
START_TEST(test_without_layout)
{
    char path[128];
    struct nx_cache *cache = open_cache(0);
    put(cache, 0, 3);
    nx_cache_close(cache);
    snprintf(path, sizeof(path), "%s/layout", dir);
    ck_assert_int_eq(unlink(path), 0);
    cache = open_cache(0);
    assert_silent();
    ck_assert_uint_eq(count_hits(cache, 0, 3), 3);
    nx_cache_close(cache);
}
END_TEST

/* However many fill it at once, a cache is never larger than its limit by more than a segment. */
START_TEST(test_limit_of_many)
{
    enum { PROCESSES = 8, EACH = 120 };
    uint64_t limit = 8 << 20, most = 0;
    pid_t pids[PROCESSES];
    int running = PROCESSES;
    for (unsigned p = 0; p < PROCESSES; p++) {
        if ((pids[p] = fork()) != 0)
            continue;
        struct nx_cache *cache = open_cache(limit);
        for (unsigned n = 0; n < EACH; n += 10) {
            put(cache, p * EACH + n, 10);
            nx_cache_wait_below(cache, 1, NULL);
        }
        int r = nx_cache_flush(cache, NULL);
        nx_cache_close(cache);
        _exit(r < 0);
    }
    while (running > 0) {
        uint64_t now = bytes_of_segments();
        most = now > most ? now : most;
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid > 0) {
            ck_assert_int_eq(status, 0);
            running--;
        }
    }
    ck_assert_uint_le(most, limit + limit / 16);
    ck_assert_uint_gt(most, limit / 2);
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
            if (n % 8 == 0)
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
    struct nx_cache_head head = { .manifest = { { 1 } }, .bytes = { { 2 } }, .etag = "\"e\"" };
    struct nx_cache_head found;
    struct nx_cache *cache = open_cache(0);
    ck_assert(!nx_cache_get_head(cache, "http://h/x", &found));
    nx_cache_put_head(cache, "http://h/x", &head);
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
    const struct nx_cache_options options = { .dir = dir };
    nx_assert_fails(nx_cache_open(&options, &cache, &err), err, "the cache cannot be used");
    ck_assert_ptr_nonnull(strstr(err.msg, dir));
}
END_TEST

static void fill_disk(void)
{
    char path[128];
    static const char zeros[4096];
    snprintf(path, sizeof(path), "%s/fill", dir);
    NX_AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    while (write(fd, zeros, sizeof(zeros)) > 0)
        ;
}

/* A full disk: it says so once; what was there can still be read. */
START_TEST(test_full_disk)
{
    struct nx_error err = NX_ERROR_INIT;
    snprintf(dir, sizeof(dir), "%s/small", scratch);
    ck_assert_int_eq(mkdir(dir, 0700), 0);
    if (mount("none", dir, "tmpfs", 0, "size=768k") < 0)
        return; /* only root can make a small disk */
    struct nx_cache *cache = open_cache(0);
    put(cache, 0, 30);
    nx_assert_fails(nx_cache_flush(cache, &err), err, "No space left");
    ck_assert_ptr_nonnull(strstr(err.msg, dir));
    assert_told("No space left");
    ck_assert_ptr_eq(strchr(told, '\n'), told + strlen(told) - 1); /* one line */
    ck_assert(!nx_cache_is_writable(cache));
    ck_assert_uint_gt(count_hits(cache, 0, 30), 3);
    put(cache, 100, 3);
    ck_assert_uint_eq(count_hits(cache, 100, 3), 0);
    nx_cache_close(cache);

    /* LMDB writes to its lock file through a map: no room for that must not be a SIGBUS. */
    const struct nx_cache_options options = { .dir = dir };
    char path[128];
    snprintf(path, sizeof(path), "%s/index.mdb-lock", dir);
    ck_assert_int_eq(unlink(path), 0);
    fill_disk();
    nx_assert_fails(nx_cache_open(&options, &cache, &err), err, "No space left");
    umount2(dir, MNT_DETACH);
}
END_TEST

/* ---- flipped bits in the database ------------------------------------------ */

#define SMALL_OBJECTS 4000

static struct nx_bytes *small_object(unsigned n, struct nx_digest *ret_digest)
{
    struct nx_bytes *bytes = nx_bytes_copy(&n, sizeof(n));
    nx_digest_of(bytes->data, bytes->len, ret_digest);
    return bytes;
}

/* So many that the database has inner pages; put in several transactions, so that it has free ones, too. */
static void put_small(struct nx_cache *cache, unsigned first, unsigned count)
{
    for (unsigned n = first; n < first + count; n++) {
        struct nx_digest digest;
        NX_AUTO_BYTES struct nx_bytes *bytes = small_object(n, &digest);
        nx_cache_put(cache, &digest, bytes);
    }
}

static struct nx_buffer read_database(void)
{
    struct nx_buffer buf = NX_BUFFER_INIT(64 << 20);
    struct nx_error err = NX_ERROR_INIT;
    char path[128];
    snprintf(path, sizeof(path), "%s/index.mdb", dir);
    nx_assert_ok(nx_read_file(path, buf.max, &buf, &err), err);
    return buf;
}

/* A run of an nxfetch: whatever it finds, what it gives is right, and what it puts is there. */
static int use_small(unsigned seed)
{
    struct nx_cache *cache = open_cache(0);
    for (unsigned n = 0; n < SMALL_OBJECTS; n += 7) {
        struct nx_digest digest;
        NX_AUTO_BYTES struct nx_bytes *want = small_object(n, &digest);
        NX_AUTO_BYTES struct nx_bytes *found = nx_cache_get(cache, &digest);
        if (found && (found->len != want->len || memcmp(found->data, want->data, want->len) != 0))
            return 2;
    }
    put_small(cache, 1000000 + 500 * seed, 500);
    struct nx_error err = NX_ERROR_INIT;
    int r = nx_cache_flush(cache, &err);
    if (r < 0)
        fprintf(stderr, "%s\n", err.msg);
    nx_cache_close(cache);
    return r < 0;
}

/* Mostly where records are, now and then in the two pages with the heads of it all. */
static void flip(struct nx_buffer *database, unsigned flips)
{
    for (unsigned i = 0; i < flips; i++) {
        size_t span = random() % 8 == 0 ? 2 * 4096 : database->len;
        database->data[(size_t)random() % span] ^= (uint8_t)(1u << random() % 8);
    }
}

/* LMDB does not check its file.  FLIPS=1000 tries more than usual. */
START_TEST(test_flipped_bits_in_database)
{
    unsigned tries = getenv("FLIPS") ? (unsigned)atoi(getenv("FLIPS")) : 8;
    unsigned crashes = 0, failures = 0;
    char path[128];
    struct nx_error err = NX_ERROR_INIT;
    struct nx_cache *cache = open_cache(0);
    for (unsigned n = 0; n < SMALL_OBJECTS; n += 500) {
        put_small(cache, n, 500);
        nx_assert_ok(nx_cache_flush(cache, &err), err);
    }
    nx_cache_close(cache);
    cache = open_cache(0);
    assert_silent(); /* a whole one is not suspected */
    nx_cache_close(cache);
    snprintf(path, sizeof(path), "%s/index.mdb", dir);
    NX_AUTO_BUFFER struct nx_buffer whole = read_database();
    for (unsigned seed = 0; seed < tries; seed++) {
        NX_AUTO_BUFFER struct nx_buffer damaged = NX_BUFFER_INIT(whole.max);
        nx_assert_ok(nx_buffer_add(&damaged, whole.data, whole.len, &err), err);
        srandom(seed);
        flip(&damaged, 1 + seed % 32);
        nx_assert_ok(nx_write_file(path, 0600, damaged.data, damaged.len, &err), err);
        pid_t pid = fork();
        if (pid == 0)
            _exit(use_small(seed));
        int status;
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        crashes += !WIFEXITED(status);
        failures += WIFEXITED(status) && WEXITSTATUS(status) != 0;
        if (status != 0)
            fprintf(stderr, "seed %u: status %#x\n", seed, (unsigned)status);
    }
    ck_assert_uint_eq(crashes, 0);
    ck_assert_uint_eq(failures, 0);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("cache");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, getenv("FLIPS") ? 3600 : 120);
    tcase_add_test(tcase, test_keeps);
    tcase_add_test(tcase, test_damaged_bytes_are_a_miss);
    tcase_add_test(tcase, test_verify);
    tcase_add_loop_test(tcase, test_damaged_database, 0, 3);
    tcase_add_test(tcase, test_torn_segment);
    tcase_add_test(tcase, test_damaged_header);
    tcase_add_test(tcase, test_killed_writer);
    tcase_add_test(tcase, test_removed);
    tcase_add_test(tcase, test_clear_beside_a_writer);
    tcase_add_test(tcase, test_other_layouts);
    tcase_add_test(tcase, test_without_layout);
    tcase_add_test(tcase, test_limit_of_many);
    tcase_add_test(tcase, test_limit);
    tcase_add_test(tcase, test_prune_and_clear);
    tcase_add_loop_test(tcase, test_processes, 0, 2);
    tcase_add_test(tcase, test_segment_removed_by_another);
    tcase_add_test(tcase, test_heads);
    tcase_add_test(tcase, test_unusable);
    tcase_add_test(tcase, test_full_disk);
    tcase_add_test(tcase, test_flipped_bits_in_database);
    return nx_test_run("cache", tcase);
}
