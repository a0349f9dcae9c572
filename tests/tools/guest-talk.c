/* SPDX-License-Identifier: MIT */
/* Talk to a guest over the Unix socket of its serial port, as expect does:
 *
 *     guest-talk [-o TRANSCRIPT] [-p PID] [-i MS] SOCKET SECONDS STEP...
 *
 *     expect:TEXT   wait until the guest says TEXT (after what earlier steps waited for)
 *     poke:TEXT     the same, pressing Return every two seconds (or MS): for a prompt that may have been shown already
 *     send:TEXT     type TEXT and Return
 *     run:COMMAND   run COMMAND in the guest's shell, its output to our stdout
 *     off:          wait until the machine is off
 *
 * The socket may appear later; with -p, as long as the process PID runs.  After the
 * last send: some other step is needed, for QEMU forgets what it has not read yet when
 * we are gone.  All steps together have SECONDS.  The status is
 * 0 when all of them were done, 1 otherwise (also when a COMMAND failed), with
 * the guest's last words on stderr.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "common/clock.h"
#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/error.h"

#define MAX_SAID       (16 << 20) /* a guest that says more than this is broken */
#define RETRY_MS       50         /* between attempts to connect */
#define POKE_MS        2000       /* between Returns, unless told */
#define MAX_LAST_WORDS 1500       /* shown when something went wrong */

struct talk {
    const char *path;
    FILE *transcript; /* or NULL */
    pid_t pid;        /* without it nobody will listen any more; 0: unknown */
    int64_t deadline; /* ms of CLOCK_MONOTONIC */
    int poke_ms;      /* between Returns */
    int fd;
    struct nx_buffer said; /* everything the guest said, without CR and NUL */
    size_t heard;          /* as much of it was waited for already */
    bool hung_up;
};

/* Connect; the socket may not exist yet, or nobody listen on it. */
static int talk_connect(struct talk *talk, struct nx_error *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(talk->path) >= sizeof(address.sun_path))
        return nx_fail(err, NX_ERR_USAGE, "%s: too long for a Unix socket", talk->path);
    strcpy(address.sun_path, talk->path);

    for (;;) {
        NX_AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
            return nx_fail_errno(err, "socket");
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
            talk->fd = nx_steal_fd(&fd);
            return 0;
        }
        if ((errno != ENOENT && errno != ECONNREFUSED) || nx_now_ms() >= talk->deadline)
            return nx_fail_errno(err, "%s", talk->path);
        if (talk->pid > 0 && kill(talk->pid, 0) < 0)
            return nx_fail(err, NX_ERR_SYSTEM, "%s: process %d ended", talk->path, (int)talk->pid);
        poll(NULL, 0, RETRY_MS);
    }
}

/* Keep what the guest said. */
static int talk_keep(struct talk *talk, const char *data, size_t n, struct nx_error *err)
{
    if (talk->transcript) {
        fwrite(data, 1, n, talk->transcript);
        fflush(talk->transcript);
    }
    for (size_t i = 0; i < n; i++)
        if (data[i] != '\r' && data[i] != '\0' && nx_buffer_add(&talk->said, &data[i], 1, err) < 0)
            return -1;
    return 0;
}

/* Wait up to limit_ms (and the deadline) for the guest to say something; 0 also when it did not. */
static int talk_listen(struct talk *talk, int64_t limit_ms, struct nx_error *err)
{
    int64_t left = talk->deadline - nx_now_ms();
    struct pollfd poll_fd = { .fd = talk->fd, .events = POLLIN };
    int ready = poll(&poll_fd, 1, (int)(left < 0 ? 0 : left < limit_ms ? left : limit_ms));
    if (ready < 0 && errno != EINTR)
        return nx_fail_errno(err, "%s", talk->path);
    if (ready <= 0)
        return 0;
    char data[4096];
    ssize_t n = read(talk->fd, data, sizeof(data));
    if (n < 0 && errno != ECONNRESET)
        return nx_fail_errno(err, "%s", talk->path);
    if (n <= 0) {
        talk->hung_up = true;
        return nx_fail(err, NX_ERR_SYSTEM, "the guest hung up");
    }
    return talk_keep(talk, data, (size_t)n, err);
}

static int talk_send(struct talk *talk, const char *text, struct nx_error *err)
{
    NX_AUTO_BUFFER struct nx_buffer line = NX_BUFFER_INIT(1 << 16);
    if (nx_buffer_printf(&line, err, "%s\r", text) < 0)
        return -1;
    for (size_t done = 0; done < line.len;) {
        ssize_t n = send(talk->fd, line.data + done, line.len - done, MSG_NOSIGNAL);
        if (n < 0)
            return nx_fail_errno(err, "%s", talk->path);
        done += (size_t)n;
    }
    return 0;
}

/* Wait until the guest says text.  With poke, press Return now and then. */
static int talk_expect(struct talk *talk, const char *text, bool poke, struct nx_error *err)
{
    int64_t next_poke = nx_now_ms() + talk->poke_ms;
    for (;;) {
        size_t unheard = talk->said.len - talk->heard;
        const uint8_t *from = unheard > 0 ? talk->said.data + talk->heard : NULL;
        const uint8_t *found = from ? memmem(from, unheard, text, strlen(text)) : NULL;
        if (found) {
            talk->heard += (size_t)(found - from) + strlen(text);
            return 0;
        }
        if (nx_now_ms() >= talk->deadline)
            return nx_fail(err, NX_ERR_SYSTEM, "the guest did not say \"%s\" in time", text);
        if (poke && nx_now_ms() >= next_poke) {
            if (talk_send(talk, "", err) < 0)
                return -1;
            next_poke = nx_now_ms() + talk->poke_ms;
        }
        if (talk_listen(talk, talk->poke_ms, err) < 0)
            return -1;
    }
}

/* The end of a command's output as the guest said it: "nxpk-end STATUS". */
#define BEGIN_MARK "nxpk-begin\n"
#define END_MARK   "nxpk-end "

static int talk_run(struct talk *talk, const char *command, struct nx_error *err)
{
    NX_AUTO_BUFFER struct nx_buffer line = NX_BUFFER_INIT(1 << 16);
    /* The terminal echoes the line: it must not contain the marks as they will be printed. */
    if (nx_buffer_printf(&line, err,
                         "printf 'nxpk-%%s\\n' begin; %s; printf 'nxpk-%%s %%d\\n' end $?",
                         command) < 0 ||
        talk_send(talk, (const char *)line.data, err) < 0 ||
        talk_expect(talk, BEGIN_MARK, false, err) < 0)
        return nx_fail_while(err, "%s", command);
    size_t begin = talk->heard;
    if (talk_expect(talk, END_MARK, false, err) < 0)
        return nx_fail_while(err, "%s", command);
    size_t end = talk->heard - strlen(END_MARK);
    if (talk_expect(talk, "\n", false, err) < 0)
        return nx_fail_while(err, "%s", command);
    fwrite(talk->said.data + begin, 1, end - begin, stdout);
    fflush(stdout);
    if (talk->said.data[end + strlen(END_MARK)] != '0')
        return nx_fail(err, NX_ERR_SYSTEM, "%s: failed in the guest", command);
    return 0;
}

/* Wait until QEMU closes the serial port. */
static int talk_wait_off(struct talk *talk, struct nx_error *err)
{
    while (!talk->hung_up) {
        if (nx_now_ms() >= talk->deadline)
            return nx_fail(err, NX_ERR_SYSTEM, "the machine did not go off in time");
        if (talk_listen(talk, talk->poke_ms, err) < 0 && !talk->hung_up)
            return -1;
    }
    return 0;
}

static const char *after_prefix(const char *step, const char *prefix)
{
    return strncmp(step, prefix, strlen(prefix)) == 0 ? step + strlen(prefix) : NULL;
}

static int talk_step(struct talk *talk, const char *step, struct nx_error *err)
{
    const char *text;
    if ((text = after_prefix(step, "expect:")))
        return talk_expect(talk, text, false, err);
    if ((text = after_prefix(step, "poke:")))
        return talk_expect(talk, text, true, err);
    if ((text = after_prefix(step, "send:")))
        return talk_send(talk, text, err);
    if ((text = after_prefix(step, "run:")))
        return talk_run(talk, text, err);
    if (after_prefix(step, "off:"))
        return talk_wait_off(talk, err);
    return nx_fail(err, NX_ERR_USAGE, "%s: not expect:, poke:, send:, run: or off:", step);
}

static int talk_steps(struct talk *talk, char **steps, struct nx_error *err)
{
    if (talk_connect(talk, err) < 0)
        return -1;
    for (; *steps; steps++)
        if (talk_step(talk, *steps, err) < 0)
            return -1;
    return 0;
}

int main(int argc, char **argv)
{
    NX_AUTO_FILE FILE *transcript = NULL;
    struct talk talk = { .fd = -1, .poke_ms = POKE_MS, .said = NX_BUFFER_INIT(MAX_SAID) };
    int option;
    while ((option = getopt(argc, argv, "o:p:i:")) != -1) {
        if (option == 'o' && !(transcript = fopen(optarg, "ae")))
            perror(optarg);
        if (option == 'i')
            talk.poke_ms = atoi(optarg);
        if (option == 'p')
            talk.pid = (pid_t)strtol(optarg, NULL, 10);
        if (option == '?' || (option == 'o' && !transcript))
            return 2;
    }
    if (argc - optind < 3) {
        fputs("guest-talk [-o TRANSCRIPT] [-p PID] [-i MS] SOCKET SECONDS STEP...\n", stderr);
        return 2;
    }
    talk.transcript = transcript;
    talk.path = argv[optind];
    talk.deadline = nx_now_ms() + strtol(argv[optind + 1], NULL, 10) * 1000;

    struct nx_error err = NX_ERROR_INIT;
    int status = talk_steps(&talk, argv + optind + 2, &err);
    if (status < 0) {
        size_t tail = talk.said.len < MAX_LAST_WORDS ? talk.said.len : MAX_LAST_WORDS;
        fprintf(stderr, "guest-talk: %s; its last words:\n", err.msg);
        if (tail > 0)
            fwrite(talk.said.data + talk.said.len - tail, 1, tail, stderr);
        fputc('\n', stderr);
    }
    nx_buffer_release(&talk.said);
    if (talk.fd >= 0)
        close(talk.fd);
    return status < 0 ? nx_exit_status(&err) : 0;
}
