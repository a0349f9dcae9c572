/* SPDX-License-Identifier: MIT */
/* A growing byte buffer with a named maximum, so that nothing that comes from
 * outside can make it grow without end.
 */
#ifndef NX_COMMON_BUFFER_H
#define NX_COMMON_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/error.h"

struct nx_buffer {
    uint8_t *data; /* owned; NULL while nothing was added */
    size_t len;
    size_t cap;
    size_t max; /* len never exceeds it */
};

/* An empty buffer that may hold up to max bytes. */
#define NX_BUFFER_INIT(maximum)                            \
    {                                                      \
        .data = NULL, .len = 0, .cap = 0, .max = (maximum) \
    }

void nx_buffer_init(struct nx_buffer *buf, size_t max);

/* Free the storage and empty the buffer; the maximum stays. */
void nx_buffer_release(struct nx_buffer *buf);

/* Make room for n more bytes behind len.  FORMAT error past the maximum, SYSTEM without memory. */
int nx_buffer_reserve(struct nx_buffer *buf, size_t n, struct nx_error *err);

/* Append n bytes.  On failure the buffer is as it was. */
int nx_buffer_add(struct nx_buffer *buf, const void *data, size_t n, struct nx_error *err);

/* Append formatted text.  A NUL byte follows it that does not count in len. */
int nx_buffer_printf(struct nx_buffer *buf, struct nx_error *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Append value as n (1 to 8) little-endian bytes. */
int nx_buffer_add_le(struct nx_buffer *buf, unsigned n, uint64_t value, struct nx_error *err);

static inline void nx_auto_buffer(struct nx_buffer *buf)
{
    nx_buffer_release(buf);
}
#define NX_AUTO_BUFFER NX_AUTO(buffer) /* nx_buffer_release() at the end of scope */

/* A bounded cursor over bytes we did not write. */
struct nx_reader {
    const uint8_t *at;
    const uint8_t *end;
};

static inline struct nx_reader nx_reader(const void *data, size_t len)
{
    return (struct nx_reader){ data, (const uint8_t *)data + len };
}

static inline size_t nx_reader_left(const struct nx_reader *r)
{
    return (size_t)(r->end - r->at);
}

/* Take n (1 to 8) bytes as an unsigned number; 0, or -1 if fewer are left (nothing is taken then). */
int nx_read_le(struct nx_reader *r, unsigned n, uint64_t *ret_value);
int nx_read_be(struct nx_reader *r, unsigned n, uint64_t *ret_value);

/* Take n bytes: a pointer into the data, or NULL if fewer are left. */
const uint8_t *nx_read_bytes(struct nx_reader *r, size_t n);

#endif
