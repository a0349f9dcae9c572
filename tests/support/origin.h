/* SPDX-License-Identifier: MIT */
/* A web server in a process of its own, on a port that the kernel chose, that serves one file from
 * memory and misbehaves on request.  tests/tools/origin.c makes a program of it.
 */
#ifndef NX_TESTS_ORIGIN_H
#define NX_TESTS_ORIGIN_H

#include <stddef.h>
#include <stdint.h>

enum origin_mischief {
    ORIGIN_GOOD,
    /* The answer to a range: */
    ORIGIN_IGNORES_RANGE,    /* 200 and all of it */
    ORIGIN_IGNORES_IF_RANGE, /* 206 for a file that has changed */
    ORIGIN_WRONG_RANGE,      /* a Content-Range that was not asked for */
    ORIGIN_WRONG_TOTAL,      /* a Content-Range of a file that is shorter than its own range */
    ORIGIN_WRONG_LENGTH,     /* a right Content-Range, and a Content-Length of half of it */
    ORIGIN_SHORT_BODY,       /* closes in the middle, after a right Content-Length */
    ORIGIN_LONG_BODY,        /* more than was asked for */
    ORIGIN_WRONG_BYTES,      /* everything right but the body */
    ORIGIN_GZIP,             /* says that the body is compressed */
    ORIGIN_STALL,            /* headers, then silence until the origin ends */
    ORIGIN_TRICKLE,          /* headers, then a byte now and then */
    ORIGIN_PAUSE,            /* half of the body, then silence until origin_go_on() */
    /* No such answer: */
    ORIGIN_RESET,           /* a TCP reset */
    ORIGIN_GARBAGE,         /* something that is no HTTP */
    ORIGIN_ENDLESS_HEADERS, /* one after the other, for ever */
    ORIGIN_ENDLESS_INTERIM, /* 100 Continue, for ever */
    ORIGIN_403,
    ORIGIN_404,
    ORIGIN_416,
    ORIGIN_429,        /* Retry-After: 1 */
    ORIGIN_503,        /* Retry-After: 0 */
    ORIGIN_503_LATER,  /* Retry-After: 2 */
    ORIGIN_MOVED,      /* to where the file is, too */
    ORIGIN_MOVED_AWAY, /* to the URL of origin_move() */
    ORIGIN_MOVED_LOOP, /* to where it says so again */
    ORIGIN_MOVED_FILE, /* to file:///etc/hostname */
    ORIGIN_MOVED_LONG, /* to where the file is, with a body that has no end */
    ORIGIN_FAILURES, /* those above are for nxfetch; those below are what nxref check sees too, and never at random */
    ORIGIN_WEAK_ETAG = ORIGIN_FAILURES,
    ORIGIN_NO_ETAG,
    ORIGIN_NEW_ETAG,         /* another one each time */
    ORIGIN_REFUSES_IF_RANGE, /* 200, though it names the file's ETag */
    ORIGIN_NEW_TOTAL,        /* a Content-Range of a file that grows each time */
    ORIGIN_SHIFTED, /* the bytes behind those that were asked for, but for the file's first */
    ORIGIN_SLOW,    /* 0.3 s before the first byte */
    ORIGIN_RUDE,    /* headers that write to a terminal */
    ORIGIN_MISCHIEFS,
};

struct origin;

/* Of a copy of data.  Aborts the test on failure.  It forks, so it comes before the test has threads: sanitizers do not
 * survive the fork of one thread among several.  (Tests fork engines, too, which is why the server is no thread.)
 */
struct origin *origin_start(const void *data, size_t len);
void origin_stop(struct origin *origin);

/* "http://127.0.0.1:PORT/test.nxpk"; valid until origin_stop(). */
const char *origin_url(const struct origin *origin);

/* The next `times` requests misbehave (UINT_MAX: all of them). */
void origin_misbehave(struct origin *origin, enum origin_mischief mischief, unsigned times);

/* So many requests of a hundred misbehave, in all ways up to ORIGIN_FAILURES but ORIGIN_PAUSE, the next one as the seed
 * says.
 */
void origin_misbehave_at_random(struct origin *origin, unsigned percent, unsigned seed);

/* The name of a mischief, as "short-body"; NULL: there are no more. */
const char *origin_name(enum origin_mischief mischief);

/* Where ORIGIN_MOVED_AWAY leads. */
void origin_move(struct origin *origin, const char *url);

/* Pauses are over, for good. */
void origin_go_on(struct origin *origin);

/* The ETag from now on ("\"1\"" at the start), and other bytes if data is not NULL. */
void origin_change(struct origin *origin, const char *etag, const void *data, size_t len);

/* Requests so far, those of them that misbehaved or had a password with them, and body bytes sent. */
unsigned origin_requests(struct origin *origin);
unsigned origin_mischiefs(struct origin *origin);
unsigned origin_passwords(struct origin *origin);
uint64_t origin_bytes(struct origin *origin);

#endif
