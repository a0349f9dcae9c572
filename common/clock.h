/* SPDX-License-Identifier: MIT */
#ifndef NX_COMMON_CLOCK_H
#define NX_COMMON_CLOCK_H

#include <stdint.h>

/* Milliseconds of CLOCK_MONOTONIC: for deadlines and for what took how long.  Any thread. */
int64_t nx_now_ms(void);

#endif
