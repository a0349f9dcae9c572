/* SPDX-License-Identifier: MIT */
/* A qemu-nbd process with one image and our connection to it.  It belongs to us alone: it listens
 * on a socket that only libnbd knows (systemd socket activation) and ends with the connection.
 */
#ifndef NX_PACK_QEMUNBD_H
#define NX_PACK_QEMUNBD_H

#include <libnbd.h>
#include <stdbool.h>

#include "common/error.h"

struct nx_qemunbd {
    struct nbd_handle *nbd; /* NULL while there is none */
    char *path;
    int messages; /* what qemu-nbd writes to stderr, as a file */
};
#define NX_QEMUNBD_INIT \
    {                   \
        .messages = -1  \
    }

/* path is absolute, so that QEMU takes it for nothing but a file's name.
 *
 * For the moment of starting, the process's stderr is qemu-nbd's, so
 * nothing else may write to it: open while there is one thread.
 */
int nx_qemunbd_open(struct nx_qemunbd *server, const char *path, const char *format, bool writable,
                    struct nx_error *err);

/* What went wrong, from what qemu-nbd or libnbd said last; returns -1. */
int nx_qemunbd_fail(const struct nx_qemunbd *server, struct nx_error *err);

/* Disconnect, end qemu-nbd and wait for it. */
void nx_qemunbd_release(struct nx_qemunbd *server);

/* The same judgement of a message of QEMU's about path (it may be qemu-img's):
 * an image in use has its own words.  Returns -1.
 */
int nx_fail_qemu(struct nx_error *err, const char *path, const char *message);

#endif
