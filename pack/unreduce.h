/* SPDX-License-Identifier: MIT */
/* A package's domain XML, made one for libvirt again: with files where it names images. */
#ifndef NX_PACK_UNREDUCE_H
#define NX_PACK_UNREDUCE_H

#include "common/buffer.h"
#include "formats/manifest.h"

/* An image that was unpacked. */
struct nx_unpacked {
    const char *image;
    char *path; /* absolute */
    const char *format;
};

/* xml: a package's domain.xml that was validated.  Appends XML that `virsh define` takes. */
int nx_domain_unreduce(const struct nx_buffer *xml, const struct nx_unpacked *images,
                       unsigned n_images, struct nx_buffer *ret_xml, struct nx_error *err);

#endif
