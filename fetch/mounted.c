/* SPDX-License-Identifier: MIT */
#include "fetch/mounted.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/io.h"

bool nx_is_mounted(const char *dir)
{
    /* DONT_SYNC: the kernel may answer from what it has kept; else a dead mount says ENOTCONN. */
    struct statx st;
    if (statx(AT_FDCWD, dir, AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC, STATX_TYPE, &st) < 0)
        return errno == ENOTCONN;
    return st.stx_attributes & STATX_ATTR_MOUNT_ROOT;
}

bool nx_would_hide(const char *dir, const char *path)
{
    NX_AUTO_FREE char *real_dir = realpath(dir, NULL);
    NX_AUTO_FREE char *part = strdup(path);
    NX_AUTO_FREE char *real = NULL;
    /* The innermost of its folders that is there. */
    while (part && !(real = realpath(part, NULL)) && strcmp(part, ".") != 0 &&
           strcmp(part, "/") != 0) {
        NX_AUTO_FREE char *inner = NX_STEAL(part);
        part = nx_folder_of(inner);
    }
    size_t len = real_dir ? strlen(real_dir) : 0;
    if (!real || len == 0 || strncmp(real, real_dir, len) != 0)
        return false;
    return real[len] == '\0' || real[len] == '/' || real_dir[len - 1] == '/';
}
