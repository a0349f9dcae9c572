/* SPDX-License-Identifier: MIT */
/* What an author hands us: a domain XML file and the images that it names, all looked at
 * before anything is packed.
 */
#ifndef NX_PACK_AUTHOR_H
#define NX_PACK_AUTHOR_H

#include "formats/domain.h"
#include "formats/machine.h"
#include "formats/manifest.h"
#include "pack/original.h"

/* An image that the package will have. */
struct nx_author_image {
    const char *name; /* the domain's: "disk0", "nvram" */
    enum nx_image_role role;
    struct nx_original original;
};

struct nx_author {
    struct nx_domain domain;
    struct nx_machine *machine;     /* as the reduced XML says it */
    struct nx_author_image *images; /* disks in document order, then nvram */
    unsigned n_images;
};

/* Read and reduce the domain XML, or that in a save file.  On failure author->domain has the notes that could be
 * made.  Release author in both cases.
 */
int nx_author_read(struct nx_author *author, const char *xml_path, struct nx_error *err);

/* The same with XML that is in memory; name goes into messages. */
int nx_author_parse(struct nx_author *author, const void *xml, size_t len, const char *name,
                    struct nx_error *err);

/* What the domain says of image number i of its images (empty drives do not count); NULL at the end. */
const struct nx_domain_disk *nx_author_disk(const struct nx_author *author, unsigned i);

/* Find the images and check them, in document order; the first failure ends it.  in_use: see nx_original_open(). */
int nx_author_open_images(struct nx_author *author, const char *xml_path, bool in_use,
                          struct nx_error *err);

void nx_author_release(struct nx_author *author);

static inline void nx_auto_author(struct nx_author *author)
{
    nx_author_release(author);
}
#define NX_AUTO_AUTHOR NX_AUTO(author) /* nx_author_release() at the end of scope */

#endif
