/* SPDX-License-Identifier: MIT */
/* One convention for errors: a function that can fail returns 0 or -1 (or a
 * pointer or NULL) and fills a caller-owned struct nx_error.  There is nothing
 * to allocate and nothing to free.  The code says what the caller can do; the
 * message names the file, the offset or the URL.  Libraries return, each layer
 * adds its context in front, main prints once.
 */
#ifndef NX_COMMON_ERROR_H
#define NX_COMMON_ERROR_H

enum nx_errcode {
    NX_OK = 0,
    NX_ERR_USAGE,     /* the user asked for something that cannot be: exit status 2 */
    NX_ERR_SYSTEM,    /* the host refused: memory, files, processes */
    NX_ERR_FORMAT,    /* bytes that are not what they should be: damaged or forged */
    NX_ERR_TRUST,     /* well-formed, but not signed by whom it should be */
    NX_ERR_NETWORK,   /* did not work now; trying again may help */
    NX_ERR_SERVER,    /* the server's answer will not get better by asking again */
    NX_ERR_CANCELLED, /* the user or the other process ended it */
};

struct nx_error {
    enum nx_errcode code;
    char msg[1024]; /* one line, no newline at its end; made plain (plain.h) */
};

#define NX_ERROR_INIT \
    {                 \
        NX_OK, ""     \
    }

/* Set err to code and the formatted message; return -1.  err may be NULL.
 * The result is made plain (plain.h), so that a hostile name cannot write escape sequences to a terminal.
 */
int nx_fail(struct nx_error *err, enum nx_errcode code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Set err to NX_ERR_SYSTEM with the formatted message, ": " and strerror(errno); return -1. */
int nx_fail_errno(struct nx_error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Put the formatted context and ": " in front of the message that err holds,
 * keep its code; return -1.
 */
int nx_fail_while(struct nx_error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Exit status for a failed program: 2 for NX_ERR_USAGE, else 1. */
int nx_exit_status(const struct nx_error *err);

#endif
