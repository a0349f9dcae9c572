/* SPDX-License-Identifier: MIT */
/* A small package in memory, made with the functions of formats/ alone. */
#ifndef NX_TESTS_PACKAGE_H
#define NX_TESTS_PACKAGE_H

#include <stdbool.h>

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

/* The same in steps, for tests that bend a part: make the parts; plan, which fills in the sizes, digests and places of the
 * members; write a package of them with this manifest, whatever it says, and a right signature.
 */
struct test_parts {
    struct nx_manifest *manifest;
    struct nx_buffer domain, state, index, chunks;
};
void test_parts_make(const struct test_image *images, unsigned n_images, struct test_parts *parts);
void test_parts_plan(struct test_parts *parts);
void test_parts_write(const struct test_parts *parts, const struct nx_buffer *manifest_xml,
                      const struct nx_key *key, struct nx_buffer *out);
void test_parts_release(struct test_parts *parts);

/* What the device state of a package with memory decompresses to. */
extern const char test_device_state[];

/* Of the packages that are built from now on: so many bytes of chunks, and the whole index, are the boot set (0: there is
 * none); the device state is no zstd frame, though its digest is right.
 */
extern uint64_t test_package_boot;
extern bool test_package_bad_state;

/* size bytes: a third of the chunks zero, a third noise, a third text that compresses; by seed.  To be freed. */
uint8_t *test_image_bytes(size_t size, uint32_t chunk_size, unsigned seed);

#endif
