/* SPDX-License-Identifier: MIT */
#include "fetch/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"

/* Newer than the headers of Debian 12. */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14) /* ABI 3 */
#endif
#define SCOPE_SIGNAL (1ULL << 1) /* ABI 6 */

/* struct landlock_ruleset_attr as of ABI 6; older kernels are given less of it. */
struct ruleset {
    uint64_t fs, net, scoped;
};

#define FILE_READ  LANDLOCK_ACCESS_FS_READ_FILE
#define FILE_WRITE (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)
#define FILE_ANY   (FILE_READ | FILE_WRITE | LANDLOCK_ACCESS_FS_EXECUTE)
#define DIR_CHANGE                                                    \
    (LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
     LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG)
#define DIR_OTHER                                                                                 \
    (LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | \
     LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)

static const uint64_t rights[] = {
    [NX_MAY_READ] = FILE_READ | LANDLOCK_ACCESS_FS_READ_DIR,
    [NX_MAY_RUN] = FILE_READ | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_EXECUTE,
    [NX_MAY_WRITE] = FILE_READ | FILE_WRITE | LANDLOCK_ACCESS_FS_READ_DIR,
    [NX_MAY_FILL] = FILE_READ | FILE_WRITE | LANDLOCK_ACCESS_FS_READ_DIR | DIR_CHANGE,
    [NX_MAY_LISTEN] = LANDLOCK_ACCESS_FS_MAKE_SOCK,
};

/* What the kernel knows of these rights. */
static uint64_t known(unsigned abi, uint64_t access)
{
    return abi < 3 ? access & ~LANDLOCK_ACCESS_FS_TRUNCATE : access;
}

int nx_confine_new(struct nx_confinement *ret_confinement, struct nx_error *err)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 1)
        return nx_fail_errno(err, "this kernel has no Landlock");
    struct ruleset ruleset = {
        .fs = known((unsigned)abi, FILE_ANY | LANDLOCK_ACCESS_FS_READ_DIR | DIR_CHANGE | DIR_OTHER),
        .scoped = SCOPE_SIGNAL,
    };
    size_t size = abi >= 6 ? sizeof ruleset : sizeof ruleset.fs;
    long fd = syscall(SYS_landlock_create_ruleset, &ruleset, size, 0);
    if (fd < 0)
        return nx_fail_errno(err, "Landlock");
    *ret_confinement = (struct nx_confinement){ (int)fd, (unsigned)abi };
    return 0;
}

int nx_confine_allow(const struct nx_confinement *confinement, const char *path,
                     enum nx_confine_right right, struct nx_error *err)
{
    struct stat st;
    NX_AUTO_FD int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == EACCES))
        return 0;
    if (fd < 0 || fstat(fd, &st) < 0)
        return nx_fail_errno(err, "%s", path);
    uint64_t access = known(confinement->abi, rights[right]);
    const struct landlock_path_beneath_attr rule = {
        .allowed_access = S_ISDIR(st.st_mode) ? access : access & FILE_ANY, .parent_fd = fd
    };
    if (syscall(SYS_landlock_add_rule, confinement->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
        return nx_fail_errno(err, "Landlock: %s", path);
    return 0;
}

int nx_confine_allow_all(const struct nx_confinement *confinement, const char *const paths[],
                         enum nx_confine_right right, struct nx_error *err)
{
    for (size_t i = 0; paths[i]; i++)
        if (nx_confine_allow(confinement, paths[i], right, err) < 0)
            return -1;
    return 0;
}

int nx_confine_enter(const struct nx_confinement *confinement)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    if (confinement->fd < 0)
        return 0;
    int ret = (int)syscall(SYS_landlock_restrict_self, confinement->fd, 0);
    int saved = errno;
    close(confinement->fd);
    errno = saved;
    return ret;
}

void nx_confine_release(struct nx_confinement *confinement)
{
    if (confinement->fd >= 0)
        close(confinement->fd);
    *confinement = (struct nx_confinement)NX_CONFINEMENT_INIT;
}
