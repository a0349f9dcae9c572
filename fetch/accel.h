/* SPDX-License-Identifier: MIT */
/* KVM or emulation: what this host can really do. */
#ifndef NX_FETCH_ACCEL_H
#define NX_FETCH_ACCEL_H

#include <stdbool.h>

#include "common/error.h"

enum nx_accel {
    NX_ACCEL_AUTO,
    NX_ACCEL_KVM,
    NX_ACCEL_TCG,
};

/* "auto", "kvm" or "tcg"; USAGE error for anything else. */
int nx_accel_parse(const char *text, enum nx_accel *ret_accel, struct nx_error *err);

/* 0 if KVM can work: the device opens for reading and writing *and* the processor shows vmx
 * or svm (there are hosts where the device opens and a guest then hangs); else
 * SYSTEM with the reason.  The paths are arguments for the tests: /dev/kvm, /proc/cpuinfo.
 */
int nx_accel_check_kvm(const char *device, const char *cpuinfo, struct nx_error *err);

/* What was asked for, or the best that works; says aloud when the machine will be emulated.
 * *ret_name is QEMU's name of it.
 */
int nx_accel_choose(enum nx_accel wanted, const char **ret_name, struct nx_error *err);

#endif
