/* SPDX-License-Identifier: MIT */
/* The boot set: what a start touches, laid first in the package by training, so that it comes in one
 * sequential request while QEMU starts.
 */
#ifndef NX_FETCH_BOOTSET_H
#define NX_FETCH_BOOTSET_H

#include "fetch/report.h"
#include "fetch/tree.h"

/* Bytes of one range.  Ranges beside each other share the line, so that what is needed first would be there when all of
 * them are: a boot set comes as one, but for a huge one.
 */
#define NX_BOOT_REQUEST (1u << 30)

/* Begin to fetch the chunks of the boot set that are not here.  The pages that lead to them are read, so the index's
 * first boot_index bytes should be here (blobs.h, front).  No more than max bytes of
 * chunks: what there is room for.  Counts boot_bytes, and boot_have for what is here.
 */
int nx_bootset_want(const struct nx_tree *tree, uint64_t max, struct nx_report *report,
                    struct nx_error *err);

#endif
