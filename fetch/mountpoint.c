/* SPDX-License-Identifier: MIT */
#include "fetch/mountpoint.h"

#define FUSE_USE_VERSION 314
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/process.h"
#include "fetch/mounted.h"

#define MOUNT_TYPE "nxpk"

NX_DEFINE_AUTO(struct fuse_session *, fuse_session, fuse_session_destroy)

/* fusermount3 mounts for people who are not root; it has to be in the PATH and setuid. */
static int find_fusermount(struct nx_error *err)
{
    NX_AUTO_ARGS struct nx_args args = { 0 };
    nx_args_add(&args, "fusermount3");
    nx_args_add(&args, "--version");
    NX_AUTO_BUFFER struct nx_buffer out = NX_BUFFER_INIT(4096);
    if (nx_run(&args, &out, err) < 0)
        return nx_fail_while(err, "FUSE cannot be used; install the package fuse3");
    return 0;
}

int nx_mountpoint_usable(struct nx_error *err)
{
    NX_AUTO_FD int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return nx_fail(err, NX_ERR_SYSTEM,
                       "FUSE cannot be used: there is no /dev/fuse; load the kernel module fuse");
    if (fd < 0)
        return nx_fail_errno(err, "FUSE cannot be used: /dev/fuse");
    return geteuid() == 0 ? 0 : find_fusermount(err);
}

/* libfuse says on stderr why a mount failed; keep its last line for our own message instead. */
static char mount_complaint[256]; /* only while nx_mountpoint_mount() runs, on the main thread */

__attribute__((format(printf, 2, 0))) static void keep_complaint(enum fuse_log_level level,
                                                                 const char *fmt, va_list ap)
{
    vsnprintf(mount_complaint, sizeof(mount_complaint), fmt, ap);
    mount_complaint[strcspn(mount_complaint, "\n")] = '\0';
}

/* Mount through a session that lives only here: destroying it closes its descriptor, not the mount. */
static int mount_dir(const char *dir, int *ret_fd, struct nx_error *err)
{
    char *argv[] = { (char *)"nxfetch", (char *)"-o",
                     (char *)"fsname=nxpk,subtype=" MOUNT_TYPE ",default_permissions", NULL };
    struct fuse_args args = FUSE_ARGS_INIT(3, argv);
    static const struct fuse_lowlevel_ops no_ops;
    NX_AUTO(fuse_session)
    struct fuse_session *session = fuse_session_new(&args, &no_ops, sizeof(no_ops), NULL);
    fuse_opt_free_args(&args);
    if (!session)
        return nx_fail(err, NX_ERR_SYSTEM, "FUSE session: %s", mount_complaint);
    if (fuse_session_mount(session, dir) != 0)
        return nx_fail(err, NX_ERR_SYSTEM, "%s: cannot mount: %s", dir, mount_complaint);
    int fd = fcntl(fuse_session_fd(session), F_DUPFD_CLOEXEC, 3);
    if (fd < 0) {
        nx_fail_errno(err, "%s: FUSE descriptor", dir);
        fuse_session_unmount(session);
        return -1;
    }
    *ret_fd = fd;
    return 0;
}

int nx_mountpoint_detach(const char *dir, struct nx_error *err)
{
    if (umount2(dir, MNT_DETACH | UMOUNT_NOFOLLOW) == 0 || !nx_is_mounted(dir))
        return 0;
    NX_AUTO_ARGS struct nx_args args = { 0 };
    nx_args_add(&args, "fusermount3");
    nx_args_add(&args, "-u");
    nx_args_add(&args, "-z");
    nx_args_add(&args, "--");
    nx_args_add(&args, dir);
    return nx_run(&args, NULL, err) < 0 ? nx_fail_while(err, "%s: cannot unmount", dir) : 0;
}

/* Is what is mounted on dir ours, with nobody behind it any more? */
static bool is_dead(const char *dir)
{
    struct stat st;
    if (lstat(dir, &st) == 0 || errno != ENOTCONN)
        return false;
    bool ours = false;
    FILE *mounts = setmntent("/proc/self/mounts", "re");
    for (struct mntent *entry; mounts && (entry = getmntent(mounts));)
        if (strcmp(entry->mnt_dir, dir) == 0)
            ours = strcmp(entry->mnt_type, "fuse." MOUNT_TYPE) == 0; /* the last is on top */
    if (mounts)
        endmntent(mounts);
    return ours;
}

int nx_mountpoint_mount(const char *dir, struct nx_mountpoint *ret_mountpoint, struct nx_error *err)
{
    NX_AUTO_FREE char *copy = realpath(dir, NULL);
    if (!copy)
        return nx_fail_errno(err, "%s", dir);
    if (is_dead(copy) && nx_mountpoint_detach(copy, err) < 0)
        return -1;
    int fd = -1;
    snprintf(mount_complaint, sizeof(mount_complaint), "fusermount3 refused");
    fuse_set_log_func(keep_complaint);
    int r = mount_dir(copy, &fd, err);
    fuse_set_log_func(NULL);
    if (r < 0)
        return -1;
    *ret_mountpoint = (struct nx_mountpoint){ .dir = NX_STEAL(copy), .fd = fd };
    return 0;
}

void nx_mountpoint_close_fd(struct nx_mountpoint *mountpoint)
{
    if (mountpoint->fd >= 0)
        close(mountpoint->fd);
    mountpoint->fd = -1;
}

int nx_mountpoint_unmount(struct nx_mountpoint *mountpoint, struct nx_error *err)
{
    if (!mountpoint->dir)
        return 0;
    int r = nx_mountpoint_detach(mountpoint->dir, err);
    nx_mountpoint_close_fd(mountpoint);
    free(NX_STEAL(mountpoint->dir));
    return r;
}
