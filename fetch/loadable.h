/* SPDX-License-Identifier: MIT */
/* Can the state of a suspended machine be loaded by this host's QEMU?  Asked before anything large is
 * fetched, so that the answer "no" costs nothing but a cold boot.
 */
#ifndef NX_FETCH_LOADABLE_H
#define NX_FETCH_LOADABLE_H

#include <stdbool.h>

#include "common/error.h"
#include "formats/machine.h"

/* program: QEMU; accel: its accelerator here.  0: as far as can be foreseen, yes.  -1 with FORMAT: no, and
 * err's message is the reason, one line without the package's name ("the state was made under KVM, and here
 * the machine is emulated").  Other codes: it cannot be found out (QEMU does not run …).
 */
int nx_loadable_check(const struct nx_machine *machine, const char *program, const char *accel,
                      struct nx_error *err);

#endif
