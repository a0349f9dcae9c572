/* SPDX-License-Identifier: MIT */
/* An index page whose digest was right: the first two bytes choose its level and place. */
#include "formats/index.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct nx_manifest manifest = { .index = { 100, 1 << 20 },
                                                 .chunks = { 2 << 20, 1 << 30 } };
    static const struct nx_image image = { .size = (UINT64_C(1) << 40) + 777, .chunk_size = 65536 };
    struct nx_error err;
    if (size < 2)
        return 0;
    unsigned level = data[0] % NX_INDEX_LEVELS_MAX;
    uint64_t first = (uint64_t)data[1] << 17;
    /* A copy of the exact size, so that a read past its end is seen. */
    size_t len = size - 2;
    uint8_t *page = malloc(len ? len : 1);
    if (!page)
        return 0;
    memcpy(page, data + 2, len);
    if (nx_index_page_check(page, len, level, first, &manifest, &image, &err) == 0) {
        unsigned found = 0;
        struct nx_index_entry entry;
        for (unsigned slot = nx_index_page_next(page, 0); slot < NX_INDEX_FANOUT;
             slot = nx_index_page_next(page, slot + 1)) {
            uint64_t room = level ? manifest.index.size : manifest.chunks.size;
            if (!nx_index_page_get(page, slot, &entry) || entry.size > room - entry.offset)
                abort();
            found++;
        }
        if (len != nx_index_page_size(found))
            abort();
    }
    free(page);
    return 0;
}
