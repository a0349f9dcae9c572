/* SPDX-License-Identifier: MIT */
/* A disk that is slow, and one that remembers what a power cut would leave: an LD_PRELOAD for programs whose
 * files below $NX_DISK_DIR are watched.
 *
 *     NX_DISK_DELAY_MS  each write and each sync takes so much longer
 *     NX_DISK_SHADOW    a folder that is kept at what has been synced: a file's bytes as they were at its last
 *                       fsync() or fdatasync(); its name once its folder was synced, until then NAME.unnamed
 *
 * tests/tools/powercut.c makes of both folders what a power cut may leave.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define UNNAMED ".unnamed"
#define EXPORT  __attribute__((visibility("default")))
#define REAL(name) \
    ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name)) /* what would be called without us */

/* The path of an open file below $NX_DISK_DIR, relative to it ("." for itself); false for others. */
static bool watched(int fd, char rel[static PATH_MAX])
{
    const char *dir = getenv("NX_DISK_DIR");
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = dir ? readlink(link, path, sizeof(path) - 1) : -1;
    size_t len = dir ? strlen(dir) : 0;
    if (n < 0)
        return false;
    path[n] = '\0';
    if (strncmp(path, dir, len) != 0 || (path[len] != '/' && path[len] != '\0') ||
        strstr(path, " (deleted)"))
        return false;
    snprintf(rel, PATH_MAX, "%s", path[len] ? path + len + 1 : ".");
    return true;
}

static void be_slow(void)
{
    const char *text = getenv("NX_DISK_DELAY_MS");
    long ms = text ? atol(text) : 0;
    const struct timespec pause = { ms / 1000, ms % 1000 * 1000000 };
    if (ms > 0)
        nanosleep(&pause, NULL);
}

static void fail(const char *what, const char *path)
{
    fprintf(stderr, "disk.so: %s %s: %s\n", what, path, strerror(errno));
    abort();
}

/* The shadow's path of rel, with an ending; its folder is made. */
static void shadow_path(const char *rel, const char *ending, char path[static PATH_MAX])
{
    if (snprintf(path, PATH_MAX, "%s/%s%s", getenv("NX_DISK_SHADOW"), rel, ending) >= PATH_MAX)
        abort();
    for (char *at = path + 1; (at = strchr(at, '/')); at++) {
        *at = '\0';
        mkdir(path, 0700);
        *at = '/';
    }
}

static bool has_shadow(void)
{
    return getenv("NX_DISK_SHADOW") != NULL;
}

/* The file's bytes, as they are now, are safe. */
static void keep_bytes(int fd, const char *rel)
{
    char named[PATH_MAX], path[PATH_MAX], temp[PATH_MAX], ending[32];
    struct stat st;
    shadow_path(rel, "", named);
    shadow_path(rel, access(named, F_OK) == 0 ? "" : UNNAMED, path);
    snprintf(ending, sizeof(ending), ".copy-%d", (int)gettid());
    shadow_path(rel, ending, temp);
    char link[64];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    int in = open(link, O_RDONLY | O_CLOEXEC);
    int out = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (in < 0 || out < 0 || fstat(in, &st) < 0)
        fail("copying", rel);
    while (sendfile(out, in, NULL, 1 << 26) > 0)
        ;
    close(in);
    close(out);
    if (rename(temp, path) < 0)
        fail("keeping", path);
}

static bool ends_with(const char *name, const char *ending)
{
    size_t n = strlen(name), e = strlen(ending);
    return n > e && strcmp(name + n - e, ending) == 0;
}

/* Names of the folder that the shadow has and that are no more. */
static void drop_names(int fd, const char *rel)
{
    char path[PATH_MAX];
    shadow_path(rel, "/", path);
    DIR *dir = opendir(path);
    const struct dirent *entry;
    struct stat st;
    while (dir && (entry = readdir(dir)))
        if (entry->d_type == DT_REG && !strstr(entry->d_name, ".copy-") &&
            !ends_with(entry->d_name, UNNAMED) &&
            fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
}

/* A folder was synced: the names in it are safe; a file that was never synced is empty. */
static void keep_names(int fd, const char *rel)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fdopendir(copy);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        char name[PATH_MAX], named[PATH_MAX], unnamed[PATH_MAX];
        if (entry->d_type != DT_REG)
            continue;
        if (snprintf(name, sizeof(name), "%s/%s", rel, entry->d_name) >= (int)sizeof(name))
            abort();
        shadow_path(name, "", named);
        shadow_path(name, UNNAMED, unnamed);
        if (rename(unnamed, named) < 0 && errno == ENOENT && access(named, F_OK) < 0)
            close(open(named, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    }
    if (dir)
        closedir(dir);
    drop_names(fd, rel);
}

static void synced(int fd)
{
    char rel[PATH_MAX];
    struct stat st;
    int saved = errno;
    if (has_shadow() && watched(fd, rel) && fstat(fd, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            keep_names(fd, rel);
        else
            keep_bytes(fd, rel);
    }
    errno = saved;
}

/* Before a write or a sync. */
static void before(int fd)
{
    char rel[PATH_MAX];
    if (getenv("NX_DISK_DELAY_MS") && watched(fd, rel))
        be_slow();
}

/* A write through a descriptor that syncs by itself. */
static void after(int fd)
{
    if (has_shadow() && (fcntl(fd, F_GETFL) & O_DSYNC))
        synced(fd);
}

EXPORT int fsync(int fd)
{
    before(fd);
    int r = REAL(fsync)(fd);
    if (r == 0)
        synced(fd);
    return r;
}

EXPORT int fdatasync(int fd)
{
    before(fd);
    int r = REAL(fdatasync)(fd);
    if (r == 0)
        synced(fd);
    return r;
}

EXPORT ssize_t pwrite64(int fd, const void *buf, size_t n, off64_t offset)
{
    before(fd);
    ssize_t r = REAL(pwrite64)(fd, buf, n, offset);
    after(fd);
    return r;
}

EXPORT ssize_t pwrite(int fd, const void *buf, size_t n, off_t offset)
{
    return pwrite64(fd, buf, n, offset);
}

EXPORT ssize_t pwritev64(int fd, const struct iovec *iov, int count, off64_t offset)
{
    before(fd);
    ssize_t r = REAL(pwritev64)(fd, iov, count, offset);
    after(fd);
    return r;
}

EXPORT ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
    return pwritev64(fd, iov, count, offset);
}

EXPORT ssize_t writev(int fd, const struct iovec *iov, int count)
{
    before(fd);
    ssize_t r = REAL(writev)(fd, iov, count);
    after(fd);
    return r;
}

/* What has no safe name yet has none under the new one either. */
EXPORT int rename(const char *from, const char *to)
{
    static __thread bool ours;
    const char *dir = getenv("NX_DISK_DIR");
    size_t len = dir ? strlen(dir) : 0;
    int r = REAL(rename)(from, to);
    if (r == 0 && !ours && has_shadow() && dir && strncmp(from, dir, len) == 0 &&
        strncmp(to, dir, len) == 0) {
        char old[PATH_MAX], new[PATH_MAX];
        shadow_path(from + len + 1, UNNAMED, old);
        shadow_path(to + len + 1, UNNAMED, new);
        ours = true;
        REAL(rename)(old, new);
        ours = false;
    }
    return r;
}
