/* SPDX-License-Identifier: MIT */
#include "fetch/settle.h"

/* A resumed machine goes on at once, and then only its timers touch memory.  One that boots
 * waits for things in between, for seconds under emulation.
 */
#define RESUMED_REST_MS 1000
#define BOOTED_REST_MS  10000
#define RESUMED_TOUCHES 12 /* in such a time are rest */
#define BOOTED_TOUCHES  8
#define IDLE_SHARE      2 /* who wants less than this part of a processor is idle; … */
#define BUSY_PATIENCE   5 /* … who wants more is given so many times as long */
#define LIMIT_MS        600000

void nx_settle_init(struct nx_settle *settle, bool resumed, int64_t now)
{
    *settle = (struct nx_settle){ .resumed = resumed, .start = now, .window = now };
}

static void begin_window(struct nx_settle *settle, int64_t now, uint64_t touched)
{
    settle->window = now;
    settle->window_had = touched;
    settle->window_demand = settle->demand;
}

static bool is_idle(const struct nx_settle *settle, int64_t now)
{
    return (settle->demand - settle->window_demand) * IDLE_SHARE < now - settle->window;
}

enum nx_settle_act nx_settle_step(struct nx_settle *settle, int64_t now, uint64_t touched,
                                  int64_t demand)
{
    if (demand > settle->said)
        settle->demand += demand - settle->said;
    settle->said = demand;
    int64_t rest = settle->resumed ? RESUMED_REST_MS : BOOTED_REST_MS;
    uint64_t few = settle->resumed ? RESUMED_TOUCHES : BOOTED_TOUCHES;
    if (now - settle->start >= LIMIT_MS)
        return NX_SETTLE_DONE;
    if (touched - settle->window_had > few) { /* not at rest: look from here on */
        begin_window(settle, now, touched);
        return NX_SETTLE_WAIT;
    }
    if (now - settle->window < rest * (is_idle(settle, now) ? 1 : BUSY_PATIENCE))
        return NX_SETTLE_WAIT;
    if (settle->poked)
        return NX_SETTLE_DONE;
    settle->poked = true;
    begin_window(settle, now, touched);
    return NX_SETTLE_POKE;
}
