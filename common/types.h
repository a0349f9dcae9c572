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
    bool ours;        /* other web servers must be taught it; the only ones that the CGI serves */
    bool has_volumes; /* files whose names go on with ".001" to ".999" belong to it (FORMAT.md) */
};

/* The table, in an order that does not matter. */
extern const struct nx_media_type nx_media_types[];
extern const size_t nx_n_media_types;

/* The entry for name, a path or a file name, by its last extension in any case;
 * application/octet-stream when it is none that we know, and for a package's volumes, which are ours.  Never NULL.
 */
const struct nx_media_type *nx_media_type_of(const char *name);

/* Bytes of name before the extension that says what it is, its dot included: of "a.nxpk", and of its volume
 * "a.nxpk.001", that is 1.
 */
size_t nx_name_stem(const char *name);

#endif
