/* SPDX-License-Identifier: MIT */
/* A new machine that can travel: its disk, and its domain in libvirt. */
#ifndef NX_PACK_NEWDOMAIN_H
#define NX_PACK_NEWDOMAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/error.h"

#define NX_NEWDOMAIN_MEMORY_MIN ((uint64_t)16 << 20)
#define NX_NEWDOMAIN_MEMORY_MAX ((uint64_t)1 << 40)
#define NX_NEWDOMAIN_DISK_MIN   ((uint64_t)1 << 20)
#define NX_NEWDOMAIN_DISK_MAX   ((uint64_t)64 << 40)
#define NX_NEWDOMAIN_CPUS_MAX   64

struct nx_newdomain {
    const char *name;
    uint64_t memory; /* bytes, whole MiB */
    uint64_t disk;   /* bytes */
    unsigned cpus;
    const char *cdrom; /* an ISO image; NULL: an empty drive */
    const char *arch;  /* "x86_64" or "i686" */
    const char *
        machine; /* "q35", "pc", or one of these with a version; libvirt gives the first two a version */
    bool uefi;
    const char *folder; /* the disk's; NULL: where virt-manager would put it */
};

/* Make the disk and define the domain in uri (NULL: the default).  *ret_disk (to be freed) is the disk's path.  On failure
 * nothing is left behind, and nothing that was there is touched.
 */
int nx_newdomain_create(const char *uri, const struct nx_newdomain *newdomain, char **ret_disk,
                        struct nx_error *err);

#endif
