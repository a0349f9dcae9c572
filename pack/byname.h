/* SPDX-License-Identifier: MIT */
/* Packing a domain of libvirt's by its name, and giving it back as it was. */
#ifndef NX_PACK_BYNAME_H
#define NX_PACK_BYNAME_H

#include <stdbool.h>

#include "common/error.h"
#include "pack/build.h"
#include "pack/findings.h"
#include "pack/virt.h"

/* What stands in the way of packing it: of its managed save if it has one; of suspending it if it runs.  Release
 * *ret_findings also on failure.
 */
int nx_byname_examine(const struct nx_virt *virt, const struct nx_virt_domain *domain,
                      enum nx_virt_state *ret_state, struct nx_findings *ret_findings,
                      struct nx_error *err);

/* Pack the domain name of uri (NULL: the default) into out_path.  One that runs is refused, unless suspend: then it is
 * saved, packed, and goes on as soon as its disks have been read, also when packing fails or is interrupted.  Where it
 * cannot go on, its managed save stays, and the failure says so.
 */
int nx_byname_pack(const char *uri, const char *name, const char *out_path, bool suspend,
                   const struct nx_build_options *options, struct nx_error *err);

#endif
