/* SPDX-License-Identifier: MIT */
/* The page that stands for a directory without an index.html. */
#ifndef NX_SERVE_LISTING_H
#define NX_SERVE_LISTING_H

#include "common/buffer.h"
#include "common/error.h"

#define NX_LISTING_ENTRIES_MAX 5000 /* the page says so when there are more */
#define NX_LISTING_BYTES_MAX   (16u << 20)

/* Append a page of HTML to out that lists the files and folders of dir_fd (which stays
 * open), sorted, without hidden ones.  path (see path.h) is its title.
 */
int nx_listing_write(int dir_fd, const char *path, struct nx_buffer *out, struct nx_error *err);

#endif
