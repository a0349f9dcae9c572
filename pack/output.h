/* SPDX-License-Identifier: MIT */
/* Writing a package whose parts are all there: the members in their order, each where the manifest says. */
#ifndef NX_PACK_OUTPUT_H
#define NX_PACK_OUTPUT_H

#include "common/io.h"
#include "formats/key.h"
#include "formats/manifest.h"
#include "formats/zip.h"
#include "pack/layout.h"

struct nx_output {
    struct nx_newfile *file;      /* open, empty */
    struct nx_manifest *manifest; /* complete but for the spans' offsets, which get planned */
    const void *domain_xml;
    const struct nx_key *key;      /* NULL: the package is not signed */
    const struct nx_buffer *state; /* the member device-state; NULL if there is none */
    struct nx_layout *layout;      /* its spools are emptied on the way */
    /* The member chunks: what stands in its place in file already; or, if that is NULL, a function that writes exactly
     * manifest->chunks.size bytes and tells nx_progress_update().
     */
    struct nx_spool *chunks;
    int (*write_chunks)(struct nx_zip_writer *zip, void *opaque, struct nx_error *err);
    void *opaque;
};

/* Where chunks may stand before their index is known: behind the largest head that there can be for manifest, whose
 * images' sizes, chunk sizes and (at most) chunks are set, and for an index of at most index_max bytes.
 */
int nx_output_reserve(const struct nx_manifest *manifest, uint64_t index_max, uint64_t *ret_offset,
                      struct nx_error *err);

/* The manifest of what has come: can its chunks stay at offset?  *ret_fits; if so its index gets larger, to end there. */
int nx_output_fit(struct nx_manifest *manifest, uint64_t offset, bool *ret_fits,
                  struct nx_error *err);

/* FORMAT if it would make too many volumes; the file is whole all the same, and cut when it is committed (cut.h). */
int nx_output_write(const struct nx_output *output, struct nx_error *err);

/* Copy a spool into the member that is open, and give its room back on the way. */
int nx_output_spool(struct nx_zip_writer *zip, struct nx_spool *spool, struct nx_error *err);

#endif
