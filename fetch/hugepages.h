/* SPDX-License-Identifier: MIT */
/* QEMU asks for huge pages on its memory (madvise MADV_HUGEPAGE); then the kernel reads 2 MiB around every
 * fault: 122 MB instead of 2.25 MB up to a prompt's answer.  A seccomp filter answers EINVAL to that one advice,
 * which QEMU takes as from a kernel without huge pages.
 */
#ifndef NX_FETCH_HUGEPAGES_H
#define NX_FETCH_HUGEPAGES_H

/* Install the filter in this process, for itself and what it executes; for nx_spawn_options.before_exec, so it is async-signal-safe
 * once nx_hugepages_prepare() was called.  0, or -1 with errno.
 */
int nx_hugepages_refuse(void);

/* Make the filter's program beforehand.  0, or -1 with errno. */
int nx_hugepages_prepare(void);

#endif
