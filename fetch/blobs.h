/* SPDX-License-Identifier: MIT */
/* The stored bytes of a package's pages and chunks, from wherever they are: memory, the bytes that came with the
 * head, the cache, the local file, the network.  What it gives out has the right digest.
 *
 * One blob is fetched once, however many ask for it; blobs that stand side by side in the
 * package are fetched in one range.  Any thread.
 */
#ifndef NX_FETCH_BLOBS_H
#define NX_FETCH_BLOBS_H

#include <stdbool.h>
#include <stdint.h>

#include "fetch/bytes.h"
#include "fetch/cache.h"
#include "fetch/chunkmap.h"
#include "fetch/report.h"
#include "fetch/transport.h"
#include "formats/parts.h"

#define NX_BLOBS_REQUEST_MAX  (1u << 20)  /* bytes of one range that somebody waits for */
#define NX_BLOBS_UNCACHED_MAX (64u << 20) /* bytes of fetched chunks in memory, without a cache */

/* One page or chunk. */
struct nx_blob {
    uint64_t offset; /* in the package file */
    uint32_t size;
    bool page;       /* of the index */
    unsigned image;  /* whose it is, for the statistics … */
    uint64_t number; /* … and the map: of the chunk, or of one that is equal */
    struct nx_digest digest;
};

struct nx_blobs;

struct nx_blobs_options {
    const struct nx_parts *parts;   /* the local package, settled before the first get; or NULL */
    const char *name;               /* of the package, for messages */
    struct nx_transport *transport; /* or NULL: local, or offline */
    struct nx_cache *cache;         /* or NULL */
    bool keep_local;                /* put a local package's chunks into the cache too (pull) */
    bool count_kept;                /* what is put into the cache adds to have_bytes */
    struct nx_report *report;
};

/* The options' objects are not owned and must outlive it. */
int nx_blobs_new(const struct nx_blobs_options *options, struct nx_blobs **ret_blobs,
                 struct nx_error *err);

/* The package's, for messages. */
const char *nx_blobs_name(const struct nx_blobs *blobs);

/* Whoever waits fails with NX_ERR_CANCELLED from now on.  The transport is to be stopped first. */
void nx_blobs_stop(struct nx_blobs *blobs);
void nx_blobs_free(struct nx_blobs *blobs);

/* The package's first bytes, which came with its head: blobs within them need no other
 * source.  The first `cached` of them are the cache's, and need not be kept again.  They are copied.
 * Before the first get.
 */
int nx_blobs_set_front(struct nx_blobs *blobs, const void *data, size_t len, size_t cached,
                       struct nx_error *err);

/* Note in map what is fetched from now on; it must outlive the blobs.  Before the first get of a chunk. */
void nx_blobs_set_map(struct nx_blobs *blobs, struct nx_chunkmap *map);

/* Chunks that end before this offset are the boot set's: they count in boot_have as they land.  Before the first get. */
void nx_blobs_set_boot_end(struct nx_blobs *blobs, uint64_t offset);

/* The bytes of a blob; waits for them.  FORMAT error if every source has wrong bytes, again and
 * again; never a network's error once the transport is patient.
 */
int nx_blobs_get(struct nx_blobs *blobs, const struct nx_blob *blob, struct nx_bytes **ret_bytes,
                 struct nx_error *err);

/* The bytes if they can be had without the network, else NULL. */
struct nx_bytes *nx_blobs_peek(struct nx_blobs *blobs, const struct nx_blob *blob);

/* Is it here, so that get would not wait? */
bool nx_blobs_has(struct nx_blobs *blobs, const struct nx_blob *blob);

/* Does get need no network, even if the cache has it not: is it in a local file, or in what came with the head? */
bool nx_blobs_is_near(const struct nx_blobs *blobs, const struct nx_blob *blob);

/* Is it on its way, for whoever has asked for it? */
bool nx_blobs_is_coming(struct nx_blobs *blobs, const struct nx_blob *blob);

/* Begin to fetch those that are not here, in ranges of at most request_max bytes; does not wait.
 * Returns how many were not here.
 */
size_t nx_blobs_want(struct nx_blobs *blobs, const struct nx_blob *wanted, size_t count,
                     enum nx_priority priority, uint64_t request_max);

/* Wait until less than so many bytes are on their way (1: nothing).  An error if something that was
 * wanted in the background could not be had since the last call.
 */
int nx_blobs_wait_below(struct nx_blobs *blobs, uint64_t bytes, struct nx_error *err);

/* Bytes that are on their way. */
uint64_t nx_blobs_under_way(struct nx_blobs *blobs);

NX_DEFINE_AUTO(struct nx_blobs *, blobs, nx_blobs_free)
#define NX_AUTO_BLOBS NX_AUTO(blobs)

#endif
