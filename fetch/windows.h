/* SPDX-License-Identifier: MIT */
/* The programs that a desktop shows windows and notifications with, and how each is called.  Only words: nothing is run
 * here.
 *
 * Texts may be a stranger's (names from packages, URLs).  They become the value of an option, stand behind "--", or come
 * on standard input, so that none is ever read as an option; and what a program would take for markup or an escape is made
 * harmless.
 */
#ifndef NX_FETCH_WINDOWS_H
#define NX_FETCH_WINDOWS_H

#include <stdbool.h>

#include "common/process.h"

/* Those that show windows come first, the best of them first; then those that show notifications. */
enum nx_window_way {
    NX_WAY_ZENITY,
    NX_WAY_KDIALOG,
    NX_WAY_XMESSAGE,
    NX_WAY_NOTIFY_SEND,
    NX_WAY_GDBUS,
    NX_N_WAYS,
    NX_WAY_NONE = NX_N_WAYS,
};

/* The first from first to last whose program is in PATH and can work on this desktop, or NX_WAY_NONE. */
enum nx_window_way nx_windows_find(enum nx_window_way first, enum nx_window_way last);

/* A question's three answers, by what their buttons say. */
struct nx_window_question {
    const char *title, *text;       /* text: lines, made by nx_windows_plain() */
    const char *once, *always, *no; /* literals */
};

enum nx_window_answer {
    NX_ANSWER_NO, /* also when the window is closed */
    NX_ANSWER_ONCE,
    NX_ANSWER_ALWAYS,
    NX_ANSWER_FAILED, /* the program shows no window */
};

/* Arguments for a window that asks; "No" is what Return and Escape mean.  Windows only.  *ret_input is what the program gets
 * on standard input, or NULL.
 */
void nx_windows_question(enum nx_window_way way, const struct nx_window_question *question,
                         struct nx_args *ret_args, const char **ret_input);

/* What the program has answered: by its exit status (-1: killed), and the first bytes of its output. */
enum nx_window_answer nx_windows_answer(enum nx_window_way way,
                                        const struct nx_window_question *question, int exit_status,
                                        const char *output);

/* Arguments for a window or a notification that tells something; error: it is why nxfetch ends. */
void nx_windows_message(enum nx_window_way way, bool error, const char *title, const char *text,
                        struct nx_args *ret_args, const char **ret_input);

/* Arguments for zenity's progress, which reads nx_windows_progress_line()s from standard input. */
void nx_windows_progress(const char *title, const char *text, struct nx_args *ret_args);

/* A line for it: what is done, and a part of 100, or -1 if nobody knows how much there is to do.  Returns its length. */
int nx_windows_progress_line(const char *text, int percent, char *line, size_t size);

/* Add text, which may be a stranger's, to lines as one line that begins with label, folded where it is long: with nothing in
 * it that the programs would interpret, valid in the user's encoding.
 */
void nx_windows_plain(const char *label, const char *text, char *lines, size_t size);

#endif
