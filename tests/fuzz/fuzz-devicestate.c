/* SPDX-License-Identifier: MIT */
/* A device state whose digest was right. */
#include "formats/devicestate.h"
#include "tests/fuzz/fuzz.h"

static int count(const void *data, size_t len, void *opaque, struct nx_error *err)
{
    size_t *left = opaque;
    if (len > *left)
        abort();
    *left -= len;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nx_error err;
    size_t left = 100000;
    if (nx_state_read(data, size, left, count, &left, &err) == 0 && left != 0)
        abort();
    return 0;
}
