/* SPDX-License-Identifier: MIT */
#include "common/io.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int nx_pread_full(int fd, void *buf, size_t n, uint64_t offset, const char *name,
                  struct nx_error *err)
{
    for (size_t got = 0; got < n;) {
        ssize_t r = pread(fd, (char *)buf + got, n - got, (off_t)(offset + got));
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return nx_fail_errno(err, "%s: reading at offset %" PRIu64, name, offset + got);
        if (r == 0)
            return nx_fail(err, NX_ERR_FORMAT,
                           "%s: ends at %" PRIu64 ", wanted %zu bytes at offset %" PRIu64, name,
                           offset + got, n, offset);
        got += (size_t)r;
    }
    return 0;
}

int nx_pwrite_full(int fd, const void *buf, size_t n, uint64_t offset, const char *name,
                   struct nx_error *err)
{
    for (size_t put = 0; put < n;) {
        ssize_t r = pwrite(fd, (const char *)buf + put, n - put, (off_t)(offset + put));
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return nx_fail_errno(err, "%s: writing at offset %" PRIu64, name, offset + put);
        put += (size_t)r;
    }
    return 0;
}

int nx_write_full(int fd, const void *buf, size_t n, const char *name, struct nx_error *err)
{
    for (size_t put = 0; put < n;) {
        ssize_t r = write(fd, (const char *)buf + put, n - put);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return nx_fail_errno(err, "%s: writing", name);
        put += (size_t)r;
    }
    return 0;
}

void nx_reserve_stdio(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY); /* the lowest: fd */
}

int nx_flush_stdout(struct nx_error *err)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        return nx_fail_errno(err, "standard output");
    return 0;
}

char *nx_folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return strdup(".");
    return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

int nx_make_folders(const char *path, struct nx_error *err)
{
    NX_AUTO_FREE char *folder = strdup(path);
    if (!folder)
        return nx_fail_errno(err, "%s", path);
    for (char *at = folder + 1;; at++) {
        char c = *at;
        if (c != '/' && c != 0)
            continue;
        *at = 0;
        if (mkdir(folder, 0700) < 0 && errno != EEXIST)
            return nx_fail_errno(err, "%s", folder);
        *at = c;
        if (c == 0)
            return 0;
    }
}

int nx_read_file(const char *path, size_t max, struct nx_buffer *ret_buf, struct nx_error *err)
{
    NX_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return nx_fail_errno(err, "%s", path);
    NX_AUTO_BUFFER struct nx_buffer buf = NX_BUFFER_INIT(max + 1);
    for (;;) {
        /* One byte more than the file: enough to see its end, and room for the NUL. */
        size_t room = max + 1 - buf.len < 65536 ? max + 1 - buf.len : 65536;
        if (nx_buffer_reserve(&buf, room, err) < 0)
            return nx_fail_while(err, "%s", path);
        ssize_t r = read(fd, buf.data + buf.len, room);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return nx_fail_errno(err, "%s", path);
        if (r == 0)
            break;
        buf.len += (size_t)r;
        if (buf.len > max)
            return nx_fail(err, NX_ERR_FORMAT, "%s: larger than %zu bytes", path, max);
    }
    buf.data[buf.len] = 0;
    *ret_buf = buf;
    nx_buffer_init(&buf, 0);
    return 0;
}

int nx_newfile_open(struct nx_newfile *file, const char *path, mode_t mode, struct nx_error *err)
{
    *file = (struct nx_newfile)NX_NEWFILE_INIT;
    file->path = strdup(path);
    if (!file->path || asprintf(&file->temp, "%s.XXXXXX.tmp", path) < 0) {
        file->temp = NULL;
        nx_newfile_release(file);
        return nx_fail_errno(err, "%s", path);
    }
    file->fd = mkostemps(file->temp, 4, O_CLOEXEC);
    if (file->fd < 0) {
        nx_fail_errno(err, "%s: cannot create it", path);
        free(NX_STEAL(file->temp));
        nx_newfile_release(file);
        return -1;
    }
    mode_t mask = umask(0);
    umask(mask);
    if (fchmod(file->fd, mode & ~mask) < 0) {
        nx_fail_errno(err, "%s: mode", path);
        nx_newfile_release(file);
        return -1;
    }
    return 0;
}

/* The folder of path, to be synced. */
static int open_parent(const char *path, struct nx_error *err)
{
    NX_AUTO_FREE char *dir = nx_folder_of(path);
    if (!dir)
        return nx_fail_errno(err, "%s", path);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? nx_fail_errno(err, "%s", dir) : fd;
}

/* Some file systems cannot, and need not. */
static int sync_folder(int folder, const char *path, struct nx_error *err)
{
    if (fsync(folder) < 0 && errno != EINVAL && errno != EROFS)
        return nx_fail_errno(err, "%s: its folder: fsync", path);
    return 0;
}

int nx_sync_folder(const char *path, struct nx_error *err)
{
    NX_AUTO_FD int folder = open_parent(path, err);
    return folder < 0 ? -1 : sync_folder(folder, path, err);
}

int nx_newfile_commit(struct nx_newfile *file, struct nx_error *err)
{
    assert(file->fd >= 0 && file->path && file->temp);
    /* First, so that only the disk can fail once the file is there. */
    NX_AUTO_FD int parent = open_parent(file->path, err);
    if (parent < 0)
        return -1;
    if (fsync(file->fd) < 0)
        return nx_fail_errno(err, "%s: fsync", file->path);
    if (rename(file->temp, file->path) < 0)
        return nx_fail_errno(err, "%s: rename", file->path);
    free(NX_STEAL(file->temp));
    return sync_folder(parent, file->path, err);
}

void nx_newfile_release(struct nx_newfile *file)
{
    if (file->fd >= 0)
        close(nx_steal_fd(&file->fd));
    if (file->temp)
        unlink(file->temp);
    free(NX_STEAL(file->temp));
    free(NX_STEAL(file->path));
}

int nx_write_file(const char *path, mode_t mode, const void *data, size_t len, struct nx_error *err)
{
    NX_AUTO_NEWFILE struct nx_newfile file = NX_NEWFILE_INIT;
    if (nx_newfile_open(&file, path, mode, err) < 0)
        return -1;
    if (nx_write_full(file.fd, data, len, path, err) < 0)
        return -1;
    return nx_newfile_commit(&file, err);
}
