/* SPDX-License-Identifier: MIT */
/* Threads: a line is one write(2) to a descriptor in append mode, so that lines of several threads do not
 * mix; a file that is opened anew takes the old one's descriptor in one step (dup3), so there is no lock.
 */
#include "serve/accesslog.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/log.h"

/* libmicrohttpd takes 36 KiB of header at most (server.c), and a byte of it is at most four here. */
#define LINE_MAX_BYTES (256 * 1024)

struct nx_accesslog {
    char *path; /* NULL: stdout */
    int fd;
    atomic_bool failing; /* the last line was lost */
    atomic_bool torn;    /* ... but its first bytes were not */
};

static int open_file(const char *path)
{
    /* O_NONBLOCK: a pipe that nobody reads must not hold the server. */
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
}

/* stdout; a pipe that stops being read must not hold the server either, and others may have it open, so it is opened
 * anew.
 */
static int open_stdout(void)
{
    struct stat st;
    int fd = -1;
    if (fstat(STDOUT_FILENO, &st) == 0 && S_ISFIFO(st.st_mode))
        fd = open("/proc/self/fd/1", O_WRONLY | O_CLOEXEC | O_NONBLOCK);
    return fd >= 0 ? fd : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
}

int nx_accesslog_open(const char *path, struct nx_accesslog **ret_log, struct nx_error *err)
{
    NX_AUTO_ACCESSLOG struct nx_accesslog *log = calloc(1, sizeof *log);
    if (!log)
        return nx_fail_errno(err, "access log");
    log->fd = -1;
    if (strcmp(path, "-") == 0) {
        log->fd = open_stdout();
    } else {
        log->path = strdup(path);
        if (!log->path)
            return nx_fail_errno(err, "access log");
        log->fd = open_file(path);
    }
    if (log->fd < 0)
        return nx_fail_errno(err, "%s", path);
    *ret_log = NX_STEAL(log);
    return 0;
}

int nx_accesslog_reopen(struct nx_accesslog *log, struct nx_error *err)
{
    if (!log->path)
        return 0;
    NX_AUTO_FD int fd = open_file(log->path);
    if (fd < 0 || dup3(fd, log->fd, O_CLOEXEC) < 0)
        return nx_fail_errno(err, "%s", log->path);
    return 0;
}

static int add_escaped(struct nx_buffer *line, const char *text, struct nx_error *err)
{
    if (!text || !*text)
        return nx_buffer_add(line, "-", 1, err);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
        if ((plain ? nx_buffer_add(line, text, 1, err)
                   : nx_buffer_printf(line, err, "\\x%02X", c)) < 0)
            return -1;
    }
    return 0;
}

/* Months are in the C locale: no program of ours calls setlocale(). */
static int add_time(struct nx_buffer *line, time_t when, struct nx_error *err)
{
    char text[40];
    struct tm tm;
    if (!localtime_r(&when, &tm) || strftime(text, sizeof text, "%d/%b/%Y:%H:%M:%S %z", &tm) == 0)
        strcpy(text, "01/Jan/1970:00:00:00 +0000");
    return nx_buffer_printf(line, err, " - - [%s] \"", text);
}

static int add_request(struct nx_buffer *line, const struct nx_access *access, struct nx_error *err)
{
    if (add_escaped(line, access->method, err) < 0 || nx_buffer_add(line, " ", 1, err) < 0 ||
        add_escaped(line, access->target, err) < 0 || nx_buffer_add(line, " ", 1, err) < 0)
        return -1;
    return add_escaped(line, access->version, err);
}

static int make_line(struct nx_buffer *line, const struct nx_access *access, struct nx_error *err)
{
    if (nx_buffer_add(line, "\n", 1, err) < 0 || add_escaped(line, access->host, err) < 0 ||
        add_time(line, access->when, err) < 0 || add_request(line, access, err) < 0 ||
        nx_buffer_printf(line, err, "\" %u %" PRIu64 " \"", access->status, access->bytes) < 0 ||
        add_escaped(line, access->referer, err) < 0 || nx_buffer_add(line, "\" \"", 3, err) < 0 ||
        add_escaped(line, access->user_agent, err) < 0)
        return -1;
    return nx_buffer_add(line, "\"\n", 2, err);
}

/* line: with the newline before it that ends a torn one. */
static int write_line(struct nx_accesslog *log, const struct nx_buffer *line, struct nx_error *err)
{
    bool torn = atomic_load(&log->torn);
    const uint8_t *data = line->data + !torn;
    size_t len = line->len - !torn;
    ssize_t n;
    do
        n = write(log->fd, data, len);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        atomic_store(&log->torn, (size_t)n < len);
    if (n >= 0 && (size_t)n < len)
        errno = ENOSPC;
    return n < (ssize_t)len ? nx_fail_errno(err, "%s", log->path ? log->path : "stdout") : 0;
}

void nx_accesslog_write(struct nx_accesslog *log, const struct nx_access *access)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_BUFFER struct nx_buffer line = NX_BUFFER_INIT(LINE_MAX_BYTES);
    bool failed = make_line(&line, access, &err) < 0 || write_line(log, &line, &err) < 0;
    if (atomic_exchange(&log->failing, failed) != failed && failed)
        nx_log(NX_LOG_WARNING, "lines of the access log are lost: %s", err.msg);
}

void nx_accesslog_free(struct nx_accesslog *log)
{
    if (!log)
        return;
    if (log->fd >= 0)
        close(log->fd);
    free(log->path);
    free(log);
}
