/* SPDX-License-Identifier: MIT */
/* Where the structure of a package stands, field by field, and ways to alter it there. */
#ifndef NX_TESTS_PLACES_H
#define NX_TESTS_PLACES_H

#include <stdbool.h>

#include "common/buffer.h"
#include "formats/manifest.h"

/* Bytes of a package that mean something together: a header's field, a record, an attribute, an index page. */
struct place {
    size_t at, len;
    const char *what; /* a literal, the same for all of a kind */
};

struct places {
    struct place *all;
    size_t n;
};

/* Of a package as nxpack writes it, whose manifest m is.  places->all is to be freed. */
void places_find(const struct nx_buffer *package, const struct nx_manifest *m,
                 struct places *places);

/* The same of an XML text: its tags, attributes, values and texts. */
void places_find_xml(const struct nx_buffer *text, struct places *places);

enum alteration {
    ALTER_FLIP_FIRST, /* the lowest bit of its first byte */
    ALTER_FLIP_LAST,  /* the highest bit of its last byte */
    ALTER_ZERO,
    ALTER_ONES,
    ALTER_CUT_BEFORE, /* the file ends before it */
    ALTER_CUT_AFTER,
    ALTER_REMOVE,
    ALTER_DUPLICATE,
    ALTER_INSERT,  /* as many zeros before it */
    ALTER_SWAP,    /* with the next of its kind */
    ALTER_OVERLAP, /* the next of its kind is written over it */
    ALTERATIONS,
};

const char *alteration_name(enum alteration how);

/* The package with place number i altered, into out (emptied before).  False if nothing changes. */
bool alter(const struct nx_buffer *package, const struct places *places, size_t i,
           enum alteration how, struct nx_buffer *out);

#endif
