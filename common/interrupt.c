/* SPDX-License-Identifier: MIT */
#include "common/interrupt.h"

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;
static volatile sig_atomic_t held_back;

static void on_signal(int sig)
{
    if (interrupted && !held_back)
        _exit(128 + sig);
    interrupted = 1;
}

void nx_interrupt_install(void)
{
    struct sigaction action = { .sa_handler = on_signal };
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

void nx_interrupt_hold(bool held)
{
    held_back = held;
}

bool nx_interrupted(void)
{
    return interrupted;
}

bool nx_interrupt_pending(void)
{
    sigset_t set;
    return interrupted || (sigpending(&set) == 0 &&
                           (sigismember(&set, SIGINT) == 1 || sigismember(&set, SIGTERM) == 1 ||
                            sigismember(&set, SIGHUP) == 1));
}

int nx_check_interrupt(struct nx_error *err)
{
    return interrupted ? nx_fail(err, NX_ERR_CANCELLED, "interrupted") : 0;
}

int nx_interrupt_wait(int fd, struct nx_error *err)
{
    struct pollfd pfd = { .fd = fd, .events = POLLIN };
    sigset_t none;
    sigemptyset(&none);
    while (!interrupted)
        if (ppoll(&pfd, 1, NULL, &none) > 0)
            return 0;
    return nx_check_interrupt(err);
}
