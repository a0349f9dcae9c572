/* SPDX-License-Identifier: MIT */
/* The Range header field (RFC 9110, section 14): which bytes of a file to send.
 *
 *     Range: bytes=0-499          the first 500
 *     Range: bytes=500-           all but these
 *     Range: bytes=-500           the last 500
 *     Range: bytes=0-0, 100-199   several
 */
#ifndef NX_SERVE_RANGE_H
#define NX_SERVE_RANGE_H

#include <stddef.h>
#include <stdint.h>

/* More ranges than this in one request are refused: each costs a part's headers and a
 * seek, and no client of packages asks for more than one.
 */
#define NX_RANGES_MAX 32

struct nx_range {
    uint64_t first;
    uint64_t length; /* at least 1; first + length never exceeds the file's size */
};

/* What is to be sent: in the order asked for, but those that touch or overlap are one,
 * so that an answer is never longer than the file and its parts' headers.
 */
struct nx_ranges {
    size_t n;
    struct nx_range at[NX_RANGES_MAX];
};

enum nx_range_verdict {
    NX_RANGE_IGNORE,        /* not for us or not well-formed: send the whole file, 200 */
    NX_RANGE_SATISFIABLE,   /* send *ret_ranges, 206 */
    NX_RANGE_UNSATISFIABLE, /* nothing of it lies within the file, or too many: 416 */
};

/* Read a Range field's value for a file of size bytes.  *ret_ranges is written only for
 * NX_RANGE_SATISFIABLE, and has at least one range then.
 */
enum nx_range_verdict nx_ranges_parse(const char *value, uint64_t size,
                                      struct nx_ranges *ret_ranges);

#endif
