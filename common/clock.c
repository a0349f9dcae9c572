/* SPDX-License-Identifier: MIT */
#include "common/clock.h"

#include <time.h>

int64_t nx_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}
