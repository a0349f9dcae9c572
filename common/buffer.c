/* SPDX-License-Identifier: MIT */
#include "common/buffer.h"

#include <stdarg.h>
#include <string.h>

void nx_buffer_init(struct nx_buffer *buf, size_t max)
{
    *buf = (struct nx_buffer)NX_BUFFER_INIT(max);
}

void nx_buffer_release(struct nx_buffer *buf)
{
    free(buf->data);
    nx_buffer_init(buf, buf->max);
}

int nx_buffer_reserve(struct nx_buffer *buf, size_t n, struct nx_error *err)
{
    if (n > buf->max - buf->len)
        return nx_fail(err, NX_ERR_FORMAT, "more than %zu bytes", buf->max);
    size_t need = buf->len + n;
    if (need <= buf->cap)
        return 0;
    size_t cap = buf->cap < 256 ? 256 : buf->cap;
    while (cap < need)
        cap = cap > buf->max / 2 ? buf->max : cap * 2;
    uint8_t *data = realloc(buf->data, cap);
    if (!data)
        return nx_fail_errno(err, "buffer of %zu bytes", cap);
    buf->data = data;
    buf->cap = cap;
    return 0;
}

int nx_buffer_add(struct nx_buffer *buf, const void *data, size_t n, struct nx_error *err)
{
    if (n == 0)
        return 0;
    if (nx_buffer_reserve(buf, n, err) < 0)
        return -1;
    memcpy(buf->data + buf->len, data, n);
    buf->len += n;
    return 0;
}

int nx_buffer_printf(struct nx_buffer *buf, struct nx_error *err, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    int ret = n < 0 ? nx_fail_errno(err, "formatting") : nx_buffer_reserve(buf, (size_t)n + 1, err);
    if (ret == 0) {
        vsnprintf((char *)buf->data + buf->len, (size_t)n + 1, fmt, again);
        buf->len += (size_t)n;
    }
    va_end(again);
    return ret;
}

int nx_buffer_add_le(struct nx_buffer *buf, unsigned n, uint64_t value, struct nx_error *err)
{
    uint8_t bytes[8];
    for (unsigned i = 0; i < n; i++, value >>= 8)
        bytes[i] = (uint8_t)value;
    return nx_buffer_add(buf, bytes, n, err);
}

int nx_read_le(struct nx_reader *r, unsigned n, uint64_t *ret_value)
{
    const uint8_t *p = nx_read_bytes(r, n);
    if (!p)
        return -1;
    uint64_t value = 0;
    for (unsigned i = n; i-- > 0;)
        value = value << 8 | p[i];
    *ret_value = value;
    return 0;
}

int nx_read_be(struct nx_reader *r, unsigned n, uint64_t *ret_value)
{
    const uint8_t *p = nx_read_bytes(r, n);
    if (!p)
        return -1;
    uint64_t value = 0;
    for (unsigned i = 0; i < n; i++)
        value = value << 8 | p[i];
    *ret_value = value;
    return 0;
}

const uint8_t *nx_read_bytes(struct nx_reader *r, size_t n)
{
    if (nx_reader_left(r) < n)
        return NULL;
    const uint8_t *p = r->at;
    r->at += n;
    return p;
}
