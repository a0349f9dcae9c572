/* SPDX-License-Identifier: MIT */
/* Looking at a mount point, without asking whoever serves it: it may be dead. */
#ifndef NX_FETCH_MOUNTED_H
#define NX_FETCH_MOUNTED_H

#include <stdbool.h>

/* Is something mounted on dir?  Also true for a FUSE mount whose process has gone. */
bool nx_is_mounted(const char *dir);

/* Does path, which need not exist yet, stand in dir, so that it would be hidden by what is mounted there? */
bool nx_would_hide(const char *dir, const char *path);

#endif
