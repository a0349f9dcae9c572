/* SPDX-License-Identifier: MIT */
/* The access log: a line for each request in the "combined" format of Apache and nginx, which
 * every log analyzer reads:
 *
 *     203.0.113.7 - - [21/Nov/2026:09:30:00 +0100] "GET /a.nxpk HTTP/1.1" 206 65536 "-" "nxfetch/0.1.0"
 */
#ifndef NX_SERVE_ACCESSLOG_H
#define NX_SERVE_ACCESSLOG_H

#include <stdint.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/error.h"

/* One request.  Strings are the client's own bytes; NULL is written as "-". */
struct nx_access {
    const char *host;
    time_t when; /* it came */
    const char *method;
    const char *target; /* as it was asked for, still encoded, with its query */
    const char *version;
    unsigned status;
    uint64_t bytes; /* of the body */
    const char *referer;
    const char *user_agent;
};

struct nx_accesslog;

/* Append to the file path, which is made if it is missing; "-" is stdout.  Free with nx_accesslog_free(). */
int nx_accesslog_open(const char *path, struct nx_accesslog **ret_log, struct nx_error *err);

/* Open the path anew: its file was moved away by who rotates logs.  Lines that are written meanwhile go to
 * one file or the other.  On failure the old file stays in use.  Nothing for stdout.
 */
int nx_accesslog_reopen(struct nx_accesslog *log, struct nx_error *err);

/* Write a line, whatever the client sent: quotes, backslashes and what is no printable ASCII become \xHH.
 * Safe from several threads.  A line that cannot be written is lost; a warning says so, once until one can again.
 */
void nx_accesslog_write(struct nx_accesslog *log, const struct nx_access *access);

/* NULL is fine. */
void nx_accesslog_free(struct nx_accesslog *log);

NX_DEFINE_AUTO(struct nx_accesslog *, accesslog, nx_accesslog_free)
#define NX_AUTO_ACCESSLOG NX_AUTO(accesslog) /* nx_accesslog_free() at the end of scope */

#endif
