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

/* So many milliseconds from now, for pthread_cond_clockwait() with CLOCK_MONOTONIC: unlike pthread_cond_timedwait()'s
 * clock it does not jump when somebody sets the time, or the host wakes up.
 */
struct timespec nx_after_ms(int64_t ms);

#endif
