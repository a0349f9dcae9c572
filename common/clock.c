/* SPDX-License-Identifier: MIT */
#include "common/clock.h"

int64_t nx_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

const char *nx_utc(time_t time, char text[static NX_UTC_SIZE])
{
    struct tm tm;
    if (!gmtime_r(&time, &tm) || !strftime(text, NX_UTC_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm))
        text[0] = 0;
    return text;
}

int nx_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t due)
{
    struct timespec until = { due / 1000, due % 1000 * 1000000 };
    return pthread_cond_clockwait(cond, lock, CLOCK_MONOTONIC, &until);
}
