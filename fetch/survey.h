/* SPDX-License-Identifier: MIT */
/* Finding out for the map of chunks (chunkmap.h) which of them are empty, and which were here before this nxfetch
 * began: only while somebody looks at the map, and only as far as the index is here: the network is never asked.  In small steps,
 * each of which begins where the last one ended, so that whoever takes them does other things, too.  Of a unit of several chunks
 * one is looked for.
 */
#ifndef NX_FETCH_SURVEY_H
#define NX_FETCH_SURVEY_H

#include <stdbool.h>
#include <stdint.h>

#include "fetch/chunkmap.h"
#include "fetch/tree.h"

struct nx_survey {
    const struct nx_tree *tree;
    struct nx_chunkmap *map;
    unsigned image; /* where the next step begins: … */
    uint64_t next;  /* … with this chunk */
    bool lacks;     /* this turn has met pages that are not here */
    bool complete;  /* nothing is left to look at */
};

/* Look on, until `due` (nx_now_ms()) or the end of a turn through all images.  One thread. */
void nx_survey_step(struct nx_survey *survey, int64_t due);

#endif
