/* SPDX-License-Identifier: MIT */
#include "formats/chunk.h"

#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

struct nx_compressor {
    ZSTD_CCtx *ctx;
};

struct nx_decompressor {
    ZSTD_DCtx *ctx;
};

struct nx_compressor *nx_compressor_new(int level)
{
    struct nx_compressor *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->ctx = ZSTD_createCCtx();
    /* The digest covers the frame, and its content size is what a decoder checks: no zstd checksum. */
    if (!c->ctx || ZSTD_isError(ZSTD_CCtx_setParameter(c->ctx, ZSTD_c_compressionLevel, level)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(c->ctx, ZSTD_c_contentSizeFlag, 1))) {
        nx_compressor_free(c);
        return NULL;
    }
    return c;
}

void nx_compressor_free(struct nx_compressor *c)
{
    if (!c)
        return;
    ZSTD_freeCCtx(c->ctx);
    free(c);
}

struct nx_decompressor *nx_decompressor_new(void)
{
    struct nx_decompressor *d = calloc(1, sizeof *d);
    if (d && !(d->ctx = ZSTD_createDCtx())) {
        free(d);
        return NULL;
    }
    return d;
}

void nx_decompressor_free(struct nx_decompressor *d)
{
    if (!d)
        return;
    ZSTD_freeDCtx(d->ctx);
    free(d);
}

int nx_chunk_encode(struct nx_compressor *c, const void *raw, size_t len, void *out,
                    size_t *ret_size, struct nx_error *err)
{
    /* Room for one byte less than the chunk: what does not fit is stored as it is. */
    size_t size = ZSTD_compress2(c->ctx, out, len - 1, raw, len);
    if (!ZSTD_isError(size)) {
        *ret_size = size;
        return 0;
    }
    if (ZSTD_getErrorCode(size) != ZSTD_error_dstSize_tooSmall)
        return nx_fail(err, NX_ERR_SYSTEM, "compressing: %s", ZSTD_getErrorName(size));
    memcpy(out, raw, len);
    *ret_size = len;
    return 0;
}

int nx_chunk_verify(const void *stored, size_t size, const struct nx_digest *digest,
                    struct nx_error *err)
{
    struct nx_digest found;
    nx_digest_of(stored, size, &found);
    if (nx_digest_equal(&found, digest))
        return 0;
    char want[NX_DIGEST_HEX], have[NX_DIGEST_HEX];
    nx_digest_hex(digest, want);
    nx_digest_hex(&found, have);
    return nx_fail(err, NX_ERR_FORMAT, "wrong bytes: SHA-256 %.16s…, should be %.16s…", have, want);
}

int nx_chunk_decode(struct nx_decompressor *d, const void *stored, size_t size, void *raw,
                    size_t len, struct nx_error *err)
{
    if (size == len) {
        memcpy(raw, stored, len);
        return 0;
    }
    if (size > len)
        return nx_fail(err, NX_ERR_FORMAT, "%zu bytes for a chunk of %zu", size, len);
    unsigned long long content = ZSTD_getFrameContentSize(stored, size);
    if (content != len)
        return nx_fail(err, NX_ERR_FORMAT, "not one zstd frame of %zu bytes", len);
    if (ZSTD_findFrameCompressedSize(stored, size) != size)
        return nx_fail(err, NX_ERR_FORMAT, "bytes behind the zstd frame, or a part of it");
    size_t got = ZSTD_decompressDCtx(d->ctx, raw, len, stored, size);
    if (ZSTD_isError(got))
        return nx_fail(err,
                       ZSTD_getErrorCode(got) == ZSTD_error_memory_allocation ? NX_ERR_SYSTEM
                                                                              : NX_ERR_FORMAT,
                       "decompressing: %s", ZSTD_getErrorName(got));
    if (got != len)
        return nx_fail(err, NX_ERR_FORMAT, "decompresses to %zu bytes, not %zu", got, len);
    return 0;
}

bool nx_is_zero(const void *data, size_t len)
{
    /* If the first byte is zero and every byte equals the next one, all are; memcmp is fast. */
    const char *p = data;
    return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}
