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
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "fetch/mounted.h"
#include "fetch/mountpoint.h"

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

static void remove_files(const char *dir)
{
    NX_AUTO_DIR DIR *stream = opendir(dir);
    struct dirent *entry;
    while (stream && (entry = readdir(stream)))
        if (unlinkat(dirfd(stream), entry->d_name, 0) < 0 && errno == EISDIR)
            unlinkat(dirfd(stream), entry->d_name, AT_REMOVEDIR); /* neither . nor .. */
}

/* A run's folder: files, and images/ with no more than files. */
static void remove_run(const char *dir)
{
    NX_AUTO_FREE char *images = NULL;
    if (asprintf(&images, "%s/images", dir) < 0)
        images = NULL;
    else
        remove_files(images);
    remove_files(dir);
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
    struct nx_error err = NX_ERROR_INIT;
    if (nx_is_mounted(images) && nx_mountpoint_detach(images, &err) < 0)
        nx_log(NX_LOG_WARNING, "%s", err.msg);
}

/* Remove the run at dir unless somebody holds its lock. */
static void sweep_one(const char *dir)
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
    remove_run(dir);
}

static void sweep(const char *base)
{
    NX_AUTO_DIR DIR *stream = opendir(base);
    struct dirent *entry;
    while (stream && (entry = readdir(stream))) {
        NX_AUTO_FREE char *dir = NULL;
        if (strncmp(entry->d_name, RUN_PREFIX, strlen(RUN_PREFIX)) != 0)
            continue;
        if (asprintf(&dir, "%s/%s", base, entry->d_name) < 0)
            dir = NULL;
        else
            sweep_one(dir);
    }
}

/* The lock says that the run lives; its descriptor is shared with the engine, so both must have ended. */
static int lock_run(struct nx_runfolder *folder, struct nx_error *err)
{
    NX_AUTO_FREE char *path = NULL;
    if (asprintf(&path, "%s/lock", folder->dir) < 0) {
        path = NULL;
        return nx_fail_errno(err, "%s", folder->dir);
    }
    folder->lock_fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (folder->lock_fd < 0 || flock(folder->lock_fd, LOCK_EX | LOCK_NB) < 0)
        return nx_fail_errno(err, "%s", path);
    dprintf(folder->lock_fd, "%d\n", (int)getpid());
    return 0;
}

static int make_run(struct nx_runfolder *folder, struct nx_error *err)
{
    NX_AUTO_FREE char *dir = NULL;
    if (asprintf(&dir, "%s/" RUN_PREFIX "XXXXXX", folder->base) < 0) {
        dir = NULL;
        return nx_fail_errno(err, "%s", folder->base);
    }
    if (!mkdtemp(dir))
        return nx_fail_errno(err, "%s", dir);
    folder->dir = NX_STEAL(dir);
    return lock_run(folder, err);
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

/* Remove what dead runs left in base (ours from now on; NULL: no memory), then make this run's folder in it. */
static int open_folder(struct nx_runfolder *folder, char *base, struct nx_error *err)
{
    folder->base = base;
    if (!base)
        return nx_fail_errno(err, "run folder");
    NX_AUTO_FD int base_fd = lock_base(base, err);
    if (base_fd < 0)
        return -1;
    sweep(base);
    return make_run(folder, err);
}

/* Whoever holds the lock is about to put something into it, and removes it himself later. */
void nx_instance_leave_base(const char *base)
{
    NX_AUTO_FD int fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
        rmdir(base); /* fails while there are other runs */
}

int nx_instance_lock_base(char **ret_base, struct nx_error *err)
{
    NX_AUTO_FREE char *base = base_path();
    if (!base)
        return nx_fail_errno(err, "run folder");
    int fd = lock_base(base, err);
    if (fd >= 0)
        *ret_base = NX_STEAL(base);
    return fd;
}

int nx_instance_open_base(struct nx_error *err)
{
    NX_AUTO_FREE char *base = base_path();
    struct stat st;
    if (!base)
        return nx_fail_errno(err, "run folder");
    if (lstat(base, &st) < 0 && errno == ENOENT)
        return -1;
    if (make_private(base, err) < 0)
        return -1;
    int fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return fd >= 0 || errno == ENOENT ? fd : nx_fail_errno(err, "%s", base);
}

void nx_instance_remove_file(const char *base, const char *name)
{
    NX_AUTO_FD int fd = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0)
        unlinkat(fd, name, 0);
    nx_instance_leave_base(base);
}

static void close_folder(struct nx_runfolder *folder)
{
    if (folder->dir) {
        remove_run(folder->dir);
        nx_instance_leave_base(folder->base);
    }
    if (folder->lock_fd >= 0)
        close(folder->lock_fd);
    free(folder->base);
    free(folder->dir);
    *folder = (struct nx_runfolder){ .lock_fd = -1 };
}

int nx_instance_open(struct nx_instance *instance, struct nx_error *err)
{
    if (open_folder(&instance->run, base_path(), err) < 0)
        return -1;
    instance->images = nx_instance_path(instance, "images");
    if (!instance->images || mkdir(instance->images, 0700) < 0)
        return nx_fail_errno(err, "%s/images", instance->run.dir);
    return 0;
}

char *nx_instance_path(const struct nx_instance *instance, const char *name)
{
    char *path;
    return asprintf(&path, "%s/%s", instance->run.dir, name) < 0 ? NULL : path;
}

/* A path in the folder for what is large, which is made when it is first needed; to be freed. */
static char *disk_path(struct nx_instance *instance, const char *name, const char *suffix,
                       struct nx_error *err)
{
    if (!instance->disk.dir) {
        NX_AUTO_FREE char *base = overlay_path();
        if (base && make_path(base, err) < 0)
            return NULL;
        if (open_folder(&instance->disk, NX_STEAL(base), err) < 0)
            return NULL;
    }
    char *path;
    if (asprintf(&path, "%s/%s%s", instance->disk.dir, name, suffix) < 0) {
        nx_fail_errno(err, "%s", instance->disk.dir);
        return NULL;
    }
    return path;
}

int nx_instance_overlay(struct nx_instance *instance, const char *image, char **ret_path,
                        struct nx_error *err)
{
    char *path = disk_path(instance, image, ".qcow2", err);
    if (!path)
        return -1;
    *ret_path = path;
    return 0;
}

int nx_instance_export_dir(struct nx_instance *instance, char **ret_dir, struct nx_error *err)
{
    NX_AUTO_FREE char *dir = disk_path(instance, "images", "", err);
    if (!dir)
        return -1;
    if (mkdir(dir, 0700) < 0)
        return nx_fail_errno(err, "%s: folder for the images", dir);
    *ret_dir = NX_STEAL(dir);
    return 0;
}

void nx_instance_remove_overlays(struct nx_instance *instance)
{
    close_folder(&instance->disk);
}

void nx_instance_close(struct nx_instance *instance)
{
    close_folder(&instance->disk);
    close_folder(&instance->run);
    free(NX_STEAL(instance->images));
}
