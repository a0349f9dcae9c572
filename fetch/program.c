/* SPDX-License-Identifier: MIT */
#include "fetch/program.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int nx_need_program(const char *name, const char *package, struct nx_error *err)
{
    const char *path = getenv("PATH");
    char file[PATH_MAX];
    for (const char *at = path ? path : ""; *at; at += strspn(at, ":")) {
        int len = (int)strcspn(at, ":");
        int n = snprintf(file, sizeof file, "%.*s/%s", len, at, name);
        if (n > 0 && (size_t)n < sizeof file && access(file, X_OK) == 0)
            return 0;
        at += len;
    }
    return nx_fail(err, NX_ERR_SYSTEM,
                   "%s is not installed: install the package %s (so Debian calls it)", name,
                   package);
}
