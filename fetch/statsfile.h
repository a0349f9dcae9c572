/* SPDX-License-Identifier: MIT */
/* --stats FILE: what has been fetched so far, as JSON, for scripts and the curious. */
#ifndef NX_FETCH_STATSFILE_H
#define NX_FETCH_STATSFILE_H

#include <jansson.h>

#include "common/error.h"
#include "fetch/channel.h"
#include "formats/manifest.h"

/* What is written, as an object; NULL without memory. */
json_t *nx_stats_json(const char *url, const char *state, bool resumed,
                      const struct nx_stats *stats, const struct nx_manifest *manifest);

/* Replace path by the present state, whole (temporary name, rename).  It is not synced:
 * after a power cut nobody asks for it.  manifest may be NULL (not known yet): then there are no images.
 */
int nx_statsfile_write(const char *path, const char *url, const char *state, bool resumed,
                       const struct nx_stats *stats, const struct nx_manifest *manifest,
                       struct nx_error *err);

#endif
