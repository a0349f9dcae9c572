/* SPDX-License-Identifier: MIT */
/* Conditional requests (RFC 9110, section 13): is the client's copy still good, and
 * are its ranges of the same file?
 */
#ifndef NX_SERVE_CONDITION_H
#define NX_SERVE_CONDITION_H

#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>

#include "serve/request.h"

/* What tells one state of a file from another. */
struct nx_validators {
    char etag[80];   /* strong, quoted: made of inode, size and modification time in nanoseconds */
    time_t modified; /* in seconds, as HTTP dates are */
};

void nx_validators_from_stat(const struct stat *st, struct nx_validators *ret_validators);

/* The first of If-Match, If-Unmodified-Since, If-None-Match, If-Modified-Since that
 * decides (section 13.2.2): 0 to go on, else the status: 304 or 412.
 */
unsigned nx_condition_check(const struct nx_request *request,
                            const struct nx_validators *validators);

/* May a Range be honoured?  True without If-Range, or if its ETag or date is exactly the
 * file's; a date only if it is older than now's second, since the file could change
 * again within one second (section 8.8.2.2).
 */
bool nx_condition_if_range(const struct nx_request *request, const struct nx_validators *validators,
                           time_t now);

#define NX_HTTP_DATE_SIZE 30

/* "Sun, 06 Nov 1994 08:49:37 GMT" into text; returns text. */
const char *nx_http_date_format(time_t when, char text[static NX_HTTP_DATE_SIZE]);

/* Read a date in any of the three forms that HTTP has had; false for anything else. */
bool nx_http_date_parse(const char *text, time_t *ret_when);

#endif
