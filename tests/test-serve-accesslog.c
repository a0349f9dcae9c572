/* SPDX-License-Identifier: MIT */
#include "serve/accesslog.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/io.h"
#include "tests/support/main.h"

#define LOG_MAX (1024 * 1024)

/* Each test runs in a process and a folder of its own. */
static char path[64], moved[64];

static void make_folder(void)
{
    char folder[] = "/tmp/nxpk-accesslog.XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/log", folder);
    snprintf(moved, sizeof moved, "%s/log.1", folder);
    setenv("TZ", "UTC-1", 1);
    tzset();
}

static void remove_folder(void)
{
    unlink(path);
    unlink(moved);
    *strrchr(path, '/') = '\0';
    ck_assert_int_eq(rmdir(path), 0);
}

static struct nx_accesslog *open_log(const char *name)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_accesslog *log = NULL;
    nx_assert_ok(nx_accesslog_open(name, &log, &err), err);
    return log;
}

static void expect_file(const char *name, const char *expected)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_BUFFER struct nx_buffer text = NX_BUFFER_INIT(0);
    nx_assert_ok(nx_read_file(name, LOG_MAX, &text, &err), err);
    ck_assert_str_eq(text.data ? (const char *)text.data : "", expected);
}

static const struct nx_access plain = {
    .host = "::1",
    .when = 1795710830,
    .method = "GET",
    .target = "/a.nxpk",
    .version = "HTTP/1.1",
    .status = 206,
    .bytes = 5000000000,
};
#define PLAIN \
    "::1 - - [26/Nov/2026:17:33:50 +0100] \"GET /a.nxpk HTTP/1.1\" 206 5000000000 \"-\" \"-\"\n"

/* What a client may send, and the line's end with it as its user agent. */
static const struct {
    const char *sent;
    const char *written;
} escapes[] = {
    { "", "\"-\"" },
    { "curl/7.88.1 (x; y)", "\"curl/7.88.1 (x; y)\"" },
    { "a\" 200 1 \"b", "\"a\\x22 200 1 \\x22b\"" },
    { "a\\", "\"a\\x5C\"" },
    { "a\nb\r\tc", "\"a\\x0Ab\\x0D\\x09c\"" },
    { "\x1b[2J\x7f", "\"\\x1B[2J\\x7F\"" },
    { "\xc3\xa9\xff", "\"\\xC3\\xA9\\xFF\"" },
    { "%s%n%22", "\"%s%n%22\"" },
};

START_TEST(user_agent)
{
    make_folder();
    for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++) {
        char expected[256];
        NX_AUTO_ACCESSLOG struct nx_accesslog *log = open_log(path);
        struct nx_access access = plain;
        access.user_agent = escapes[i].sent;
        nx_accesslog_write(log, &access);
        snprintf(expected, sizeof expected, "%.*s%s\n", (int)strlen(PLAIN) - 4, PLAIN,
                 escapes[i].written);
        expect_file(path, expected);
        unlink(path);
    }
    remove_folder();
}
END_TEST

START_TEST(all_fields_are_escaped)
{
    make_folder();
    NX_AUTO_ACCESSLOG struct nx_accesslog *log = open_log(path);
    nx_accesslog_write(log, &(const struct nx_access){
                                .host = "h\n",
                                .when = 0,
                                .method = "M\"",
                                .target = "/\"",
                                .version = "V\\",
                                .referer = "R\"",
                            });
    expect_file(
        path,
        "h\\x0A - - [01/Jan/1970:01:00:00 +0100] \"M\\x22 /\\x22 V\\x5C\" 0 0 \"R\\x22\" \"-\"\n");
    remove_folder();
}
END_TEST

/* As much as libmicrohttpd takes, each byte four here. */
START_TEST(longest)
{
    make_folder();
    static char target[32 * 1024 + 1];
    memset(target, '\xff', sizeof target - 1);
    NX_AUTO_ACCESSLOG struct nx_accesslog *log = open_log(path);
    struct nx_access access = plain;
    access.target = target;
    nx_accesslog_write(log, &access);
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_BUFFER struct nx_buffer text = NX_BUFFER_INIT(0);
    nx_assert_ok(nx_read_file(path, LOG_MAX, &text, &err), err);
    ck_assert_uint_eq(text.len, strlen(PLAIN) - strlen("/a.nxpk") + 4 * (sizeof target - 1));
    remove_folder();
}
END_TEST

START_TEST(rotation)
{
    make_folder();
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_ACCESSLOG struct nx_accesslog *log = open_log(path);
    nx_accesslog_write(log, &plain);
    ck_assert_int_eq(rename(path, moved), 0);
    nx_accesslog_write(log, &plain);
    nx_assert_ok(nx_accesslog_reopen(log, &err), err);
    nx_accesslog_write(log, &plain);
    expect_file(moved, PLAIN PLAIN);
    expect_file(path, PLAIN);
    /* What was there is kept. */
    NX_AUTO_ACCESSLOG struct nx_accesslog *again = open_log(path);
    nx_accesslog_write(again, &plain);
    expect_file(path, PLAIN PLAIN);
    remove_folder();
}
END_TEST

START_TEST(rotation_fails)
{
    make_folder();
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_ACCESSLOG struct nx_accesslog *log = open_log(path);
    ck_assert_int_eq(rename(path, moved), 0);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    nx_assert_fails(nx_accesslog_reopen(log, &err), err, "/log: Is a directory");
    nx_accesslog_write(log, &plain); /* the old file stays in use */
    expect_file(moved, PLAIN);
    rmdir(path);
    remove_folder();
}
END_TEST

START_TEST(no_such_folder)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_accesslog *log = NULL;
    nx_assert_fails(nx_accesslog_open("/nonexistent/log", &log, &err), err,
                    "/nonexistent/log: No such file or directory");
    ck_assert_ptr_null(log);
}
END_TEST

/* A disk that is full in the middle of a line: the next one, when there is room again, stands on a line of its own. */
START_TEST(torn)
{
    make_folder();
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    struct rlimit little = { .rlim_cur = sizeof PLAIN + 9, .rlim_max = limit.rlim_max };
    signal(SIGXFSZ, SIG_IGN);
    NX_AUTO_ACCESSLOG struct nx_accesslog *log = open_log(path);
    nx_accesslog_write(log, &plain);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &little), 0);
    nx_accesslog_write(log, &plain); /* ten bytes of it */
    nx_accesslog_write(log, &plain); /* none */
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    nx_accesslog_write(log, &plain);
    nx_accesslog_write(log, &plain);
    char expected[4 * sizeof PLAIN];
    snprintf(expected, sizeof expected, "%s%.10s\n%s%s", PLAIN, PLAIN, PLAIN, PLAIN);
    expect_file(path, expected);
    remove_folder();
}
END_TEST

/* A pipe that is not read: lines are lost, and nobody waits; others who have it open find it as it was. */
START_TEST(silent_pipe)
{
    setenv("TZ", "UTC-1", 1);
    tzset();
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    NX_AUTO_FD int stdout_before = dup(STDOUT_FILENO);
    ck_assert_int_eq(dup2(ends[1], STDOUT_FILENO), STDOUT_FILENO);
    NX_AUTO_ACCESSLOG struct nx_accesslog *log = open_log("-");
    for (size_t written = 0; written <= 2 << 20; written += sizeof PLAIN - 1)
        nx_accesslog_write(log, &plain);
    int flags = fcntl(STDOUT_FILENO, F_GETFL);
    ck_assert_int_eq(dup2(stdout_before, STDOUT_FILENO), STDOUT_FILENO);
    ck_assert_int_eq(flags & O_NONBLOCK, 0);
    char line[sizeof PLAIN] = "";
    ck_assert_int_eq(read(ends[0], line, sizeof PLAIN - 1), sizeof PLAIN - 1);
    ck_assert_str_eq(line, PLAIN);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

NX_TEST_MAIN("serve-accesslog", user_agent, all_fields_are_escaped, longest, rotation,
             rotation_fails, no_such_folder, torn, silent_pipe)
