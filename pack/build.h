/* SPDX-License-Identifier: MIT */
/* From a domain XML and its disks to a package, whole or not at all. */
#ifndef NX_PACK_BUILD_H
#define NX_PACK_BUILD_H

#include <stdint.h>

#include "common/error.h"
#include "formats/key.h"

#define NX_DISK_CHUNK_DEFAULT  (64 * 1024)
#define NX_NVRAM_CHUNK_DEFAULT (64 * 1024)

struct nx_build_options {
    const struct nx_key *key; /* private; NULL: the package is not signed */
    const char *name;         /* NULL: the domain's title or name */
    const char *description;  /* NULL: the domain's, or none */
    uint64_t serial;          /* 0: the time of creation, in seconds since 1970 */
    int level;
    unsigned threads;
    uint32_t chunk_size; /* of disks */
};

/* Pack the domain in the file xml_path into out_path, which is replaced if it exists. */
int nx_build(const char *xml_path, const char *out_path, const struct nx_build_options *options,
             struct nx_error *err);

#endif
