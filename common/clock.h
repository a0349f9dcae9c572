/* SPDX-License-Identifier: MIT */
#ifndef NX_COMMON_CLOCK_H
#define NX_COMMON_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NX_UTC_SIZE 32 /* bytes of a time as text */

/* Milliseconds of CLOCK_MONOTONIC: for deadlines and for what took how long.  Any thread. */
int64_t nx_now_ms(void);

/* A time as "2026-11-21T01:02:03Z": of two such texts the later one is the greater for strcmp().  Returns text. */
const char *nx_utc(time_t time, char text[static NX_UTC_SIZE]);

#endif
