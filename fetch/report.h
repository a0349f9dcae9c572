/* SPDX-License-Identifier: MIT */
/* What the engine tells the launcher: statistics, and lines for the user.  Any thread. */
#ifndef NX_FETCH_REPORT_H
#define NX_FETCH_REPORT_H

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#include "common/error.h"
#include "fetch/channel.h"

/* Who has waited so long for bytes should say so to the user (nx_report_wait()). */
#define NX_REPORT_WAIT_MS   5000
#define NX_REPORT_WAIT_TEXT "nothing has come for some seconds"

struct nx_report {
    int fd; /* the channel, not owned; -1: nobody listens (tests) */
    struct timespec start;
    pthread_mutex_t send_lock; /* held while a frame is written */
    pthread_mutex_t lock;
    struct nx_stats stats; /* under lock */
    bool changed;          /* under lock: since the last STATS */
};

void nx_report_init(struct nx_report *report, int fd);
void nx_report_release(struct nx_report *report);

/* Seconds since nx_report_init(). */
double nx_report_time(const struct nx_report *report);

/* Add n to a counter, which is a field of report->stats. */
void nx_report_add(struct nx_report *report, uint64_t *counter, uint64_t n);
/* Set a field of report->stats, or, for a time, only if it is not set yet. */
void nx_report_set(struct nx_report *report, uint64_t *counter, uint64_t value);
void nx_report_mark(struct nx_report *report, double *time);

void nx_report_set_images(struct nx_report *report, unsigned n_images);

/* Send STATS if something has changed and the launcher is ready to take it. */
void nx_report_send_stats(struct nx_report *report);
/* At the end: a launcher that has something else to do is given a while to take them. */
void nx_report_send_last_stats(struct nx_report *report);

/* Send a message; errors are none of the caller's: the end of the channel is seen elsewhere. */
void nx_report_send(struct nx_report *report, enum nx_message type, const void *payload,
                    size_t len);
void nx_report_text(struct nx_report *report, enum nx_message type, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* A read waits for bytes that do not come, and why; or it waits no more.  The user is told of the first, and when
 * none is left.  In pairs; counts in stats.waiting.
 */
void nx_report_wait(struct nx_report *report, const char *reason);
void nx_report_go_on(struct nx_report *report);

#endif
