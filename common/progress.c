/* SPDX-License-Identifier: MIT */
/* One progress line a process: the state is global, under one lock. */
#include "common/progress.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"

#define INTERVAL_NS 100000000 /* redraw at most ten times a second */
#define BAR_CELLS   24
/* Where a line cannot be redrawn: the first after so long, and the next after so long again. */
#define FIRST_LINE_NS INT64_C(10000000000)
#define NEXT_LINE_NS  INT64_C(30000000000)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    char what[64];
    uint64_t done, total;
    int64_t started, drawn; /* CLOCK_MONOTONIC, ns */
    int64_t next_line;      /* the same, when a line of its own is due */
    bool active;
    int width; /* of the line that stands on the terminal; 0: none does */
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

/* A line can be drawn anew on a terminal that goes back at a carriage return. */
static bool can_redraw(void)
{
    const char *term = getenv("TERM");
    return isatty(STDERR_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

/* "packing [####....]  40%  …", with a bar or without. */
static int describe(double rate, bool with_bar, char *line, size_t size)
{
    char done[32], total[32], speed[32], bar[BAR_CELLS + 4] = "";
    nx_human_bytes(state.done, done);
    nx_human_bytes((uint64_t)rate, speed);
    if (!state.total)
        return snprintf(line, size, "%s  %s, %s/s", state.what, done, speed);
    double part = state.done >= state.total ? 1 : (double)state.done / (double)state.total;
    if (with_bar) {
        memset(bar, '.', sizeof bar - 1);
        memset(bar + 1, '#', (size_t)(part * BAR_CELLS));
        bar[0] = '[', bar[BAR_CELLS + 1] = ']', bar[BAR_CELLS + 2] = ' ';
        bar[BAR_CELLS + 3] = 0;
    }
    double left = rate > 0 ? (double)(state.total - state.done) * (part < 1) / rate : 0;
    return snprintf(line, size, "%s %s%3d%%  %s of %s, %s/s, %d:%02d left", state.what, bar,
                    (int)(part * 100), done, nx_human_bytes(state.total, total), speed,
                    (int)left / 60, (int)left % 60);
}

/* Blanks to its end instead of an escape sequence: a terminal is not asked for more than it must be able to. */
static void draw_terminal(double rate)
{
    char text[256], line[600];
    int width = describe(rate, true, text, sizeof text);
    int len = snprintf(line, sizeof line, "\r%-*s", state.width, text);
    for (int blanks = len - 1 - width; blanks > 0; blanks--)
        line[len++] = '\b';
    write_all(STDERR_FILENO, line, (size_t)len);
    state.width = width;
}

static void draw_line(double rate)
{
    char text[256], line[600];
    describe(rate, false, text, sizeof text);
    int len = snprintf(line, sizeof line, "%s: %s\n", nx_log_program(), text);
    write_all(STDERR_FILENO, line, (size_t)len);
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
    if (listener)
        listener(state.what, state.done, state.total);
    if (state.quiet)
        return;
    if (can_redraw()) {
        draw_terminal(rate);
    } else if (state.fd < 0 && !last && now >= state.next_line) {
        state.next_line = now + NEXT_LINE_NS;
        draw_line(rate);
    }
}

static void clear(void)
{
    if (state.width) {
        char line[600];
        int len = snprintf(line, sizeof line, "\r%*s\r", state.width, "");
        write_all(STDERR_FILENO, line, (size_t)len);
    }
    state.width = 0;
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
    state.next_line = state.started + FIRST_LINE_NS;
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
