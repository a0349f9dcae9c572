/* SPDX-License-Identifier: MIT */
/* When a recorded run has seen enough: the machine has come to rest, was poked once as by a user, and has
 * come to rest again.  A machine that touches nothing new may be at work all the same: a kernel that unpacks itself does
 * so for many seconds under emulation.  So one that wants the processor is waited for longer; but not for ever, for old
 * systems never halt it.
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
    int64_t start;         /* ms: the guest runs since then */
    int64_t window;        /* ms: the rest that is looked for began then … */
    uint64_t window_had;   /* … with so many chunks touched */
    int64_t window_demand; /* … when the machine had wanted so much of the processor: ms */
    int64_t demand, said;  /* so far; and what was said last, which goes back when a thread ends */
    bool poked;
};

/* now: ms of any clock that goes forward. */
void nx_settle_init(struct nx_settle *settle, bool resumed, int64_t now);

/* Ask now and then: touched is how many chunks the guest has used so far, demand how many ms of a processor it has wanted
 * (nx_demand_ms()).
 */
enum nx_settle_act nx_settle_step(struct nx_settle *settle, int64_t now, uint64_t touched,
                                  int64_t demand);

#endif
