/* SPDX-License-Identifier: MIT */
#include "fetch/rate.h"

#include <stdbool.h>

#define APART_MS 200

void nx_rate_note(struct nx_rate *rate, int64_t now, uint64_t bytes)
{
    unsigned last = (rate->n + NX_RATE_SAMPLES - 1) % NX_RATE_SAMPLES;
    unsigned before = (rate->n + NX_RATE_SAMPLES - 2) % NX_RATE_SAMPLES;
    /* The last one stands for the present until it is far enough from the one before. */
    bool moves = rate->n > 1 && now - rate->samples[before].ms < APART_MS;
    unsigned at = moves ? last : rate->n % NX_RATE_SAMPLES;
    rate->samples[at].ms = now;
    rate->samples[at].bytes = bytes;
    rate->n += !moves;
}

double nx_rate_get(const struct nx_rate *rate, int64_t now)
{
    unsigned there = rate->n < NX_RATE_SAMPLES ? rate->n : NX_RATE_SAMPLES;
    if (there < 2)
        return 0;
    unsigned last = (rate->n - 1) % NX_RATE_SAMPLES, from = last;
    for (unsigned i = 1; i < there; i++) {
        from = (rate->n - 1 - i) % NX_RATE_SAMPLES;
        if (now - rate->samples[from].ms >= NX_RATE_MS)
            break;
    }
    /* The counter was what the sample says until the next one, so a time of silence before `from` counts for nothing. */
    int64_t since = now - rate->samples[from].ms;
    if (since > NX_RATE_MS)
        since = NX_RATE_MS;
    if (rate->samples[last].bytes < rate->samples[from].bytes)
        return 0; /* another engine has begun anew */
    uint64_t grown = rate->samples[last].bytes - rate->samples[from].bytes;
    if (now - rate->samples[last].ms >= NX_RATE_MS || since <= 0)
        return 0;
    return (double)grown * 1000 / (double)since;
}
