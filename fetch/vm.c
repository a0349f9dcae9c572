/* SPDX-License-Identifier: MIT */
#include "fetch/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/io.h"
#include "common/log.h"
#include "fetch/vm_calls.h"

#define KILLED_MS \
    300 /* that a killed QEMU gets to be gone, before the engine ends the reads that it may be in */
#define RETRY_WRITE_MS 5000  /* between two looks whether a full disk has room again */
#define FULL_ANEW_MS   60000 /* without a failed write: then a full disk is news again */

enum { FD_PROCESS, FD_QMP, FD_STDERR, FD_SERIAL };

/* ---- starting ---- */

/* A Unix socket's name has room for 107 bytes, fewer than a folder's may take: go through /proc. */
static int socket_address(const char *path, int dir_fd, struct sockaddr_un *ret_address)
{
    *ret_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    int n = snprintf(ret_address->sun_path, sizeof ret_address->sun_path, "/proc/self/fd/%d/%s",
                     dir_fd, strrchr(path, '/') + 1);
    return n < (int)sizeof ret_address->sun_path ? 0 : -1;
}

int nx_vm_listen(struct nx_vm *vm, const char *path, struct nx_error *err)
{
    NX_AUTO_FREE char *dir = nx_folder_of(path);
    NX_AUTO_FD int dir_fd = dir ? open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    struct sockaddr_un address;
    if (dir_fd < 0 || socket_address(path, dir_fd, &address) < 0)
        return nx_fail_errno(err, "%s", path);
    NX_AUTO_FD int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    NX_AUTO_FD int ours = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listening < 0 || ours < 0 ||
        bind(listening, (struct sockaddr *)&address, sizeof address) < 0)
        return nx_fail_errno(err, "%s", path);
    /* Connecting now, before QEMU runs, needs no waiting for it: it finds us in its queue. */
    int ret =
        listen(listening, 1) < 0 || connect(ours, (struct sockaddr *)&address, sizeof address) < 0;
    if (ret != 0)
        nx_fail_errno(err, "%s", path);
    unlink(path);
    if (ret != 0 || nx_qmp_new(nx_steal_fd(&ours), &vm->qmp, err) < 0)
        return -1;
    vm->listen_fd = nx_steal_fd(&listening);
    return 0;
}

int nx_vm_open_serial(struct nx_vm *vm, struct nx_error *err)
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, vm->serial_fds) < 0)
        return nx_fail_errno(err, "serial port");
    return 0;
}

/* What a window and a sound server are found by, and nothing else. */
static void make_environment(struct nx_args *env)
{
    static const char *const names[] = {
        "PATH",
        "HOME",
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
        "LC_MESSAGES",
        "TMPDIR",
        "DISPLAY",
        "XAUTHORITY",
        "WAYLAND_DISPLAY",
        "XDG_RUNTIME_DIR",
        "XDG_DATA_DIRS",
        "XDG_CONFIG_HOME",
        "XDG_CONFIG_DIRS",
        "XDG_SESSION_TYPE",
        "GDK_BACKEND",
        "GDK_SCALE",
        "GTK_THEME",
        "PULSE_SERVER",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (getenv(names[i]))
            nx_args_addf(env, "%s=%s", names[i], getenv(names[i]));
    /* The session bus runs programs for who asks; and without one libdbus would start it, which the sandbox forbids. */
    nx_args_add(env, "DBUS_SESSION_BUS_ADDRESS=disabled:");
    nx_args_add(env, "NO_AT_BRIDGE=1");
    nx_args_add(env, "GSETTINGS_BACKEND=memory");
}

/* In the child that becomes QEMU. */
static int confine(void *opaque)
{
    const struct nx_vm *vm = opaque;
    const struct rlimit none = { 0, 0 };
    if (setrlimit(RLIMIT_CORE, &none) < 0 || nx_confine_enter(&vm->confinement) < 0)
        return -1;
    return nx_vm_calls_refuse();
}

int nx_vm_start(struct nx_vm *vm, const struct nx_args *args, bool stdio, struct nx_error *err)
{
    int errors[2];
    if (pipe2(errors, O_CLOEXEC) < 0)
        return nx_fail_errno(err, "pipe");
    NX_AUTO_FD int write_end = errors[1];
    vm->stderr_fd = errors[0];
    fcntl(vm->stderr_fd, F_SETFL, O_NONBLOCK);
    vm->has_terminal = stdio && tcgetattr(STDIN_FILENO, &vm->terminal) == 0;
    NX_AUTO_ARGS struct nx_args env = { 0 };
    make_environment(&env);
    if (env.failed)
        return nx_fail(err, NX_ERR_SYSTEM, "no memory for QEMU's environment");
    if (nx_vm_calls_prepare(vm->incoming_fd >= 0, vm->no_unix_sockets) < 0)
        return nx_fail_errno(err, "seccomp filter");
    int keep[4], n_keep = 0;
    const int fds[] = { vm->listen_fd, vm->incoming_fd, vm->serial_fds[0], vm->confinement.fd };
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        if (fds[i] >= 0)
            keep[n_keep++] = fds[i];
    struct nx_spawn_options options = { .stdin_fd = stdio ? STDIN_FILENO : -1,
                                        .stdout_fd = stdio ? STDOUT_FILENO : -1,
                                        .stderr_fd = write_end,
                                        .keep_fds = keep,
                                        .n_keep_fds = (size_t)n_keep,
                                        .new_session = true,
                                        .before_exec = confine,
                                        .opaque = vm,
                                        .env = env.argv };
    if (nx_spawn(args, &options, &vm->pid, err) < 0)
        return nx_fail_while(err, "install the package qemu-system-x86");
    close(nx_steal_fd(&vm->listen_fd));
    nx_confine_release(&vm->confinement);
    if (vm->serial_fds[0] >= 0)
        close(nx_steal_fd(&vm->serial_fds[0]));
    vm->pidfd = pidfd_open(vm->pid, 0);
    return vm->pidfd < 0 ? nx_fail_errno(err, "QEMU: pidfd") : 0;
}

/* ---- watching ---- */

void nx_vm_poll_fds(const struct nx_vm *vm, struct pollfd fds[static NX_VM_POLL_FDS])
{
    fds[FD_PROCESS] = (struct pollfd){ .fd = vm->exited ? -1 : vm->pidfd, .events = POLLIN };
    fds[FD_QMP] = (struct pollfd){ .fd = vm->qmp ? nx_qmp_fd(vm->qmp) : -1, .events = POLLIN };
    fds[FD_STDERR] = (struct pollfd){ .fd = vm->stderr_fd, .events = POLLIN };
    fds[FD_SERIAL] = (struct pollfd){ .fd = vm->serial_fds[1], .events = POLLIN };
}

/* Keep the end of what QEMU says. */
static void read_stderr(struct nx_vm *vm)
{
    char chunk[1024];
    ssize_t n = read(vm->stderr_fd, chunk, sizeof chunk);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        close(nx_steal_fd(&vm->stderr_fd));
        return;
    }
    struct nx_error line = NX_ERROR_INIT;
    nx_fail(&line, NX_OK, "%.*s", (int)n - (chunk[n - 1] == '\n'), chunk);
    nx_log(NX_LOG_INFO, "QEMU: %s", line.msg);
    size_t len = (size_t)n, room = sizeof vm->said - 1;
    size_t drop = vm->said_len + len > room ? vm->said_len + len - room : 0;
    memmove(vm->said, vm->said + drop, vm->said_len - drop);
    vm->said_len -= drop;
    memcpy(vm->said + vm->said_len, chunk, len);
    vm->said_len += len;
    vm->said[vm->said_len] = 0;
}

/* A line without the time and the program's name in front. */
static const char *bare(const char *line)
{
    const char *name = strstr(line, "qemu-system-");
    const char *colon = name ? strstr(name, ": ") : NULL;
    return colon && colon < line + strcspn(line, "\n") ? colon + 2 : line;
}

static const char *last_words(struct nx_vm *vm)
{
    while (vm->said_len && vm->said[vm->said_len - 1] == '\n')
        vm->said[--vm->said_len] = 0;
    const char *newline = strrchr(vm->said, '\n');
    return bare(newline ? newline + 1 : vm->said);
}

/* The state was loaded: let the guest go on.  That it was not, QEMU says by its end. */
static void handle_migration(struct nx_vm *vm, const json_t *data)
{
    const char *status = json_string_value(json_object_get(data, "status"));
    if (status && strcmp(status, "completed") == 0)
        nx_qmp_send(vm->qmp, "cont", NULL, NULL, NULL);
}

/* Each retry may fail again: that is not told each time. */
static void note_full(struct nx_vm *vm)
{
    int64_t now = nx_now_ms();
    if (!vm->full_at || now - vm->full_at >= FULL_ANEW_MS)
        nx_log(NX_LOG_WARNING, "the disk that takes the machine's writes is full: the machine "
                               "is paused until there is room");
    vm->full_at = now;
    vm->no_space = true;
}

static void handle_event(struct nx_vm *vm, const struct nx_qmp_message *event)
{
    if (strcmp(event->name, "SHUTDOWN") == 0) {
        vm->shutdown = true;
        nx_qmp_send(vm->qmp, "quit", NULL, NULL,
                    NULL); /* if it is gone already, so much the better */
    } else if (strcmp(event->name, "RESET") == 0) {
        nx_log(NX_LOG_INFO, "the machine starts anew");
    } else if (strcmp(event->name, "POWERDOWN") == 0) {
        nx_log(NX_LOG_INFO, "the machine is asked to switch itself off");
    } else if (strcmp(event->name, "GUEST_PANICKED") == 0) {
        nx_log(NX_LOG_WARNING, "the guest's kernel has panicked");
    } else if (strcmp(event->name, "BLOCK_IO_ERROR") == 0) {
        if (json_is_true(json_object_get(event->data, "nospace")))
            note_full(vm);
    } else if (strcmp(event->name, "MIGRATION") == 0) {
        handle_migration(vm, event->data);
    } else if (strcmp(event->name, "RESUME") == 0) {
        vm->running = true;
        vm->no_space = false;
    }
}

/* QEMU answers: give it the state to load, if there is one. */
static int handle_up(struct nx_vm *vm, struct nx_error *err)
{
    vm->up = true;
    if (vm->incoming_fd < 0) {
        vm->running = true;
        return 0;
    }
    json_t *events =
        json_pack("{s:[{s:s, s:b}]}", "capabilities", "capability", "events", "state", 1);
    json_t *from = json_pack("{s:o}", "uri", json_sprintf("fd:%d", vm->incoming_fd));
    if (nx_qmp_send(vm->qmp, "migrate-set-capabilities", events, NULL, err) < 0) {
        json_decref(from);
        return -1;
    }
    return nx_qmp_send(vm->qmp, "migrate-incoming", from, NULL, err);
}

static int handle_message(struct nx_vm *vm, const struct nx_qmp_message *message,
                          struct nx_error *err)
{
    switch (message->kind) {
    case NX_QMP_GREETING:
        return nx_qmp_send(vm->qmp, "qmp_capabilities", NULL, NULL, err);
    case NX_QMP_RETURN:
        if (vm->picture == NX_VM_PICTURE_ASKED && message->id == vm->picture_id)
            vm->picture = NX_VM_PICTURE_TAKEN;
        return vm->up ? 0 : handle_up(vm, err); /* the first answer is that to qmp_capabilities */
    case NX_QMP_ERROR:
        if (vm->picture == NX_VM_PICTURE_ASKED && message->id == vm->picture_id)
            return nx_fail(err, NX_ERR_SYSTEM, "QEMU gives no picture of the screen: %s",
                           message->name);
        if (vm->running) { /* a key that the machine has not, or the like */
            nx_log(NX_LOG_INFO, "QEMU: %s", message->name);
            return 0;
        }
        vm->refused = true;
        return nx_fail(err, NX_ERR_SYSTEM, "QEMU: %s", message->name);
    case NX_QMP_EVENT:
        handle_event(vm, message);
        return 0;
    case NX_QMP_NOTHING:
    case NX_QMP_CLOSED:
        break;
    }
    return 0;
}

/* A few messages at a time, so that QEMU cannot keep us busy for ever. */
static int handle_qmp(struct nx_vm *vm, struct nx_error *err)
{
    struct nx_qmp_message message = { 0 };
    int ret = 0;
    for (unsigned i = 0; ret == 0 && i < 64; i++) {
        ret = nx_qmp_receive(vm->qmp, &message, err);
        if (ret < 0 || message.kind == NX_QMP_NOTHING || message.kind == NX_QMP_CLOSED)
            break;
        ret = handle_message(vm, &message, err);
    }
    if (ret < 0 || message.kind == NX_QMP_CLOSED) {
        nx_qmp_free(vm->qmp); /* the process will follow, or is ended for ret's sake */
        vm->qmp = NULL;
    }
    nx_qmp_message_release(&message);
    return ret;
}

static int handle_exit(struct nx_vm *vm, struct nx_error *err)
{
    if (waitpid(vm->pid, &vm->status, 0) != vm->pid)
        return nx_fail_errno(err, "QEMU");
    vm->pid = 0;
    vm->exited = true;
    while (vm->stderr_fd >= 0) { /* nobody writes to it any more, so this ends */
        struct pollfd fd = { .fd = vm->stderr_fd, .events = POLLIN };
        if (poll(&fd, 1, 0) <= 0)
            break;
        read_stderr(vm);
    }
    if (WIFSIGNALED(vm->status))
        return nx_fail(err, NX_ERR_SYSTEM, "QEMU was killed by signal %d%s%s", WTERMSIG(vm->status),
                       vm->said_len ? ": " : "", last_words(vm));
    if (WEXITSTATUS(vm->status) != 0 || !vm->up)
        return nx_fail(err, NX_ERR_SYSTEM, "QEMU has failed: %s",
                       vm->said_len ? last_words(vm) : "it does not say why");
    return 0;
}

/* Nobody listens, but the guest must not wait for that. */
static void drop_serial(struct nx_vm *vm)
{
    char chunk[4096];
    ssize_t n = read(vm->serial_fds[1], chunk, sizeof chunk);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        close(nx_steal_fd(&vm->serial_fds[1]));
}

int nx_vm_handle(struct nx_vm *vm, const struct pollfd fds[static NX_VM_POLL_FDS],
                 struct nx_error *err)
{
    if (fds[FD_SERIAL].revents)
        drop_serial(vm);
    if (fds[FD_STDERR].revents)
        read_stderr(vm);
    if (fds[FD_QMP].revents && vm->qmp && handle_qmp(vm, err) < 0)
        return -1;
    return fds[FD_PROCESS].revents ? handle_exit(vm, err) : 0;
}

const char *nx_vm_rejection(const struct nx_vm *vm, char text[static 256])
{
    /* The first complaint names the device; the last one only says that it was one. */
    const char *line = strstr(vm->said, "rror while loading state");
    while (line && line > vm->said && line[-1] != '\n')
        line--;
    for (const char *at = vm->said; !line && *at; at += strcspn(at, "\n"), at += *at == '\n')
        if (!strstr(at, "warning:") || strstr(at, "warning:") > at + strcspn(at, "\n"))
            line = at;
    if ((!line || !*line) && WIFSIGNALED(vm->status)) {
        snprintf(text, 256, "it was killed by signal %d", WTERMSIG(vm->status));
        return text;
    }
    if (!line || !*line)
        return "it does not say why";
    line = bare(line);
    snprintf(text, 256, "%.*s", (int)strcspn(line, "\n"), line);
    return text;
}

int nx_vm_poke(struct nx_vm *vm, struct nx_error *err)
{
    if (!vm->qmp)
        return 0;
    if (vm->serial_fds[1] >= 0 && send(vm->serial_fds[1], "\r", 1, MSG_NOSIGNAL) < 0)
        nx_log(NX_LOG_INFO, "serial port: %s", strerror(errno));
    json_t *key = json_pack("{s:[{s:s, s:s}]}", "keys", "type", "qcode", "data", "shift");
    return nx_qmp_send(vm->qmp, "send-key", key, NULL, err);
}

int nx_vm_take_picture(struct nx_vm *vm, const char *path, struct nx_error *err)
{
    if (!vm->qmp)
        return nx_fail(err, NX_ERR_SYSTEM, "QEMU gives no picture of the screen: it is gone");
    json_t *where = json_pack("{s:s, s:s}", "filename", path, "format", "png");
    if (nx_qmp_send(vm->qmp, "screendump", where, &vm->picture_id, err) < 0)
        return -1;
    vm->picture = NX_VM_PICTURE_ASKED;
    return 0;
}

int nx_vm_stand_still(struct nx_vm *vm, bool still, struct nx_error *err)
{
    if (!vm->running || !vm->qmp || vm->stands == still)
        return 0;
    vm->stands = still;
    if (still)
        nx_log(NX_LOG_INFO, "the machine stands still meanwhile");
    return nx_qmp_send(vm->qmp, still ? "stop" : "cont", NULL, NULL, err);
}

int nx_vm_retry_in(const struct nx_vm *vm)
{
    if (!vm->no_space || vm->stands || !vm->qmp)
        return -1;
    int64_t left = vm->full_at + RETRY_WRITE_MS - nx_now_ms();
    return left > 0 ? (int)left : 0;
}

int nx_vm_retry_writes(struct nx_vm *vm, struct nx_error *err)
{
    if (nx_vm_retry_in(vm) != 0)
        return 0;
    vm->full_at = nx_now_ms();
    return nx_qmp_send(vm->qmp, "cont", NULL, NULL, err);
}

/* ---- ending ---- */

/* Attend to QEMU until it has ended; false when time is up. */
static bool wait_exit(struct nx_vm *vm, int timeout_ms)
{
    int64_t deadline = nx_now_ms() + timeout_ms;
    struct nx_error ignored = NX_ERROR_INIT;
    for (int64_t left = timeout_ms; !vm->exited && left > 0; left = deadline - nx_now_ms()) {
        struct pollfd fds[NX_VM_POLL_FDS];
        nx_vm_poll_fds(vm, fds);
        if (poll(fds, NX_VM_POLL_FDS, (int)left) > 0)
            nx_vm_handle(vm, fds, &ignored);
    }
    return vm->exited;
}

void nx_vm_stop(struct nx_vm *vm, int timeout_ms)
{
    if (vm->pid == 0 || vm->exited)
        return;
    vm->shutdown = true;
    bool asked = vm->up && vm->qmp && nx_qmp_send(vm->qmp, "quit", NULL, NULL, NULL) == 0;
    if (asked && wait_exit(vm, timeout_ms))
        return;
    if (vm->pidfd < 0)
        kill(vm->pid, SIGKILL);
    else
        pidfd_send_signal(vm->pidfd, SIGKILL, NULL, 0);
    wait_exit(vm, KILLED_MS);
}

void nx_vm_reap(struct nx_vm *vm)
{
    if (vm->pid > 0)
        waitpid(vm->pid, NULL, 0);
    if (vm->has_terminal)
        tcsetattr(STDIN_FILENO, TCSANOW, &vm->terminal);
    nx_qmp_free(vm->qmp);
    nx_confine_release(&vm->confinement);
    if (vm->listen_fd >= 0)
        close(vm->listen_fd);
    if (vm->pidfd >= 0)
        close(vm->pidfd);
    if (vm->stderr_fd >= 0)
        close(vm->stderr_fd);
    for (int i = 0; i < 2; i++)
        if (vm->serial_fds[i] >= 0)
            close(vm->serial_fds[i]);
    *vm = (struct nx_vm)NX_VM_INIT;
}
