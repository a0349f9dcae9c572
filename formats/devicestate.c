/* SPDX-License-Identifier: MIT */
#include "formats/devicestate.h"

#include <stdbool.h>
#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "formats/manifest.h"

#define WINDOW_LOG_MAX 27 /* a frame's window of up to 128 MiB, zstd's own default limit */

struct nx_state_writer {
    ZSTD_CCtx *ctx;
    struct nx_buffer stored;
    uint64_t raw;
};

static int fail_zstd(size_t code, enum nx_errcode otherwise, struct nx_error *err)
{
    bool no_memory = ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation;
    return nx_fail(err, no_memory ? NX_ERR_SYSTEM : otherwise, "device state: %s",
                   ZSTD_getErrorName(code));
}

/* ---- writing ---- */

int nx_state_writer_new(int level, struct nx_state_writer **ret_writer, struct nx_error *err)
{
    NX_AUTO_STATE_WRITER struct nx_state_writer *writer = calloc(1, sizeof *writer);
    if (!writer || !(writer->ctx = ZSTD_createCCtx()))
        return nx_fail_errno(err, "device state");
    nx_buffer_init(&writer->stored, NX_DEVICE_STATE_STORED_MAX);
    size_t code = ZSTD_CCtx_setParameter(writer->ctx, ZSTD_c_compressionLevel, level);
    if (ZSTD_isError(code))
        return fail_zstd(code, NX_ERR_SYSTEM, err);
    *ret_writer = NX_STEAL(writer);
    return 0;
}

void nx_state_writer_free(struct nx_state_writer *writer)
{
    if (!writer)
        return;
    ZSTD_freeCCtx(writer->ctx);
    nx_buffer_release(&writer->stored);
    free(writer);
}

/* Feed data to the compressor; with ZSTD_e_end, until the frame is complete. */
static int compress(struct nx_state_writer *writer, const void *data, size_t len,
                    ZSTD_EndDirective mode, struct nx_error *err)
{
    ZSTD_inBuffer in = { data, len, 0 };
    bool done = false;
    while (!done) {
        struct nx_buffer *stored = &writer->stored;
        if (nx_buffer_reserve(stored, ZSTD_CStreamOutSize(), err) < 0)
            return nx_fail_while(err, "device state");
        ZSTD_outBuffer out = { stored->data + stored->len, stored->cap - stored->len, 0 };
        size_t left = ZSTD_compressStream2(writer->ctx, &out, &in, mode);
        if (ZSTD_isError(left))
            return fail_zstd(left, NX_ERR_SYSTEM, err);
        stored->len += out.pos;
        done = mode == ZSTD_e_end ? left == 0 : in.pos == in.size;
    }
    return 0;
}

int nx_state_writer_add(struct nx_state_writer *writer, const void *data, size_t len,
                        struct nx_error *err)
{
    if (len > NX_DEVICE_STATE_MAX - writer->raw)
        return nx_fail(err, NX_ERR_FORMAT, "the device state is larger than %llu MiB",
                       (unsigned long long)(NX_DEVICE_STATE_MAX >> 20));
    writer->raw += len;
    return compress(writer, data, len, ZSTD_e_continue, err);
}

int nx_state_writer_finish(struct nx_state_writer *writer, struct nx_buffer *ret_stored,
                           uint64_t *ret_raw, struct nx_error *err)
{
    if (compress(writer, NULL, 0, ZSTD_e_end, err) < 0)
        return -1;
    *ret_stored = writer->stored;
    *ret_raw = writer->raw;
    nx_buffer_init(&writer->stored, NX_DEVICE_STATE_STORED_MAX);
    return 0;
}

/* ---- reading ---- */

NX_DEFINE_AUTO(ZSTD_DCtx *, dctx, ZSTD_freeDCtx)

static int wrong(const char *what, struct nx_error *err)
{
    return nx_fail(err, NX_ERR_FORMAT, "device state: %s", what);
}

static int decompress(ZSTD_DCtx *ctx, ZSTD_inBuffer *in, uint64_t raw, nx_state_sink_fn *sink,
                      void *opaque, struct nx_error *err)
{
    NX_AUTO_FREE uint8_t *piece = malloc(ZSTD_DStreamOutSize());
    if (!piece)
        return nx_fail_errno(err, "device state");
    for (uint64_t done = 0;;) {
        ZSTD_outBuffer out = { piece, ZSTD_DStreamOutSize(), 0 };
        size_t code = ZSTD_decompressStream(ctx, &out, in);
        if (ZSTD_isError(code))
            return fail_zstd(code, NX_ERR_FORMAT, err);
        if (out.pos > raw - done)
            return wrong("it is larger than the manifest says", err);
        done += out.pos;
        if (out.pos && sink(piece, out.pos, opaque, err) < 0)
            return -1;
        if (code == 0)
            return done == raw ? 0 : wrong("it is smaller than the manifest says", err);
        if (in->pos == in->size && out.pos < out.size)
            return wrong("its zstd frame is truncated", err);
    }
}

int nx_state_read(const void *stored, size_t size, uint64_t raw, nx_state_sink_fn *sink,
                  void *opaque, struct nx_error *err)
{
    NX_AUTO(dctx) ZSTD_DCtx *ctx = ZSTD_createDCtx();
    if (!ctx)
        return nx_fail_errno(err, "device state");
    ZSTD_DCtx_setParameter(ctx, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
    ZSTD_inBuffer in = { stored, size, 0 };
    if (decompress(ctx, &in, raw, sink, opaque, err) < 0)
        return -1;
    return in.pos == in.size ? 0 : wrong("bytes follow its zstd frame", err);
}
