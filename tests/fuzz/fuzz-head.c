/* SPDX-License-Identifier: MIT */
/* The first bytes of a package, as they come from a web server. */
#include "formats/package.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nx_error err;
    NX_AUTO_HEAD struct nx_head *head = NULL;
    size_t need = 0;
    if (nx_head_parse(data, size, "fuzz", &head, &need, &err) == 0 && !head &&
        (need <= size || need > NX_HEAD_MAX))
        abort(); /* it would ask for ever */
    return 0;
}
