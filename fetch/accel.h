/* SPDX-License-Identifier: MIT */
/* KVM or emulation: what was asked for, and what this host can really do (common/kvm.h). */
#ifndef NX_FETCH_ACCEL_H
#define NX_FETCH_ACCEL_H

#include "common/error.h"

enum nx_accel {
    NX_ACCEL_AUTO,
    NX_ACCEL_KVM,
    NX_ACCEL_TCG,
};

/* "auto", "kvm" or "tcg"; USAGE error for anything else. */
int nx_accel_parse(const char *text, enum nx_accel *ret_accel, struct nx_error *err);

/* What was asked for, or the best that works; says aloud when the machine will be emulated.
 * *ret_name is QEMU's name of it.
 */
int nx_accel_choose(enum nx_accel wanted, const char **ret_name, struct nx_error *err);

#endif
