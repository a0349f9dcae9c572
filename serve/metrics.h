/* SPDX-License-Identifier: MIT */
/* What a server has done since its start, counted, and as Prometheus text (exposition format 0.0.4).
 * Counters never fall; all of it may be used from several threads.
 */
#ifndef NX_SERVE_METRICS_H
#define NX_SERVE_METRICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "common/buffer.h"
#include "common/error.h"
#include "serve/answer.h"

#define NX_METRICS_TYPE      "text/plain; version=0.0.4; charset=utf-8"
#define NX_METRICS_BYTES_MAX 65536

struct nx_metrics {
    time_t started;                                 /* CLOCK_REALTIME, as Prometheus wants it */
    int64_t started_ms;                             /* nx_now_ms() */
    atomic_uint_fast64_t requests[NX_STATUSES_MAX]; /* ended, by nx_status_index() */
    atomic_uint_fast64_t cut;                       /* of them, before the answer was sent */
    atomic_uint_fast64_t begun;
    atomic_uint_fast64_t bytes;       /* of bodies */
    atomic_uint_fast64_t ranges;      /* sent in 206 answers */
    atomic_uint_fast64_t connections; /* accepted */
    atomic_uint_fast64_t closed;      /* of them */
};

/* All zero, from now. */
void nx_metrics_init(struct nx_metrics *metrics);

/* A request has begun.  nx_metrics_ended() is called once for it. */
void nx_metrics_begun(struct nx_metrics *metrics);

/* It has ended with this status, after bytes of the body were sent; cut: not all of them. */
void nx_metrics_ended(struct nx_metrics *metrics, unsigned status, unsigned ranges, uint64_t bytes,
                      bool cut);

/* Once for each connection, and once when it has ended. */
void nx_metrics_connected(struct nx_metrics *metrics);
void nx_metrics_disconnected(struct nx_metrics *metrics);

/* Append the text.  How many connections may be open at once is the caller's. */
int nx_metrics_write(const struct nx_metrics *metrics, unsigned connections_max,
                     struct nx_buffer *out, struct nx_error *err);

#endif
