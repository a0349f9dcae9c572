/* SPDX-License-Identifier: MIT */
/* no-landlock COMMAND...: as on a kernel without Landlock.  For what such a kernel's users see, and for a test that has to
 * look over the engine's shoulder (tests/preload/disk.c).
 */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <unistd.h>

#include "common/cleanup.h"

NX_DEFINE_AUTO(scmp_filter_ctx, filter, seccomp_release)

int main(int argc, char **argv)
{
    NX_AUTO(filter) scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int call = seccomp_syscall_resolve_name("landlock_create_ruleset");
    if (argc < 2 || !filter || call == __NR_SCMP_ERROR ||
        seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), call, 0) < 0 || seccomp_load(filter) < 0)
        return 2;
    execvp(argv[1], argv + 1);
    perror(argv[1]);
    return 127;
}
