/* SPDX-License-Identifier: MIT */
#ifndef NX_FETCH_FORWARD_H
#define NX_FETCH_FORWARD_H

#include "common/error.h"
#include "fetch/values.h"

/* Could QEMU have these ports of this host now?  What it would say itself comes only after minutes perhaps, and names its
 * own command line.  SYSTEM error that names the port; somebody may still take one before QEMU does.
 */
int nx_forwards_probe(const struct nx_forward *forwards, unsigned count, struct nx_error *err);

#endif
