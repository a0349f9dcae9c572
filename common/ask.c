/* SPDX-License-Identifier: MIT */
#include "common/ask.h"

#include <fcntl.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

#include "common/cleanup.h"

/* Read a line, without its newline; -1 if there is none or it is too long. */
static int read_line(int tty, char *buf, size_t size)
{
    size_t len = 0;
    for (;;) {
        char c;
        if (read(tty, &c, 1) != 1) /* the end, or Ctrl-C (EINTR) */
            return -1;
        if (c == '\n')
            return (int)len;
        if (len == size)
            return -1;
        buf[len++] = c;
    }
}

int nx_ask_secret(const char *question, char *buf, size_t size)
{
    NX_AUTO_FD int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    struct termios shown;
    if (tty < 0 || tcgetattr(tty, &shown) < 0)
        return -1;
    struct termios hidden = shown;
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(tty, TCSAFLUSH, &hidden);
    dprintf(tty, "%s: ", question);
    int len = read_line(tty, buf, size);
    tcsetattr(tty, TCSAFLUSH, &shown);
    dprintf(tty, "\n");
    return len;
}
