/* SPDX-License-Identifier: MIT */
#include "serve/condition.h"

#include "tests/support/main.h"

#define NOW      784111777 /* Sun, 06 Nov 1994 08:49:37 GMT */
#define THEN     "Sun, 06 Nov 1994 08:49:37 GMT"
#define EARLIER  "Sun, 06 Nov 1994 08:49:36 GMT"
#define LATER    "Sun, 06 Nov 1994 08:49:38 GMT"
#define THIS_TAG "\"1-2-3\""

static const struct nx_validators file = { .etag = THIS_TAG, .modified = NOW };

static const struct {
    struct nx_request request;
    unsigned status;
} conditions[] = {
    { { .if_none_match = NULL }, 0 },
    { { .if_none_match = THIS_TAG }, 304 },
    { { .if_none_match = "W/" THIS_TAG }, 304 },
    { { .if_none_match = "\"x\", " THIS_TAG }, 304 },
    { { .if_none_match = "\"x\",W/\"y\",,\t" THIS_TAG " " }, 304 },
    { { .if_none_match = "*" }, 304 },
    { { .if_none_match = "\"x\"" }, 0 },
    { { .if_none_match = "1-2-3" }, 0 },
    { { .if_none_match = "\"1-2-3" }, 0 },
    { { .if_none_match = "\"1-2-3\"x\"" }, 304 },
    { { .if_none_match = "" }, 0 },
    { { .if_none_match = "w/" THIS_TAG }, 0 },
    { { .if_modified_since = THEN }, 304 },
    { { .if_modified_since = LATER }, 304 },
    { { .if_modified_since = EARLIER }, 0 },
    { { .if_modified_since = "yesterday" }, 0 },
    { { .if_modified_since = "" }, 0 },
    { { .if_modified_since = THEN " and more" }, 0 },
    { { .if_none_match = "\"x\"", .if_modified_since = THEN }, 0 }, /* the tag decides */
    { { .if_none_match = THIS_TAG, .if_modified_since = EARLIER }, 304 },
    { { .if_match = THIS_TAG }, 0 },
    { { .if_match = "*" }, 0 },
    { { .if_match = "\"x\"" }, 412 },
    { { .if_match = "W/" THIS_TAG }, 412 },
    { { .if_match = "\"x\", " THIS_TAG }, 0 },
    { { .if_match = "\"x\"", .if_none_match = THIS_TAG }, 412 },
    { { .if_match = THIS_TAG, .if_none_match = THIS_TAG }, 304 },
    { { .if_unmodified_since = THEN }, 0 },
    { { .if_unmodified_since = EARLIER }, 412 },
    { { .if_unmodified_since = "never" }, 0 },
    { { .if_match = THIS_TAG, .if_unmodified_since = EARLIER }, 0 },
};

START_TEST(test_condition)
{
    for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++) {
        const struct nx_request *r = &conditions[i].request;
        unsigned status = nx_condition_check(r, &file);
        ck_assert_msg(status == conditions[i].status, "%zu: wanted %u, got %u", i,
                      conditions[i].status, status);
    }
}
END_TEST

static const struct {
    const char *if_range;
    time_t now;
    bool holds;
} if_ranges[] = {
    { NULL, NOW + 10, true },
    { THIS_TAG, NOW, true },
    { "W/" THIS_TAG, NOW + 10, false },
    { "\"x\"", NOW + 10, false },
    { "*", NOW + 10, false },
    { THIS_TAG ", \"x\"", NOW + 10, false },
    { THEN, NOW + 10, true },
    { THEN, NOW + 1, true },
    { THEN, NOW, false }, /* it may change again within this second */
    { LATER, NOW + 10, false },
    { EARLIER, NOW + 10, false },
    { "", NOW + 10, false },
};

START_TEST(test_if_range)
{
    for (size_t i = 0; i < sizeof if_ranges / sizeof *if_ranges; i++) {
        struct nx_request request = { .if_range = if_ranges[i].if_range };
        ck_assert_msg(nx_condition_if_range(&request, &file, if_ranges[i].now) ==
                          if_ranges[i].holds,
                      "%zu: %s", i, request.if_range ? request.if_range : "none");
    }
}
END_TEST

START_TEST(test_dates)
{
    char text[NX_HTTP_DATE_SIZE];
    time_t when = 0;
    ck_assert_str_eq(nx_http_date_format(NOW, text), THEN);
    ck_assert_str_eq(nx_http_date_format(0, text), "Thu, 01 Jan 1970 00:00:00 GMT");
    ck_assert(nx_http_date_parse(THEN, &when) && when == NOW);
    ck_assert(nx_http_date_parse("Sunday, 06-Nov-94 08:49:37 GMT", &when) && when == NOW);
    ck_assert(nx_http_date_parse("Sun Nov  6 08:49:37 1994", &when) && when == NOW);
    ck_assert(!nx_http_date_parse("1994-11-06T08:49:37Z", &when));
    ck_assert(!nx_http_date_parse("Sun, 06 Nov 1994 08:49:37", &when));
}
END_TEST

/* Each of what the tag is made of changes it. */
START_TEST(test_validators)
{
    struct stat st = { .st_ino = 1, .st_size = 2, .st_mtim = { 3, 4 } };
    struct stat others[] = { st, st, st, st };
    others[0].st_ino++;
    others[1].st_size++;
    others[2].st_mtim.tv_sec++;
    others[3].st_mtim.tv_nsec++;
    struct nx_validators a, b;
    nx_validators_from_stat(&st, &a);
    ck_assert_int_eq(a.etag[0], '"');
    ck_assert_int_eq(a.etag[strlen(a.etag) - 1], '"');
    ck_assert_int_eq(a.modified, 3);
    for (size_t i = 0; i < 4; i++) {
        nx_validators_from_stat(&others[i], &b);
        ck_assert_str_ne(a.etag, b.etag);
    }
}
END_TEST

NX_TEST_MAIN("serve-condition", test_condition, test_if_range, test_dates, test_validators)
