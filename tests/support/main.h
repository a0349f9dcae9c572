/* SPDX-License-Identifier: MIT */
/* What every test-X.c shares: its main, and checks that say what they got. */
#ifndef NX_TESTS_MAIN_H
#define NX_TESTS_MAIN_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"

/* Run a suite of this one case: main's status.  No test at all is a failure, too. */
static inline int nx_test_run(const char *name, TCase *tcase)
{
    Suite *suite = suite_create(name);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    int run = srunner_ntests_run(runner);
    srunner_free(runner);
    return failed || !run;
}

/* A test suite of one file; tests is a NULL-ended array of TTest. */
#define NX_TEST_MAIN(name, ...)                                   \
    int main(void)                                                \
    {                                                             \
        const TTest *const tests[] = { __VA_ARGS__ };             \
        TCase *tcase = tcase_create(name);                        \
        tcase_set_timeout(tcase, 120);                            \
        for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) \
            tcase_add_test(tcase, tests[i]);                      \
        return nx_test_run(name, tcase);                          \
    }

/* expr returned 0; otherwise show err's message. */
#define nx_assert_ok(expr, err) ck_assert_msg((expr) == 0, "%s failed: %s", #expr, (err).msg)

/* expr failed, and the message holds text. */
#define nx_assert_fails(expr, err, text)                                                     \
    do {                                                                                     \
        ck_assert_msg((expr) < 0, "%s succeeded, should say \"%s\"", #expr, (text));         \
        ck_assert_msg(strstr((err).msg, (text)), "%s said \"%s\", should say \"%s\"", #expr, \
                      (err).msg, (text));                                                    \
    } while (0)

#endif
