/* SPDX-License-Identifier: MIT */
/* A chunk's stored bytes whose digest was right. */
#include "formats/chunk.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t sizes[] = { 1, 100, 4096, 65536 };
    static uint8_t raw[65536];
    static struct nx_decompressor *d;
    struct nx_error err;
    if (!d)
        d = nx_decompressor_new();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        nx_chunk_decode(d, data, size, raw, sizes[i], &err);
    return 0;
}
