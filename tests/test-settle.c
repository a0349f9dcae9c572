/* SPDX-License-Identifier: MIT */
/* When a training run has seen enough. */
#include "fetch/settle.h"

#include "tests/support/main.h"

/* Run with touches(ms), ask each 100 ms: when was it poked, and done?  -1: not within a day. */
static void run(bool resumed, uint64_t (*touches)(int64_t ms), int64_t *ret_poke, int64_t *ret_done)
{
    struct nx_settle settle;
    *ret_poke = *ret_done = -1;
    nx_settle_init(&settle, resumed, 5000);
    for (int64_t ms = 0; ms < 86400000 && *ret_done < 0; ms += 100) {
        switch (nx_settle_step(&settle, 5000 + ms, touches(ms))) {
        case NX_SETTLE_POKE:
            ck_assert_int_eq(*ret_poke, -1);
            *ret_poke = ms;
            break;
        case NX_SETTLE_DONE:
            *ret_done = ms;
            break;
        case NX_SETTLE_WAIT:
            break;
        }
    }
}

/* 500 chunks in the first 300 ms, then one now and then; 200 more after the poke at 1.4 s or so. */
static uint64_t resumed_machine(int64_t ms)
{
    uint64_t n = ms < 300 ? (uint64_t)ms * 5 / 3 : 500;
    return n + (ms > 1500 ? 200 : 0) + (uint64_t)ms / 500;
}

static uint64_t nothing(int64_t ms)
{
    return 0;
}

static uint64_t never_at_rest(int64_t ms)
{
    return (uint64_t)ms;
}

/* Boots for 40 s, with pauses of up to 6 s. */
static uint64_t booting_machine(int64_t ms)
{
    int64_t busy = ms / 8000 * 8000 + (ms % 8000 < 2000 ? ms % 8000 : 2000);
    return (uint64_t)(busy < 40000 ? busy : 40000) / 10;
}

START_TEST(settles)
{
    int64_t poke, done;
    run(true, resumed_machine, &poke, &done);
    ck_assert_int_ge(poke, 1200);
    ck_assert_int_le(poke, 1600);
    ck_assert_int_ge(done, 2500);
    ck_assert_int_le(done, 3200);
    run(true, nothing, &poke, &done);
    ck_assert_int_eq(poke, 1000);
    ck_assert_int_eq(done, 2000);
    run(false, booting_machine, &poke, &done);
    ck_assert_int_ge(poke, 40000);
    ck_assert_int_le(done, 70000);
    run(true, never_at_rest, &poke, &done);
    ck_assert_int_eq(poke, -1);
    ck_assert_int_eq(done, 600000);
}
END_TEST

NX_TEST_MAIN("settle", settles)
