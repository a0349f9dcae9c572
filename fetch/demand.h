/* SPDX-License-Identifier: MIT */
/* How much processor time a process wants, whatever else the computer is doing. */
#ifndef NX_FETCH_DEMAND_H
#define NX_FETCH_DEMAND_H

#include <stdint.h>
#include <sys/types.h>

/* Milliseconds in which its threads have run, or have waited for a processor, so far (/proc/PID/task/TID/schedstat, see
 * Documentation/scheduler/sched-stats in Linux).  It goes back when a thread ends.  0 if it cannot be told.
 */
int64_t nx_demand_ms(pid_t pid);

#endif
