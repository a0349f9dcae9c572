/* SPDX-License-Identifier: MIT */
#include "fetch/terminal.h"

#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/interrupt.h"
#include "common/io.h"

#define SIZE_MAX_CELLS 1000
#define TO_SCREEN      "\033[?1049h\033[?25l" /* the alternate screen, no cursor */
#define FROM_SCREEN    "\033[?25h\033[?1049l"

bool nx_terminal_is_there(void)
{
    const char *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

bool nx_terminal_has_colours(void)
{
    const char *no = getenv("NO_COLOR");
    return nx_terminal_is_there() && !(no && *no);
}

bool nx_terminal_has_utf8(void)
{
    setlocale(LC_CTYPE, "");
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

static unsigned from_environment(const char *name, unsigned standard)
{
    const char *text = getenv(name);
    unsigned long value = text ? strtoul(text, NULL, 10) : 0;
    return value >= 1 && value <= SIZE_MAX_CELLS ? (unsigned)value : standard;
}

void nx_terminal_size(unsigned *ret_width, unsigned *ret_height)
{
    struct winsize size = { 0 };
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
        size = (struct winsize){ 0 };
    *ret_width = size.ws_col ? size.ws_col : from_environment("COLUMNS", 80);
    *ret_height = size.ws_row ? size.ws_row : from_environment("LINES", 24);
    if (*ret_width > SIZE_MAX_CELLS)
        *ret_width = SIZE_MAX_CELLS;
    if (*ret_height > SIZE_MAX_CELLS)
        *ret_height = SIZE_MAX_CELLS;
}

static int say(const char *text, struct nx_error *err)
{
    return nx_write_full(STDOUT_FILENO, text, strlen(text), "the terminal", err);
}

/* Only so that poll() returns. */
static void wake(int sig)
{
    (void)sig;
}

int nx_terminal_open(struct nx_terminal *terminal, struct nx_error *err)
{
    const struct sigaction waking = { .sa_handler = wake };
    nx_interrupt_hold(true);
    sigaction(SIGWINCH, &waking, NULL);
    terminal->open = true;
    terminal->has_keys =
        tcgetattr(STDIN_FILENO, &terminal->before) == 0 && tcgetpgrp(STDIN_FILENO) == getpgrp();
    if (terminal->has_keys) {
        struct termios keys = terminal->before;
        keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        keys.c_cc[VMIN] = 1;
        keys.c_cc[VTIME] = 0;
        keys.c_cc[VSUSP] = _POSIX_VDISABLE; /* or a shell would go on upon our screen */
        tcsetattr(STDIN_FILENO, TCSANOW, &keys);
    }
    return say(TO_SCREEN, err);
}

int nx_terminal_draw(const struct nx_buffer *lines, struct nx_error *err)
{
    NX_AUTO_BUFFER struct nx_buffer out = NX_BUFFER_INIT(4 * lines->max);
    const char *at = (const char *)lines->data, *end = at + lines->len;
    if (nx_buffer_printf(&out, err, "\033[H") < 0)
        return -1;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t len = (size_t)((newline ? newline : end) - at);
        at += len + 1;
        /* No newline behind the last line: it may be the screen's, which would scroll. */
        if (nx_buffer_printf(&out, err, "%.*s\033[K%s", (int)len, at - len - 1,
                             at < end ? "\r\n" : "") < 0)
            return -1;
    }
    if (nx_buffer_printf(&out, err, "\033[J") < 0)
        return -1;
    return nx_write_full(STDOUT_FILENO, out.data, out.len, "the terminal", err);
}

bool nx_terminal_wait(const struct nx_terminal *terminal, int ms)
{
    struct pollfd fd = { .fd = terminal->has_keys ? STDIN_FILENO : -1, .events = POLLIN };
    char key;
    return poll(&fd, 1, ms) > 0 && (read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 'Q');
}

void nx_terminal_close(struct nx_terminal *terminal)
{
    struct nx_error ignored = NX_ERROR_INIT;
    if (!terminal->open)
        return;
    if (terminal->has_keys)
        tcsetattr(STDIN_FILENO, TCSANOW, &terminal->before);
    say(FROM_SCREEN, &ignored);
    terminal->open = false;
    signal(SIGWINCH, SIG_DFL);
    nx_interrupt_hold(false);
}
