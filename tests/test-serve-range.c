/* SPDX-License-Identifier: MIT */
#include "serve/range.h"

#include <inttypes.h>
#include <stdio.h>

#include "tests/support/main.h"

/* Each expectation: "200" ignored, "416", or the ranges to send as FIRST+LENGTH. */
static const struct {
    const char *value;
    uint64_t size;
    const char *expected;
} cases[] = {
    /* well-formed, one range */
    { "bytes=0-0", 1000, "0+1" },
    { "bytes=0-499", 1000, "0+500" },
    { "bytes=999-999", 1000, "999+1" },
    { "bytes=500-", 1000, "500+500" },
    { "bytes=-500", 1000, "500+500" },
    { "bytes=-1", 1000, "999+1" },
    { "bytes=-5000", 1000, "0+1000" },
    { "bytes=990-5000", 1000, "990+10" },
    { "BYTES=0-1", 1000, "0+2" },
    { "bytes= 0-1\t", 1000, "0+2" },
    { "bytes=00000000000000000000000000005-6", 1000, "5+2" },
    { "bytes=0-99999999999999999999999999999999", 1000, "0+1000" },
    { "bytes=-99999999999999999999999999999999", 1000, "0+1000" },
    { "bytes=0-18446744073709551615", 1000, "0+1000" },
    { "bytes=1099511627775-", 1099511627776, "1099511627775+1" },
    { "bytes=9223372036854775806-", 9223372036854775807, "9223372036854775806+1" },
    /* several */
    { "bytes=0-0,-1", 1000, "0+1 999+1" },
    { "bytes=500-599,0-99", 1000, "500+100 0+100" },
    { "bytes=0-9 , 20-29\t,,40-49,", 1000, "0+10 20+10 40+10" },
    { "bytes=,,0-1", 1000, "0+2" },
    { "bytes=2000-,0-1", 1000, "0+2" },
    { "bytes=0-1,2000-3000,-0", 1000, "0+2" },
    /* that touch or overlap */
    { "bytes=0-9,10-19", 1000, "0+20" },
    { "bytes=10-19,0-9", 1000, "0+20" },
    { "bytes=0-9,11-19", 1000, "0+10 11+9" },
    { "bytes=0-,0-,0-,0-", 1000, "0+1000" },
    { "bytes=0-99,200-299,50-249", 1000, "0+300" },
    { "bytes=0-99,200-299,500-599,50-249", 1000, "0+300 500+100" },
    { "bytes=500-599,0-99,200-299,50-249", 1000, "500+100 0+300" },
    { "bytes=0-5,3-8,-995", 1000, "0+1000" },
    /* nothing to send */
    { "bytes=1000-", 1000, "416" },
    { "bytes=1000-1001", 1000, "416" },
    { "bytes=-0", 1000, "416" },
    { "bytes=2000-,3000-4000", 1000, "416" },
    { "bytes=99999999999999999999-", 1000, "416" },
    { "bytes=18446744073709551615-", 9223372036854775807, "416" },
    { "bytes=0-", 0, "416" },
    { "bytes=0-0", 0, "416" },
    { "bytes=-0", 0, "416" },
    { "bytes=-1", 0, "200" },
    /* not well-formed, or not ours */
    { "", 1000, "200" },
    { "bytes", 1000, "200" },
    { "bytes=", 1000, "200" },
    { "bytes=,", 1000, "200" },
    { "bytes= ", 1000, "200" },
    { "bytes=-", 1000, "200" },
    { "bytes=--1", 1000, "200" },
    { "bytes=1", 1000, "200" },
    { "bytes=5-2", 1000, "200" },
    { "bytes=99999999999999999999-5", 1000, "200" },
    { "bytes=0-1,5-2", 1000, "200" },
    { "bytes=a-b", 1000, "200" },
    { "bytes=0-b", 1000, "200" },
    { "bytes=0x0-0x1", 1000, "200" },
    { "bytes=+0-1", 1000, "200" },
    { "bytes=0 -1", 1000, "200" },
    { "bytes=0- 1", 1000, "200" },
    { "bytes=0-1 2-3", 1000, "200" },
    { "bytes=0-1;2-3", 1000, "200" },
    { "bytes=0-1-2", 1000, "200" },
    { "bytes =0-1", 1000, "200" },
    { " bytes=0-1", 1000, "200" },
    { "bytes:0-1", 1000, "200" },
    { "lines=0-1", 1000, "200" },
    { "bytes=0-1\n", 1000, "200" },
    { "bytes=\xd9\xa0-\xd9\xa1", 1000, "200" },
};

static void describe(enum nx_range_verdict verdict, const struct nx_ranges *ranges, char *text,
                     size_t size)
{
    if (verdict != NX_RANGE_SATISFIABLE) {
        snprintf(text, size, "%s", verdict == NX_RANGE_IGNORE ? "200" : "416");
        return;
    }
    size_t len = 0;
    for (size_t i = 0; i < ranges->n; i++)
        len += (size_t)snprintf(text + len, size - len, "%s%" PRIu64 "+%" PRIu64, i ? " " : "",
                                ranges->at[i].first, ranges->at[i].length);
}

START_TEST(test_table)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char got[4096] = "";
        struct nx_ranges ranges;
        enum nx_range_verdict verdict = nx_ranges_parse(cases[i].value, cases[i].size, &ranges);
        describe(verdict, &ranges, got, sizeof got);
        ck_assert_msg(strcmp(got, cases[i].expected) == 0, "'%s' of %" PRIu64 ": wanted %s, got %s",
                      cases[i].value, cases[i].size, cases[i].expected, got);
    }
}
END_TEST

/* "bytes=0-0,2-2,4-4,..." with n ranges */
static enum nx_range_verdict parse_many(unsigned n, struct nx_ranges *ranges)
{
    char value[8192] = "bytes=";
    for (unsigned i = 0; i < n; i++)
        sprintf(value + strlen(value), "%s%u-%u", i ? "," : "", 2 * i, 2 * i);
    return nx_ranges_parse(value, 100000, ranges);
}

START_TEST(test_limit)
{
    struct nx_ranges ranges;
    ck_assert_int_eq(parse_many(NX_RANGES_MAX, &ranges), NX_RANGE_SATISFIABLE);
    ck_assert_uint_eq(ranges.n, NX_RANGES_MAX);
    ck_assert_int_eq(parse_many(NX_RANGES_MAX + 1, &ranges), NX_RANGE_UNSATISFIABLE);
    ck_assert_int_eq(parse_many(500, &ranges), NX_RANGE_UNSATISFIABLE);
}
END_TEST

/* Whatever is asked for, what is sent lies in the file and no byte of it is sent twice. */
START_TEST(test_random)
{
    unsigned state = 12345;
    for (int round = 0; round < 20000; round++) {
        char value[512] = "bytes=";
        unsigned char asked[64] = { 0 }, sent[64] = { 0 };
        unsigned n = 1 + rand_r(&state) % 8;
        for (unsigned i = 0; i < n; i++) {
            unsigned first = rand_r(&state) % 64, last = first + rand_r(&state) % 12;
            sprintf(value + strlen(value), "%s%u-%u", i ? "," : "", first, last);
            for (unsigned b = first; b <= last && b < 64; b++)
                asked[b] = 1;
        }
        struct nx_ranges ranges;
        ck_assert_int_eq(nx_ranges_parse(value, 64, &ranges), NX_RANGE_SATISFIABLE);
        for (size_t i = 0; i < ranges.n; i++) {
            ck_assert_uint_ge(ranges.at[i].length, 1);
            ck_assert_uint_le(ranges.at[i].first + ranges.at[i].length, 64);
            for (uint64_t b = 0; b < ranges.at[i].length; b++)
                sent[ranges.at[i].first + b]++;
        }
        ck_assert_msg(memcmp(asked, sent, sizeof sent) == 0, "%s", value);
    }
}
END_TEST

NX_TEST_MAIN("serve-range", test_table, test_limit, test_random)
