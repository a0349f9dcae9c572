/* SPDX-License-Identifier: MIT */
/* One progress line a process: the state is global, under one lock. */
#include "common/progress.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define INTERVAL_NS 100000000 /* redraw at most ten times a second */
#define BAR_CELLS   24

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    char what[64];
    uint64_t done, total;
    int64_t started, drawn; /* CLOCK_MONOTONIC, ns */
    bool active, visible;   /* visible: a line stands on the terminal */
    int fd;
    int quiet;
} state = { .fd = -1 }; /* under lock */

static void (*listener)(const char *what, uint64_t done, uint64_t total);

static int64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

const char *nx_human_bytes(uint64_t bytes, char text[static 32])
{
    static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    double value = (double)bytes;
    unsigned unit = 0;
    for (; value >= 1024 && unit < 6; unit++)
        value /= 1024;
    snprintf(text, 32, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return text;
}

static void write_all(int fd, const char *text, size_t len)
{
    ssize_t ignored = write(fd, text, len);
    (void)ignored;
}

static void draw_terminal(double rate)
{
    char line[256], done[32], total[32], speed[32];
    nx_human_bytes(state.done, done);
    nx_human_bytes((uint64_t)rate, speed);
    int len;
    if (state.total) {
        double part = state.done >= state.total ? 1 : (double)state.done / (double)state.total;
        char bar[BAR_CELLS + 1];
        memset(bar, '.', BAR_CELLS);
        memset(bar, '#', (size_t)(part * BAR_CELLS));
        bar[BAR_CELLS] = 0;
        double left = rate > 0 ? (double)(state.total - state.done) * (part < 1) / rate : 0;
        len = snprintf(line, sizeof line, "\r\033[K%s [%s] %3d%%  %s of %s, %s/s, %d:%02d left",
                       state.what, bar, (int)(part * 100), done, nx_human_bytes(state.total, total),
                       speed, (int)left / 60, (int)left % 60);
    } else {
        len = snprintf(line, sizeof line, "\r\033[K%s  %s, %s/s", state.what, done, speed);
    }
    write_all(STDERR_FILENO, line, (size_t)len);
    state.visible = true;
}

static void draw(bool last)
{
    int64_t now = now_ns();
    if (!last && now - state.drawn < INTERVAL_NS)
        return;
    state.drawn = now;
    double seconds = (double)(now - state.started) / 1e9;
    double rate = seconds > 0 ? (double)state.done / seconds : 0;
    if (state.fd >= 0) {
        char line[256];
        int len = snprintf(
            line, sizeof line, "{\"what\":\"%s\",\"done\":%llu,\"total\":%llu,\"rate\":%.1f}\n",
            state.what, (unsigned long long)state.done, (unsigned long long)state.total, rate);
        write_all(state.fd, line, (size_t)len);
    }
    if (!state.quiet && isatty(STDERR_FILENO))
        draw_terminal(rate);
    if (listener)
        listener(state.what, state.done, state.total);
}

static void clear(void)
{
    if (state.visible)
        write_all(STDERR_FILENO, "\r\033[K", 4);
    state.visible = false;
}

void nx_progress_set_fd(int fd)
{
    state.fd = fd;
}

void nx_progress_set_quiet(int quiet)
{
    state.quiet = quiet;
}

void nx_progress_set_listener(void (*tell)(const char *what, uint64_t done, uint64_t total))
{
    listener = tell;
}

void nx_progress_start(const char *what, uint64_t total)
{
    pthread_mutex_lock(&lock);
    snprintf(state.what, sizeof state.what, "%s", what);
    for (char *p = state.what; *p; p++) /* it goes into a terminal and into JSON */
        if ((unsigned char)*p < 0x20 || *p == '"' || *p == '\\' || *p == 0x7f)
            *p = '?';
    state.done = 0;
    state.total = total;
    state.started = now_ns();
    state.drawn = 0;
    state.active = true;
    if (listener)
        listener(state.what, 0, total);
    pthread_mutex_unlock(&lock);
}

void nx_progress_update(uint64_t done)
{
    pthread_mutex_lock(&lock);
    state.done = done;
    if (state.active)
        draw(false);
    pthread_mutex_unlock(&lock);
}

void nx_progress_set_total(uint64_t total)
{
    pthread_mutex_lock(&lock);
    state.total = total;
    pthread_mutex_unlock(&lock);
}

void nx_progress_end(void)
{
    pthread_mutex_lock(&lock);
    if (state.active) {
        draw(true);
        clear();
    }
    state.active = false;
    pthread_mutex_unlock(&lock);
}

void nx_progress_clear(void)
{
    pthread_mutex_lock(&lock);
    clear();
    pthread_mutex_unlock(&lock);
}
