/* SPDX-License-Identifier: MIT */
#include "fetch/apart.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/interrupt.h"
#include "common/io.h"
#include "fetch/engine_confine.h"

/* What comes through the pipe, and then the body. */
struct answer {
    struct nx_error err; /* code NX_OK: it is there */
    uint64_t total;
};

/* What the launcher has open is nothing to it: the control socket, windows. */
static void close_others(int out, int netrc_fd)
{
    const int kept[] = { out < netrc_fd ? out : netrc_fd, out < netrc_fd ? netrc_fd : out };
    unsigned next = STDERR_FILENO + 1;
    for (size_t i = 0; i < 2; i++) {
        if (kept[i] < (int)next)
            continue;
        if ((unsigned)kept[i] > next)
            close_range(next, (unsigned)kept[i] - 1, 0);
        next = (unsigned)kept[i] + 1;
    }
    close_range(next, ~0U, 0);
}

__attribute__((noreturn)) static void fetch(const char *url, const struct nx_http_options *options,
                                            struct nx_http_request *request, int out)
{
    const struct nx_engine_config needs = { .http = *options };
    struct nx_error ignored = NX_ERROR_INIT; /* the engine says it, too */
    struct answer answer = { .err = NX_ERROR_INIT };
    close_others(out, options->login ? options->login->netrc_fd : -1);
    nx_engine_confine(&needs, &ignored);
    if (nx_http_get(url, options, request, &answer.err) < 0)
        request->body.len = 0;
    answer.total = request->total;
    int ret = nx_write_full(out, &answer, sizeof answer, url, &ignored);
    if (ret == 0)
        ret = nx_write_full(out, request->body.data, request->body.len, url, &ignored);
    _exit(ret == 0 ? 0 : 1);
}

/* Read to the end of the pipe; an interrupted wait ends it. */
static int collect(int in, struct nx_buffer *all, struct nx_error *err)
{
    uint8_t chunk[4096];
    for (;;) {
        if (nx_interrupt_wait(in, err) < 0)
            return -1;
        ssize_t n = read(in, chunk, sizeof chunk);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return nx_fail_errno(err, "pipe");
        if (n == 0)
            return 0;
        if (n > 0 && nx_buffer_add(all, chunk, (size_t)n, err) < 0)
            return -1;
    }
}

/* The process may have been taken over by what it has read: believe nothing of its lengths and texts. */
static int take(const struct nx_buffer *all, const char *url, struct nx_http_request *request,
                struct nx_error *err)
{
    struct answer answer;
    char name[512];
    if (all->len < sizeof answer)
        return nx_fail(err, NX_ERR_NETWORK, "%s: fetching it has ended unexpectedly",
                       nx_http_display_url(url, name));
    memcpy(&answer, all->data, sizeof answer);
    answer.err.msg[sizeof answer.err.msg - 1] = 0;
    if (answer.err.code != NX_OK)
        return nx_fail(err,
                       answer.err.code > NX_OK && answer.err.code <= NX_ERR_CANCELLED
                           ? answer.err.code
                           : NX_ERR_SERVER,
                       "%s", answer.err.msg);
    request->total = answer.total;
    return nx_buffer_add(&request->body, all->data + sizeof answer, all->len - sizeof answer, err);
}

int nx_http_get_apart(const char *url, const struct nx_http_options *options,
                      struct nx_http_request *request, struct nx_error *err)
{
    NX_AUTO_BUFFER struct nx_buffer all = NX_BUFFER_INIT(sizeof(struct answer) + request->body.max);
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return nx_fail_errno(err, "pipe");
    NX_AUTO_FD int in = fds[0];
    NX_AUTO_FD int out = fds[1];
    pid_t launcher = getpid(), pid = fork();
    if (pid < 0)
        return nx_fail_errno(err, "fork");
    if (pid == 0) {
        close(nx_steal_fd(&in));
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != launcher)
            _exit(1);
        fetch(url, options, request, out);
    }
    close(nx_steal_fd(&out));
    int ret = collect(in, &all, err);
    if (ret < 0)
        kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return ret < 0 ? -1 : take(&all, url, request, err);
}
