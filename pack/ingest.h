/* SPDX-License-Identifier: MIT */
/* From a source to the store: read what is not a hole, cut it into chunks, find the zero ones,
 * hash, compress; on all CPUs, in bounded memory, the same result with any number of threads.
 */
#ifndef NX_PACK_INGEST_H
#define NX_PACK_INGEST_H

#include "pack/source.h"
#include "pack/store.h"

struct nx_ingest_options {
    int level; /* of zstd */
    unsigned threads;
    uint64_t *progress; /* bytes read so far, of all images; goes to nx_progress_update() */
    uint64_t total;     /* which it does not pass, though whole chunks are read */
};

/* Bytes of source that are not known to be zero, and what an index over them may need in chunks of this size. */
int nx_source_measure(struct nx_source *source, uint32_t chunk_size, uint64_t *ret_size,
                      struct nx_index_bound *ret_bound, struct nx_error *err);

/* Add an image.  Its size and chunk_size are set; chunks and content get filled in. */
int nx_ingest(struct nx_source *source, struct nx_image *image, struct nx_store *store,
              const struct nx_ingest_options *options, struct nx_error *err);

#endif
