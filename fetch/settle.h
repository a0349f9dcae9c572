/* SPDX-License-Identifier: MIT */
/* When a recorded run has seen enough: the machine has come to rest, was poked once as by a user, and has
 * come to rest again.
 */
#ifndef NX_FETCH_SETTLE_H
#define NX_FETCH_SETTLE_H

#include <stdbool.h>
#include <stdint.h>

enum nx_settle_act {
    NX_SETTLE_WAIT,
    NX_SETTLE_POKE, /* press a key, now */
    NX_SETTLE_DONE,
};

struct nx_settle {
    bool resumed;
    int64_t start;       /* ms: the guest runs since then */
    int64_t window;      /* ms: the rest that is looked for began then … */
    uint64_t window_had; /* … with so many chunks touched */
    bool poked;
};

/* now: ms of any clock that goes forward. */
void nx_settle_init(struct nx_settle *settle, bool resumed, int64_t now);

/* Ask now and then: touched is how many chunks the guest has used so far. */
enum nx_settle_act nx_settle_step(struct nx_settle *settle, int64_t now, uint64_t touched);

#endif
