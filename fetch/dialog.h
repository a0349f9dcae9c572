/* SPDX-License-Identifier: MIT */
/* nxfetch that was started from a desktop (--desktop), where nobody reads standard error: questions, the reason why it
 * ends, and what goes wrong meanwhile are shown in windows, besides being written as ever; and a window shows
 * progress until the machine's own is there.
 *
 * Windows are other programs' (windows.h), one process each.  Where there is none of them nothing here does anything, but
 * for nx_dialog_open(), which may find a terminal to be in.  The state is global, as that of messages and of progress; main
 * thread only.
 */
#ifndef NX_FETCH_DIALOG_H
#define NX_FETCH_DIALOG_H

#include <stdbool.h>

#include "common/error.h"
#include "fetch/windows.h"

/* Look for the programs, and have warnings shown from now on.  Where none could ask but there is a terminal emulator, this
 * process becomes that, with argv in it.
 */
void nx_dialog_open(char **argv);

/* Can a window ask?  If not, a terminal may. */
bool nx_dialog_asks(void);

/* Ask, and wait for the answer.  CANCELLED when a signal came, SYSTEM if the window's program has failed. */
int nx_dialog_ask(const struct nx_window_question *question, enum nx_window_answer *ret_answer,
                  struct nx_error *err);

/* Show why nxfetch ends, and wait until the user has read it.  What the user has ended himself is not shown. */
void nx_dialog_failed(const struct nx_error *err);

/* Write a message at level NOTICE that a desktop's user should see, too. */
void nx_dialog_tell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Show a window with the progress (progress.h) from now on.  When the user closes it, this process gets a SIGHUP, as from a
 * terminal that is closed.
 */
void nx_dialog_show_progress(void);
void nx_dialog_hide_progress(void);

/* In a process that was forked and has nothing to do with it: close its descriptors. */
void nx_dialog_forget(void);

#endif
