/* SPDX-License-Identifier: MIT */
/* A package's images as a machine's disks: where each is, and an overlay for its writes. */
#ifndef NX_FETCH_VM_IMAGES_H
#define NX_FETCH_VM_IMAGES_H

#include <stddef.h>

#include "common/error.h"
#include "fetch/cmdline.h"
#include "fetch/session.h"
#include "formats/machine.h"

struct nx_vm_images {
    struct nx_cmdline_image images[NX_DOMAIN_MAX_DISKS]; /* their paths are owned */
    size_t n_images;
};

/* Does the package have each image that the machine names?  Else FORMAT. */
int nx_vm_images_check(const struct nx_machine *machine, const struct nx_manifest *manifest,
                       const char *name, struct nx_error *err);

/* Make an empty overlay for each disk that may be written.  Release in both cases. */
int nx_vm_images_make(struct nx_session *session, const struct nx_machine *machine,
                      struct nx_vm_images *ret_images, struct nx_error *err);

/* Free the paths; the overlays' files are the instance's. */
void nx_vm_images_release(struct nx_vm_images *images);

#endif
