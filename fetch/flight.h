/* SPDX-License-Identifier: MIT */
/* What is on its way from the network: one flight for each blob, one batch for each range.
 * Arrived ranges are verified, handed to those who wait, and put into the cache by worker
 * threads, so that the network thread is never held up.
 */
#ifndef NX_FETCH_FLIGHT_H
#define NX_FETCH_FLIGHT_H

#include "fetch/blobs.h"

struct nx_flights;

/* Called on a worker thread with each blob that has arrived and has the right digest: first with fresh
 * set, before those who wait go on; then once more, when it may take its time.
 */
typedef void nx_flight_landed_fn(const struct nx_blob *blob, struct nx_bytes *bytes, bool fresh,
                                 void *opaque);

/* Any thread: does landed() have as much in hand as it can take?  Then what nobody waits for comes more slowly. */
typedef bool nx_flight_busy_fn(void *opaque);

/* busy may be NULL: never. */
int nx_flights_new(struct nx_transport *transport, struct nx_report *report,
                   nx_flight_landed_fn *landed, nx_flight_busy_fn *busy, void *opaque,
                   struct nx_flights **ret_flights, struct nx_error *err);
void nx_flights_stop(struct nx_flights *flights);
void nx_flights_free(struct nx_flights *flights);

/* Begin to fetch count blobs, sorted by offset, except those already on their way, whose priority is
 * raised instead.
 */
void nx_flights_begin(struct nx_flights *flights, const struct nx_blob *blobs, size_t count,
                      enum nx_priority priority, uint64_t request_max);

/* Wait for a blob, which is begun if it is not on its way.  *ret_bytes may be NULL on success: it
 * has just landed, and is to be looked for where landed() has put it.
 */
int nx_flights_wait(struct nx_flights *flights, const struct nx_blob *blob,
                    struct nx_bytes **ret_bytes, struct nx_error *err);

/* Is a blob of this digest on its way? */
bool nx_flights_has(struct nx_flights *flights, const struct nx_digest *digest);

/* There was no memory to say what is wanted: in the background, nx_flights_wait_below() fails for it. */
void nx_flights_cannot_begin(struct nx_flights *flights, enum nx_priority priority);

int nx_flights_wait_below(struct nx_flights *flights, uint64_t bytes, struct nx_error *err);

/* Bytes of what is on its way. */
uint64_t nx_flights_bytes(struct nx_flights *flights);

NX_DEFINE_AUTO(struct nx_flights *, flights, nx_flights_free)
#define NX_AUTO_FLIGHTS NX_AUTO(flights)

#endif
