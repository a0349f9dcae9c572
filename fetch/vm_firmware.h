/* SPDX-License-Identifier: MIT */
/* UEFI firmware of this host for a machine: found as QEMU's docs/interop/firmware.json says, through the
 * descriptors that distributions install, else at the places where they are known to keep it.
 */
#ifndef NX_FETCH_VM_FIRMWARE_H
#define NX_FETCH_VM_FIRMWARE_H

#include <stdint.h>

#include "common/cleanup.h"
#include "common/error.h"
#include "formats/machine.h"

struct nx_firmware {
    char *code; /* read-only flash */
    char *vars; /* the template of its variables */
};

/* vars_size: bytes of the variables that the package brings, which must fit the
 * firmware; 0: it brings none.  SYSTEM error that names the package to install if there is no such firmware.
 */
int nx_firmware_find(const struct nx_machine *machine, uint64_t vars_size,
                     struct nx_firmware *ret_firmware, struct nx_error *err);

/* Copy the variables at from to a new file of this run. */
int nx_firmware_copy_vars(const char *from, const char *to, struct nx_error *err);

void nx_firmware_release(struct nx_firmware *firmware);

static inline void nx_auto_firmware(struct nx_firmware *firmware)
{
    nx_firmware_release(firmware);
}
#define NX_AUTO_FIRMWARE NX_AUTO(firmware)

#endif
