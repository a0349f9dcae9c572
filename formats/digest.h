/* SPDX-License-Identifier: MIT */
/* SHA-256, the one digest of the format. */
#ifndef NX_FORMATS_DIGEST_H
#define NX_FORMATS_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/error.h"

#define NX_DIGEST_SIZE 32
#define NX_DIGEST_HEX  (2 * NX_DIGEST_SIZE + 1) /* with the NUL */

struct nx_digest {
    uint8_t bytes[NX_DIGEST_SIZE];
};

/* The digest of len bytes.  It fails only without memory, and then aborts: every caller would. */
void nx_digest_of(const void *data, size_t len, struct nx_digest *ret_digest);

bool nx_digest_equal(const struct nx_digest *a, const struct nx_digest *b);

/* Lower-case hexadecimal into text; returns text. */
const char *nx_digest_hex(const struct nx_digest *digest, char text[static NX_DIGEST_HEX]);

/* 64 hexadecimal digits of either case, nothing else. */
int nx_digest_parse(const char *text, struct nx_digest *ret_digest, struct nx_error *err);

/* A digest over pieces.  One thread at a time. */
struct nx_hash;
struct nx_hash *nx_hash_new(void); /* NULL without memory; nothing below can fail */
void nx_hash_add(struct nx_hash *hash, const void *data, size_t len);
void nx_hash_add_le64(struct nx_hash *hash, uint64_t value);
/* The digest of all that was added; the hash starts anew. */
void nx_hash_finish(struct nx_hash *hash, struct nx_digest *ret_digest);
void nx_hash_free(struct nx_hash *hash);

static inline void nx_auto_hash(struct nx_hash **hash)
{
    nx_hash_free(*hash);
}
#define NX_AUTO_HASH NX_AUTO(hash)

#endif
