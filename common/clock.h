/* SPDX-License-Identifier: MIT */
#ifndef NX_COMMON_CLOCK_H
#define NX_COMMON_CLOCK_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

#define NX_UTC_SIZE 32 /* bytes of a time as text */

/* Milliseconds of CLOCK_MONOTONIC: for deadlines and for what took how long.  Any thread. */
int64_t nx_now_ms(void);

/* A time as "2026-11-21T01:02:03Z": of two such texts the later one is the greater for strcmp().  Returns text. */
const char *nx_utc(time_t time, char text[static NX_UTC_SIZE]);

/* pthread_cond_timedwait(), but until nx_now_ms() is due: whoever sets the clock changes no wait. */
int nx_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t due);

#endif
