/* SPDX-License-Identifier: MIT */
/* When a training run has seen enough. */
#include "fetch/settle.h"

#include "tests/support/main.h"

/* Run with touches(ms), ask each 100 ms: when was it poked, and done?  -1: not within a day.  It wants the processor
 * until busy_until, and a tenth of it afterwards.
 */
static void run_busy(bool resumed, uint64_t (*touches)(int64_t ms), int64_t busy_until,
                     int64_t *ret_poke, int64_t *ret_done)
{
    struct nx_settle settle;
    *ret_poke = *ret_done = -1;
    nx_settle_init(&settle, resumed, 5000);
    for (int64_t ms = 0; ms < 86400000 && *ret_done < 0; ms += 100) {
        int64_t demand = ms < busy_until ? ms : busy_until + (ms - busy_until) / 10;
        switch (nx_settle_step(&settle, 5000 + ms, touches(ms), demand)) {
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

static void run(bool resumed, uint64_t (*touches)(int64_t ms), int64_t *ret_poke, int64_t *ret_done)
{
    run_busy(resumed, touches, 0, ret_poke, ret_done);
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

/* A kernel is read in 2 s, unpacks itself for 30 s and then reads more for 5 s. */
static uint64_t unpacking_machine(int64_t ms)
{
    if (ms < 2000)
        return (uint64_t)ms / 10;
    return ms < 32000 ? 200 : ms < 37000 ? 200 + (uint64_t)(ms - 32000) / 10 : 700;
}

START_TEST(waits_for_the_busy)
{
    int64_t poke, done;
    run_busy(false, unpacking_machine, 37000, &poke, &done);
    ck_assert_int_ge(poke, 47000 - 200);
    ck_assert_int_le(poke, 60000);
    run_busy(false, nothing, INT64_MAX, &poke, &done); /* DOS */
    ck_assert_int_eq(poke, 50000);
    ck_assert_int_eq(done, 100000);
    run_busy(true, nothing, INT64_MAX, &poke, &done);
    ck_assert_int_eq(poke, 5000);
    ck_assert_int_eq(done, 10000);
}
END_TEST

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

NX_TEST_MAIN("settle", settles, waits_for_the_busy)
