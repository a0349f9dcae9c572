/* SPDX-License-Identifier: MIT */
/* A small package in memory, made with the functions of formats/ alone. */
#ifndef NX_TESTS_PACKAGE_H
#define NX_TESTS_PACKAGE_H

#include "common/buffer.h"
#include "formats/package.h"

struct test_image {
    const char *name;
    enum nx_image_role role;
    uint32_t chunk_size;
    const uint8_t *data;
    size_t size;
};

/* Build it into out (empty, with a max that suffices); aborts the test on failure.  key may be NULL. */
void test_package_build(const struct test_image *images, unsigned n_images,
                        const struct nx_key *key, struct nx_buffer *out);

/* size bytes: a third of the chunks zero, a third noise, a third text that compresses; by seed.  To be freed. */
uint8_t *test_image_bytes(size_t size, uint32_t chunk_size, unsigned seed);

#endif
