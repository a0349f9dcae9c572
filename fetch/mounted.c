/* SPDX-License-Identifier: MIT */
#include "fetch/mounted.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

bool nx_is_mounted(const char *dir)
{
    /* DONT_SYNC: the kernel may answer from what it has kept; else a dead mount says ENOTCONN. */
    struct statx st;
    if (statx(AT_FDCWD, dir, AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC, STATX_TYPE, &st) < 0)
        return errno == ENOTCONN;
    return st.stx_attributes & STATX_ATTR_MOUNT_ROOT;
}
