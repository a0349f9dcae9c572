/* SPDX-License-Identifier: MIT */
#include "fetch/hugepages.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"

#define PROGRAM_MAX 64 /* instructions: libseccomp makes about a dozen of one rule */

static struct sock_filter instructions[PROGRAM_MAX];
static struct sock_fprog program;

NX_DEFINE_AUTO(scmp_filter_ctx, filter, seccomp_release)

/* libseccomp writes its program to a file only. */
static int export_program(scmp_filter_ctx filter)
{
    struct stat st;
    NX_AUTO_FD int fd = memfd_create("nxpk-filter", MFD_CLOEXEC);
    if (fd < 0)
        return -1;
    int r = seccomp_export_bpf(filter, fd);
    if (r < 0) {
        errno = -r;
        return -1;
    }
    if (fstat(fd, &st) < 0)
        return -1;
    size_t size = (size_t)st.st_size;
    if (size > sizeof instructions || size % sizeof instructions[0] ||
        pread(fd, instructions, size, 0) != st.st_size) {
        errno = E2BIG;
        return -1;
    }
    program = (struct sock_fprog){ (unsigned short)(size / sizeof instructions[0]), instructions };
    return 0;
}

int nx_hugepages_prepare(void)
{
    if (program.len)
        return 0;
    NX_AUTO(filter) scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (!filter) {
        errno = ENOMEM;
        return -1;
    }
    const struct scmp_arg_cmp advice = {
        .arg = 2, .op = SCMP_CMP_EQ, .datum_a = MADV_HUGEPAGE, .datum_b = 0
    };
    int r = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(madvise), 1, &advice);
    if (r == 0)
        r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW);
    if (r < 0) {
        errno = -r;
        return -1;
    }
    return export_program(filter);
}

int nx_hugepages_refuse(void)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}
