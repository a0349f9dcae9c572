/* SPDX-License-Identifier: MIT */
/* How fast a counter of bytes grows just now. */
#ifndef NX_FETCH_RATE_H
#define NX_FETCH_RATE_H

#include <stdint.h>

#define NX_RATE_SAMPLES 16   /* at most one each quarter of a second … */
#define NX_RATE_MS      2000 /* … and the mean is over so long */

/* One of zeros is a fresh one. */
struct nx_rate {
    struct {
        int64_t ms;
        uint64_t bytes;
    } samples[NX_RATE_SAMPLES];
    unsigned n; /* of them, ever: the last ones are there */
};

/* The counter stands at bytes at the time now (nx_now_ms()). */
void nx_rate_note(struct nx_rate *rate, int64_t now, uint64_t bytes);

/* Bytes a second over the last NX_RATE_MS before now. */
double nx_rate_get(const struct nx_rate *rate, int64_t now);

#endif
