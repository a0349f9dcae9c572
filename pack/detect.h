/* SPDX-License-Identifier: MIT */
/* Is an image file of the format that its owner says?  libmagic looks at its content, so that
 * a declared format can be checked.  The answer never decides how the file is read.
 */
#ifndef NX_PACK_DETECT_H
#define NX_PACK_DETECT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

/* QEMU's format of this name (as libvirt's driver type has it), or NULL if we do not pack it. */
const char *nx_image_format(const char *name);

/* Can an image of this format be based on another? */
bool nx_image_format_has_backing(const char *format);

/* Check fd's content against format; name and the error's remedy are for people. */
int nx_image_check_format(int fd, const char *name, const char *format, struct nx_error *err);

#endif
