/* SPDX-License-Identifier: MIT */
/* System calls that a machine's QEMU should not make, beside those that its own sandbox refuses: a seccomp filter.
 *
 * Huge pages: QEMU asks for them on its memory (madvise MADV_HUGEPAGE); then the kernel reads 2 MiB around every
 * fault: 122 MB instead of 2.25 MB up to a prompt's answer.  That one advice gets EINVAL, as from a kernel without
 * huge pages.
 *
 * Unix sockets: behind them stand the user's session bus and other programs that do what they are asked to.  Landlock
 * does not know of them.
 */
#ifndef NX_FETCH_VM_CALLS_H
#define NX_FETCH_VM_CALLS_H

#include <stdbool.h>

/* Make the filter's program.  0, or -1 with errno. */
int nx_vm_calls_prepare(bool refuse_hugepages, bool refuse_unix_sockets);

/* Install what was prepared last in this process, for itself and what it executes.  0, or -1 with errno.
 * Async-signal-safe: for nx_spawn_options.before_exec.
 */
int nx_vm_calls_refuse(void);

#endif
