/* SPDX-License-Identifier: MIT */
/* THE table of media types.  The server, the CGI and every configuration snippet
 * that `nxserve config` prints take them from here, so that a new kind of file is
 * one new line.
 */
#ifndef NX_COMMON_TYPES_H
#define NX_COMMON_TYPES_H

#include <stdbool.h>
#include <stddef.h>

struct nx_media_type {
    const char *extension; /* without the dot, lower case */
    const char *type;
    bool ours; /* other web servers must be taught it; the only ones that the CGI serves */
};

/* The table, in an order that does not matter. */
extern const struct nx_media_type nx_media_types[];
extern const size_t nx_n_media_types;

/* The entry for name, a path or a file name, by its last extension in any case;
 * application/octet-stream when it is none that we know.  Never NULL.
 */
const struct nx_media_type *nx_media_type_of(const char *name);

#endif
