/* SPDX-License-Identifier: MIT */
/* One lock for all; it is held only to move slots from state to state.  Slot number
 * s of the sequence lives in place s % count:
 *
 *     consumed … working or done … ready … taken by the producer … free
 *     ^head                                                       ^tail
 */
#include "pack/pipeline.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>

enum state {
    FREE,
    FILLING,
    READY,
    WORKING,
    DONE,
};

struct nx_pipeline {
    const struct nx_pipeline_ops *ops;
    void *opaque;
    char *slots;
    size_t slot_size, count;

    pthread_mutex_t lock;
    pthread_cond_t freed, ready, done; /* freed: for the producer; ready: workers; done: consumer */
    enum state *states;                /* under lock, as is all below */
    uint64_t head, tail;
    bool failed, stopping;
    struct nx_error err;

    pthread_t threads[NX_THREADS_MAX + 1]; /* workers and the consumer */
    unsigned n_threads;
};

static void *slot_at(struct nx_pipeline *p, uint64_t sequence)
{
    return p->slots + (sequence % p->count) * p->slot_size;
}

static void wake_all(struct nx_pipeline *p)
{
    pthread_cond_broadcast(&p->freed);
    pthread_cond_broadcast(&p->ready);
    pthread_cond_broadcast(&p->done);
}

/* Under lock. */
static void note_failure(struct nx_pipeline *p, const struct nx_error *err)
{
    if (!p->failed)
        p->err = *err;
    p->failed = true;
    wake_all(p);
}

/* The oldest slot that waits for a worker, or NULL once there will be none.  Under lock. */
static void *take_ready(struct nx_pipeline *p, enum state **ret_state)
{
    while (!p->stopping && !p->failed) {
        for (uint64_t s = p->head; s < p->tail; s++) {
            if (p->states[s % p->count] == READY) {
                *ret_state = &p->states[s % p->count];
                **ret_state = WORKING;
                return slot_at(p, s);
            }
        }
        pthread_cond_wait(&p->ready, &p->lock);
    }
    return NULL;
}

static void *worker_main(void *opaque)
{
    struct nx_pipeline *p = opaque;
    struct nx_error err = NX_ERROR_INIT;
    void *worker = p->ops->worker_new(p->opaque, &err);
    pthread_mutex_lock(&p->lock);
    if (!worker)
        note_failure(p, &err);
    void *slot;
    enum state *state;
    while (worker && (slot = take_ready(p, &state))) {
        pthread_mutex_unlock(&p->lock);
        int ret = p->ops->work(worker, slot, &err);
        pthread_mutex_lock(&p->lock);
        *state = DONE;
        pthread_cond_signal(&p->done);
        if (ret < 0)
            note_failure(p, &err);
    }
    pthread_mutex_unlock(&p->lock);
    if (worker)
        p->ops->worker_free(worker);
    return NULL;
}

static void *consumer_main(void *opaque)
{
    struct nx_pipeline *p = opaque;
    struct nx_error err = NX_ERROR_INIT;
    pthread_mutex_lock(&p->lock);
    while (!p->stopping && !p->failed) {
        if (p->head == p->tail || p->states[p->head % p->count] != DONE) {
            pthread_cond_wait(&p->done, &p->lock);
            continue;
        }
        pthread_mutex_unlock(&p->lock);
        int ret = p->ops->consume(p->opaque, slot_at(p, p->head), &err);
        pthread_mutex_lock(&p->lock);
        if (ret < 0)
            note_failure(p, &err);
        p->states[p->head % p->count] = FREE;
        p->head++;
        pthread_cond_signal(&p->freed);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* Signals are for the main thread, whose blocking calls they must interrupt. */
static int start_thread(struct nx_pipeline *p, void *(*main)(void *), struct nx_error *err)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&p->threads[p->n_threads], NULL, main, p);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc) {
        errno = rc;
        return nx_fail_errno(err, "starting a thread");
    }
    p->n_threads++;
    return 0;
}

int nx_pipeline_new(const struct nx_pipeline_ops *ops, void *opaque, void *slots, size_t slot_size,
                    size_t count, unsigned threads, struct nx_pipeline **ret_pipeline,
                    struct nx_error *err)
{
    assert(threads >= 1 && threads <= NX_THREADS_MAX && count >= 1);
    struct nx_pipeline *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return nx_fail_errno(err, "pipeline");
    pthread_mutex_init(&fresh->lock, NULL);
    pthread_cond_init(&fresh->freed, NULL);
    pthread_cond_init(&fresh->ready, NULL);
    pthread_cond_init(&fresh->done, NULL);
    NX_AUTO_PIPELINE struct nx_pipeline *p = fresh;
    p->ops = ops;
    p->opaque = opaque;
    p->slots = slots;
    p->slot_size = slot_size;
    p->count = count;
    p->states = calloc(count, sizeof *p->states);
    if (!p->states)
        return nx_fail_errno(err, "pipeline");
    for (unsigned i = 0; i < threads; i++)
        if (start_thread(p, worker_main, err) < 0)
            return -1;
    if (start_thread(p, consumer_main, err) < 0)
        return -1;
    *ret_pipeline = NX_STEAL(p);
    return 0;
}

int nx_pipeline_next(struct nx_pipeline *p, bool wait, void **ret_slot)
{
    pthread_mutex_lock(&p->lock);
    while (wait && !p->failed && p->tail - p->head == p->count)
        pthread_cond_wait(&p->freed, &p->lock);
    *ret_slot = NULL;
    if (!p->failed && p->tail - p->head < p->count) {
        p->states[p->tail % p->count] = FILLING;
        *ret_slot = slot_at(p, p->tail++);
    }
    int ret = p->failed ? -1 : 0;
    pthread_mutex_unlock(&p->lock);
    return ret;
}

void nx_pipeline_submit(struct nx_pipeline *p, void *slot)
{
    size_t place = (size_t)((char *)slot - p->slots) / p->slot_size;
    pthread_mutex_lock(&p->lock);
    assert(p->states[place] == FILLING);
    p->states[place] = READY;
    pthread_cond_signal(&p->ready);
    pthread_mutex_unlock(&p->lock);
}

int nx_pipeline_finish(struct nx_pipeline *p, struct nx_error *err)
{
    pthread_mutex_lock(&p->lock);
    while (!p->failed && p->head < p->tail)
        pthread_cond_wait(&p->freed, &p->lock);
    int ret = p->failed ? -1 : 0;
    if (p->failed && err)
        *err = p->err;
    pthread_mutex_unlock(&p->lock);
    return ret;
}

void nx_pipeline_free(struct nx_pipeline *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    wake_all(p);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->n_threads; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->freed);
    pthread_cond_destroy(&p->ready);
    pthread_cond_destroy(&p->done);
    pthread_mutex_destroy(&p->lock);
    free(p->states);
    free(p);
}

unsigned nx_default_threads(void)
{
    cpu_set_t cpus;
    if (sched_getaffinity(0, sizeof cpus, &cpus) < 0)
        return 1;
    int n = CPU_COUNT(&cpus);
    return n < 1 ? 1 : n > NX_THREADS_MAX ? NX_THREADS_MAX : (unsigned)n;
}
