/* SPDX-License-Identifier: MIT */
/* Messages for the person at the terminal, on stderr, one line each, opening
 * with the program's name.  Safe from several threads.  A line on a terminal
 * first clears the progress line (progress.h) and lets it be drawn anew.
 */
#ifndef NX_COMMON_LOG_H
#define NX_COMMON_LOG_H

#include "common/error.h"

enum nx_loglevel {
    NX_LOG_ERROR,   /* why the program ends */
    NX_LOG_WARNING, /* it goes on, but the user should know */
    NX_LOG_NOTICE,  /* what was done; hidden by -q */
    NX_LOG_INFO,    /* shown by -v */
    NX_LOG_DEBUG,   /* shown by -vv */
};

/* Set the name in front of every line, usually once at the top of main. */
void nx_log_set_program(const char *name);
const char *nx_log_program(void);

/* Lines above this level are dropped; NX_LOG_NOTICE at the start. */
void nx_log_set_level(enum nx_loglevel level);
enum nx_loglevel nx_log_level(void);

void nx_log(enum nx_loglevel level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Have each line that is written told to hear as well, without the program's name, by the thread that writes it. */
void nx_log_set_listener(void (*hear)(enum nx_loglevel level, const char *message));

/* Print err's message at level error and return nx_exit_status(err): the last line of a main. */
int nx_log_failure(const struct nx_error *err);

#endif
