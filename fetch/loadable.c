/* SPDX-License-Identifier: MIT */
/* The surest way to know is to have the board made: the machine type with its processors, which must have every
 * feature (enforce), without devices.  It takes some hundredths of a second.
 */
#include "fetch/loadable.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/interrupt.h"
#include "common/process.h"
#include "fetch/cmdline.h"

#define ANSWER_MS 10000 /* that QEMU may take */
#define LOOK_MS   200   /* between two looks for Ctrl-C */
#define SAID_MAX  4096  /* bytes of its messages that are looked at */

struct question {
    pid_t pid;
    int status;
    char said[SAID_MAX];
    size_t len;
};

/* Keep the first words, read over the rest; until QEMU has closed its end, time is up, or the user has enough. */
static int listen_to(struct question *q, int fd, int64_t deadline)
{
    for (int64_t left; (left = deadline - nx_now_ms()) > 0;) {
        struct pollfd pfd = { .fd = fd, .events = POLLIN };
        char chunk[1024];
        if (nx_interrupt_pending())
            return -1;
        if (poll(&pfd, 1, left < LOOK_MS ? (int)left : LOOK_MS) <= 0)
            continue;
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n <= 0)
            return 0;
        size_t room = sizeof q->said - 1 - q->len;
        size_t take = (size_t)n < room ? (size_t)n : room;
        memcpy(q->said + q->len, chunk, take);
        q->len += take;
        q->said[q->len] = 0;
    }
    return -1;
}

/* Run QEMU, which ends by itself: what it has to say comes to q. */
static int ask(const struct nx_args *args, struct question *q, struct nx_error *err)
{
    static const char commands[] = "{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"quit\"}\n";
    int in[2], errors[2];
    if (pipe2(in, O_CLOEXEC) < 0)
        return nx_fail_errno(err, "pipe");
    NX_AUTO_FD int in_read = in[0];
    NX_AUTO_FD int in_write = in[1];
    if (pipe2(errors, O_CLOEXEC) < 0)
        return nx_fail_errno(err, "pipe");
    NX_AUTO_FD int from = errors[0];
    NX_AUTO_FD int to = errors[1];
    struct nx_spawn_options options = NX_SPAWN_DEFAULTS;
    options.stdin_fd = in_read;
    options.stderr_fd = to;
    options.new_session = true;
    if (write(in_write, commands, sizeof commands - 1) != sizeof commands - 1)
        return nx_fail_errno(err, "pipe");
    if (nx_spawn(args, &options, &q->pid, err) < 0)
        return -1;
    close(nx_steal_fd(&to));
    bool ended = listen_to(q, from, nx_now_ms() + ANSWER_MS) == 0;
    if (!ended)
        kill(q->pid, SIGKILL);
    while (waitpid(q->pid, &q->status, 0) < 0)
        if (errno != EINTR)
            return nx_fail_errno(err, "QEMU");
    return ended ? 0 : nx_fail(err, NX_ERR_SYSTEM, "QEMU does not answer");
}

/* The text behind the last occurrence of mark in what QEMU said, up to the line's end; NULL if there is none. */
static const char *behind(const struct question *q, const char *mark, char text[static 256])
{
    const char *found = NULL;
    for (const char *at = q->said; (at = strstr(at, mark)); at++)
        found = at;
    if (!found)
        return NULL;
    snprintf(text, 256, "%.*s", (int)strcspn(found + strlen(mark), "\n"), found + strlen(mark));
    return text;
}

static int explain(const struct question *q, const struct nx_machine *machine, const char *program,
                   const char *accel, struct nx_error *err)
{
    char text[256];
    const char *model = machine->cpu.model ? machine->cpu.model : "(QEMU's own)";
    if (behind(q, "unsupported machine type", text))
        return nx_fail(err, NX_ERR_FORMAT,
                       "the QEMU here does not know the machine type %s: a newer one may",
                       machine->machine);
    if (behind(q, "unable to find CPU model", text))
        return nx_fail(err, NX_ERR_FORMAT,
                       "the QEMU here does not know the processor %s: a newer one may", model);
    if (behind(q, "support requested feature: ", text))
        return nx_fail(err, NX_ERR_FORMAT, "its processor %s has %s, which %s", model, text,
                       strcmp(accel, "kvm") == 0 ? "this computer's has not"
                                                 : "cannot be emulated");
    if (behind(q, "The max CPUs supported by machine", text))
        return nx_fail(err, NX_ERR_FORMAT, "it has %u processors, more than the QEMU here can do",
                       machine->max_cpus);
    if (behind(q, ": ", text))
        return nx_fail(err, NX_ERR_FORMAT, "%s: %s", program, text);
    return nx_fail(err, NX_ERR_SYSTEM, "%s fails and does not say why", program);
}

int nx_loadable_check(const struct nx_machine *machine, const char *program, const char *accel,
                      struct nx_error *err)
{
    bool kvm = strcmp(accel, "kvm") == 0;
    if (machine->kvm && !kvm)
        return nx_fail(err, NX_ERR_FORMAT,
                       "it was saved under KVM, and here the machine is emulated");
    if (!machine->kvm && kvm)
        return nx_fail(err, NX_ERR_FORMAT,
                       "it was saved by an emulator, and --accel kvm was asked for");
    NX_AUTO_ARGS struct nx_args args = { 0 };
    NX_AUTO_FREE struct question *q = calloc(1, sizeof *q);
    if (!q)
        return nx_fail_errno(err, "QEMU");
    if (nx_cmdline_board(machine, program, accel, &args, err) < 0 || ask(&args, q, err) < 0)
        return -1;
    return WIFEXITED(q->status) && WEXITSTATUS(q->status) == 0
               ? 0
               : explain(q, machine, program, accel, err);
}
