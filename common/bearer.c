/* SPDX-License-Identifier: MIT */
#include "common/bearer.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/interrupt.h"
#include "common/process.h"

#define END_MS 10 /* how often a run is looked at that has closed its output, but has not ended */

void nx_bearer_want(struct nx_bearer *bearer)
{
    bearer->wanted = true;
}

struct pollfd nx_bearer_pollfd(const struct nx_bearer *bearer)
{
    return (struct pollfd){ .fd = bearer->out, .events = POLLIN };
}

int nx_bearer_timeout(const struct nx_bearer *bearer)
{
    if (!bearer->wanted)
        return -1;
    if (bearer->pid && bearer->out < 0)
        return END_MS;
    int64_t left = (bearer->pid ? bearer->due : bearer->next) - nx_now_ms();
    return left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

static int start(struct nx_bearer *bearer, struct nx_error *err)
{
    int fds[2];
    bearer->next = nx_now_ms() + NX_BEARER_PAUSE * 1000;
    bearer->due = nx_now_ms() + NX_BEARER_SECONDS * 1000;
    nx_bearer_wipe(bearer);
    /* All of its room now, so that growing leaves no copies. */
    if (nx_buffer_reserve(&bearer->output, bearer->output.max, err) < 0)
        return -1;
    if (pipe2(fds, O_CLOEXEC) < 0)
        return nx_fail_errno(err, "--bearer-command: pipe");
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    NX_AUTO_ARGS struct nx_args args = { 0 };
    nx_args_add(&args, "/bin/sh");
    nx_args_add(&args, "-c");
    nx_args_add(&args, bearer->command);
    struct nx_spawn_options options = NX_SPAWN_DEFAULTS;
    options.stdout_fd = fds[1];
    options.new_session = true; /* the terminal's Ctrl-C is for us */
    int ret = nx_spawn(&args, &options, &bearer->pid, err);
    close(fds[1]);
    bearer->out = fds[0];
    return ret < 0 ? nx_fail_while(err, "--bearer-command") : 0;
}

static void close_output(struct nx_bearer *bearer)
{
    if (bearer->out >= 0)
        close(nx_steal_fd(&bearer->out));
}

/* With all that the shell has started. */
static void kill_run(struct nx_bearer *bearer)
{
    if (bearer->pid > 0) {
        kill(-bearer->pid, SIGKILL);
        while (waitpid(bearer->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    bearer->pid = 0;
    close_output(bearer);
}

static int too_long(struct nx_error *err)
{
    return nx_fail(err, NX_ERR_SYSTEM, "--bearer-command: it prints more than a token");
}

/* 1: its output has come to its end; 0: not yet. */
static int collect(struct nx_bearer *bearer, struct nx_error *err)
{
    while (bearer->out >= 0) {
        char chunk[512];
        ssize_t n = read(bearer->out, chunk, sizeof chunk);
        if (n == 0)
            close_output(bearer);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return 0;
        if (n < 0)
            return nx_fail_errno(err, "--bearer-command");
        int ret = nx_buffer_add(&bearer->output, chunk, (size_t)n, NULL);
        explicit_bzero(chunk, sizeof chunk);
        if (ret < 0)
            return too_long(err);
    }
    return 1;
}

/* A token is a word of printable ASCII, which may stand in a header. */
static int check_token(struct nx_bearer *bearer, struct nx_error *err)
{
    struct nx_buffer *output = &bearer->output;
    while (output->len > 0 && isspace(output->data[output->len - 1]))
        output->len--;
    if (output->len == 0)
        return nx_fail(err, NX_ERR_SYSTEM, "--bearer-command: it prints no token");
    if (output->len >
        NX_TOKEN_MAX) /* what is left of the end of its line would be the end of the engine */
        return too_long(err);
    for (size_t i = 0; i < output->len; i++)
        if (output->data[i] <= ' ' || output->data[i] > '~')
            return nx_fail(err, NX_ERR_SYSTEM,
                           "--bearer-command: what it prints is no token, which is one word");
    return 0;
}

/* 1: it has ended well; 0: not yet. */
static int reap(struct nx_bearer *bearer, struct nx_error *err)
{
    int status = 0;
    pid_t pid = waitpid(bearer->pid, &status, WNOHANG);
    if (pid == 0 || (pid < 0 && errno == EINTR))
        return 0;
    bearer->pid = 0;
    if (pid < 0)
        return nx_fail_errno(err, "--bearer-command");
    if (WIFSIGNALED(status))
        return nx_fail(err, NX_ERR_SYSTEM, "--bearer-command: killed by signal %d",
                       WTERMSIG(status));
    if (WEXITSTATUS(status) != 0)
        return nx_fail(err, NX_ERR_SYSTEM, "--bearer-command: exit status %d", WEXITSTATUS(status));
    return check_token(bearer, err) < 0 ? -1 : 1;
}

int nx_bearer_step(struct nx_bearer *bearer, struct nx_error *err)
{
    if (!bearer->wanted || (!bearer->pid && nx_now_ms() < bearer->next))
        return 0;
    int ret = bearer->pid || start(bearer, err) == 0 ? collect(bearer, err) : -1;
    if (ret > 0)
        ret = reap(bearer, err);
    if (ret == 0 && nx_now_ms() >= bearer->due)
        ret = nx_fail(err, NX_ERR_SYSTEM, "--bearer-command: it has not ended within %d s",
                      NX_BEARER_SECONDS);
    if (ret < 0) {
        kill_run(bearer);
        nx_bearer_wipe(bearer);
    } else if (ret > 0) {
        bearer->wanted = false;
    }
    return ret;
}

int nx_bearer_run(struct nx_bearer *bearer, struct nx_error *err)
{
    nx_bearer_want(bearer);
    bearer->next = 0;
    for (;;) {
        int ret = nx_bearer_step(bearer, err);
        if (ret != 0)
            return ret < 0 ? -1 : 0;
        struct pollfd pfd = nx_bearer_pollfd(bearer);
        poll(&pfd, 1, nx_bearer_timeout(bearer));
        if (nx_check_interrupt(err) < 0)
            return -1;
    }
}

void nx_bearer_wipe(struct nx_bearer *bearer)
{
    if (bearer->output.data)
        explicit_bzero(bearer->output.data, bearer->output.cap);
    nx_buffer_release(&bearer->output);
}

void nx_bearer_release(struct nx_bearer *bearer)
{
    kill_run(bearer);
    nx_bearer_wipe(bearer);
    bearer->wanted = false;
}
