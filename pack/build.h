/* SPDX-License-Identifier: MIT */
/* From a domain XML and its disks to a package, whole or not at all. */
#ifndef NX_PACK_BUILD_H
#define NX_PACK_BUILD_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "common/buffer.h"
#include "common/error.h"
#include "formats/key.h"

#define NX_DISK_CHUNK_DEFAULT   (64 * 1024)
#define NX_NVRAM_CHUNK_DEFAULT  (64 * 1024)
#define NX_MEMORY_CHUNK_DEFAULT (8 * 1024)

enum nx_train_mode {
    NX_TRAIN_MEMORY, /* if there is memory; a package that cannot be trained is written all the same */
    NX_TRAIN_NEVER,
    NX_TRAIN_ALWAYS, /* that it cannot be done is an error */
};

struct nx_build_options {
    const struct nx_key *key; /* private; NULL: the package is not signed */
    const char *name;         /* NULL: the domain's title or name */
    const char *description;  /* NULL: the domain's, or none */
    uint64_t serial;          /* 0: the time of creation, in seconds since 1970 */
    time_t expires;           /* users are to have another version by then; 0: never */
    int level;
    unsigned threads;
    uint32_t chunk_size;        /* of disks */
    uint32_t memory_chunk_size; /* of memory */
    const struct nx_buffer
        *xml; /* the domain, if it is in no file: xml_path is its name then; else NULL */
    /* Called once, when nothing more is read of the disks and the save: the machine may have them back.  NULL: nothing. */
    void (*images_read)(void *opaque);
    void *opaque;
    const char *memory_path; /* libvirt's save file; NULL: the managed save, if there is one */
    bool no_memory;          /* pack the disks only */
    bool ignore_times;       /* of disks that are newer than the save */
    uint64_t volume_size;    /* 0: one file */
    enum nx_train_mode train;
    unsigned train_seconds; /* 0: until it has settled */
    bool screenshot; /* taken while training, which must be ALWAYS; written beside the package */
};

/* Pack the domain in the file xml_path into out_path, which is replaced if it exists.  xml_path may be a save file
 * itself, which has the domain in it.
 */
int nx_build(const char *xml_path, const char *out_path, const struct nx_build_options *options,
             struct nx_error *err);

#endif
