/* SPDX-License-Identifier: MIT */
/* A web server in a thread, on a port that the kernel chose, that serves one file from
 * memory and misbehaves on request.
 */
#ifndef NX_TESTS_ORIGIN_H
#define NX_TESTS_ORIGIN_H

#include <stddef.h>
#include <stdint.h>

enum origin_mischief {
    ORIGIN_GOOD,
    ORIGIN_IGNORES_RANGE, /* 200 and all of it */
    ORIGIN_WRONG_RANGE,   /* a Content-Range that was not asked for */
    ORIGIN_SHORT_BODY,    /* closes in the middle, after a right Content-Length */
    ORIGIN_RESET,         /* a TCP reset instead of an answer */
    ORIGIN_STALL,         /* headers, then silence until the origin ends */
    ORIGIN_503,           /* Retry-After: 0 */
    ORIGIN_404,
    ORIGIN_GZIP,             /* says that the body is compressed */
    ORIGIN_WRONG_BYTES,      /* everything right but the body */
    ORIGIN_PAUSE,            /* half of the body, then silence until origin_go_on() */
    ORIGIN_IGNORES_IF_RANGE, /* 206 for a file that has changed */
};

struct origin;

/* data must outlive it.  Aborts the test on failure. */
struct origin *origin_start(const void *data, size_t len);
void origin_stop(struct origin *origin);

/* "http://127.0.0.1:PORT/test.nxpk"; valid until origin_stop(). */
const char *origin_url(const struct origin *origin);

/* The next `times` requests misbehave (UINT_MAX: all of them). */
void origin_misbehave(struct origin *origin, enum origin_mischief mischief, unsigned times);

/* Pauses are over, for good. */
void origin_go_on(struct origin *origin);

/* The ETag from now on ("\"1\"" at the start), and other bytes if data is not NULL. */
void origin_change(struct origin *origin, const char *etag, const void *data, size_t len);

/* Requests so far, and body bytes sent. */
unsigned origin_requests(struct origin *origin);
uint64_t origin_bytes(struct origin *origin);

#endif
