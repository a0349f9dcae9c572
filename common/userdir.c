/* SPDX-License-Identifier: MIT */
#include "common/userdir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

char *nx_user_path(const char *variable, const char *fallback, const char *tail)
{
    const char *base = getenv(variable), *home = getenv("HOME");
    char *path;
    int n = 0;
    if (base && base[0] == '/')
        n = asprintf(&path, "%s/%s", base, tail);
    else if (home && home[0] == '/')
        n = asprintf(&path, "%s/%s/%s", home, fallback, tail);
    if (n <= 0)
        errno = n < 0 ? ENOMEM : 0;
    return n > 0 ? path : NULL;
}
