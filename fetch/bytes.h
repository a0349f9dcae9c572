/* SPDX-License-Identifier: MIT */
/* Bytes that several threads share: they never change once they are published, and
 * go with the last reference.
 */
#ifndef NX_FETCH_BYTES_H
#define NX_FETCH_BYTES_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

struct nx_bytes {
    atomic_uint refs;
    size_t len;
    uint8_t data[];
};

/* Room for len bytes with one reference; NULL without memory. */
static inline struct nx_bytes *nx_bytes_new(size_t len)
{
    struct nx_bytes *bytes = malloc(sizeof(*bytes) + len);
    if (bytes) {
        atomic_init(&bytes->refs, 1);
        bytes->len = len;
    }
    return bytes;
}

/* A copy of len bytes with one reference; NULL without memory. */
static inline struct nx_bytes *nx_bytes_copy(const void *data, size_t len)
{
    struct nx_bytes *bytes = nx_bytes_new(len);
    if (bytes)
        memcpy(bytes->data, data, len);
    return bytes;
}

static inline struct nx_bytes *nx_bytes_ref(struct nx_bytes *bytes)
{
    if (bytes)
        atomic_fetch_add_explicit(&bytes->refs, 1, memory_order_relaxed);
    return bytes;
}

static inline void nx_bytes_unref(struct nx_bytes *bytes)
{
    if (bytes && atomic_fetch_sub_explicit(&bytes->refs, 1, memory_order_acq_rel) == 1)
        free(bytes);
}

NX_DEFINE_AUTO(struct nx_bytes *, bytes, nx_bytes_unref)
#define NX_AUTO_BYTES NX_AUTO(bytes)

#endif
