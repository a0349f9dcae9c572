/* SPDX-License-Identifier: MIT */
/* A .netx file, from anywhere. */
#include "formats/reference.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nx_error err;
    NX_AUTO_REFERENCE struct nx_reference *reference = NULL;
    nx_reference_parse(data, size, "fuzz", &reference, &err);
    return 0;
}
