/* SPDX-License-Identifier: MIT */
/* Looking at a mount point without asking whoever serves it: it may be dead. */
#ifndef NX_FETCH_MOUNTED_H
#define NX_FETCH_MOUNTED_H

#include <stdbool.h>

/* Is something mounted on dir?  Also true for a FUSE mount whose process has gone. */
bool nx_is_mounted(const char *dir);

#endif
