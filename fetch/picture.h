/* SPDX-License-Identifier: MIT */
/* A picture of the machine's screen, from QEMU to the user's file. */
#ifndef NX_FETCH_PICTURE_H
#define NX_FETCH_PICTURE_H

#include "common/error.h"
#include "fetch/instance.h"

#define NX_PICTURE_MAX (32 * 1024 * 1024) /* bytes of one */

/* Make the file in the run's folder that QEMU will write into: it may make none itself.  *ret_path is to be freed. */
int nx_picture_open(const struct nx_instance *instance, char **ret_path, struct nx_error *err);

/* Copy what QEMU has written to the file out, whole or not at all.  It looks at the first bytes only, which
 * PNG files have: that the rest is one is for who shows it to find out.
 */
int nx_picture_save(const char *path, const char *out, struct nx_error *err);

#endif
