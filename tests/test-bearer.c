/* SPDX-License-Identifier: MIT */
/* A token from a command, waited for, and beside other things. */
#include "common/bearer.h"

#include <signal.h>
#include <stdio.h>

#include "common/clock.h"
#include "tests/support/main.h"

START_TEST(test_commands)
{
    static const struct {
        const char *command, *token, *message;
    } cases[] = {
        { "echo abc", "abc", NULL },
        { "printf abc", "abc", NULL },
        { "printf 'a.b-c_d~e+f/g==\\r\\n\\n'", "a.b-c_d~e+f/g==", NULL },
        { "(sleep 0.1; echo late) | cat", "late", NULL },
        { "echo token; exec >&-; sleep 0.2", "token", NULL }, /* it ends after its output */
        { "exit 3", NULL, "exit status 3" },
        { "echo token; exit 1", NULL, "exit status 1" },
        { "kill -TERM $$", NULL, "killed by signal 15" },
        { "true", NULL, "prints no token" },
        { "echo; echo", NULL, "prints no token" },
        { "echo two words", NULL, "one word" },
        { "printf 'a\\nb\\n'", NULL, "one word" },
        { "printf 'a\\000b'", NULL, "one word" },
        { "printf '\\303\\266'", NULL, "one word" },
        { "yes", NULL, "more than a token" },
        { "printf %016385d 0", NULL,
          "more than a token" }, /* NX_TOKEN_MAX and one: no message takes it */
        { "/nonexistent 2>/dev/null", NULL, "exit status 127" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nx_bearer bearer = NX_BEARER_INIT;
        struct nx_error err = NX_ERROR_INIT;
        bearer.command = cases[i].command;
        if (cases[i].token) {
            nx_assert_ok(nx_bearer_run(&bearer, &err), err);
            ck_assert_uint_eq(bearer.output.len, strlen(cases[i].token));
            ck_assert(memcmp(bearer.output.data, cases[i].token, bearer.output.len) == 0);
        } else {
            nx_assert_fails(nx_bearer_run(&bearer, &err), err, cases[i].message);
            ck_assert_ptr_null(bearer.output.data);
        }
        nx_bearer_release(&bearer);
    }
}
END_TEST

/* Nothing is started before it is wanted; while it runs, no step waits; and the next run begins after a pause. */
START_TEST(test_steps)
{
    struct nx_bearer bearer = NX_BEARER_INIT;
    struct nx_error err = NX_ERROR_INIT;
    bearer.command = "sleep 0.3; exit 9";
    ck_assert_int_eq(nx_bearer_step(&bearer, &err), 0);
    ck_assert_int_eq(nx_bearer_timeout(&bearer), -1);
    ck_assert_int_eq(nx_bearer_pollfd(&bearer).fd, -1);
    nx_bearer_want(&bearer);
    ck_assert_int_eq(nx_bearer_timeout(&bearer), 0);
    ck_assert_int_eq(nx_bearer_step(&bearer, &err), 0);
    ck_assert_int_ge(nx_bearer_pollfd(&bearer).fd, 0);
    int ret;
    while ((ret = nx_bearer_step(&bearer, &err)) == 0) {
        struct pollfd pfd = nx_bearer_pollfd(&bearer);
        poll(&pfd, 1, nx_bearer_timeout(&bearer));
    }
    ck_assert_int_eq(ret, -1);
    ck_assert_ptr_nonnull(strstr(err.msg, "exit status 9"));
    ck_assert_int_gt(nx_bearer_timeout(&bearer), 1000);
    ck_assert_int_le(nx_bearer_timeout(&bearer), NX_BEARER_PAUSE * 1000);
    ck_assert_int_eq(nx_bearer_step(&bearer, &err), 0);
    ck_assert_int_eq(bearer.pid, 0);
    nx_bearer_release(&bearer);
}
END_TEST

/* Who goes leaves nothing behind: what the shell has started is killed, too. */
START_TEST(test_release)
{
    struct nx_bearer bearer = NX_BEARER_INIT;
    struct nx_error err = NX_ERROR_INIT;
    bearer.command = "sleep 100 & sleep 100";
    nx_bearer_want(&bearer);
    ck_assert_int_eq(nx_bearer_step(&bearer, &err), 0);
    pid_t pid = bearer.pid;
    nx_bearer_release(&bearer);
    for (int64_t due = nx_now_ms() + 10000; kill(-pid, 0) == 0;)
        ck_assert_int_lt(nx_now_ms(), due);
}
END_TEST

/* One that does not end is killed. */
START_TEST(test_endless)
{
    struct nx_bearer bearer = NX_BEARER_INIT;
    struct nx_error err = NX_ERROR_INIT;
    bearer.command = "sleep 100";
    nx_bearer_want(&bearer);
    ck_assert_int_eq(nx_bearer_step(&bearer, &err), 0);
    bearer.due = nx_now_ms() - 1;
    nx_assert_fails(nx_bearer_step(&bearer, &err), err, "has not ended within 60 s");
    ck_assert_int_eq(bearer.pid, 0);
    nx_bearer_release(&bearer);
}
END_TEST

NX_TEST_MAIN("bearer", test_commands, test_steps, test_release, test_endless)
