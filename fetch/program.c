/* SPDX-License-Identifier: MIT */
#include "fetch/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int nx_find_program(const char *name, char ret_path[static PATH_MAX])
{
    const char *path = getenv("PATH");
    for (const char *at = path ? path : ""; *at; at += strspn(at, ":")) {
        int len = (int)strcspn(at, ":");
        int n = snprintf(ret_path, PATH_MAX, "%.*s/%s", len, at, name);
        if (n > 0 && n < PATH_MAX && access(ret_path, X_OK) == 0)
            return 0;
        at += len;
    }
    return -1;
}

int nx_need_program(const char *name, const char *package, struct nx_error *err)
{
    char path[PATH_MAX];
    if (nx_find_program(name, path) == 0)
        return 0;
    return nx_fail(err, NX_ERR_SYSTEM,
                   "%s is not installed: install the package %s (so Debian calls it)", name,
                   package);
}
