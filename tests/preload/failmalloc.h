/* SPDX-License-Identifier: MIT */
/* Memory that runs out: an allocator that fails the Nth allocation, in any program (build/X/tools/failmalloc.so as
 * LD_PRELOAD) or in a test that includes failmalloc.c.
 *
 *     NX_FAIL_ALLOC=N      the Nth allocation fails; "N+": and all after it
 *     NX_FAIL_PROGRAM=P    only in programs of this name: what they start inherits the environment
 *     NX_FAIL_OWN=1        count only what the program's own code asks for, itself or through libc (strdup, fopen …)
 *     NX_FAIL_OF=LIBRARY   count only what this one asks for, such as libnbd.so
 *     NX_FAIL_TALLY=FILE   how many were counted and how many failed: two u64, shared by forked processes
 *     NX_FAIL_TRACE=FILE   who asked for what failed
 *
 * What libc allocates goes through here, too: asprintf, fopen, opendir, pthread_create.  Below it stands
 * AddressSanitizer's allocator, where there is one, or glibc's.
 */
#ifndef NX_TESTS_FAILMALLOC_H
#define NX_TESTS_FAILMALLOC_H

#include <stdbool.h>
#include <stdint.h>

/* From now on: the nth allocation fails, and all after it if `after`. */
void failmalloc_arm(uint64_t n, bool after);

/* Count only what our own code asks for, in what is armed from now on. */
void failmalloc_count_own(bool only);

/* No more failures.  Did one happen?  *ret_counted, if not NULL, is how many allocations there were. */
bool failmalloc_disarm(uint64_t *ret_counted);

#endif
