/* SPDX-License-Identifier: MIT */
/* A machine's status (status.h) as a picture of text: who it is, how far its images are here, and a map of their chunks.
 * The states differ by their characters, so that colours are only an aid.
 */
#ifndef NX_FETCH_STATUSVIEW_H
#define NX_FETCH_STATUSVIEW_H

#include <jansson.h>
#include <stdbool.h>

#include "common/buffer.h"
#include "fetch/peers.h"

#define NX_VIEW_MAX (1u << 20) /* bytes of a picture */

struct nx_view {
    unsigned width, height; /* columns and lines; height 0: as many as it takes */
    bool colour;
    bool utf8; /* else ASCII */
};

/* Append the picture of one machine: lines that end in "\n", none longer or more of them than there is room for. */
int nx_view_machine(const struct nx_view *view, const json_t *status, struct nx_buffer *out,
                    struct nx_error *err);

/* Append a list of machines, a line each. */
int nx_view_list(const struct nx_view *view, const struct nx_peers *peers, struct nx_buffer *out,
                 struct nx_error *err);

/* Append one line that says how a machine fares, for logs. */
int nx_view_line(const json_t *status, struct nx_buffer *out, struct nx_error *err);

#endif
