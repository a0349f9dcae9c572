/* SPDX-License-Identifier: MIT */
/* QEMU's migration stream, split in two: the pages of the machine's main memory, and all the rest,
 * which is the device state.  docs/memory.md tells how and why.
 *
 * The device state is the stream byte for byte, but for the records of the main memory's pages: QEMU
 * loads it as it is when it finds that memory mapped from elsewhere.
 */
#ifndef NX_FORMATS_MIGRATION_H
#define NX_FORMATS_MIGRATION_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

#define NX_MIGRATION_BLOCK   "pc.ram" /* QEMU's name of the main memory of pc and q35 */
#define NX_MIGRATION_PAGE    4096     /* bytes of a page */
#define NX_MIGRATION_FILLED  UINT64_MAX
#define NX_MIGRATION_RAM_MAX (UINT64_C(1) << 42) /* bytes of main memory: 4 TiB */

/* Where a stream comes from and its parts go to.  Each function returns 0, or -1 with err set, which ends it. */
struct nx_migration_ops {
    /* The next bytes: *ret_n of at most len; 0 at the end. */
    int (*read)(void *opaque, void *buf, size_t len, size_t *ret_n, struct nx_error *err);
    /* A page of main memory: NX_MIGRATION_PAGE bytes at offset; data is NULL if they are all zero.
     * They stand at byte at of the stream, or are NX_MIGRATION_FILLED with the first of them.
     * A page may come again, with other bytes: the last ones count.
     */
    int (*page)(void *opaque, uint64_t offset, const void *data, uint64_t at, struct nx_error *err);
    /* The next bytes of the device state. */
    int (*state)(void *opaque, const void *data, size_t len, struct nx_error *err);
    void *opaque;
};

/* What was found in it. */
struct nx_migration_info {
    char machine[256]; /* the machine type: "pc-i440fx-7.2" */
    uint64_t memory;   /* bytes of main memory */
    uint64_t pages;    /* records of its pages, repeated ones included */
    uint64_t state;    /* bytes of device state */
};

/* Split a stream to its end.  name goes into messages.  FORMAT error, with the offset in the stream, for what is
 * damaged; and, naming the feature, for what cannot be split: memory in several blocks, multifd, xbzrle,
 * post-copy, mapped-ram, or a stream version or record that is not known.
 */
int nx_migration_split(const struct nx_migration_ops *ops, const char *name,
                       struct nx_migration_info *ret_info, struct nx_error *err);

#endif
