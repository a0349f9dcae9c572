/* SPDX-License-Identifier: MIT */
#include "formats/chunk.h"

#include <zstd.h>

#include "tests/support/main.h"

#define SIZE 65536

static uint8_t raw[SIZE], stored[2 * SIZE], back[SIZE];

static void fill_text(void)
{
    for (size_t i = 0; i < SIZE; i++)
        raw[i] = (uint8_t) "chunk by chunk "[i % 15];
}

static void fill_noise(void)
{
    uint64_t x = 88172645463325252u;
    for (size_t i = 0; i < SIZE; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        raw[i] = (uint8_t)x;
    }
}

static size_t encode(void)
{
    struct nx_error err;
    size_t size = 0;
    NX_AUTO_COMPRESSOR struct nx_compressor *c = nx_compressor_new(NX_LEVEL_DEFAULT);
    nx_assert_ok(nx_chunk_encode(c, raw, SIZE, stored, &size, &err), err);
    return size;
}

START_TEST(round_trip)
{
    struct nx_error err;
    NX_AUTO_DECOMPRESSOR struct nx_decompressor *d = nx_decompressor_new();
    fill_text();
    size_t size = encode();
    ck_assert_uint_lt(size, SIZE / 100);
    nx_assert_ok(nx_chunk_decode(d, stored, size, back, SIZE, &err), err);
    ck_assert_mem_eq(raw, back, SIZE);

    fill_noise(); /* stored as it is */
    size = encode();
    ck_assert_uint_eq(size, SIZE);
    nx_assert_ok(nx_chunk_decode(d, stored, size, back, SIZE, &err), err);
    ck_assert_mem_eq(raw, back, SIZE);
}
END_TEST

START_TEST(verify)
{
    struct nx_error err;
    struct nx_digest digest;
    fill_text();
    nx_digest_of(raw, SIZE, &digest);
    nx_assert_ok(nx_chunk_verify(raw, SIZE, &digest, &err), err);
    raw[SIZE - 1] ^= 1;
    nx_assert_fails(nx_chunk_verify(raw, SIZE, &digest, &err), err, "wrong bytes: SHA-256 ");
    ck_assert_int_eq(err.code, NX_ERR_FORMAT);
}
END_TEST

START_TEST(bad_frames)
{
    struct nx_error err;
    NX_AUTO_DECOMPRESSOR struct nx_decompressor *d = nx_decompressor_new();
    fill_text();
    size_t size = encode();
    const struct {
        size_t size, len;
        const char *message;
    } cases[] = {
        { SIZE + 1, SIZE, "65537 bytes for a chunk of 65536" },
        { size, SIZE - 1, "not one zstd frame of 65535 bytes" }, /* decompresses to more: a bomb */
        { size - 1, SIZE, "bytes behind the zstd frame, or a part of it" },
        { size + 7, SIZE, "bytes behind the zstd frame, or a part of it" },
        { 3, SIZE, "not one zstd frame" },
        { 0, SIZE, "not one zstd frame" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        nx_assert_fails(nx_chunk_decode(d, stored, cases[i].size, back, cases[i].len, &err), err,
                        cases[i].message);
    size_t bent = size / 2;
    stored[bent] ^= 0x55;
    stored[bent + 1] ^= 0x55;
    if (nx_chunk_decode(d, stored, size, back, SIZE, &err) == 0)
        ck_assert(memcmp(raw, back, SIZE) != 0); /* zstd took it; the digest is what catches this */
    else
        ck_assert_int_eq(err.code, NX_ERR_FORMAT);
}
END_TEST

START_TEST(zero)
{
    static uint8_t bytes[SIZE];
    ck_assert(nx_is_zero(bytes, SIZE));
    ck_assert(nx_is_zero(bytes, 1));
    ck_assert(nx_is_zero(bytes, 0));
    bytes[SIZE - 1] = 1;
    ck_assert(!nx_is_zero(bytes, SIZE));
    ck_assert(nx_is_zero(bytes, SIZE - 1));
    bytes[SIZE - 1] = 0;
    bytes[0] = 1;
    ck_assert(!nx_is_zero(bytes, SIZE));
    ck_assert(!nx_is_zero(bytes, 1));
}
END_TEST

NX_TEST_MAIN("chunk", round_trip, verify, bad_frames, zero)
