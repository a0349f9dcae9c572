/* SPDX-License-Identifier: MIT */
/* A disk image of the author's, before it is read: found, its format checked and never
 * guessed, its chain of backing files known, and held against change while we read.
 */
#ifndef NX_PACK_ORIGINAL_H
#define NX_PACK_ORIGINAL_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "common/error.h"
#include "formats/domain.h"

#define NX_CHAIN_MAX 64 /* files of a chain of backing files */

/* A file as it was when we first looked. */
struct nx_stamp {
    char *path;
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified;
};

struct nx_original {
    char *path;         /* absolute */
    const char *format; /* QEMU's name for it */
    uint64_t size;      /* bytes that the guest sees */
    bool
        own_file; /* the image's bytes stand in its file: not in others beside it (qcow2's data files, vmdk's extents) */
    struct nx_stamp files[NX_CHAIN_MAX]; /* the image and what it is based on */
    unsigned n_files;
};

/* disk: as the domain XML says it; xml_path: that file, from whose directory relative
 * paths count and which goes, with the line, into messages.  in_use: a machine that runs has it,
 * so that its lock is passed by: only to be looked at.
 */
int nx_original_open(struct nx_original *original, const struct nx_domain_disk *disk,
                     const char *xml_path, bool in_use, struct nx_error *err);
void nx_original_release(struct nx_original *original);

/* Fail if a file of the chain is not what it was: somebody wrote to it meanwhile. */
int nx_original_check_unchanged(const struct nx_original *original, struct nx_error *err);

#endif
