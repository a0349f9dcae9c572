/* SPDX-License-Identifier: MIT */
/* Take from a process what it does not need, by Landlock (Linux 5.13 and newer; landlock(7)): it and all that it starts
 * may use those files that were allowed, and no others, nor send signals to others.  What it has open stays open.
 */
#ifndef NX_FETCH_CONFINE_H
#define NX_FETCH_CONFINE_H

#include <stdbool.h>

#include "common/error.h"

enum nx_confine_right {
    NX_MAY_READ,   /* read files, list folders */
    NX_MAY_RUN,    /* that, and run programs */
    NX_MAY_WRITE,  /* read and write files that are there */
    NX_MAY_FILL,   /* that, and make and remove files and folders */
    NX_MAY_LISTEN, /* make sockets */
};

struct nx_confinement {
    int fd; /* the rules; -1: there are none */
    unsigned abi;
};
#define NX_CONFINEMENT_INIT \
    {                       \
        -1, 0               \
    }

/* Nothing is allowed yet.  SYSTEM if the kernel cannot do it; the message says so. */
int nx_confine_new(struct nx_confinement *ret_confinement, struct nx_error *err);

/* Allow a file, or a folder with all that is below it, now or later.  What does not exist, or cannot be looked at, is no
 * error: it could not be used anyway.
 */
int nx_confine_allow(const struct nx_confinement *confinement, const char *path,
                     enum nx_confine_right right, struct nx_error *err);

/* Likewise each of a list that ends with NULL. */
int nx_confine_allow_all(const struct nx_confinement *confinement, const char *const paths[],
                         enum nx_confine_right right, struct nx_error *err);

/* From here on the calling thread, and those that it starts, have no more than that; there is no way back.  0, or -1 with
 * errno.  Async-signal-safe; closes the rules in this process.
 */
int nx_confine_enter(const struct nx_confinement *confinement);

void nx_confine_release(struct nx_confinement *confinement);

#endif
