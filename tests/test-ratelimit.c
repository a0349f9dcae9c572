/* SPDX-License-Identifier: MIT */
/* A limit on the rate of several transfers together. */
#include "fetch/ratelimit.h"

#include "tests/support/main.h"

/* For so many ms, each of 5 ms: how much an urgent and another transfer get, that take steps of size bytes. */
static void run(uint64_t limit, int64_t ms, unsigned size, bool urgent_wants, uint64_t *ret_urgent,
                uint64_t *ret_other)
{
    struct nx_ratelimit rate;
    nx_ratelimit_init(&rate, limit, 1000);
    *ret_urgent = *ret_other = 0;
    for (int64_t now = 1000; now < 1000 + ms; now += 5) {
        while (urgent_wants && nx_ratelimit_allows(&rate, true, now)) {
            nx_ratelimit_spend(&rate, size);
            *ret_urgent += size;
        }
        while (nx_ratelimit_allows(&rate, false, now)) {
            nx_ratelimit_spend(&rate, size);
            *ret_other += size;
        }
    }
}

START_TEST(test_limit)
{
    static const uint64_t limits[] = { 1024, 1500, 100000, 1 << 20, UINT64_C(10) << 30 };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        uint64_t urgent, other, limit = limits[i];
        run(limit, 20000, 16384, false, &urgent, &other);
        ck_assert_uint_le(other, limit * 20 + 16384);
        ck_assert_uint_ge(other + 16384, limit * 20 * 98 / 100);
        ck_assert_uint_eq(urgent, 0);
    }
}
END_TEST

/* What somebody waits for has all of it, and a second's worth at once. */
START_TEST(test_urgent)
{
    uint64_t urgent, other;
    run(100000, 10000, 1000, true, &urgent, &other);
    ck_assert_uint_eq(other, 0);
    ck_assert_uint_le(urgent, 100000 * 11 + 1000);
    ck_assert_uint_ge(urgent, 100000 * 10);
}
END_TEST

/* Nothing is saved up, however long nothing comes: a quarter of a second's worth. */
START_TEST(test_idle)
{
    struct nx_ratelimit rate;
    nx_ratelimit_init(&rate, 100000, 0);
    ck_assert(nx_ratelimit_allows(&rate, false, INT64_C(86400000)));
    nx_ratelimit_spend(&rate, 25001);
    ck_assert(!nx_ratelimit_allows(&rate, false, INT64_C(86400000)));
    ck_assert(nx_ratelimit_allows(&rate, true, INT64_C(86400000)));
}
END_TEST

START_TEST(test_none)
{
    struct nx_ratelimit rate;
    nx_ratelimit_init(&rate, 0, 0);
    nx_ratelimit_spend(&rate, UINT64_C(1) << 40);
    ck_assert(nx_ratelimit_allows(&rate, false, 1));
}
END_TEST

NX_TEST_MAIN("ratelimit", test_limit, test_urgent, test_idle, test_none)
