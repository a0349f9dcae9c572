/* SPDX-License-Identifier: MIT */
/* The FUSE mount, made and removed by the launcher: as root by mount(2), else by
 * fusermount3.  The engine only gets the open descriptor (fuse.h).
 */
#ifndef NX_FETCH_MOUNTPOINT_H
#define NX_FETCH_MOUNTPOINT_H

#include "common/error.h"

struct nx_mountpoint {
    char *dir; /* owned; NULL when nothing is mounted */
    int fd;    /* open /dev/fuse, for nx_engine_config.fuse_fd; close-on-exec */
};
#define NX_MOUNTPOINT_INIT \
    {                      \
        NULL, -1           \
    }

/* Can this process mount with FUSE?  0, or -1 with the reason and its remedy as one line. */
int nx_mountpoint_usable(struct nx_error *err);

/* Detach what is mounted on dir, whoever still uses it.  Nothing mounted is no failure. */
int nx_mountpoint_detach(const char *dir, struct nx_error *err);

/* Mount on dir, an existing directory; a mount there that a killed nxfetch has left goes first.  Call it before the engine starts, and
 * nx_mountpoint_close_fd() after it: while the launcher holds the descriptor too, the
 * death of the engine would leave reads waiting instead of ending them.  Nobody may look
 * into dir before the engine runs, for nobody would answer.
 */
int nx_mountpoint_mount(const char *dir, struct nx_mountpoint *ret_mountpoint,
                        struct nx_error *err);

void nx_mountpoint_close_fd(struct nx_mountpoint *mountpoint);

/* Unmount; lazily, so that a program that still has a file open there does not hinder it.  The
 * directory stays.  Harmless when nothing is mounted.
 */
int nx_mountpoint_unmount(struct nx_mountpoint *mountpoint, struct nx_error *err);

#endif
