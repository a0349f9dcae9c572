/* SPDX-License-Identifier: MIT */
#include "fetch/rate.h"

#define IDLE_MS 250 /* credit is saved for so long while nothing comes */

void nx_rate_init(struct nx_rate *rate, uint64_t limit, int64_t now)
{
    *rate = (struct nx_rate){ .limit = limit, .at = now };
}

static void grow(struct nx_rate *rate, int64_t now)
{
    int64_t most = (int64_t)(rate->limit * IDLE_MS / 1000), ms = now - rate->at;
    if (ms > 60000) /* the host may have slept; and no product overflows */
        ms = 60000;
    int64_t more =
        (int64_t)(rate->limit / 1000 * (uint64_t)ms + rate->limit % 1000 * (uint64_t)ms / 1000);
    if (more <= 0)
        return; /* at stays, so that little by little something comes of it */
    rate->credit = rate->credit + more < most ? rate->credit + more : most;
    rate->at = now;
}

bool nx_rate_allows(struct nx_rate *rate, bool urgent, int64_t now)
{
    if (!rate->limit)
        return true;
    grow(rate, now);
    return rate->credit > (urgent ? -(int64_t)rate->limit : 0);
}

void nx_rate_spend(struct nx_rate *rate, uint64_t bytes)
{
    rate->credit -= (int64_t)bytes;
}
