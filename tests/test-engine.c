/* SPDX-License-Identifier: MIT */
/* The engine process from outside: over HTTP, from a file, from the cache, through FUSE, and
 * what it says when something is wrong.
 */
#include "fetch/engine.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/io.h"
#include "fetch/channel.h"
#include "fetch/mountpoint.h"
#include "formats/record.h"
#include "tests/support/main.h"
#include "tests/support/origin.h"
#include "tests/support/package.h"

#define DISK_SIZE   (9u << 20) /* two leaves of 16 KiB chunks, and a bit */
#define MEMORY_SIZE (3u << 20)

static uint8_t *disk, *memory;
static struct nx_buffer package = NX_BUFFER_INIT(64u << 20);
static struct nx_buffer other_package = NX_BUFFER_INIT(64u << 20);
static char scratch[] = "/tmp/nxpk-engine.XXXXXX";
static char cache_dir[64], mount_dir[64], export_dir[64], package_path[64];
static struct origin *origin;
static char *urls[2];
static unsigned n_urls;

static void setup(void)
{
    struct nx_error err = NX_ERROR_INIT;
    ck_assert_ptr_nonnull(mkdtemp(scratch));
    snprintf(cache_dir, sizeof(cache_dir), "%s/cache", scratch);
    snprintf(mount_dir, sizeof(mount_dir), "%s/mount", scratch);
    snprintf(export_dir, sizeof(export_dir), "%s/export", scratch);
    snprintf(package_path, sizeof(package_path), "%s/test.nxpk", scratch);
    ck_assert_int_eq(mkdir(mount_dir, 0700), 0);
    ck_assert_int_eq(mkdir(export_dir, 0700), 0);
    disk = test_image_bytes(DISK_SIZE, 16384, 1);
    memory = test_image_bytes(MEMORY_SIZE, 16384, 2);
    struct test_image images[] = {
        { "disk0", NX_IMAGE_DISK, 16384, disk, DISK_SIZE - 1000 },
        { "memory", NX_IMAGE_MEMORY, 16384, memory, MEMORY_SIZE },
    };
    test_package_build(images, 2, NULL, &package);
    nx_assert_ok(nx_write_file(package_path, 0600, package.data, package.len, &err), err);
    origin = origin_start(package.data, package.len);
    urls[0] = (char *)origin_url(origin);
    n_urls = 1;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static void teardown(void)
{
    origin_stop(origin);
    nftw(scratch, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    strcpy(scratch + strlen(scratch) - 6, "XXXXXX");
    nx_buffer_release(&package);
    nx_buffer_release(&other_package);
    free(disk);
    free(memory);
}

/* ---- one run --------------------------------------------------------------- */

struct run {
    struct nx_engine engine;
    struct nx_mountpoint mountpoint;
    struct nx_stats stats; /* the last that came */
    struct nx_head *head;
    char notice[1024], waiting[1024]; /* the last of each */
    unsigned resumed;
    char no_state[1024];
    struct nx_error failure;
};

static struct nx_engine_config web_config(void)
{
    return (struct nx_engine_config){ .urls = urls,
                                      .n_urls = n_urls,
                                      .cache_dir = cache_dir,
                                      .cache_limit = UINT64_C(1) << 30,
                                      .fuse_fd = -1,
                                      .http = { .tries = 3, .stall_timeout = 10 } };
}

static void start(struct run *run, struct nx_engine_config *config, bool mount)
{
    struct nx_error err = NX_ERROR_INIT;
    *run = (struct run){ .mountpoint = NX_MOUNTPOINT_INIT };
    if (!config->state_fd && !config->record_fd)
        config->state_fd = config->record_fd = -1;
    if (mount) {
        nx_assert_ok(nx_mountpoint_mount(mount_dir, &run->mountpoint, &err), err);
        config->fuse_fd = run->mountpoint.fd;
    }
    nx_assert_ok(nx_engine_start(config, &run->engine, &err), err);
    nx_mountpoint_close_fd(&run->mountpoint);
}

static void take_message(struct run *run, int type, const struct nx_buffer *payload)
{
    struct nx_error err = NX_ERROR_INIT;
    switch (type) {
    case NX_MSG_HEAD:
        nx_assert_ok(nx_channel_unpack_head(payload, "test", &run->head, &err), err);
        break;
    case NX_MSG_STATS:
        memcpy(&run->stats, payload->data, sizeof(run->stats));
        break;
    case NX_MSG_NOTICE:
        snprintf(run->notice, sizeof(run->notice), "%s", (const char *)payload->data);
        break;
    case NX_MSG_WAITING:
        snprintf(run->waiting, sizeof(run->waiting), "%s", (const char *)payload->data);
        break;
    case NX_MSG_NO_STATE:
        snprintf(run->no_state, sizeof(run->no_state), "%s", (const char *)payload->data);
        break;
    case NX_MSG_RESUMED:
        run->resumed++;
        break;
    case NX_MSG_FAILED:
        memcpy(&run->failure, payload->data, sizeof(run->failure));
        break;
    }
}

/* Receive up to a message of this type (0: the end): -1 and run->failure if the engine failed before. */
static int until(struct run *run, int wanted)
{
    NX_AUTO_BUFFER struct nx_buffer payload = NX_BUFFER_INIT(NX_CHANNEL_MAX);
    for (;;) {
        struct nx_error err = NX_ERROR_INIT;
        int type = 0;
        nx_assert_ok(nx_channel_receive(run->engine.channel, NULL, &type, &payload, &err), err);
        take_message(run, type, &payload);
        if (type == wanted)
            return 0;
        if (type == 0 || type == NX_MSG_FAILED)
            return -1;
    }
}

static int go_as(struct run *run, enum nx_go as, int wanted)
{
    if (until(run, NX_MSG_HEAD) < 0)
        return -1;
    uint8_t how = (uint8_t)as;
    nx_channel_send(run->engine.channel, NX_MSG_GO, &how, sizeof how, NULL);
    nx_channel_send(run->engine.channel, NX_MSG_STARTED, NULL, 0, NULL);
    return until(run, wanted);
}

static int go(struct run *run, int wanted)
{
    return go_as(run, NX_GO_COLD, wanted);
}

static void stop(struct run *run)
{
    struct nx_error err = NX_ERROR_INIT;
    /* The last statistics come on the way out. */
    nx_channel_send(run->engine.channel, NX_MSG_QUIT, NULL, 0, NULL);
    until(run, 0);
    nx_engine_stop(&run->engine, 5000);
    nx_assert_ok(nx_mountpoint_unmount(&run->mountpoint, &err), err);
    nx_head_free(run->head);
}

static void check_file(const char *dir, const char *name, const uint8_t *data, size_t size)
{
    struct nx_error err = NX_ERROR_INIT;
    char path[128];
    struct stat st;
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    NX_AUTO_FD int fd = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
    ck_assert_int_eq(fstat(fd, &st), 0);
    ck_assert_uint_eq((uint64_t)st.st_size, size);
    NX_AUTO_FREE uint8_t *buf = malloc(size);
    nx_assert_ok(nx_pread_full(fd, buf, size, 0, path, &err), err);
    ck_assert_msg(memcmp(buf, data, size) == 0, "%s has other bytes", path);
    ck_assert_int_eq(pread(fd, buf, 1, (off_t)size), 0);
}

static void check_mounted(void)
{
    check_file(mount_dir, "disk0", disk, DISK_SIZE - 1000);
    check_file(mount_dir, "memory", memory, MEMORY_SIZE);
}

/* ---- tests ----------------------------------------------------------------- */

START_TEST(test_web_then_cache)
{
    struct nx_engine_config config = web_config();
    struct run run;
    start(&run, &config, true);
    ck_assert_msg(go(&run, NX_MSG_READY) == 0, "%s", run.failure.msg);
    check_mounted();
    stop(&run);
    ck_assert_uint_gt(run.stats.chunks_fetched, 100);
    ck_assert_uint_lt(run.stats.cache_hits, 10); /* what landed between two looks */
    ck_assert_uint_eq(run.stats.package_bytes, package.len);
    ck_assert_uint_ge(run.stats.bytes, run.stats.index_bytes);

    uint64_t before = origin_bytes(origin);
    struct run again;
    start(&again, &config, true);
    ck_assert_msg(go(&again, NX_MSG_READY) == 0, "%s", again.failure.msg);
    check_mounted();
    stop(&again);
    ck_assert_uint_eq(again.stats.chunks_fetched, 0);
    ck_assert_uint_gt(again.stats.cache_hits, 100);
    ck_assert_uint_eq(again.stats.requests, 1);
    ck_assert_uint_lt(origin_bytes(origin) - before, 8192);

    config.offline = true;
    struct run offline;
    start(&offline, &config, true);
    ck_assert_msg(go(&offline, NX_MSG_READY) == 0, "%s", offline.failure.msg);
    check_mounted();
    stop(&offline);
    ck_assert_uint_eq(offline.stats.requests, 0);
}
END_TEST

START_TEST(test_file)
{
    struct nx_engine_config config = { .path = package_path, .fuse_fd = -1 };
    struct run run;
    start(&run, &config, true);
    ck_assert_msg(go(&run, NX_MSG_READY) == 0, "%s", run.failure.msg);
    check_mounted();
    char path[128];
    snprintf(path, sizeof(path), "%s/disk0", mount_dir);
    NX_AUTO_FD int fd = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, "x", 1, 0), -1);
    ck_assert_int_eq(errno, EROFS);
    stop(&run);
}
END_TEST

static struct nx_engine_config resume_config(void);

/* Memory is for resuming only. */
START_TEST(test_export)
{
    enum nx_go how = _i == 0 ? NX_GO_COLD : NX_GO_RESUME;
    struct nx_engine_config config = resume_config();
    close(config.record_fd);
    config.record_fd = -1;
    config.no_fuse_fetch_all = true;
    config.export_dir = export_dir;
    struct run run;
    start(&run, &config, false);
    ck_assert_msg(go_as(&run, how, NX_MSG_READY) == 0, "%s", run.failure.msg);
    check_file(export_dir, "disk0", disk, DISK_SIZE - 1000);
    if (how == NX_GO_RESUME) {
        check_file(export_dir, "memory", memory, MEMORY_SIZE);
        ck_assert_uint_eq(run.stats.have_bytes, run.stats.total_bytes);
    } else {
        char path[128];
        snprintf(path, sizeof(path), "%s/memory", export_dir);
        ck_assert_int_lt(access(path, F_OK), 0);
    }
    stop(&run);
    close(config.state_fd);
}
END_TEST

START_TEST(test_pull)
{
    struct nx_engine_config config = web_config();
    config.pull = true;
    struct run run;
    start(&run, &config, false);
    ck_assert_msg(go(&run, NX_MSG_DONE) == 0, "%s", run.failure.msg);
    stop(&run);
    ck_assert_uint_eq(run.stats.have_bytes, run.stats.total_bytes);
    ck_assert_uint_gt(run.stats.total_bytes, 1u << 20);
    ck_assert_uint_lt(run.stats.requests, 12);

    struct run again;
    start(&again, &config, false);
    ck_assert_msg(go(&again, NX_MSG_DONE) == 0, "%s", again.failure.msg);
    stop(&again);
    ck_assert_uint_eq(again.stats.chunks_fetched, 0);

    config.pull = false;
    config.offline = true;
    struct run offline;
    start(&offline, &config, true);
    ck_assert_msg(go(&offline, NX_MSG_READY) == 0, "%s", offline.failure.msg);
    check_mounted();
    stop(&offline);
}
END_TEST

START_TEST(test_complete)
{
    struct nx_engine_config config = web_config();
    config.complete = true;
    struct run run;
    start(&run, &config, true);
    ck_assert_msg(go(&run, NX_MSG_READY) == 0, "%s", run.failure.msg);
    ck_assert_msg(until(&run, NX_MSG_DONE) == 0, "%s", run.failure.msg);
    uint64_t requests = origin_requests(origin);
    check_mounted();
    ck_assert_uint_eq(origin_requests(origin), requests);
    stop(&run);
}
END_TEST

START_TEST(test_offline_without_cache)
{
    struct nx_engine_config config = web_config();
    config.offline = true;
    struct run run;
    start(&run, &config, false);
    ck_assert_int_eq(go(&run, NX_MSG_READY), -1);
    ck_assert_msg(strstr(run.failure.msg, "run nxfetch pull first"), "%s", run.failure.msg);
    stop(&run);
}
END_TEST

START_TEST(test_pin)
{
    struct nx_digest pin = { { 1, 2, 3 } };
    struct nx_engine_config config = web_config();
    config.pin = &pin;
    struct run run;
    start(&run, &config, false);
    ck_assert_int_eq(go(&run, NX_MSG_READY), -1);
    ck_assert_int_eq(run.failure.code, NX_ERR_TRUST);
    ck_assert_msg(strstr(run.failure.msg, "not the package that the reference names"), "%s",
                  run.failure.msg);
    stop(&run);
}
END_TEST

/* Refusals before the machine runs: each is one clear line. */
static const struct refusal {
    enum origin_mischief mischief;
    const char *message;
} refusals[] = {
    { ORIGIN_IGNORES_RANGE, "the server ignores ranges" },
    { ORIGIN_WRONG_RANGE, "Content-Range is not what was asked for" },
    { ORIGIN_WRONG_TOTAL, "Content-Range is not what was asked for" },
    { ORIGIN_WRONG_LENGTH, "got 32768 of 65536 bytes" },
    { ORIGIN_LONG_BODY, "more bytes than were asked for" },
    { ORIGIN_403, "access denied" },
    { ORIGIN_404, "not found" },
    { ORIGIN_416, "empty, truncated or another one" },
    { ORIGIN_429, "HTTP status 429" },
    { ORIGIN_503, "HTTP status 503" },
    { ORIGIN_GZIP, "switch that off" },
    { ORIGIN_GARBAGE, "HTTP/0.9" },
    { ORIGIN_ENDLESS_HEADERS, "headers do not end" },
    { ORIGIN_MOVED_LOOP, "redirects" },
    { ORIGIN_MOVED_FILE, "Protocol \"file\" not supported or disabled" },
    { ORIGIN_RESET, "127.0.0.1" },
    { ORIGIN_SHORT_BODY, "127.0.0.1" },
    { ORIGIN_STALL, "127.0.0.1" },
    { ORIGIN_TRICKLE, "too slow" },
};

START_TEST(test_refusals)
{
    struct nx_engine_config config = web_config();
    config.http.tries = 2;
    config.http.stall_timeout = 1;
    struct run run;
    origin_misbehave(origin, refusals[_i].mischief, UINT_MAX);
    start(&run, &config, false);
    ck_assert_int_eq(go(&run, NX_MSG_READY), -1);
    ck_assert_msg(strstr(run.failure.msg, refusals[_i].message), "%s", run.failure.msg);
    stop(&run);
}
END_TEST

/* Troubles that pass: the guest reads every byte all the same.  Those that do not, alone, are for test_mirror. */
static const enum origin_mischief passing[] = { ORIGIN_IGNORES_IF_RANGE,
                                                ORIGIN_WRONG_LENGTH,
                                                ORIGIN_SHORT_BODY,
                                                ORIGIN_WRONG_BYTES,
                                                ORIGIN_STALL,
                                                ORIGIN_TRICKLE,
                                                ORIGIN_RESET,
                                                ORIGIN_429,
                                                ORIGIN_503,
                                                ORIGIN_503_LATER,
                                                ORIGIN_MOVED };

START_TEST(test_troubles_that_pass)
{
    struct nx_engine_config config = web_config();
    config.http.stall_timeout = 1;
    struct run run;
    start(&run, &config, true);
    ck_assert_msg(go(&run, NX_MSG_READY) == 0, "%s", run.failure.msg);
    origin_misbehave(origin, passing[_i], 2);
    check_mounted();
    stop(&run);
    ck_assert_uint_eq(origin_mischiefs(origin), 2);
    if (passing[_i] != ORIGIN_MOVED && passing[_i] != ORIGIN_IGNORES_IF_RANGE)
        ck_assert_uint_gt(run.stats.retries, 0);
    ck_assert_uint_eq(run.stats.waiting, 0);
    if (passing[_i] == ORIGIN_WRONG_BYTES)
        ck_assert_msg(strstr(run.notice, "has not the bytes that the author signed"), "%s",
                      run.notice);
}
END_TEST

/* A refusal after the start: the guest waits, the user hears why, and the end is not delayed by it. */
START_TEST(test_refusal_while_running)
{
    struct nx_engine_config config = web_config();
    struct run run;
    start(&run, &config, true);
    ck_assert_msg(go(&run, NX_MSG_READY) == 0, "%s", run.failure.msg);
    origin_misbehave(origin, ORIGIN_404, UINT_MAX);
    char path[128];
    snprintf(path, sizeof(path), "%s/disk0", mount_dir);
    pid_t reader = fork();
    if (reader == 0) {
        char byte;
        int fd = open(path, O_RDONLY);
        _exit(pread(fd, &byte, 1, DISK_SIZE - 5000) == 1 ? 0 : 1);
    }
    ck_assert_int_eq(until(&run, NX_MSG_WAITING), 0);
    ck_assert_msg(strstr(run.waiting, "not found"), "%s", run.waiting);
    stop(&run);
    int status;
    waitpid(reader, &status, 0);
    ck_assert_int_eq(WEXITSTATUS(status), 1);
}
END_TEST

/* A mirror that refuses, fails or has wrong bytes is left for the next: from the beginning, and later. */
START_TEST(test_mirror)
{
    struct origin *bad = origin_start(package.data, package.len);
    origin_move(bad, "http://127.0.0.1:9/nothing");
    urls[1] = urls[0];
    urls[0] = (char *)origin_url(bad);
    n_urls = 2;
    struct nx_engine_config config = web_config();
    struct run run;
    origin_misbehave(bad, _i, UINT_MAX);
    start(&run, &config, true);
    ck_assert_msg(go(&run, NX_MSG_READY) == 0, "%s", run.failure.msg);
    check_file(mount_dir, "memory", memory, MEMORY_SIZE);
    origin_misbehave(bad, ORIGIN_GOOD, 0);
    origin_misbehave(origin, _i, 10);
    check_mounted();
    stop(&run);
    ck_assert_uint_eq(run.stats.waiting, 0);
    origin_stop(bad);
}
END_TEST

/* ---- many readers ---------------------------------------------------------- */

#define READERS 4

/* Random pieces of both files, so many: what is wrong first, or 0. */
static int read_randomly(unsigned seed, unsigned times)
{
    static uint8_t buf[100000];
    int fds[2];
    char path[128];
    const struct {
        const char *name;
        const uint8_t *data;
        size_t size;
    } files[] = { { "disk0", disk, DISK_SIZE - 1000 }, { "memory", memory, MEMORY_SIZE } };
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%s", mount_dir, files[i].name);
        fds[i] = open(path, O_RDONLY | O_CLOEXEC);
    }
    for (unsigned n = 0; n < times; n++) {
        int i = rand_r(&seed) % 3 == 0;
        size_t at = (size_t)rand_r(&seed) % files[i].size;
        size_t len = 1 + (size_t)rand_r(&seed) % sizeof(buf);
        if (len > files[i].size - at)
            len = files[i].size - at;
        if (pread(fds[i], buf, len, (off_t)at) != (ssize_t)len)
            return 1;
        if (memcmp(buf, files[i].data + at, len) != 0)
            return 2;
    }
    return 0;
}

static void read_in_parallel(unsigned times)
{
    pid_t readers[READERS];
    for (unsigned i = 0; i < READERS; i++)
        if ((readers[i] = fork()) == 0)
            _exit(read_randomly(i + 1, times));
    for (unsigned i = 0; i < READERS; i++) {
        int status;
        waitpid(readers[i], &status, 0);
        ck_assert_msg(status == 0, "reader %u ended with %#x", i, status);
    }
}

/* Each answer in ten is bad, in one way or another; alone, and where a mirror is as bad. */
START_TEST(test_troubles_at_random)
{
    struct origin *other = origin_start(package.data, package.len);
    urls[1] = (char *)origin_url(other);
    n_urls = 1 + (unsigned)_i;
    struct nx_engine_config config = web_config();
    struct run run;
    start(&run, &config, true);
    ck_assert_msg(go(&run, NX_MSG_READY) == 0, "%s", run.failure.msg);
    origin_misbehave_at_random(origin, 10, 1);
    origin_misbehave_at_random(other, 10, 2);
    read_in_parallel(100);
    check_mounted();
    stop(&run);
    ck_assert_uint_eq(run.stats.waiting, 0);
    ck_assert_uint_gt(origin_mischiefs(origin), 0);
    origin_stop(other);
}
END_TEST

/* ---- other versions -------------------------------------------------------- */

/* A package of the same shape with other bytes. */
static void build_other(void)
{
    NX_AUTO_FREE uint8_t *other = test_image_bytes(DISK_SIZE, 16384, 3);
    struct test_image images[] = {
        { "disk0", NX_IMAGE_DISK, 16384, other, DISK_SIZE - 1000 },
        { "memory", NX_IMAGE_MEMORY, 16384, memory, MEMORY_SIZE },
    };
    test_package_build(images, 2, NULL, &other_package);
}

static void find_digest(struct nx_digest *ret)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_HEAD struct nx_head *head = NULL;
    size_t need;
    nx_assert_ok(nx_head_parse(package.data, package.len, "test", &head, &need, &err), err);
    *ret = head->manifest_digest;
}

/* One of two mirrors has another version: where the reference says which is meant it may be the first. */
START_TEST(test_mirror_with_other_version)
{
    bool first = _i == 1;
    struct nx_digest pin;
    build_other();
    find_digest(&pin);
    struct origin *other = origin_start(other_package.data, other_package.len);
    urls[first ? 1 : 0] = (char *)origin_url(origin);
    urls[first ? 0 : 1] = (char *)origin_url(other);
    n_urls = 2;
    struct nx_engine_config config = web_config();
    config.pin = &pin;
    struct run run;
    start(&run, &config, true);
    ck_assert_msg(go(&run, NX_MSG_READY) == 0, "%s", run.failure.msg);
    if (first)
        ck_assert_msg(strstr(run.notice, origin_url(other)) &&
                          strstr(run.notice, "not the package that the reference names"),
                      "%s", run.notice);
    origin_misbehave(origin, ORIGIN_404, first ? 0 : 1);
    check_mounted();
    stop(&run);
    if (!first)
        ck_assert_msg(strstr(run.notice, origin_url(other)) &&
                          strstr(run.notice, "the file there is damaged or another version"),
                      "%s", run.notice);
    origin_stop(other);
}
END_TEST

/* Replaced while the machine runs: what is here goes on, what is not waits, and the user knows why.  Put back, it all
 * goes on; the next start finds the new version, and the cache confuses nothing.
 */
START_TEST(test_replaced)
{
    build_other();
    struct nx_engine_config config = web_config();
    struct run run;
    start(&run, &config, true);
    ck_assert_msg(go(&run, NX_MSG_READY) == 0, "%s", run.failure.msg);
    check_file(mount_dir, "memory", memory, MEMORY_SIZE);
    origin_change(origin, "\"2\"", other_package.data, other_package.len);
    check_file(mount_dir, "memory", memory, MEMORY_SIZE);
    pid_t reader = fork();
    if (reader == 0)
        _exit(read_randomly(1, 100));
    ck_assert_int_eq(until(&run, NX_MSG_NOTICE), 0);
    ck_assert_msg(strstr(run.notice, "has changed on the server"), "%s", run.notice);
    ck_assert_int_eq(until(&run, NX_MSG_WAITING), 0);
    ck_assert_msg(strstr(run.notice, "has not the bytes that the author signed"), "%s", run.notice);
    ck_assert_msg(strstr(run.waiting, "has not the bytes that the author signed"), "%s",
                  run.waiting);
    origin_change(origin, "\"1\"", package.data, package.len);
    int status;
    waitpid(reader, &status, 0);
    ck_assert_int_eq(status, 0);
    check_mounted();
    stop(&run);
    ck_assert_uint_eq(run.stats.waiting, 0);

    origin_change(origin, "\"2\"", other_package.data, other_package.len);
    NX_AUTO_FREE uint8_t *other = test_image_bytes(DISK_SIZE, 16384, 3);
    start(&run, &config, true);
    ck_assert_msg(go(&run, NX_MSG_READY) == 0, "%s", run.failure.msg);
    check_file(mount_dir, "disk0", other, DISK_SIZE - 1000);
    check_file(mount_dir, "memory", memory, MEMORY_SIZE);
    stop(&run);
}
END_TEST

START_TEST(test_etag_changes)
{
    struct nx_engine_config config = web_config();
    struct run run;
    start(&run, &config, true);
    ck_assert_msg(go(&run, NX_MSG_READY) == 0, "%s", run.failure.msg);
    origin_change(origin, "\"2\"", NULL, 0);
    check_mounted();
    stop(&run);
    ck_assert_msg(strstr(run.notice, "has changed on the server"), "%s", run.notice);
}
END_TEST

START_TEST(test_truncated)
{
    origin_change(origin, "\"1\"", package.data, package.len / 2);
    struct nx_engine_config config = web_config();
    struct run run;
    start(&run, &config, false);
    ck_assert_int_eq(go(&run, NX_MSG_READY), -1);
    ck_assert_msg(strstr(run.failure.msg, "truncated"), "%s", run.failure.msg);
    stop(&run);
}
END_TEST

/* The engine's death ends reads; nothing hangs. */
START_TEST(test_engine_dies)
{
    struct nx_engine_config config = web_config();
    struct run run;
    start(&run, &config, true);
    ck_assert_msg(go(&run, NX_MSG_READY) == 0, "%s", run.failure.msg);
    char path[128], byte;
    snprintf(path, sizeof(path), "%s/disk0", mount_dir);
    NX_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    kill(run.engine.pid, SIGKILL);
    until(&run, 0);
    ck_assert_int_eq(pread(fd, &byte, 1, 0), -1);
    stop(&run);
}
END_TEST

/* ---- resuming -------------------------------------------------------------- */

/* The package anew, as the settings of support/package.h say. */
static void rebuild(void)
{
    struct test_image images[] = {
        { "disk0", NX_IMAGE_DISK, 16384, disk, DISK_SIZE - 1000 },
        { "memory", NX_IMAGE_MEMORY, 16384, memory, MEMORY_SIZE },
    };
    package.len = 0;
    test_package_build(images, 2, NULL, &package);
    test_package_boot = 0;
    test_package_bad_state = false;
    origin_change(origin, "\"2\"", package.data, package.len);
}

static struct nx_engine_config resume_config(void)
{
    struct nx_engine_config config = web_config();
    config.state_fd = memfd_create("state", MFD_CLOEXEC);
    config.record_fd = memfd_create("record", MFD_CLOEXEC);
    ck_assert(config.state_fd >= 0 && config.record_fd >= 0);
    return config;
}

static void close_files(const struct nx_engine_config *config)
{
    close(config->state_fd);
    close(config->record_fd);
}

static void check_state(int fd)
{
    char bytes[256];
    ssize_t n = pread(fd, bytes, sizeof(bytes), 0);
    ck_assert_int_eq(n, (ssize_t)strlen(test_device_state) + 1);
    ck_assert_mem_eq(bytes, test_device_state, (size_t)n);
}

/* Head, state with index, boot set: a request each; then nothing for what the boot set holds, and, the next time, for
 * anything.  Without a cache, too.
 */
START_TEST(test_boot_set)
{
    bool cached = _i == 0;
    test_package_boot = 1 << 20;
    rebuild();
    struct nx_engine_config config = resume_config();
    config.cache_dir = cached ? cache_dir : NULL;
    struct run run;
    start(&run, &config, true);
    ck_assert_msg(go_as(&run, NX_GO_RESUME, NX_MSG_READY) == 0, "%s", run.failure.msg);
    check_state(config.state_fd);
    ck_assert_str_eq(run.no_state, "");
    ck_assert_uint_gt(run.stats.boot_bytes, (1 << 20) - 32768);
    ck_assert_uint_le(run.stats.requests, 3);
    /* The first MiB of chunks is what the first MiB and more of the disk is stored as. */
    char path[128];
    snprintf(path, sizeof(path), "%s/disk0", mount_dir);
    NX_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    static uint8_t buf[16384];
    for (off_t at = 0; at < 1 << 20; at += 16384) {
        ck_assert_int_eq(pread(fd, buf, sizeof(buf), at), sizeof(buf));
        ck_assert_mem_eq(buf, disk + at, sizeof(buf));
    }
    close(nx_steal_fd(&fd));
    stop(&run);
    ck_assert_uint_le(run.stats.requests, 4); /* with the rest of the index */
    ck_assert_uint_gt(run.stats.boot_have, run.stats.boot_bytes / 2); /* equal chunks land once */
    close_files(&config);
    if (!cached)
        return;
    struct nx_engine_config again_config = resume_config();
    struct run again;
    start(&again, &again_config, true);
    ck_assert_msg(go_as(&again, NX_GO_RESUME, NX_MSG_READY) == 0, "%s", again.failure.msg);
    check_state(again_config.state_fd);
    stop(&again);
    ck_assert_uint_eq(again.stats.requests, 1);
    ck_assert_uint_eq(again.stats.chunks_fetched, 0);
    close_files(&again_config);
}
END_TEST

/* A package of the disk alone, whose boot set is so long. */
static void rebuild_disk(uint64_t boot)
{
    struct test_image image = { "disk0", NX_IMAGE_DISK, 16384, disk, DISK_SIZE - 1000 };
    package.len = 0;
    test_package_boot = boot;
    test_package_build(&image, 1, NULL, &package);
    test_package_boot = 0;
    origin_change(origin, boot ? "\"boot\"" : "\"none\"", package.data, package.len);
}

/* Offline, what a start lacks is told.  The cache has the index and what was read of a package without a boot set, or all of
 * it; and the head of one with a boot set, which has the same chunks.
 */
START_TEST(test_offline_lacks)
{
    bool all = _i != 0;
    struct nx_engine_config config = web_config();
    struct run run;
    rebuild_disk(0);
    start(&run, &config, true);
    ck_assert_msg(go(&run, NX_MSG_READY) == 0, "%s", run.failure.msg);
    if (all)
        check_file(mount_dir, "disk0", disk, DISK_SIZE - 1000);
    char path[128], byte;
    snprintf(path, sizeof(path), "%s/disk0", mount_dir);
    NX_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    for (off_t at = 0; at < DISK_SIZE - 1000; at += 1 << 20) /* each leaf of the index */
        ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
    close(nx_steal_fd(&fd));
    stop(&run);

    rebuild_disk(1 << 20);
    start(&run, &config, true);
    ck_assert_int_eq(until(&run, NX_MSG_HEAD), 0);
    stop(&run);
    config.offline = true;
    start(&run, &config, true);
    ck_assert_msg(go(&run, NX_MSG_READY) == 0, "%s", run.failure.msg);
    stop(&run);
    ck_assert_uint_gt(run.stats.boot_bytes, (1 << 20) - 32768);
    if (all) {
        ck_assert_str_eq(run.notice, "");
        ck_assert_uint_eq(run.stats.boot_have, run.stats.boot_bytes);
    } else {
        ck_assert_msg(strstr(run.notice,
                             "are not in the cache, and --offline forbids to fetch them: "
                             "run nxfetch pull first"),
                      "%s", run.notice);
        ck_assert_uint_gt(run.stats.boot_have, 0);
    }
}
END_TEST

/* A file lacks nothing. */
START_TEST(test_offline_file)
{
    struct nx_error err = NX_ERROR_INIT;
    rebuild_disk(1 << 20);
    nx_assert_ok(nx_write_file(package_path, 0600, package.data, package.len, &err), err);
    struct nx_engine_config config = { .path = package_path, .offline = true, .fuse_fd = -1 };
    struct run run;
    start(&run, &config, true);
    ck_assert_msg(go(&run, NX_MSG_READY) == 0, "%s", run.failure.msg);
    stop(&run);
    ck_assert_str_eq(run.notice, "");
}
END_TEST

/* Booting does not fetch what resuming would need. */
START_TEST(test_boots_without_boot_set)
{
    test_package_boot = 1 << 20;
    rebuild();
    struct nx_engine_config config = resume_config();
    struct run run;
    start(&run, &config, true);
    ck_assert_msg(go(&run, NX_MSG_READY) == 0, "%s", run.failure.msg);
    stop(&run);
    ck_assert_uint_eq(run.stats.boot_bytes, 0);
    ck_assert_uint_eq(run.stats.chunks_fetched, 0);
    ck_assert_int_eq(lseek(config.state_fd, 0, SEEK_END), 0);
    close_files(&config);
}
END_TEST

/* A state that cannot be had is no failure: the launcher hears why. */
START_TEST(test_bad_state)
{
    test_package_bad_state = true;
    rebuild();
    struct nx_engine_config config = resume_config();
    struct run run;
    start(&run, &config, true);
    ck_assert_msg(go_as(&run, NX_GO_RESUME, NX_MSG_READY) == 0, "%s", run.failure.msg);
    ck_assert_msg(strstr(run.no_state, "device state: "), "%s", run.no_state);
    stop(&run);
    close_files(&config);
}
END_TEST

/* What is read is recorded, once, in its order; zero chunks are not. */
START_TEST(test_records)
{
    static const struct {
        const char *name;
        off_t at;
    } reads[] = { { "disk0", 16384 * 7 },
                  { "memory", 16384 * 4 + 5000 },
                  { "disk0", 16384 * 2 },
                  { "disk0", 16384 * 7 },
                  { "disk0", 16384 * 3 /* zero */ } };
    struct nx_engine_config config = resume_config();
    struct nx_error err = NX_ERROR_INIT;
    struct run run;
    start(&run, &config, true);
    ck_assert_msg(go(&run, NX_MSG_READY) == 0, "%s", run.failure.msg);
    for (size_t i = 0; i < sizeof(reads) / sizeof(reads[0]); i++) {
        char path[128], byte;
        snprintf(path, sizeof(path), "%s/%s", mount_dir, reads[i].name);
        NX_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
        ck_assert_int_eq(pread(fd, &byte, 1, reads[i].at), 1);
    }
    stop(&run);
    ck_assert_uint_eq(run.stats.touched, 3);
    NX_AUTO_BUFFER struct nx_buffer json = NX_BUFFER_INIT(1 << 20);
    NX_AUTO_RECORD struct nx_record *record = NULL;
    nx_assert_ok(nx_buffer_reserve(&json, 65536, &err), err);
    json.len = (size_t)pread(config.record_fd, json.data, 65536, 0);
    nx_assert_ok(nx_record_parse(json.data, json.len, "record", &record, &err), err);
    ck_assert_uint_eq(record->count, 3);
    ck_assert_uint_eq(record->touches[0].number, 7);
    ck_assert_uint_eq(record->touches[1].image, 1);
    ck_assert_uint_eq(record->touches[1].number, 4);
    ck_assert_uint_eq(record->touches[2].number, 2);
    close_files(&config);
}
END_TEST

static bool reads_as(const char *path, const uint8_t *wanted, size_t size)
{
    uint8_t buf[65536];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    for (size_t at = 0; at < size; at += sizeof(buf)) {
        size_t n = size - at < sizeof(buf) ? size - at : sizeof(buf);
        if (pread(fd, buf, n, (off_t)at) != (ssize_t)n || memcmp(buf, wanted + at, n) != 0)
            return false;
    }
    return true;
}

/* Memory never fails: while every answer is wrong its reader waits, and the user knows; then it goes on. */
START_TEST(test_memory_waits)
{
    struct nx_engine_config config = web_config();
    struct run run;
    start(&run, &config, true);
    ck_assert_msg(go(&run, NX_MSG_READY) == 0, "%s", run.failure.msg);
    origin_misbehave(origin, ORIGIN_WRONG_BYTES, UINT_MAX);
    char path[128];
    snprintf(path, sizeof(path), "%s/memory", mount_dir);
    pid_t reader = fork();
    if (reader ==
        0) /* all of it: some chunk is in the middle of an answer, where the wrong byte is */
        _exit(reads_as(path, memory, MEMORY_SIZE) ? 0 : 1);
    ck_assert_int_eq(until(&run, NX_MSG_WAITING), 0);
    ck_assert_msg(strstr(run.waiting, "has not the bytes that the author signed"), "%s",
                  run.waiting);
    origin_misbehave(origin, ORIGIN_GOOD, 0);
    ck_assert_int_eq(until(&run, NX_MSG_RESUMED), 0);
    int status;
    waitpid(reader, &status, 0);
    ck_assert_int_eq(status, 0);
    stop(&run);
    ck_assert_uint_eq(run.stats.waiting, 0);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("engine");
    struct nx_error err = NX_ERROR_INIT;
    if (nx_mountpoint_usable(&err) < 0) {
        fprintf(stderr, "skipped: %s\n", err.msg);
        return 77;
    }
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, test_web_then_cache);
    tcase_add_test(tcase, test_file);
    tcase_add_loop_test(tcase, test_export, 0, 2);
    tcase_add_test(tcase, test_pull);
    tcase_add_test(tcase, test_complete);
    tcase_add_test(tcase, test_offline_without_cache);
    tcase_add_test(tcase, test_pin);
    tcase_add_loop_test(tcase, test_refusals, 0, sizeof(refusals) / sizeof(refusals[0]));
    tcase_add_loop_test(tcase, test_troubles_that_pass, 0, sizeof(passing) / sizeof(passing[0]));
    tcase_add_loop_test(tcase, test_troubles_at_random, 0, 2);
    tcase_add_test(tcase, test_refusal_while_running);
    tcase_add_loop_test(tcase, test_mirror, ORIGIN_GOOD + 1, ORIGIN_PAUSE);
    tcase_add_loop_test(tcase, test_mirror, ORIGIN_PAUSE + 1, ORIGIN_FAILURES);
    tcase_add_loop_test(tcase, test_mirror_with_other_version, 0, 2);
    tcase_add_test(tcase, test_replaced);
    tcase_add_test(tcase, test_etag_changes);
    tcase_add_test(tcase, test_truncated);
    tcase_add_test(tcase, test_engine_dies);
    tcase_add_loop_test(tcase, test_boot_set, 0, 2);
    tcase_add_loop_test(tcase, test_offline_lacks, 0, 2);
    tcase_add_test(tcase, test_offline_file);
    tcase_add_test(tcase, test_boots_without_boot_set);
    tcase_add_test(tcase, test_bad_state);
    tcase_add_test(tcase, test_records);
    tcase_add_test(tcase, test_memory_waits);
    return nx_test_run("engine", tcase);
}
