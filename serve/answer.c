/* SPDX-License-Identifier: MIT */
#include "serve/answer.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/policy.h"
#include "common/types.h"
#include "serve/condition.h"

static const struct {
    unsigned status;
    const char *text;
} status_texts[] = {
    { 200, "OK" },
    { 204, "No Content" },
    { 206, "Partial Content" },
    { 301, "Moved Permanently" },
    { 304, "Not Modified" },
    { 400, "Bad Request" },
    { 403, "Forbidden" },
    { 404, "Not Found" },
    { 405, "Method Not Allowed" },
    { 412, "Precondition Failed" },
    { 416, "Range Not Satisfiable" },
    { 431, "Request Header Fields Too Large" }, /* libmicrohttpd's own */
    { 499, "Client Closed Request" },           /* nginx's number: nobody heard of it */
    { 500, "Internal Server Error" },
    { 503, "Service Unavailable" },
};
#define N_STATUSES (sizeof status_texts / sizeof *status_texts)
_Static_assert(N_STATUSES == NX_STATUSES_MAX - 1, "one more stands for all others");

const char *nx_status_text(unsigned status)
{
    size_t i = nx_status_index(status);
    return i < N_STATUSES ? status_texts[i].text : "Unknown";
}

size_t nx_status_index(unsigned status)
{
    size_t i = 0;
    while (i < N_STATUSES && status_texts[i].status != status)
        i++;
    return i;
}

unsigned nx_status_at(size_t index)
{
    return index < N_STATUSES ? status_texts[index].status : 0;
}

unsigned nx_status_of_errno(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case EXDEV: /* a link leads out of the directory */
    case ENAMETOOLONG:
    case ENXIO: /* a socket */
        return 404;
    case EACCES:
    case EPERM:
        return 403;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN:
        return 503;
    default:
        return 500;
    }
}

void nx_answer_release(struct nx_answer *answer)
{
    for (size_t i = 0; i < answer->n_headers; i++)
        free(answer->headers[i].value);
    for (size_t i = 0; i < answer->n_segments; i++)
        free(answer->segments[i].text);
    if (answer->fd >= 0)
        close(answer->fd);
    *answer = (struct nx_answer)NX_ANSWER_INIT;
}

int nx_answer_header(struct nx_answer *answer, struct nx_error *err, const char *name,
                     const char *fmt, ...)
{
    assert(answer->n_headers < NX_ANSWER_HEADERS_MAX);
    char *value;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&value, fmt, ap);
    va_end(ap);
    if (n < 0)
        return nx_fail_errno(err, "header field %s", name);
    answer->headers[answer->n_headers++] = (struct nx_header){ name, value };
    return 0;
}

/* Add a segment; text (may be NULL) is taken over. */
static void add_segment(struct nx_answer *answer, char *text, size_t text_length, uint64_t offset,
                        uint64_t length)
{
    assert(answer->n_segments < NX_ANSWER_SEGMENTS_MAX);
    answer->segments[answer->n_segments++] =
        (struct nx_segment){ text, text_length, offset, length };
    answer->length += text_length + length;
}

__attribute__((format(printf, 5, 6))) static int add_formatted(struct nx_answer *answer,
                                                               uint64_t offset, uint64_t length,
                                                               struct nx_error *err,
                                                               const char *fmt, ...)
{
    char *text;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0)
        return nx_fail_errno(err, "answer");
    add_segment(answer, text, (size_t)n, offset, length);
    return 0;
}

static int add_cors(struct nx_answer *answer, struct nx_error *err)
{
    if (nx_answer_header(answer, err, "Access-Control-Allow-Origin", "*") < 0)
        return -1;
    return nx_answer_header(answer, err, "Access-Control-Expose-Headers", NX_CORS_EXPOSE);
}

int nx_answer_status(struct nx_answer *answer, unsigned status, struct nx_error *err)
{
    answer->status = status;
    if (status == 405 && nx_answer_header(answer, err, "Allow", NX_CORS_METHODS) < 0)
        return -1;
    if (status == 503 && nx_answer_header(answer, err, "Retry-After", "1") < 0)
        return -1;
    if (nx_answer_header(answer, err, "Content-Type", "text/plain; charset=utf-8") < 0)
        return -1;
    return add_formatted(answer, 0, 0, err, "%u %s\n", status, nx_status_text(status));
}

int nx_answer_html(struct nx_answer *answer, struct nx_buffer *html, struct nx_error *err)
{
    answer->status = 200;
    if (nx_answer_header(answer, err, "Content-Type", "text/html; charset=utf-8") < 0)
        return -1;
    if (nx_answer_header(answer, err, "Cache-Control", "no-cache") < 0)
        return -1;
    add_segment(answer, (char *)NX_STEAL(html->data), html->len, 0, 0);
    html->len = html->cap = 0;
    return 0;
}

int nx_answer_options(struct nx_answer *answer, struct nx_error *err)
{
    answer->status = 204;
    if (nx_answer_header(answer, err, "Allow", NX_CORS_METHODS) < 0 ||
        nx_answer_header(answer, err, "Access-Control-Allow-Methods", NX_CORS_METHODS) < 0 ||
        nx_answer_header(answer, err, "Access-Control-Allow-Headers", NX_CORS_ALLOW) < 0 ||
        nx_answer_header(answer, err, "Access-Control-Max-Age", NX_CORS_MAX_AGE) < 0)
        return -1;
    return add_cors(answer, err);
}

/* The fields that 200, 206 and 304 have alike (RFC 9110, sections 15.3.7 and 15.4.5). */
static int add_file_headers(struct nx_answer *answer, const struct nx_validators *validators,
                            const char *name, struct nx_error *err)
{
    char date[NX_HTTP_DATE_SIZE];
    if (nx_answer_header(answer, err, "ETag", "%s", validators->etag) < 0 ||
        nx_answer_header(answer, err, "Last-Modified", "%s",
                         nx_http_date_format(validators->modified, date)) < 0 ||
        nx_answer_header(answer, err, "Accept-Ranges", "bytes") < 0 ||
        nx_answer_header(answer, err, "Cache-Control", "%s", nx_cache_control(name)) < 0)
        return -1;
    return add_cors(answer, err);
}

static int add_unsatisfiable(struct nx_answer *answer, uint64_t size, struct nx_error *err)
{
    if (nx_answer_header(answer, err, "Content-Range", "bytes */%" PRIu64, size) < 0)
        return -1;
    if (add_cors(answer, err) < 0)
        return -1;
    return nx_answer_status(answer, 416, err);
}

static int add_single_range(struct nx_answer *answer, const struct nx_range *range, uint64_t size,
                            const char *type, struct nx_error *err)
{
    add_segment(answer, NULL, 0, range->first, range->length);
    if (nx_answer_header(answer, err, "Content-Type", "%s", type) < 0)
        return -1;
    return nx_answer_header(answer, err, "Content-Range", "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
                            range->first, range->first + range->length - 1, size);
}

/* multipart/byteranges (RFC 9110, section 14.6).  The boundary is random: nobody could have
 * put it into the file beforehand.
 */
static int add_several_ranges(struct nx_answer *answer, const struct nx_ranges *ranges,
                              uint64_t size, const char *type, struct nx_error *err)
{
    uint64_t random[2];
    if (getrandom(random, sizeof random, 0) != sizeof random)
        return nx_fail_errno(err, "random numbers");
    char boundary[40];
    snprintf(boundary, sizeof boundary, "%016" PRIx64 "%016" PRIx64, random[0], random[1]);
    for (size_t i = 0; i < ranges->n; i++) {
        const struct nx_range *range = &ranges->at[i];
        if (add_formatted(answer, range->first, range->length, err,
                          "%s--%s\r\nContent-Type: %s\r\n"
                          "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n\r\n",
                          i ? "\r\n" : "", boundary, type, range->first,
                          range->first + range->length - 1, size) < 0)
            return -1;
    }
    if (add_formatted(answer, 0, 0, err, "\r\n--%s--\r\n", boundary) < 0)
        return -1;
    return nx_answer_header(answer, err, "Content-Type", "multipart/byteranges; boundary=%s",
                            boundary);
}

int nx_answer_file(struct nx_answer *answer, const struct nx_request *request, int fd,
                   const struct stat *st, const char *name, struct nx_error *err)
{
    answer->fd = fd;
    struct nx_validators validators;
    nx_validators_from_stat(st, &validators);
    uint64_t size = (uint64_t)st->st_size;
    const char *type = nx_media_type_of(name)->type;

    unsigned status = nx_condition_check(request, &validators);
    if (status == 412)
        return nx_answer_status(answer, 412, err);

    /* A Range has a meaning for GET alone (section 14.2). */
    enum nx_range_verdict verdict = NX_RANGE_IGNORE;
    struct nx_ranges ranges;
    if (status == 0 && request->method == NX_METHOD_GET && request->range &&
        nx_condition_if_range(request, &validators, time(NULL)))
        verdict = nx_ranges_parse(request->range, size, &ranges);
    if (verdict == NX_RANGE_UNSATISFIABLE)
        return add_unsatisfiable(answer, size, err);

    answer->status = status ? status : verdict == NX_RANGE_SATISFIABLE ? 206 : 200;
    if (add_file_headers(answer, &validators, name, err) < 0)
        return -1;
    if (verdict == NX_RANGE_SATISFIABLE)
        return ranges.n == 1 ? add_single_range(answer, &ranges.at[0], size, type, err)
                             : add_several_ranges(answer, &ranges, size, type, err);
    add_segment(answer, NULL, 0, 0, size);
    if (status == 304)
        return 0;
    return nx_answer_header(answer, err, "Content-Type", "%s", type);
}

static ssize_t read_file(int fd, uint64_t offset, void *buf, size_t n)
{
    for (;;) {
        ssize_t got = pread(fd, buf, n, (off_t)offset);
        if (got > 0)
            return got;
        if (got == 0)
            errno = EIO;
        if (errno != EINTR)
            return -1;
    }
}

ssize_t nx_answer_read(const struct nx_answer *answer, uint64_t offset, void *buf, size_t max)
{
    for (size_t i = 0; i < answer->n_segments; i++) {
        const struct nx_segment *segment = &answer->segments[i];
        if (offset < segment->text_length) {
            size_t left = segment->text_length - (size_t)offset;
            size_t n = left < max ? left : max;
            memcpy(buf, segment->text + offset, n);
            return (ssize_t)n;
        }
        offset -= segment->text_length;
        if (offset < segment->length) {
            uint64_t left = segment->length - offset;
            return read_file(answer->fd, segment->offset + offset, buf, left < max ? left : max);
        }
        offset -= segment->length;
    }
    return 0;
}
