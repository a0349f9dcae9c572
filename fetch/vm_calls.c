/* SPDX-License-Identifier: MIT */
#include "fetch/vm_calls.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"

#define PROGRAM_MAX 64 /* instructions: libseccomp makes about a dozen of each rule */

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

static int add_rule(scmp_filter_ctx filter, int error, int call, unsigned arg, uint64_t value)
{
    const struct scmp_arg_cmp equal = { .arg = arg, .op = SCMP_CMP_EQ, .datum_a = value };
    return seccomp_rule_add_array(filter, SCMP_ACT_ERRNO((unsigned)error), call, 1, &equal);
}

int nx_vm_calls_prepare(bool refuse_hugepages, bool refuse_unix_sockets)
{
    NX_AUTO(filter) scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int r = filter ? 0 : -ENOMEM;
    program = (struct sock_fprog){ 0 };
    if (r == 0 && refuse_hugepages)
        r = add_rule(filter, EINVAL, SCMP_SYS(madvise), 2, MADV_HUGEPAGE);
    if (r == 0 && refuse_unix_sockets)
        r = add_rule(filter, EAFNOSUPPORT, SCMP_SYS(socket), 0, AF_UNIX);
    if (r == 0)
        r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW);
    errno = -r;
    return r < 0 ? -1 : export_program(filter);
}

int nx_vm_calls_refuse(void)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}
