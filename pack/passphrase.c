/* SPDX-License-Identifier: MIT */
#include "pack/passphrase.h"

#include <stdio.h>
#include <string.h>

#include "common/ask.h"

static int ask(const char *question, const char *path, char *buf, size_t size)
{
    char text[1024];
    snprintf(text, sizeof text, "%s %s", question, path);
    return nx_ask_secret(text, buf, size);
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
