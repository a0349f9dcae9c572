/* SPDX-License-Identifier: MIT */
/* Whole images as sparse files, for hosts without FUSE. */
#ifndef NX_FETCH_EXPORT_H
#define NX_FETCH_EXPORT_H

#include "fetch/images.h"

/* Write every image, memory only if it is wanted, to dir/NAME, mode 0600.  have_bytes of the statistics tells how far it is. */
int nx_export(struct nx_images *images, bool memory, const char *dir, struct nx_report *report,
              struct nx_error *err);

#endif
