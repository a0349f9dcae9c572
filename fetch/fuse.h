/* SPDX-License-Identifier: MIT */
/* The images as files of a FUSE file system: one directory, a file for each image, named like it.
 * Disks and UEFI variables are opened with direct I/O, for the engine reads ahead by
 * itself; memory goes through the page cache, where mmap() needs it, without the kernel's
 * readahead.  The files can be opened read-write, as QEMU does with memory that it maps privately, but not
 * be written.
 */
#ifndef NX_FETCH_FUSE_H
#define NX_FETCH_FUSE_H

#include "fetch/images.h"
#include "fetch/report.h"

struct nx_fuse;

/* Answer the kernel on fd (mountpoint.h), which becomes ours, in threads of its own.  The directory is
 * empty until nx_fuse_show().
 */
int nx_fuse_start(int fd, struct nx_report *report, struct nx_fuse **ret_fuse,
                  struct nx_error *err);

/* The files appear.  images must live until nx_fuse_stop() has returned. */
void nx_fuse_show(struct nx_fuse *fuse, const struct nx_manifest *manifest,
                  struct nx_images *images);

/* Answer no more, and close fd, so that every program that still reads gets an error.  Reads in
 * work are waited for: stop what they wait for before.
 */
void nx_fuse_stop(struct nx_fuse *fuse);

NX_DEFINE_AUTO(struct nx_fuse *, fuse, nx_fuse_stop)
#define NX_AUTO_FUSE NX_AUTO(fuse)

#endif
