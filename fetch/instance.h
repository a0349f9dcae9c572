/* SPDX-License-Identifier: MIT */
/* One run's own folders, and that nothing of them outlives the run.
 *
 *     $XDG_RUNTIME_DIR/nxpk/run-XXXXXX/        mode 0700 (without that variable: $TMPDIR/nxpk-UID/…)
 *         lock       locked while the run, or its engine, lives
 *         images/    the FUSE mount
 *         vars.fd    this run's UEFI variables
 *     $XDG_CACHE_HOME/nxpk/overlays/run-XXXXXX/      (else in /var/tmp/nxpk-UID)
 *         lock
 *         disk0.qcow2
 *         images/    whole images, where there is no FUSE
 *
 * Overlays take the guest's writes, so they stand on a disk, where the first folder
 * is often in memory.  What a killed run left behind (nobody holds its lock) goes when the
 * next one makes a folder beside it: each has a lock of its own, as a power cut leaves only the second.
 */
#ifndef NX_FETCH_INSTANCE_H
#define NX_FETCH_INSTANCE_H

#include "common/error.h"

struct nx_runfolder {
    char *base; /* the folder that holds those of all runs */
    char *dir;  /* this run's; NULL when there is none */
    int lock_fd;
};

struct nx_instance {
    struct nx_runfolder run;
    struct nx_runfolder disk; /* for what is large; not there until it was asked for */
    char *images;             /* the mount point */
};
#define NX_INSTANCE_INIT                                   \
    {                                                      \
        .run = { .lock_fd = -1 }, .disk = {.lock_fd = -1 } \
    }

/* Remove what dead runs left, then make this run's folder. */
int nx_instance_open(struct nx_instance *instance, struct nx_error *err);

/* Path of a file in the run's folder, to be freed; NULL without memory. */
char *nx_instance_path(const struct nx_instance *instance, const char *name);

/* Path for the overlay of an image, to be freed; its folder is made. */
int nx_instance_overlay(struct nx_instance *instance, const char *image, char **ret_path,
                        struct nx_error *err);

/* A folder on the disk for whole images, where FUSE cannot show them; it is made.  To be freed. */
int nx_instance_export_dir(struct nx_instance *instance, char **ret_dir, struct nx_error *err);

/* Make the folder of all runs, if it is missing, and lock it as long as the descriptor returned is open: nobody makes or
 * sweeps anything there meanwhile.  *ret_base is its path, to be freed.  -1: failed.
 */
int nx_instance_lock_base(char **ret_base, struct nx_error *err);

/* Open that folder, if it is there and nobody else's: -1 if not, without an error (code NX_OK) if it is not there. */
int nx_instance_open_base(struct nx_error *err);

/* Remove a file from it; then, or alone, the folder, if nothing is there any more and nobody has it locked. */
void nx_instance_remove_file(const char *base, const char *name);
void nx_instance_leave_base(const char *base);

/* Remove this run's overlays and exported images, with their folder.  QEMU keeps the ones that it has open, without a name. */
void nx_instance_remove_overlays(struct nx_instance *instance);

/* Remove the folders and all that is in them; the mount must be gone.  Harmless twice. */
void nx_instance_close(struct nx_instance *instance);

#endif
