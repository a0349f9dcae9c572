/* SPDX-License-Identifier: MIT */
/* What this host can really do with KVM. */
#ifndef NX_COMMON_KVM_H
#define NX_COMMON_KVM_H

#include "common/error.h"

/* 0 if KVM can work: the device opens for reading and writing *and* the processor shows vmx
 * or svm (there are hosts where the device opens and a guest then hangs); else
 * SYSTEM with the reason.
 */
int nx_kvm_check(struct nx_error *err);

#endif
