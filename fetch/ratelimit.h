/* SPDX-License-Identifier: MIT */
/* A limit on the bytes a second of many transfers together: credit that grows with time and is spent by what arrives.
 * What somebody waits for may run into debt, of a second's worth, so that it goes before all else; the debt is paid
 * before anything else goes on.  One thread.
 */
#ifndef NX_FETCH_RATELIMIT_H
#define NX_FETCH_RATELIMIT_H

#include <stdbool.h>
#include <stdint.h>

struct nx_ratelimit {
    uint64_t limit; /* bytes/s; 0: none */
    int64_t credit; /* bytes; less than 0: debt */
    int64_t at;     /* ms: when credit was that */
};

void nx_ratelimit_init(struct nx_ratelimit *rate, uint64_t limit, int64_t now);

/* May more be let in? */
bool nx_ratelimit_allows(struct nx_ratelimit *rate, bool urgent, int64_t now);

/* So many bytes have come. */
void nx_ratelimit_spend(struct nx_ratelimit *rate, uint64_t bytes);

#endif
