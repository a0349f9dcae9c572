/* SPDX-License-Identifier: MIT */
#include "common/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"

#define FILE_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

int nx_beneath_open_root(const char *dir, int *ret_fd, struct nx_error *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return nx_fail_errno(err, "%s", dir);
    *ret_fd = fd;
    return 0;
}

int nx_beneath_open_without_links(int root_fd, const char *path)
{
    NX_AUTO_FD int dir = openat(root_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (;;) {
        size_t len = strcspn(path, "/");
        char name[NAME_MAX + 1];
        if (dir < 0)
            return -1;
        if (len > NAME_MAX) {
            errno = ENAMETOOLONG;
            return -1;
        }
        memcpy(name, path, len);
        name[len] = '\0';
        if (path[len] == '\0')
            return openat(dir, len ? name : ".", FILE_FLAGS | O_NOFOLLOW);
        int next = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        close(dir);
        dir = next;
        path += len + 1;
    }
}

int nx_beneath_open(int root_fd, const char *path)
{
    const struct open_how how = {
        .flags = FILE_FLAGS,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    long fd = -1;
    errno = EAGAIN; /* something was renamed meanwhile, and the kernel could not be sure */
    for (int tries = 0; fd < 0 && tries < 8 && (errno == EAGAIN || errno == EINTR); tries++)
        fd = syscall(SYS_openat2, root_fd, *path ? path : ".", &how, sizeof how);
    /* EPERM is what old containers' seccomp filters say to calls they do not know. */
    if (fd < 0 && (errno == ENOSYS || errno == EPERM))
        return nx_beneath_open_without_links(root_fd, path);
    return (int)fd;
}
