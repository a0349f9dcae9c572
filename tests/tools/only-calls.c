/* SPDX-License-Identifier: MIT */
/* Run a program as a hardened systemd unit would have the kernel judge its system calls:
 *
 *     only-calls FILE COMMAND [ARGUMENT...]
 *
 * FILE names the calls that the unit's SystemCallFilter= allows, one a line (tests/19-nxserve-unit.sh
 * takes them from the unit).  Any other ends the program by SIGSYS, rather than with the unit's EPERM, so
 * that none goes unseen.  Beside that it does what systemd does for RestrictAddressFamilies=AF_INET
 * AF_INET6, MemoryDenyWriteExecute= and RestrictNamespaces=.
 */
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"

#define NAME_MAX_BYTES 64
#define WRITE_EXEC     (PROT_WRITE | PROT_EXEC)

NX_DEFINE_AUTO(scmp_filter_ctx, filter, seccomp_release)

static void check(int r, const char *what)
{
    if (r < 0) {
        fprintf(stderr, "only-calls: %s: %s\n", what, strerror(-r));
        exit(125);
    }
}

/* Names of other architectures, or newer than libseccomp, are none here. */
static void allow_listed(FILE *names)
{
    NX_AUTO(filter) scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    check(filter ? 0 : -ENOMEM, "seccomp");
    char name[NAME_MAX_BYTES];
    while (fscanf(names, "%63s", name) == 1) {
        int call = seccomp_syscall_resolve_name(name);
        if (call >= 0)
            check(seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0), name);
    }
    check(seccomp_load(filter), "seccomp");
}

static void refuse(scmp_filter_ctx filter, int call, struct scmp_arg_cmp when)
{
    check(seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EPERM), call, 1, &when), "a refusal");
}

/* clone3 keeps its flags in memory, where no filter sees them: told that it is missing, libc uses clone. */
static void refuse_arguments(void)
{
    static const unsigned namespaces[] = { CLONE_NEWNS,    CLONE_NEWUTS, CLONE_NEWIPC,
                                           CLONE_NEWUSER,  CLONE_NEWPID, CLONE_NEWNET,
                                           CLONE_NEWCGROUP };
    NX_AUTO(filter) scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    check(filter ? 0 : -ENOMEM, "seccomp");
    refuse(filter, SCMP_SYS(socket), SCMP_A0(SCMP_CMP_LT, AF_INET));
    for (unsigned family = AF_INET + 1; family < AF_INET6; family++)
        refuse(filter, SCMP_SYS(socket), SCMP_A0(SCMP_CMP_EQ, family));
    refuse(filter, SCMP_SYS(socket), SCMP_A0(SCMP_CMP_GT, AF_INET6));
    refuse(filter, SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, WRITE_EXEC, WRITE_EXEC));
    refuse(filter, SCMP_SYS(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
    for (size_t i = 0; i < sizeof namespaces / sizeof *namespaces; i++)
        refuse(filter, SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, namespaces[i], namespaces[i]));
    check(seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0), "clone3");
    check(seccomp_load(filter), "seccomp");
}

int main(int argc, char **argv)
{
    NX_AUTO_FILE FILE *names = argc > 2 ? fopen(argv[1], "re") : NULL;
    if (!names) {
        fprintf(stderr, "only-calls: usage: only-calls FILE COMMAND [ARGUMENT...]\n");
        return 125;
    }
    refuse_arguments(); /* first: the other one may not allow seccomp() */
    allow_listed(names);
    execvp(argv[2], argv + 2);
    check(-errno, argv[2]);
    return 125;
}
