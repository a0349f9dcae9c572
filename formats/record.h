/* SPDX-License-Identifier: MIT */
/* What a machine touched, chunk by chunk in the order of its first use: `nxfetch --record`
 * writes it, `nxpack train` lays out a package by it.  JSON, so that people can look into it:
 *
 *     { "nxpk-record": 1,
 *       "images": [ { "name": "memory", "content": "<digest>", "chunk-size": 16384 }, … ],
 *       "touched": [ [ms, image, number], … ] }
 *
 * ms is the time since the machine ran, 0 before; image counts in "images".  Chunks that are all zero are not in it.
 */
#ifndef NX_FORMATS_RECORD_H
#define NX_FORMATS_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/error.h"
#include "formats/manifest.h"

#define NX_RECORD_MAX         (64 * 1024 * 1024) /* bytes as JSON */
#define NX_RECORD_TOUCHES_MAX (2 * 1024 * 1024)

struct nx_touch {
    uint32_t ms;
    uint32_t image;
    uint64_t number; /* of the chunk in its image */
};

struct nx_record {
    struct {
        char name[32];
        struct nx_digest content;
        uint32_t chunk_size;
    } images[NX_IMAGES_MAX];
    unsigned n_images;
    struct nx_touch *touches; /* owned */
    size_t count, cap;
};

/* An empty record of manifest's images, in its order. */
int nx_record_new(const struct nx_manifest *manifest, struct nx_record **ret_record,
                  struct nx_error *err);
void nx_record_free(struct nx_record *record);

/* Append a touch; beyond NX_RECORD_TOUCHES_MAX they are dropped silently. */
int nx_record_add(struct nx_record *record, const struct nx_touch *touch, struct nx_error *err);

int nx_record_write(const struct nx_record *record, struct nx_buffer *buf, struct nx_error *err);

/* name goes into messages.  Everything in it is checked but whether it fits a package. */
int nx_record_parse(const void *json, size_t len, const char *name, struct nx_record **ret_record,
                    struct nx_error *err);

/* Does it belong to a package of these images: the same names, contents and chunk sizes in
 * the same order, and chunks within them?  FORMAT if not.
 */
int nx_record_check(const struct nx_record *record, const struct nx_manifest *manifest,
                    const char *name, struct nx_error *err);

NX_DEFINE_AUTO(struct nx_record *, record, nx_record_free)
#define NX_AUTO_RECORD NX_AUTO(record) /* nx_record_free() at the end of scope */

#endif
