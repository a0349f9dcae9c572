/* SPDX-License-Identifier: MIT */
#include "common/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"

#define STDERR_KEPT 4096 /* enough of a failed program's stderr for its last line */
#define RUN_SECONDS 60   /* that a helper program may take: it has little to do */

extern char **environ;

static void take(struct nx_args *args, char *arg)
{
    char **argv = arg ? realloc(args->argv, (args->argc + 2) * sizeof *argv) : NULL;
    if (!argv) {
        free(arg);
        args->failed = true;
        return;
    }
    args->argv = argv;
    argv[args->argc++] = arg;
    argv[args->argc] = NULL;
}

void nx_args_add(struct nx_args *args, const char *arg)
{
    take(args, strdup(arg));
}

void nx_args_addf(struct nx_args *args, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *arg;
    if (vasprintf(&arg, fmt, ap) < 0)
        arg = NULL;
    va_end(ap);
    take(args, arg);
}

void nx_args_release(struct nx_args *args)
{
    for (size_t i = 0; i < args->argc; i++)
        free(args->argv[i]);
    free(args->argv);
    *args = (struct nx_args){ 0 };
}

static bool kept(const struct nx_spawn_options *options, int fd)
{
    for (size_t i = 0; i < options->n_keep_fds; i++)
        if (options->keep_fds[i] == fd)
            return true;
    return false;
}

/* In the child: close all but stdio, the kept ones, and report (the exec error pipe). */
static void close_others(const struct nx_spawn_options *options, int report)
{
    int max = 2;
    for (size_t i = 0; i < options->n_keep_fds; i++)
        max = options->keep_fds[i] > max ? options->keep_fds[i] : max;
    max = report > max ? report : max;
    for (int fd = 3; fd <= max; fd++)
        if (fd != report && !kept(options, fd))
            close(fd);
    close_range((unsigned)max + 1, ~0U, 0);
    for (size_t i = 0; i < options->n_keep_fds; i++)
        fcntl(options->keep_fds[i], F_SETFD, 0);
}

/* In the child, between fork and exec: async-signal-safe calls only. */
static void become(char *const *argv, const struct nx_spawn_options *options, pid_t parent,
                   int report)
{
    prctl(PR_SET_PDEATHSIG, options->death_signal ? options->death_signal : SIGKILL);
    if (getppid() != parent)
        _exit(127);
    for (int sig = 1; sig < NSIG; sig++)
        signal(sig, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (options->new_session)
        setsid();
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(options->stdin_fd >= 0 ? options->stdin_fd : null, STDIN_FILENO);
    dup2(options->stdout_fd >= 0 ? options->stdout_fd : null, STDOUT_FILENO);
    if (options->stderr_fd >= 0)
        dup2(options->stderr_fd, STDERR_FILENO);
    close_others(options, report);
    if (options->env)
        environ = (char **)options->env;
    if (!options->before_exec || options->before_exec(options->opaque) == 0)
        execvp(argv[0], argv);
    int saved = errno;
    ssize_t ignored = write(report, &saved, sizeof saved);
    (void)ignored;
    _exit(127);
}

int nx_spawn(const struct nx_args *args, const struct nx_spawn_options *options, pid_t *ret_pid,
             struct nx_error *err)
{
    if (args->failed || args->argc == 0)
        return nx_fail(err, NX_ERR_SYSTEM, "no memory for the arguments");
    int pipefd[2];
    if (pipe2(pipefd, O_CLOEXEC) < 0)
        return nx_fail_errno(err, "%s: pipe", args->argv[0]);
    NX_AUTO_FD int from_child = pipefd[0];
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        become(args->argv, options, parent, pipefd[1]);
    int fork_errno = errno;
    close(pipefd[1]);
    errno = fork_errno;
    if (pid < 0)
        return nx_fail_errno(err, "%s: fork", args->argv[0]);
    int child_errno;
    ssize_t n;
    do
        n = read(from_child, &child_errno, sizeof child_errno);
    while (n < 0 && errno == EINTR);
    if (n == sizeof child_errno) {
        waitpid(pid, NULL, 0);
        errno = child_errno;
        return nx_fail_errno(err, "%s: cannot be run", args->argv[0]);
    }
    *ret_pid = pid;
    return 0;
}

/* Read both pipes to their ends, or until time is up; keep the last STDERR_KEPT bytes of stderr. */
static int drain(int out_fd, int err_fd, struct nx_buffer *out, char *tail, struct nx_error *err)
{
    struct pollfd fds[2] = { { .fd = out_fd, .events = POLLIN },
                             { .fd = err_fd, .events = POLLIN } };
    size_t kept_len = 0;
    int ret = 0;
    tail[0] = 0;
    for (int64_t due = nx_now_ms() + RUN_SECONDS * 1000; fds[0].fd >= 0 || fds[1].fd >= 0;) {
        int64_t left = due - nx_now_ms();
        if (left <= 0)
            return nx_fail(err, NX_ERR_SYSTEM, "has not ended within %d s", RUN_SECONDS);
        int n_ready = poll(fds, 2, (int)left);
        if (n_ready < 0 && errno != EINTR)
            return nx_fail_errno(err, "poll");
        if (n_ready <= 0)
            continue;
        for (int i = 0; i < 2; i++) {
            if (fds[i].fd < 0 || !fds[i].revents)
                continue;
            char chunk[4096];
            ssize_t n = read(fds[i].fd, chunk, sizeof chunk);
            if (n <= 0) {
                if (n == 0 || errno != EINTR)
                    fds[i].fd = -1;
            } else if (i == 0) {
                if (ret == 0 && out && nx_buffer_add(out, chunk, (size_t)n, err) < 0)
                    ret = -1;
            } else {
                size_t len = (size_t)n;
                size_t drop = kept_len + len > STDERR_KEPT ? kept_len + len - STDERR_KEPT : 0;
                memmove(tail, tail + drop, kept_len - drop);
                kept_len -= drop;
                memcpy(tail + kept_len, chunk, len);
                kept_len += len;
            }
        }
    }
    tail[kept_len] = 0;
    return ret;
}

static const char *last_line(char *text)
{
    size_t len = strlen(text);
    while (len && text[len - 1] == '\n')
        text[--len] = 0;
    char *newline = strrchr(text, '\n');
    return newline ? newline + 1 : text;
}

int nx_run(const struct nx_args *args, struct nx_buffer *ret_out, struct nx_error *err)
{
    int out[2], errs[2];
    if (pipe2(out, O_CLOEXEC) < 0)
        return nx_fail_errno(err, "pipe");
    NX_AUTO_FD int out_r = out[0];
    NX_AUTO_FD int out_w = out[1];
    if (pipe2(errs, O_CLOEXEC) < 0)
        return nx_fail_errno(err, "pipe");
    NX_AUTO_FD int err_r = errs[0];
    NX_AUTO_FD int err_w = errs[1];
    struct nx_spawn_options options = NX_SPAWN_DEFAULTS;
    options.stdout_fd = out_w;
    options.stderr_fd = err_w;
    pid_t pid;
    if (nx_spawn(args, &options, &pid, err) < 0)
        return -1;
    close(nx_steal_fd(&out_w));
    close(nx_steal_fd(&err_w));
    char tail[STDERR_KEPT + 1];
    int ret = drain(out_r, err_r, ret_out, tail, err);
    int status;
    if (ret < 0) { /* it may wait for us to read on, or for ever */
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return nx_fail_while(err, "%s", args->argv[0]);
    }
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return nx_fail_errno(err, "%s", args->argv[0]);
    if (WIFSIGNALED(status))
        return nx_fail(err, NX_ERR_SYSTEM, "%s: killed by signal %d", args->argv[0],
                       WTERMSIG(status));
    if (WEXITSTATUS(status) != 0)
        return nx_fail(err, NX_ERR_SYSTEM, "%s: exit status %d: %s", args->argv[0],
                       WEXITSTATUS(status), last_line(tail));
    return 0;
}
