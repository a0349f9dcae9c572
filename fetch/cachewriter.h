/* SPDX-License-Identifier: MIT */
/* What is to be written to the cache waits in memory until one thread has written it, so that nobody who reads
 * waits for a disk that is slow to write.  Any thread.
 */
#ifndef NX_FETCH_CACHEWRITER_H
#define NX_FETCH_CACHEWRITER_H

#include "fetch/cache.h"
#include "fetch/cachestore.h"

struct nx_cachewriter;

/* The store is not owned and must outlive it.  limit 0: no limit. */
int nx_cachewriter_new(const struct nx_cachestore *store, uint64_t limit,
                       const struct nx_teller *teller, struct nx_cachewriter **ret_writer,
                       struct nx_error *err);
/* Write what waits, and end. */
void nx_cachewriter_free(struct nx_cachewriter *writer);

/* As nx_cache_put() and nx_cache_put_head() say. */
void nx_cachewriter_put(struct nx_cachewriter *writer, const struct nx_digest *digest,
                        struct nx_bytes *bytes);
void nx_cachewriter_put_head(struct nx_cachewriter *writer, const struct nx_digest *key,
                             const struct nx_cache_head *head);

/* The object does not stand at this place after all. */
void nx_cachewriter_forget(struct nx_cachewriter *writer, const struct nx_placed *object);

/* What the writer knows and the database does not (yet). */
enum nx_known {
    NX_KNOWN_NOT,       /* nothing: ask the database */
    NX_KNOWN_QUEUED,    /* *ret_bytes is a new reference to its bytes */
    NX_KNOWN_WRITTEN,   /* it is at *ret_place */
    NX_KNOWN_FORGOTTEN, /* the database is wrong */
};
enum nx_known nx_cachewriter_find(struct nx_cachewriter *writer, const struct nx_digest *digest,
                                  struct nx_bytes **ret_bytes, struct nx_place *ret_place);

bool nx_cachewriter_is_alive(struct nx_cachewriter *writer);

/* Bytes that wait to be written. */
uint64_t nx_cachewriter_queued(struct nx_cachewriter *writer);

/* Wait until fewer than so many bytes wait; or until all is recorded, and no segment held.  Fails if writing has ended. */
int nx_cachewriter_wait_below(struct nx_cachewriter *writer, uint64_t bytes, struct nx_error *err);
int nx_cachewriter_flush(struct nx_cachewriter *writer, struct nx_error *err);

NX_DEFINE_AUTO(struct nx_cachewriter *, cachewriter, nx_cachewriter_free)
#define NX_AUTO_CACHEWRITER NX_AUTO(cachewriter)

#endif
