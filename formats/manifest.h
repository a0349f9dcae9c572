/* SPDX-License-Identifier: MIT */
/* manifest.xml: what a package holds, where, and the digests that everything else
 * hangs on.  docs/FORMAT.md, "The manifest".
 */
#ifndef NX_FORMATS_MANIFEST_H
#define NX_FORMATS_MANIFEST_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/error.h"
#include "formats/digest.h"
#include "formats/volumes.h"

#define NX_MANIFEST_VERSION        1
#define NX_MANIFEST_VERSION_CUT    2                    /* of one that has volumes */
#define NX_MANIFEST_MAX            (256 * 1024)         /* bytes */
#define NX_DOMAIN_MAX              (1024 * 1024)        /* bytes of domain.xml */
#define NX_DEVICE_STATE_MAX        (UINT64_C(1) << 30)  /* bytes once decompressed */
#define NX_DEVICE_STATE_STORED_MAX (UINT64_C(64) << 20) /* bytes */
#define NX_PACKAGE_MAX             (UINT64_C(1) << 60) /* bytes: no number in a manifest reaches it */
#define NX_IMAGES_MAX              64
#define NX_IMAGE_SIZE_MAX          (UINT64_C(1) << 46) /* 64 TiB */
#define NX_CHUNK_SIZE_MIN          4096
#define NX_CHUNK_SIZE_MAX          (4 * 1024 * 1024)
#define NX_NAME_MAX                256 /* bytes of name, UTF-8 */
#define NX_DESCRIPTION_MAX         4096

/* Bytes of the package file, from its first. */
struct nx_span {
    uint64_t offset;
    uint64_t size;
};

enum nx_image_role {
    NX_IMAGE_DISK,   /* a block device of the guest */
    NX_IMAGE_MEMORY, /* the main memory block of a suspended machine */
    NX_IMAGE_NVRAM,  /* the UEFI variables that the machine starts with */
};

struct nx_image {
    char name[32]; /* "disk0", "memory", "nvram": [a-z][a-z0-9-]*, unique in the package */
    enum nx_image_role role;
    uint64_t size;            /* bytes that the guest sees */
    uint32_t chunk_size;      /* bytes, a power of two; the last chunk may be shorter */
    uint64_t chunks;          /* chunks that are not all zero */
    struct nx_digest content; /* over the content, however it is chunked or compressed: FORMAT.md */
    struct nx_span root;      /* the index tree's root page, within the index */
    struct nx_digest root_digest;
};

struct nx_manifest {
    char name[NX_NAME_MAX + 1];
    char description[NX_DESCRIPTION_MAX + 1]; /* "" if none */
    char created[32];                         /* "2026-11-21T01:02:03Z" */
    char expires[32]; /* the same; "" if never: users are to have another version by then */
    char generator[64];
    uint64_t serial; /* grows with each version that an author publishes under a name */

    struct nx_span domain;
    struct nx_digest domain_digest;
    bool suspended; /* the next three fields are set */
    struct nx_span device_state;
    struct nx_digest device_state_digest;
    uint64_t device_state_raw; /* bytes once decompressed */
    struct nx_span index;
    struct nx_span chunks;
    /* The boot set: so many bytes at the front of index and chunks are what a start touches. */
    uint64_t boot_index, boot_chunks;
    /* How the package is cut, unless it stands in one file nevertheless: nx_manifest_is_cut().  Count 0: not at all. */
    struct nx_volumes volumes;

    struct nx_image images[NX_IMAGES_MAX];
    unsigned n_images;
};

/* Parse and check everything that can be checked without the rest of the package:
 * the schema, limits, that spans do not overlap and lie in order, that chunk sizes
 * are powers of two, names unique.  Free with nx_manifest_free().
 */
int nx_manifest_parse(const void *xml, size_t len, struct nx_manifest **ret_manifest,
                      struct nx_error *err);

/* Append the manifest as XML.  The same struct always gives the same bytes. */
int nx_manifest_write(const struct nx_manifest *manifest, struct nx_buffer *buf,
                      struct nx_error *err);

void nx_manifest_free(struct nx_manifest *manifest);

static inline void nx_auto_manifest(struct nx_manifest **manifest)
{
    nx_manifest_free(*manifest);
}
#define NX_AUTO_MANIFEST NX_AUTO(manifest)

/* The image of this name, or NULL. */
const struct nx_image *nx_manifest_image(const struct nx_manifest *manifest, const char *name);

/* Number of chunks of an image, zero ones included; and bytes of chunk number n. */
uint64_t nx_image_chunk_count(const struct nx_image *image);
uint32_t nx_image_chunk_bytes(const struct nx_image *image, uint64_t n);

const char *nx_image_role_name(enum nx_image_role role);

/* Bytes of the package that must exist for it to be whole (the end of its chunks). */
uint64_t nx_manifest_end(const struct nx_manifest *manifest);

/* The package's first file has so many bytes: are they the head of one that is cut, whose volumes are files beside it?
 * (Else it is all of the package, or truncated.)
 */
bool nx_manifest_is_cut(const struct nx_manifest *manifest, uint64_t bytes);

/* What that file must have to be whole: at most `bytes` if it is, else what it lacks leads up to there. */
uint64_t nx_manifest_least(const struct nx_manifest *manifest, uint64_t bytes);

/* Digest of an image's content: start, add each chunk that is not all zero by its
 * number, in ascending order, with the digest of its bytes; finish.
 */
void nx_content_start(struct nx_hash *hash, uint64_t size, uint32_t chunk_size);
void nx_content_add(struct nx_hash *hash, uint64_t number, const struct nx_digest *raw);

#endif
