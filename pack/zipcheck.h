/* SPDX-License-Identifier: MIT */
/* A package as the ZIP archive that people see: do unzip and our readers find the same bytes? */
#ifndef NX_PACK_ZIPCHECK_H
#define NX_PACK_ZIPCHECK_H

#include "pack/reader.h"

/* Read all members by the archive's directory: their names and order, their checksums, and
 * that those which the manifest gives a place stand there.
 */
int nx_zip_check(const struct nx_reading *reading, uint64_t *progress, struct nx_error *err);

#endif
