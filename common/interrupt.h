/* SPDX-License-Identifier: MIT */
/* Ctrl-C for programs that work in loops: the first SIGINT, SIGTERM or SIGHUP
 * sets a flag that the loops look at, so that everything is undone on the way
 * out; a second one ends the process at once.
 */
#ifndef NX_COMMON_INTERRUPT_H
#define NX_COMMON_INTERRUPT_H

#include <stdbool.h>

#include "common/error.h"

/* Install the handlers (without SA_RESTART, so that blocking calls return EINTR) and ignore SIGPIPE. */
void nx_interrupt_install(void);

/* While held, a second signal does not end the process either: what must be undone is undone, however impatient somebody
 * is.  For as short as can be.
 */
void nx_interrupt_hold(bool held);

bool nx_interrupted(void);

/* The same while the signals are blocked: has one come that nobody has taken yet? */
bool nx_interrupt_pending(void);

/* 0, or -1 with NX_ERR_CANCELLED ("interrupted") once a signal has come. */
int nx_check_interrupt(struct nx_error *err);

/* Wait until fd can be read; 0, or -1 as above.  The signals may be blocked: then one is taken only in here,
 * and none can come between looking and waiting.
 */
int nx_interrupt_wait(int fd, struct nx_error *err);

#endif
