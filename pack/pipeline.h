/* SPDX-License-Identifier: MIT */
/* Work in parallel on a sequence, in bounded memory: one producer fills slots of a
 * ring in order, several workers transform them in any order, one consumer
 * gets them in order again.  So the result does not depend on the number of threads.
 *
 *     producer (the caller's thread) → ready → workers → done → consumer (a thread)
 */
#ifndef NX_PACK_PIPELINE_H
#define NX_PACK_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/cleanup.h"
#include "common/error.h"

#define NX_THREADS_MAX 64

struct nx_pipeline_ops {
    /* A worker's own memory, made in its thread; NULL and err on failure. */
    void *(*worker_new)(void *opaque, struct nx_error *err);
    void (*worker_free)(void *worker);
    int (*work)(void *worker, void *slot, struct nx_error *err);
    /* Called in the order of nx_pipeline_next(), by one thread. */
    int (*consume)(void *opaque, void *slot, struct nx_error *err);
};

struct nx_pipeline;

/* slots is an array of count elements of slot_size bytes that the caller keeps until
 * nx_pipeline_free(); what is in them is the caller's business.
 */
int nx_pipeline_new(const struct nx_pipeline_ops *ops, void *opaque, void *slots, size_t slot_size,
                    size_t count, unsigned threads, struct nx_pipeline **ret_pipeline,
                    struct nx_error *err);

/* The next slot in *ret_slot for the producer to fill; NULL if none is free and
 * wait is false.  -1 if a worker or the consumer has failed: nx_pipeline_finish() tells why.
 */
int nx_pipeline_next(struct nx_pipeline *pipeline, bool wait, void **ret_slot);

/* A slot from nx_pipeline_next() is filled.  Slots may be submitted in any order. */
void nx_pipeline_submit(struct nx_pipeline *pipeline, void *slot);

/* Wait until everything submitted was consumed; the first failure of all if there was one.
 * Every slot taken must have been submitted.
 */
int nx_pipeline_finish(struct nx_pipeline *pipeline, struct nx_error *err);

/* End the threads, whatever they are at, and free. */
void nx_pipeline_free(struct nx_pipeline *pipeline);

NX_DEFINE_AUTO(struct nx_pipeline *, pipeline, nx_pipeline_free)
#define NX_AUTO_PIPELINE NX_AUTO(pipeline) /* nx_pipeline_free() at the end of scope */

/* Threads to use where the user did not say: one for each CPU that we may run on. */
unsigned nx_default_threads(void);

#endif
