/* SPDX-License-Identifier: MIT */
/* What a package's images become before it is known where everything will stand: the
 * stored chunks of all images, equal ones once, and for each image the list of them.
 */
#ifndef NX_PACK_STORE_H
#define NX_PACK_STORE_H

#include "formats/index.h"
#include "pack/dedup.h"
#include "pack/spool.h"

/* One chunk of an image that is not all zero. */
struct nx_store_record {
    uint64_t number;             /* of the chunk in its image */
    struct nx_index_entry entry; /* its offset is within the store's chunks */
};

struct nx_store {
    struct nx_spool chunks;
    struct nx_spool records; /* struct nx_store_record, image after image, ascending numbers */
    struct nx_dedup *dedup;
};
#define NX_STORE_INIT                                     \
    {                                                     \
        .chunks = NX_SPOOL_INIT, .records = NX_SPOOL_INIT \
    }

/* The chunks go into an open file, from offset on; beside: the output's path, in whose directory
 * temporary files are made for the rest.
 */
int nx_store_open(struct nx_store *store, int fd, uint64_t offset, const char *beside,
                  struct nx_error *err);
void nx_store_release(struct nx_store *store);

/* Add chunk number of the image that is being added.  content is the digest of its bytes; stored
 * are size bytes that encode it, with their digest.
 */
int nx_store_add(struct nx_store *store, uint64_t number, const struct nx_digest *content,
                 const void *stored, uint32_t size, const struct nx_digest *digest,
                 struct nx_error *err);

/* Record number i of such a spool. */
int nx_store_record_read(struct nx_spool *records, uint64_t i, struct nx_store_record *ret_record,
                         struct nx_error *err);

/* Append one. */
int nx_store_record_add(struct nx_spool *records, uint64_t number,
                        const struct nx_index_entry *entry, struct nx_error *err);

#endif
