/* SPDX-License-Identifier: MIT */
/* Creating a run and sweeping up dead ones both happen under a lock on the base folder, so
 * that nobody takes a new folder, not yet locked, for a dead one.
 */
#include "fetch/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/process.h"
#include "fetch/mounted.h"

#define RUN_PREFIX "run-"

/* A folder of ours that nobody else may write to or look into. */
static int make_private(const char *dir, struct nx_error *err)
{
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return nx_fail_errno(err, "%s", dir);
    struct stat st;
    if (lstat(dir, &st) < 0)
        return nx_fail_errno(err, "%s", dir);
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
        return nx_fail(err, NX_ERR_SYSTEM, "%s: not a private folder of this user; remove it", dir);
    return 0;
}

/* A folder and those above it, as far as they are missing. */
static int make_path(char *dir, struct nx_error *err)
{
    for (char *slash = strchr(dir + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        int ret = mkdir(dir, 0700);
        int saved = errno;
        *slash = '/';
        errno = saved;
        if (ret < 0 && errno != EEXIST)
            return nx_fail_errno(err, "%s", dir);
    }
    return make_private(dir, err);
}

static const char *absolute_env(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] == '/' ? value : NULL;
}

static char *base_path(void)
{
    char *path;
    const char *dir = absolute_env("XDG_RUNTIME_DIR");
    if (dir && access(dir, W_OK) == 0)
        return asprintf(&path, "%s/nxpk", dir) < 0 ? NULL : path;
    dir = absolute_env("TMPDIR");
    return asprintf(&path, "%s/nxpk-%u", dir ? dir : "/tmp", (unsigned)geteuid()) < 0 ? NULL : path;
}

static char *overlay_path(void)
{
    char *path;
    const char *cache = absolute_env("XDG_CACHE_HOME"), *home = absolute_env("HOME");
    int n;
    if (cache)
        n = asprintf(&path, "%s/nxpk/overlays", cache);
    else if (home)
        n = asprintf(&path, "%s/.cache/nxpk/overlays", home);
    else
        n = asprintf(&path, "/var/tmp/nxpk-%u", (unsigned)geteuid());
    return n < 0 ? NULL : path;
}

/* Remove the files in dir whose names open with prefix (NULL: all); folders in it are empty mount points. */
static void remove_files(const char *dir, const char *prefix)
{
    NX_AUTO_DIR DIR *stream = opendir(dir);
    if (!stream)
        return;
    struct dirent *entry;
    while ((entry = readdir(stream))) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
            (prefix && strncmp(name, prefix, strlen(prefix)) != 0))
            continue;
        if (unlinkat(dirfd(stream), name, 0) < 0 && errno == EISDIR)
            unlinkat(dirfd(stream), name, AT_REMOVEDIR);
    }
}

static void remove_overlays_of(const char *overlay_dir, const char *run_dir)
{
    const char *run = strrchr(run_dir, '/') + 1;
    NX_AUTO_FREE char *exported = NULL;
    if (asprintf(&exported, "%s/%s.images", overlay_dir, run) < 0) {
        exported = NULL;
        return;
    }
    remove_files(exported, NULL);
    char prefix[64];
    snprintf(prefix, sizeof prefix, "%s.", run);
    remove_files(overlay_dir, prefix);
}

static void remove_run(const char *dir)
{
    remove_files(dir, NULL);
    rmdir(dir);
}

/* The mount of a run that was killed: its engine has gone, so it only answers with errors. */
static void unmount_dead(const char *dir)
{
    NX_AUTO_FREE char *images = NULL;
    if (asprintf(&images, "%s/images", dir) < 0) {
        images = NULL;
        return;
    }
    if (!nx_is_mounted(images))
        return;
    if (umount2(images, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
        return;
    NX_AUTO_ARGS struct nx_args args = { 0 };
    nx_args_add(&args, "fusermount3");
    nx_args_add(&args, "-uz");
    nx_args_add(&args, images);
    struct nx_error err = NX_ERROR_INIT;
    if (nx_run(&args, NULL, &err) < 0)
        nx_log(NX_LOG_WARNING, "%s is still mounted: %s", images, err.msg);
}

/* Remove the run at dir unless somebody holds its lock. */
static void sweep_one(const char *dir, const char *overlay_dir)
{
    NX_AUTO_FREE char *path = NULL;
    if (asprintf(&path, "%s/lock", dir) < 0) {
        path = NULL;
        return;
    }
    NX_AUTO_FD int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 ? errno != ENOENT : flock(fd, LOCK_EX | LOCK_NB) < 0)
        return;
    nx_log(NX_LOG_INFO, "%s: removing what an earlier run left", dir);
    unmount_dead(dir);
    if (overlay_dir)
        remove_overlays_of(overlay_dir, dir);
    remove_run(dir);
}

static void sweep(const char *base)
{
    NX_AUTO_FREE char *overlay_dir = overlay_path();
    NX_AUTO_DIR DIR *stream = opendir(base);
    struct dirent *entry;
    while (stream && (entry = readdir(stream))) {
        NX_AUTO_FREE char *dir = NULL;
        if (strncmp(entry->d_name, RUN_PREFIX, strlen(RUN_PREFIX)) != 0)
            continue;
        if (asprintf(&dir, "%s/%s", base, entry->d_name) < 0)
            dir = NULL;
        else
            sweep_one(dir, overlay_dir);
    }
}

/* The lock says that the run lives; its descriptor is shared with the engine, so both must have ended. */
static int lock_run(struct nx_instance *instance, struct nx_error *err)
{
    NX_AUTO_FREE char *path = nx_instance_path(instance, "lock");
    if (!path)
        return nx_fail_errno(err, "%s", instance->dir);
    instance->lock_fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (instance->lock_fd < 0 || flock(instance->lock_fd, LOCK_EX | LOCK_NB) < 0)
        return nx_fail_errno(err, "%s", path);
    dprintf(instance->lock_fd, "%d\n", (int)getpid());
    return 0;
}

static int make_run(struct nx_instance *instance, struct nx_error *err)
{
    NX_AUTO_FREE char *dir = NULL;
    if (asprintf(&dir, "%s/" RUN_PREFIX "XXXXXX", instance->base) < 0) {
        dir = NULL;
        return nx_fail_errno(err, "%s", instance->base);
    }
    if (!mkdtemp(dir))
        return nx_fail_errno(err, "%s", dir);
    instance->dir = NX_STEAL(dir);
    if (lock_run(instance, err) < 0)
        return -1;
    instance->images = nx_instance_path(instance, "images");
    if (!instance->images || mkdir(instance->images, 0700) < 0)
        return nx_fail_errno(err, "%s/images", instance->dir);
    return 0;
}

/* Open and lock the base folder.  Whoever ends last removes it, so it may vanish while we wait. */
static int lock_base(const char *base, struct nx_error *err)
{
    for (;;) {
        if (make_private(base, err) < 0)
            return -1;
        NX_AUTO_FD int fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 && errno == ENOENT)
            continue;
        struct stat opened, named;
        if (fd < 0 || flock(fd, LOCK_EX) < 0 || fstat(fd, &opened) < 0)
            return nx_fail_errno(err, "%s", base);
        if (lstat(base, &named) == 0 && named.st_ino == opened.st_ino)
            return nx_steal_fd(&fd);
    }
}

int nx_instance_open(struct nx_instance *instance, struct nx_error *err)
{
    instance->base = base_path();
    if (!instance->base)
        return nx_fail_errno(err, "run folder");
    NX_AUTO_FD int base_fd = lock_base(instance->base, err);
    if (base_fd < 0)
        return -1;
    sweep(instance->base);
    return make_run(instance, err);
}

char *nx_instance_path(const struct nx_instance *instance, const char *name)
{
    char *path;
    return asprintf(&path, "%s/%s", instance->dir, name) < 0 ? NULL : path;
}

/* Find the folder for what is large, and make it. */
static int need_overlay_dir(struct nx_instance *instance, struct nx_error *err)
{
    if (instance->overlay_dir)
        return 0;
    NX_AUTO_FREE char *dir = overlay_path();
    if (!dir)
        return nx_fail_errno(err, "overlays");
    if (make_path(dir, err) < 0)
        return -1;
    instance->overlay_dir = NX_STEAL(dir);
    return 0;
}

/* OVERLAY-DIR/RUN.NAME */
static char *overlay_name(const struct nx_instance *instance, const char *name)
{
    char *path;
    const char *run = strrchr(instance->dir, '/') + 1;
    return asprintf(&path, "%s/%s.%s", instance->overlay_dir, run, name) < 0 ? NULL : path;
}

int nx_instance_overlay(struct nx_instance *instance, const char *image, char **ret_path,
                        struct nx_error *err)
{
    char name[64];
    snprintf(name, sizeof name, "%s.qcow2", image);
    if (need_overlay_dir(instance, err) < 0)
        return -1;
    char *path = overlay_name(instance, name);
    if (!path)
        return nx_fail_errno(err, "overlay");
    *ret_path = path;
    return 0;
}

int nx_instance_export_dir(struct nx_instance *instance, char **ret_dir, struct nx_error *err)
{
    if (need_overlay_dir(instance, err) < 0)
        return -1;
    NX_AUTO_FREE char *dir = overlay_name(instance, "images");
    if (!dir || mkdir(dir, 0700) < 0)
        return nx_fail_errno(err, "%s: folder for the images", instance->overlay_dir);
    *ret_dir = NX_STEAL(dir);
    return 0;
}

void nx_instance_remove_overlays(struct nx_instance *instance)
{
    if (!instance->overlay_dir)
        return;
    remove_overlays_of(instance->overlay_dir, instance->dir);
    rmdir(instance->overlay_dir); /* fails while another run has one there */
}

void nx_instance_close(struct nx_instance *instance)
{
    if (instance->dir) {
        nx_instance_remove_overlays(instance);
        remove_run(instance->dir);
        rmdir(instance->base); /* fails while there are other runs */
    }
    if (instance->lock_fd >= 0)
        close(instance->lock_fd);
    free(instance->base);
    free(instance->dir);
    free(instance->images);
    free(instance->overlay_dir);
    *instance = (struct nx_instance)NX_INSTANCE_INIT;
}
