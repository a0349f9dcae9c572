/* SPDX-License-Identifier: MIT */
#include "pack/passphrase.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
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

static int ask(const char *question, const char *path, char *buf, size_t size)
{
    NX_AUTO_FD int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    struct termios shown;
    if (tty < 0 || tcgetattr(tty, &shown) < 0)
        return -1;
    struct termios hidden = shown;
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(tty, TCSAFLUSH, &hidden);
    dprintf(tty, "%s %s: ", question, path);
    int len = read_line(tty, buf, size);
    tcsetattr(tty, TCSAFLUSH, &shown);
    dprintf(tty, "\n");
    return len;
}

int nx_ask_passphrase(char *buf, size_t size, const char *path, void *opaque)
{
    return ask("Passphrase of", path, buf, size);
}

int nx_ask_new_passphrase(char ret_text[static NX_PASSPHRASE_MAX + 1], const char *path,
                          struct nx_error *err)
{
    char again[NX_PASSPHRASE_MAX];
    int ret = -1;
    int len = ask("New passphrase for", path, ret_text, NX_PASSPHRASE_MAX);
    int len_again = len > 0 ? ask("The same again for", path, again, sizeof again) : -1;
    if (len == 0)
        nx_fail(err, NX_ERR_USAGE, "%s: an empty passphrase protects nothing", path);
    else if (len_again < 0)
        nx_fail(err, NX_ERR_SYSTEM, "%s: a passphrase can only be given on a terminal", path);
    else if (len != len_again || memcmp(ret_text, again, (size_t)len) != 0)
        nx_fail(err, NX_ERR_USAGE, "%s: the two passphrases differ", path);
    else
        ret = 0;
    explicit_bzero(again, sizeof again);
    ret_text[len > 0 ? len : 0] = 0;
    return ret;
}
