/* SPDX-License-Identifier: MIT */
/* The memory of a suspended machine, page by page as a migration stream brings it, read again as an image.
 *
 * Only where each page stands is kept, 8 bytes for it: a stream that is not compressed is read a second time where it is,
 * and the pages of another one go into a temporary file.  One thread at a time.
 */
#ifndef NX_PACK_PAGES_H
#define NX_PACK_PAGES_H

#include "common/cleanup.h"
#include "pack/source.h"

struct nx_pages;

/* Memory of size bytes, all zero.  The stream's first byte stands at offset start of fd, a file called name; start 0:
 * the stream is nowhere to be read, and pages go into a temporary file beside the output.
 * fd stays the caller's; it and name must outlive the pages.
 */
int nx_pages_new(uint64_t size, int fd, uint64_t start, const char *name, const char *beside,
                 struct nx_pages **ret_pages, struct nx_error *err);
void nx_pages_free(struct nx_pages *pages);

/* As the operation of struct nx_migration_ops; the page lies within the memory. */
int nx_pages_add(struct nx_pages *pages, uint64_t offset, const void *data, uint64_t at,
                 struct nx_error *err);

/* All were added: read them.  The pages must outlive the source. */
int nx_pages_open(struct nx_pages *pages, struct nx_source **ret_source, struct nx_error *err);

NX_DEFINE_AUTO(struct nx_pages *, pages, nx_pages_free)
#define NX_AUTO_PAGES NX_AUTO(pages) /* nx_pages_free() at the end of scope */

#endif
