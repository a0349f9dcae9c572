/* SPDX-License-Identifier: MIT */
/* Opening files that cannot lie outside a directory, whatever links are in it. */
#ifndef NX_COMMON_BENEATH_H
#define NX_COMMON_BENEATH_H

#include "common/error.h"

/* Open a directory to serve: *ret_fd is for the functions below, to be closed. */
int nx_beneath_open_root(const char *dir, int *ret_fd, struct nx_error *err);

/* Open path (relative, see path.h; "" is the directory itself) below root_fd to read.
 * A descriptor, or -1 with errno.  Links are followed as long as they stay below root_fd and are
 * relative; the kernel sees to that (openat2, Linux 5.6).  Opening never blocks, not even on a
 * FIFO: look at what it is before reading.
 */
int nx_beneath_open(int root_fd, const char *path);

/* The same for kernels and sandboxes without openat2: component by component,
 * following no link at all.
 */
int nx_beneath_open_without_links(int root_fd, const char *path);

#endif
