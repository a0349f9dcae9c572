/* SPDX-License-Identifier: MIT */
#include "common/interrupt.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/main.h"

static void block(int sig)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, sig);
    ck_assert_int_eq(sigprocmask(SIG_BLOCK, &set, NULL), 0);
}

/* The signal comes before the waiting: who unblocks it and then reads may wait for ever. */
START_TEST(one_that_came_before)
{
    struct nx_error err = NX_ERROR_INIT;
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    nx_interrupt_install();
    block(SIGTERM);
    raise(SIGTERM);
    ck_assert(!nx_interrupted());
    ck_assert(nx_interrupt_pending());
    nx_assert_fails(nx_interrupt_wait(fds[0], &err), err, "interrupted");
    ck_assert_int_eq(err.code, NX_ERR_CANCELLED);
    nx_assert_fails(nx_interrupt_wait(fds[0], &err), err, "interrupted");
}
END_TEST

START_TEST(something_to_read)
{
    struct nx_error err = NX_ERROR_INIT;
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    nx_interrupt_install();
    block(SIGTERM);
    ck_assert(!nx_interrupt_pending());
    ck_assert_int_eq(write(fds[1], "y", 1), 1);
    nx_assert_ok(nx_interrupt_wait(fds[0], &err), err);
    ck_assert_int_eq(close(fds[1]), 0);
    nx_assert_ok(nx_interrupt_wait(fds[0], &err), err);
}
END_TEST

/* What must be undone is undone: only after that a second one ends the process at once. */
START_TEST(impatience_is_held)
{
    struct nx_error err = NX_ERROR_INIT;
    nx_interrupt_install();
    nx_interrupt_hold(true);
    raise(SIGINT);
    raise(SIGINT);
    raise(SIGTERM);
    nx_assert_fails(nx_check_interrupt(&err), err, "interrupted");
    nx_interrupt_hold(false);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        raise(SIGINT);
        _exit(0);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 128 + SIGINT);
}
END_TEST

NX_TEST_MAIN("interrupt", one_that_came_before, something_to_read, impatience_is_held)
