/* SPDX-License-Identifier: MIT */
#include "fetch/dialog.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/interrupt.h"
#include "common/io.h"
#include "common/log.h"
#include "common/progress.h"
#include "fetch/display.h"
#include "fetch/program.h"

#define TERMINAL    "x-terminal-emulator"
#define TEXT_MAX    2048  /* bytes of a message, folded */
#define OUTPUT_MAX  256   /* bytes of a program's answer that are looked at */
#define NOTIFIED_MS 1000  /* that a notification's program gets to fail */
#define SAME_MS     30000 /* in which the same message is shown only once */

static struct {
    pid_t owner; /* 0: not open.  Our children and other threads see this, too, and show nothing */
    enum nx_window_way window, notification;
    bool in_terminal; /* no window can ask, but this terminal */
    char last[TEXT_MAX];
    int64_t last_at;
    pid_t message; /* a window with a message that nobody waits for; 0: none */
    struct {
        bool wanted;
        pid_t pid;   /* 0: no window */
        int lines;   /* what it reads */
        bool reads;  /* it has read some: so it is there, and its end is watched */
        int its_end; /* our end of a pipe whose other end it holds open for as long as it lives */
    } progress;
} dialog = { .window = NX_WAY_NONE,
             .notification = NX_WAY_NONE,
             .progress = { .lines = -1, .its_end = -1 } };

static bool is_open(void)
{
    return dialog.owner && dialog.owner == gettid();
}

/* ---- running the programs ---- */

/* What the programs complain of is for who looks for it. */
static int errors_fd(void)
{
    return nx_log_level() >= NX_LOG_INFO ? -1 : open("/dev/null", O_WRONLY | O_CLOEXEC);
}

/* text as standard input, or -1 if there is none. */
static int input_of(const char *text)
{
    NX_AUTO_FD int fd = text ? memfd_create("nxfetch-text", MFD_CLOEXEC) : -1;
    if (fd >= 0 &&
        (nx_write_full(fd, text, strlen(text), "text", NULL) < 0 || lseek(fd, 0, SEEK_SET) < 0))
        return -1;
    return nx_steal_fd(&fd);
}

static int spawn(const struct nx_args *args, const char *input, int stdout_fd, pid_t *ret_pid,
                 struct nx_error *err)
{
    NX_AUTO_FD int stdin_fd = input_of(input);
    NX_AUTO_FD int stderr_fd = errors_fd();
    struct nx_spawn_options options = NX_SPAWN_DEFAULTS;
    options.stdin_fd = stdin_fd;
    options.stdout_fd = stdout_fd;
    options.stderr_fd = stderr_fd;
    return nx_spawn(args, &options, ret_pid, err);
}

static int reap(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Read to the pipe's end: the beginning into output.  An interrupted wait ends it. */
static int collect(int in, char output[static OUTPUT_MAX], struct nx_error *err)
{
    size_t len = 0;
    for (;;) {
        char chunk[OUTPUT_MAX];
        if (nx_interrupt_wait(in, err) < 0)
            return -1;
        ssize_t n = read(in, chunk, sizeof chunk);
        if (n < 0 && errno != EINTR)
            return nx_fail_errno(err, "pipe");
        if (n == 0)
            break;
        size_t room = OUTPUT_MAX - 1 - len, took = n < 0 ? 0 : (size_t)n < room ? (size_t)n : room;
        memcpy(output + len, chunk, took);
        len += took;
    }
    output[len] = 0;
    return 0;
}

/* Run it until the user has answered: *ret_status is -1 if it was killed. */
static int run(const struct nx_args *args, const char *input, int *ret_status,
               char output[static OUTPUT_MAX], struct nx_error *err)
{
    int fds[2];
    pid_t pid;
    if (pipe2(fds, O_CLOEXEC) < 0)
        return nx_fail_errno(err, "pipe");
    NX_AUTO_FD int in = fds[0];
    NX_AUTO_FD int out = fds[1];
    if (spawn(args, input, out, &pid, err) < 0)
        return -1;
    close(nx_steal_fd(&out));
    int ret = collect(in, output, err);
    if (ret < 0)
        kill(pid, SIGKILL);
    *ret_status = reap(pid);
    return ret;
}

/* ---- progress ---- */

static void forget_progress(void)
{
    close(nx_steal_fd(&dialog.progress.its_end));
    close(nx_steal_fd(&dialog.progress.lines));
    dialog.progress.pid = 0;
}

/* The kernel sends us SIGHUP when the window's process ends, wherever we may be waiting then. */
static void watch_end(int fd)
{
    struct pollfd ended = { .fd = fd };
    if (fcntl(fd, F_SETOWN, getpid()) == 0 && fcntl(fd, F_SETSIG, SIGHUP) == 0 &&
        fcntl(fd, F_SETFL, O_ASYNC) == 0 && poll(&ended, 1, 0) > 0)
        kill(getpid(), SIGHUP); /* it was closed before the kernel knew of us */
}

/* A program that ends without having read anything has shown no window (it cannot reach the screen, say), so nobody has closed
 * it.
 */
static void look_at_window(void)
{
    int unread = 0;
    if (dialog.progress.reads || ioctl(dialog.progress.lines, FIONREAD, &unread) < 0)
        return;
    if (unread == 0) {
        dialog.progress.reads = true;
        watch_end(dialog.progress.its_end);
    } else if (waitpid(dialog.progress.pid, NULL, WNOHANG) > 0) {
        forget_progress(); /* not said: progress.h calls us under its lock */
    }
}

static void write_line(const char *text, int percent)
{
    char line[256];
    int len = nx_windows_progress_line(text, percent, line, sizeof line);
    ssize_t ignored = write(dialog.progress.lines, line, (size_t)len);
    (void)ignored; /* a window that does not read misses a picture, no more */
}

static void start_progress(void)
{
    int lines[2], end[2];
    NX_AUTO_ARGS struct nx_args args = { 0 };
    if (pipe2(lines, O_CLOEXEC | O_NONBLOCK) < 0)
        return;
    NX_AUTO_FD int lines_r = lines[0];
    NX_AUTO_FD int lines_w = lines[1];
    if (pipe2(end, O_CLOEXEC) < 0)
        return;
    NX_AUTO_FD int end_r = end[0];
    NX_AUTO_FD int end_w = end[1];
    fcntl(lines_r, F_SETFL, 0); /* the other end is another description: ours does not block */
    NX_AUTO_FD int stderr_fd = errors_fd();
    struct nx_spawn_options options = NX_SPAWN_DEFAULTS;
    options.stdin_fd = lines_r;
    options.stderr_fd = stderr_fd;
    options.keep_fds = &end_w;
    options.n_keep_fds = 1;
    nx_windows_progress("nxfetch", "Connecting", &args);
    if (nx_spawn(&args, &options, &dialog.progress.pid, NULL) < 0)
        return;
    close(nx_steal_fd(&end_w)); /* its end is that of the last who has it */
    dialog.progress.lines = nx_steal_fd(&lines_w);
    dialog.progress.its_end = nx_steal_fd(&end_r);
    dialog.progress.reads = false;
    write_line("Connecting", -1);
}

static void stop_progress(void)
{
    if (!dialog.progress.pid)
        return;
    fcntl(dialog.progress.its_end, F_SETFL, 0); /* its end is ours now */
    kill(dialog.progress.pid, SIGTERM);
    reap(dialog.progress.pid);
    forget_progress();
}

/* Progress is told in the words of its line on a terminal.  What is full before all is done would look like done. */
static void draw(const char *what, uint64_t done, uint64_t total)
{
    char text[160], has[32], wants[32];
    if (!is_open() || dialog.progress.lines < 0)
        return;
    look_at_window();
    if (dialog.progress.lines < 0)
        return;
    nx_human_bytes(done, has);
    if (total)
        snprintf(text, sizeof text, "%s: %s of %s", what, has, nx_human_bytes(total, wants));
    else if (done)
        snprintf(text, sizeof text, "%s: %s", what, has);
    else
        snprintf(text, sizeof text, "%s", what);
    if (text[0] >= 'a' && text[0] <= 'z')
        text[0] = (char)(text[0] - 'a' + 'A');
    int percent = total ? (int)((done < total ? done : total) * 99 / total) : -1;
    write_line(text, percent);
}

void nx_dialog_show_progress(void)
{
    dialog.progress.wanted = is_open() && dialog.window == NX_WAY_ZENITY;
    if (dialog.progress.wanted && !dialog.progress.pid)
        start_progress();
}

void nx_dialog_hide_progress(void)
{
    dialog.progress.wanted = false;
    if (is_open())
        stop_progress();
}

void nx_dialog_forget(void)
{
    if (dialog.progress.lines >= 0)
        close(nx_steal_fd(&dialog.progress.lines));
    if (dialog.progress.its_end >= 0)
        close(nx_steal_fd(&dialog.progress.its_end));
}

/* ---- messages ---- */

static void close_message(void)
{
    if (!dialog.message)
        return;
    kill(dialog.message, SIGTERM);
    reap(dialog.message);
    dialog.message = 0;
}

/* A window beside the machine's, for which nobody waits; the next one takes its place. */
static void show_window(const char *text)
{
    NX_AUTO_ARGS struct nx_args args = { 0 };
    const char *input;
    close_message();
    if (dialog.window == NX_WAY_NONE)
        return;
    nx_windows_message(dialog.window, false, "nxfetch", text, &args, &input);
    if (spawn(&args, input, -1, &dialog.message, NULL) < 0)
        dialog.message = 0;
}

/* Does its program still run, or has it ended well? */
static bool has_notified(pid_t pid)
{
    NX_AUTO_FD int pidfd = pidfd_open(pid, 0);
    struct pollfd fd = { .fd = pidfd, .events = POLLIN };
    int64_t due = nx_now_ms() + NOTIFIED_MS, left = NOTIFIED_MS;
    while (pidfd >= 0 && left > 0 && poll(&fd, 1, (int)left) <= 0)
        left = due - nx_now_ms();
    if (left <= 0 || pidfd < 0) { /* a slow desktop: it may still come */
        kill(pid, SIGKILL);
        reap(pid);
        return left <= 0;
    }
    return reap(pid) == 0;
}

static bool notify(bool error, const char *text)
{
    for (enum nx_window_way way = NX_WAY_NOTIFY_SEND; way <= NX_WAY_GDBUS; way++) {
        NX_AUTO_ARGS struct nx_args args = { 0 };
        const char *input;
        pid_t pid;
        if (nx_windows_find(way, way) == NX_WAY_NONE)
            continue;
        nx_windows_message(way, error, "nxfetch", text, &args, &input);
        if (spawn(&args, input, -1, &pid, NULL) == 0 && has_notified(pid))
            return true;
    }
    return false;
}

/* Show what the user should know while the machine starts or runs. */
static void show(const char *message)
{
    char text[TEXT_MAX] = "";
    nx_windows_plain("", message, text, sizeof text);
    if (strcmp(text, dialog.last) == 0 && nx_now_ms() - dialog.last_at < SAME_MS)
        return;
    snprintf(dialog.last, sizeof dialog.last, "%s", text);
    dialog.last_at = nx_now_ms();
    if (!notify(false, text))
        show_window(text);
}

static void hear(enum nx_loglevel level, const char *message)
{
    if (is_open() && level == NX_LOG_WARNING)
        show(message);
}

void nx_dialog_tell(const char *fmt, ...)
{
    struct nx_error line = NX_ERROR_INIT;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line.msg, sizeof line.msg, fmt, ap);
    va_end(ap);
    nx_log(NX_LOG_NOTICE, "%s", line.msg);
    if (is_open() && nx_log_level() >= NX_LOG_NOTICE)
        show(line.msg);
}

/* ---- opening ---- */

/* Only returns if there is none. */
static void become_terminal(char **argv)
{
    NX_AUTO_ARGS struct nx_args args = { 0 };
    char path[PATH_MAX];
    if (nx_find_program(TERMINAL, path) < 0)
        return;
    nx_args_add(&args, TERMINAL);
    nx_args_add(&args, "-e");
    for (; *argv; argv++)
        nx_args_add(&args, *argv);
    if (!args.failed)
        execv(path, args.argv);
    nx_log(NX_LOG_INFO, "%s: %s", TERMINAL, strerror(errno));
}

void nx_dialog_open(char **argv)
{
    if (!nx_has_desktop())
        return;
    dialog.window = nx_windows_find(NX_WAY_ZENITY, NX_WAY_XMESSAGE);
    if (dialog.window == NX_WAY_NONE) {
        dialog.in_terminal = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
        if (!dialog.in_terminal)
            become_terminal(argv);
    }
    dialog.owner = gettid();
    nx_log_set_listener(hear);
    nx_progress_set_listener(draw);
}

/* ---- questions, and the end ---- */

bool nx_dialog_asks(void)
{
    return is_open() && dialog.window != NX_WAY_NONE;
}

int nx_dialog_ask(const struct nx_window_question *question, enum nx_window_answer *ret_answer,
                  struct nx_error *err)
{
    NX_AUTO_ARGS struct nx_args args = { 0 };
    const char *input;
    char output[OUTPUT_MAX] = "";
    int status = -1;
    stop_progress();
    nx_windows_question(dialog.window, question, &args, &input);
    if (run(&args, input, &status, output, err) < 0)
        return -1;
    *ret_answer = nx_windows_answer(dialog.window, question, status, output);
    if (*ret_answer == NX_ANSWER_FAILED)
        return nx_fail(err, NX_ERR_SYSTEM, "%s has shown no question; what it says: nxfetch -v",
                       args.argv[0]);
    if (dialog.progress.wanted && *ret_answer != NX_ANSWER_NO)
        start_progress();
    return 0;
}

/* The terminal's window closes with us. */
static void hold_terminal(void)
{
    fprintf(stderr, "Return closes this window.");
    nx_interrupt_wait(STDIN_FILENO, NULL);
}

void nx_dialog_failed(const struct nx_error *err)
{
    NX_AUTO_ARGS struct nx_args args = { 0 };
    const char *input;
    char text[TEXT_MAX] = "", output[OUTPUT_MAX];
    int status = -1;
    if (!is_open())
        return;
    nx_dialog_hide_progress();
    close_message();
    if (err->code == NX_ERR_CANCELLED)
        return;
    nx_windows_plain("", err->msg, text, sizeof text);
    /* xmessage's windows are the last resort. */
    if ((dialog.window == NX_WAY_NONE || dialog.window == NX_WAY_XMESSAGE) && notify(true, text))
        return;
    if (dialog.in_terminal)
        hold_terminal();
    if (dialog.window == NX_WAY_NONE)
        return;
    nx_windows_message(dialog.window, true, "nxfetch", text, &args, &input);
    run(&args, input, &status, output, NULL);
}
