/* SPDX-License-Identifier: MIT */
/* Threads: counters under lock; frames under send_lock, so that the counters never wait for
 * the launcher.
 */
#include "fetch/report.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LAST_STATS_MS 2000 /* less than the engine's end may take */

void nx_report_init(struct nx_report *report, int fd)
{
    memset(report, 0, sizeof(*report));
    report->fd = fd;
    clock_gettime(CLOCK_MONOTONIC, &report->start);
    pthread_mutex_init(&report->lock, NULL);
    pthread_mutex_init(&report->send_lock, NULL);
    report->stats.first_byte = report->stats.manifest_verified = report->stats.qemu_started = -1;
}

void nx_report_release(struct nx_report *report)
{
    pthread_mutex_destroy(&report->lock);
    pthread_mutex_destroy(&report->send_lock);
}

double nx_report_time(const struct nx_report *report)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - report->start.tv_sec) +
           (double)(now.tv_nsec - report->start.tv_nsec) / 1e9;
}

void nx_report_add(struct nx_report *report, uint64_t *counter, uint64_t n)
{
    pthread_mutex_lock(&report->lock);
    *counter += n;
    report->changed = true;
    pthread_mutex_unlock(&report->lock);
}

void nx_report_set(struct nx_report *report, uint64_t *counter, uint64_t value)
{
    pthread_mutex_lock(&report->lock);
    *counter = value;
    report->changed = true;
    pthread_mutex_unlock(&report->lock);
}

void nx_report_mark(struct nx_report *report, double *time)
{
    pthread_mutex_lock(&report->lock);
    if (*time < 0) {
        *time = nx_report_time(report);
        report->changed = true;
    }
    pthread_mutex_unlock(&report->lock);
}

static bool launcher_takes_within(const struct nx_report *report, int ms)
{
    struct pollfd pfd = { .fd = report->fd, .events = POLLOUT };
    return report->fd >= 0 && poll(&pfd, 1, ms) == 1 && (pfd.revents & POLLOUT);
}

static void send_stats_within(struct nx_report *report, int ms)
{
    if (!launcher_takes_within(report, ms))
        return;
    pthread_mutex_lock(&report->send_lock); /* or older ones could come after newer ones */
    pthread_mutex_lock(&report->lock);
    struct nx_stats stats = report->stats;
    bool changed = report->changed;
    report->changed = false;
    pthread_mutex_unlock(&report->lock);
    if (changed)
        nx_channel_send(report->fd, NX_MSG_STATS, &stats, sizeof(stats), NULL);
    pthread_mutex_unlock(&report->send_lock);
}

void nx_report_send_stats(struct nx_report *report)
{
    send_stats_within(report, 0);
}

void nx_report_send_last_stats(struct nx_report *report)
{
    send_stats_within(report, LAST_STATS_MS);
}

void nx_report_send(struct nx_report *report, enum nx_message type, const void *payload, size_t len)
{
    if (report->fd < 0)
        return;
    pthread_mutex_lock(&report->send_lock);
    nx_channel_send(report->fd, type, payload, len, NULL);
    pthread_mutex_unlock(&report->send_lock);
}

void nx_report_text(struct nx_report *report, enum nx_message type, const char *fmt, ...)
{
    struct nx_error text; /* its size, and its cleaning of control characters */
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text.msg, sizeof(text.msg), fmt, ap);
    va_end(ap);
    nx_report_send(report, type, text.msg, strlen(text.msg));
}

/* Under send_lock, or the end of one wait could be told after the beginning of the next. */
static void count_waiting(struct nx_report *report, bool begins, enum nx_message type,
                          const char *text)
{
    pthread_mutex_lock(&report->send_lock);
    pthread_mutex_lock(&report->lock);
    bool tell = begins ? report->stats.waiting++ == 0 : --report->stats.waiting == 0;
    report->changed = true;
    pthread_mutex_unlock(&report->lock);
    if (tell && report->fd >= 0)
        nx_channel_send(report->fd, type, text, strlen(text), NULL);
    pthread_mutex_unlock(&report->send_lock);
}

void nx_report_wait(struct nx_report *report, const char *reason)
{
    count_waiting(report, true, NX_MSG_WAITING, reason);
}

void nx_report_go_on(struct nx_report *report)
{
    count_waiting(report, false, NX_MSG_RESUMED, "");
}

void nx_report_set_images(struct nx_report *report, unsigned n_images)
{
    pthread_mutex_lock(&report->lock);
    report->stats.n_images = n_images;
    report->changed = true;
    pthread_mutex_unlock(&report->lock);
}
