/* SPDX-License-Identifier: MIT */
/* An HTTP answer before it is sent: status, header fields, and a body made of pieces of
 * text and pieces of one file.  The server and the CGI program both make their answers here and
 * only differ in how they send them.
 *
 * The body of an answer to HEAD, and of a 304, is there but must not be sent: its length is
 * what Content-Length has to say (RFC 9110, section 8.6).
 */
#ifndef NX_SERVE_ANSWER_H
#define NX_SERVE_ANSWER_H

#include <stdint.h>
#include <sys/stat.h>

#include "common/buffer.h"
#include "common/error.h"
#include "serve/range.h"
#include "serve/request.h"

#define NX_ANSWER_HEADERS_MAX  16
#define NX_ANSWER_SEGMENTS_MAX (NX_RANGES_MAX + 1)

struct nx_header {
    const char *name; /* a literal */
    char *value;      /* owned */
};

/* A piece of the body: first the text, then length bytes of the file at offset. */
struct nx_segment {
    char *text; /* owned; NULL if text_length is 0 */
    size_t text_length;
    uint64_t offset;
    uint64_t length;
};

struct nx_answer {
    unsigned status;
    struct nx_header headers[NX_ANSWER_HEADERS_MAX];
    size_t n_headers;
    int fd; /* the file, or -1; owned */
    struct nx_segment segments[NX_ANSWER_SEGMENTS_MAX];
    size_t n_segments;
    uint64_t length; /* of all segments */
};

#define NX_ANSWER_INIT \
    {                  \
        .fd = -1       \
    }

/* Free what it holds.  It is an empty answer again. */
void nx_answer_release(struct nx_answer *answer);

static inline void nx_auto_answer(struct nx_answer *answer)
{
    nx_answer_release(answer);
}
#define NX_AUTO_ANSWER NX_AUTO(answer) /* nx_answer_release() at the end of scope */

/* The functions below fill an empty answer.  They fail only without memory. */

/* Add a header field; name is a literal. */
int nx_answer_header(struct nx_answer *answer, struct nx_error *err, const char *name,
                     const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* A status and one line of plain text that says what it means. */
int nx_answer_status(struct nx_answer *answer, unsigned status, struct nx_error *err);

/* 200 with a page of HTML, whose storage is taken over. */
int nx_answer_html(struct nx_answer *answer, struct nx_buffer *html, struct nx_error *err);

/* To OPTIONS: what may be asked, and what other sites' pages may (CORS preflight). */
int nx_answer_options(struct nx_answer *answer, struct nx_error *err);

/* A regular file, as request asks for it: 200, 206, 304, 412 or 416.  name tells its media
 * type.  fd belongs to the answer from now on, also after a failure.
 */
int nx_answer_file(struct nx_answer *answer, const struct nx_request *request, int fd,
                   const struct stat *st, const char *name, struct nx_error *err);

/* Up to max bytes of the body from offset on into buf.  The number of bytes, 0 at the end, or -1
 * with errno; a file that has become shorter since is EIO: the connection must be cut then, as the
 * length was promised.
 */
ssize_t nx_answer_read(const struct nx_answer *answer, uint64_t offset, void *buf, size_t max);

/* "Partial Content" of 206. */
const char *nx_status_text(unsigned status);

/* To count by status: an index below NX_STATUSES_MAX for each status that an answer here may have, the last one for all
 * others, and back (0 for the last).
 */
#define NX_STATUSES_MAX 16
size_t nx_status_index(unsigned status);
unsigned nx_status_at(size_t index);

/* The status that tells a client why opening a file failed with this errno. */
unsigned nx_status_of_errno(int error);

#endif
