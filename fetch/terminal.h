/* SPDX-License-Identifier: MIT */
/* The terminal at standard output as a screen that is drawn again and again, and is as it was afterwards. */
#ifndef NX_FETCH_TERMINAL_H
#define NX_FETCH_TERMINAL_H

#include <stdbool.h>
#include <termios.h>

#include "common/buffer.h"
#include "common/error.h"

struct nx_terminal {
    bool open;
    bool has_keys; /* standard input is a terminal, too: keys come one by one, and are not echoed */
    struct termios before;
};

/* Is standard output a terminal that can be drawn on? */
bool nx_terminal_is_there(void);

/* Does the user want colours there?  Not with NO_COLOR (no-color.org). */
bool nx_terminal_has_colours(void);

/* Does the locale say UTF-8?  Sets LC_CTYPE from the environment. */
bool nx_terminal_has_utf8(void);

/* Columns and lines; those of COLUMNS and LINES, else 80 and 24, where nobody says. */
void nx_terminal_size(unsigned *ret_width, unsigned *ret_height);

/* Turn to the alternate screen.  A second Ctrl-C does not end the process until it is closed (interrupt.h). */
int nx_terminal_open(struct nx_terminal *terminal, struct nx_error *err);

/* Draw lines that end in "\n" from the top, in place of what is there. */
int nx_terminal_draw(const struct nx_buffer *lines, struct nx_error *err);

/* Wait for so long, or for less if the window changes its size or a signal comes.  True if the user has pressed q. */
bool nx_terminal_wait(const struct nx_terminal *terminal, int ms);

/* Back to how it was.  Harmless when it is not open. */
void nx_terminal_close(struct nx_terminal *terminal);

static inline void nx_auto_terminal(struct nx_terminal *terminal)
{
    nx_terminal_close(terminal);
}
#define NX_AUTO_TERMINAL NX_AUTO(terminal)

#endif
