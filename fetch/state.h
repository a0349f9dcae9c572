/* SPDX-License-Identifier: MIT */
/* The device state of a suspended machine, from wherever it is to the file that QEMU will read it from. */
#ifndef NX_FETCH_STATE_H
#define NX_FETCH_STATE_H

#include <stdbool.h>

#include "common/buffer.h"
#include "fetch/cache.h"
#include "fetch/transport.h"
#include "formats/manifest.h"
#include "formats/parts.h"

struct nx_state_sources {
    const struct nx_manifest *manifest; /* of a suspended machine */
    const struct nx_buffer *front;      /* the package's first bytes, as far as they are here */
    const struct nx_parts *parts;       /* the local package, or NULL */
    const char *name;                   /* of the package */
    struct nx_cache *cache;             /* or NULL */
    struct nx_transport *transport;     /* or NULL */
};

/* Does the cache have it? */
bool nx_state_is_cached(const struct nx_state_sources *sources);

/* Have the cache keep it, for a later start.  FORMAT if it is wrong at all sources. */
int nx_state_keep(const struct nx_state_sources *sources, struct nx_error *err);

/* Find it, check its digest, keep it in the cache, and write it decompressed to out, an empty file.  FORMAT if it is
 * wrong at all sources, or is no state; what out has got then is of no use.
 */
int nx_state_write(const struct nx_state_sources *sources, int out, struct nx_error *err);

#endif
