/* SPDX-License-Identifier: MIT */
/* QEMU's migration stream, as it comes out of a save file. */
#include "formats/migration.h"
#include "tests/fuzz/fuzz.h"

struct input {
    const uint8_t *data;
    size_t size;
};

static int take(void *opaque, void *buf, size_t len, size_t *ret_n, struct nx_error *err)
{
    struct input *input = opaque;
    *ret_n = len < input->size ? len : input->size;
    memcpy(buf, input->data, *ret_n);
    input->data += *ret_n;
    input->size -= *ret_n;
    return 0;
}

static int page(void *opaque, uint64_t offset, const void *data, uint64_t at, struct nx_error *err)
{
    static volatile uint8_t sum; /* so that the page is read */
    for (size_t i = 0; data && i < NX_MIGRATION_PAGE; i++)
        sum = sum ^ ((const uint8_t *)data)[i];
    if (offset % NX_MIGRATION_PAGE || offset >= NX_MIGRATION_RAM_MAX)
        abort();
    return 0;
}

static int state(void *opaque, const void *data, size_t len, struct nx_error *err)
{
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = { data, size };
    const struct nx_migration_ops ops = { take, page, state, &input };
    struct nx_migration_info info;
    struct nx_error err;
    if (nx_migration_split(&ops, "fuzz", &info, &err) == 0 && info.state > size)
        abort();
    return 0;
}
