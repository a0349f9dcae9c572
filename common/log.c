/* SPDX-License-Identifier: MIT */
/* The level and the name are set once by main before threads start; a line is
 * one write(2), so lines of several threads do not mix.
 */
#include "common/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "common/progress.h"

static const char *program = "nxpk";
static enum nx_loglevel max_level = NX_LOG_NOTICE;
static void (*listener)(enum nx_loglevel level, const char *message);

void nx_log_set_program(const char *name)
{
    program = name;
}

const char *nx_log_program(void)
{
    return program;
}

void nx_log_set_level(enum nx_loglevel level)
{
    max_level = level;
}

enum nx_loglevel nx_log_level(void)
{
    return max_level;
}

void nx_log_set_listener(void (*hear)(enum nx_loglevel level, const char *message))
{
    listener = hear;
}

void nx_log(enum nx_loglevel level, const char *fmt, ...)
{
    if (level > max_level)
        return;
    char line[2048];
    size_t room = sizeof line - 1;
    int len = snprintf(line, room, "%s: %s", program, level == NX_LOG_WARNING ? "warning: " : "");
    va_list ap;
    va_start(ap, fmt);
    int start = len, more = vsnprintf(line + len, room - (size_t)len, fmt, ap);
    va_end(ap);
    len = more < (int)room - len ? len + more : (int)room - 1;
    line[len] = '\n';
    nx_progress_clear();
    ssize_t ignored = write(STDERR_FILENO, line, (size_t)len + 1);
    (void)ignored;
    line[len] = 0;
    if (listener)
        listener(level, line + start);
}

int nx_log_failure(const struct nx_error *err)
{
    nx_log(NX_LOG_ERROR, "%s", err->msg);
    return nx_exit_status(err);
}
