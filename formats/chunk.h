/* SPDX-License-Identifier: MIT */
/* A chunk as stored: one zstd frame with its content size, or, where that would not be
 * smaller, the bytes themselves (then the stored size is the chunk's).  zstd: RFC 8878.
 */
#ifndef NX_FORMATS_CHUNK_H
#define NX_FORMATS_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/error.h"
#include "formats/digest.h"

#define NX_LEVEL_DEFAULT 3
#define NX_LEVEL_MIN     1
#define NX_LEVEL_MAX     19

/* Working memory of one thread that compresses or decompresses. */
struct nx_compressor;
struct nx_decompressor;

struct nx_compressor *nx_compressor_new(int level); /* NULL without memory */
void nx_compressor_free(struct nx_compressor *c);
struct nx_decompressor *nx_decompressor_new(void); /* NULL without memory */
void nx_decompressor_free(struct nx_decompressor *d);

/* Store raw in out, which has room for len bytes; *ret_size (at most len) bytes of it are the chunk. */
int nx_chunk_encode(struct nx_compressor *c, const void *raw, size_t len, void *out,
                    size_t *ret_size, struct nx_error *err);

/* Check stored bytes against their digest: NX_ERR_FORMAT if they differ. */
int nx_chunk_verify(const void *stored, size_t size, const struct nx_digest *digest,
                    struct nx_error *err);

/* Decode verified bytes into raw, exactly len bytes; anything else is NX_ERR_FORMAT. */
int nx_chunk_decode(struct nx_decompressor *d, const void *stored, size_t size, void *raw,
                    size_t len, struct nx_error *err);

/* Are these bytes all zero? */
bool nx_is_zero(const void *data, size_t len);

static inline void nx_auto_compressor(struct nx_compressor **c)
{
    nx_compressor_free(*c);
}
static inline void nx_auto_decompressor(struct nx_decompressor **d)
{
    nx_decompressor_free(*d);
}
#define NX_AUTO_COMPRESSOR   NX_AUTO(compressor)
#define NX_AUTO_DECOMPRESSOR NX_AUTO(decompressor)

#endif
