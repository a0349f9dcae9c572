/* SPDX-License-Identifier: MIT */
/* A package as the ZIP archive that people see: do unzip and our readers find the same bytes? */
#ifndef NX_PACK_ZIPCHECK_H
#define NX_PACK_ZIPCHECK_H

#include "pack/reader.h"

/* Write the archive once more, from the members where the manifest says that they stand, and compare: every
 * byte that is no member's - headers, checksums, the directory - must be what nxpack writes, and
 * nothing may follow.  So no byte of a package can change without notice, digest or not.
 * *progress grows by the members' bytes and goes to nx_progress_update().
 */
int nx_zip_check(const struct nx_reading *reading, uint64_t *progress, struct nx_error *err);

#endif
