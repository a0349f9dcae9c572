/* SPDX-License-Identifier: MIT */
#include "fetch/peers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "common/interrupt.h"
#include "common/plain.h"
#include "fetch/control.h"
#include "fetch/instance.h"
#include "fetch/sockaddr.h"

#define PEERS_MAX 256
#define LIST_MS   3000 /* that one may take to say its status */
#define NAMES_MAX 400  /* bytes of a message that names those who are there */

bool nx_peers_is_ours(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.uid == geteuid();
}

/* How confined a process is: what it can only add to. */
struct bonds {
    unsigned no_new_privs, seccomp, filters;
};

static int read_bonds(pid_t pid, struct bonds *ret_bonds)
{
    char path[64];
    NX_AUTO_FREE char *line = NULL;
    size_t size = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    NX_AUTO_FILE FILE *file = fopen(path, "re");
    int found = 0;
    *ret_bonds = (struct bonds){ 0 };
    while (file && getline(&line, &size, file) > 0) {
        found += sscanf(line, "NoNewPrivs: %u", &ret_bonds->no_new_privs) == 1;
        found += sscanf(line, "Seccomp: %u", &ret_bonds->seccomp) == 1;
        sscanf(line, "Seccomp_filters: %u", &ret_bonds->filters); /* since Linux 5.9 */
    }
    return found == 2 ? 0 : -1;
}

bool nx_peers_is_confined(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    struct bonds ours, theirs;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || peer.pid <= 0 ||
           read_bonds(peer.pid, &theirs) < 0 || read_bonds(getpid(), &ours) < 0 ||
           theirs.no_new_privs > ours.no_new_privs || theirs.seccomp > ours.seccomp ||
           theirs.filters > ours.filters;
}

/* ---- asking ---- */

/* A connected socket; -1 with errno. */
static int connect_to(int dir_fd, const char *name)
{
    struct sockaddr_un address;
    NX_AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || nx_socket_address(dir_fd, name, &address) < 0 ||
        connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return -1;
    if (!nx_peers_is_ours(fd)) {
        errno = EACCES;
        return -1;
    }
    return nx_steal_fd(&fd);
}

static int send_request(int fd, json_t *request, struct nx_error *err)
{
    NX_AUTO_FREE char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
    json_decref(request);
    if (!text)
        return nx_fail(err, NX_ERR_SYSTEM, "no memory, or what is asked for is no UTF-8");
    size_t len = strlen(text);
    text[len] = '\n'; /* in place of the NUL */
    ssize_t n = send(fd, text, len + 1, MSG_NOSIGNAL);
    return n == (ssize_t)len + 1 ? 0 : nx_fail(err, NX_ERR_CANCELLED, "it has gone");
}

/* Until fd can be read, or time is up, or Ctrl-C. */
static int wait_readable(int fd, int64_t due, struct nx_error *err)
{
    for (;;) {
        int64_t left = due - nx_now_ms();
        struct pollfd pfd = { .fd = fd, .events = POLLIN };
        if (nx_check_interrupt(err) < 0)
            return -1;
        if (left <= 0)
            return nx_fail(err, NX_ERR_SYSTEM,
                           "it does not answer: it may be asking its user a question");
        if (poll(&pfd, 1, (int)left) > 0)
            return 0;
    }
}

static int receive_line(int fd, int64_t due, struct nx_buffer *line, struct nx_error *err)
{
    for (;;) {
        char chunk[16384];
        if (wait_readable(fd, due, err) < 0)
            return -1;
        ssize_t n = recv(fd, chunk, sizeof chunk, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n <= 0)
            return nx_fail(err, NX_ERR_CANCELLED, "it has gone");
        if (nx_buffer_add(line, chunk, (size_t)n, err) < 0)
            return -1;
        if (memchr(chunk, '\n', (size_t)n))
            return 0;
    }
}

static int receive_answer(int fd, int64_t due, json_t **ret_answer, struct nx_error *err)
{
    NX_AUTO_BUFFER struct nx_buffer line = NX_BUFFER_INIT(NX_CONTROL_ANSWER_MAX);
    if (receive_line(fd, due, &line, err) < 0)
        return -1;
    json_t *answer = json_loadb((const char *)line.data, line.len, 0, NULL);
    const char *refusal = json_string_value(json_object_get(answer, "error"));
    int ret = 0;
    if (!json_is_object(answer))
        ret = nx_fail(err, NX_ERR_FORMAT, "it answers what is no JSON object");
    else if (refusal)
        ret = nx_fail(err, NX_ERR_SYSTEM, "%s", refusal);
    if (ret < 0)
        json_decref(answer);
    else
        *ret_answer = answer;
    return ret;
}

static int ask(int dir_fd, pid_t pid, json_t *request, int timeout_ms, json_t **ret_answer,
               struct nx_error *err)
{
    char name[32];
    snprintf(name, sizeof name, "%d" NX_CONTROL_SUFFIX, (int)pid);
    NX_AUTO_FD int fd = dir_fd < 0 ? -1 : connect_to(dir_fd, name);
    int64_t due = nx_now_ms() + timeout_ms;
    if (fd < 0) {
        json_decref(request);
        return nx_fail(err, NX_ERR_CANCELLED, "it has gone");
    }
    return send_request(fd, request, err) < 0 ? -1 : receive_answer(fd, due, ret_answer, err);
}

int nx_peers_ask(pid_t pid, json_t *request, int timeout_ms, json_t **ret_answer,
                 struct nx_error *err)
{
    struct nx_error why = NX_ERROR_INIT;
    NX_AUTO_FD int dir_fd = nx_instance_open_base(&why);
    return ask(dir_fd, pid, request, timeout_ms, ret_answer, err);
}

json_t *nx_peers_status_request(unsigned cells)
{
    json_t *request = json_pack("{s:s}", "ask", "status");
    if (cells)
        json_object_set_new(request, "cells", json_integer(cells));
    return request;
}

/* ---- listing ---- */

/* The pid in a socket's name; 0: it is none of ours. */
static pid_t pid_of(const char *name)
{
    char *end;
    long pid = strtol(name, &end, 10);
    return name[0] >= '1' && name[0] <= '9' && strcmp(end, NX_CONTROL_SUFFIX) == 0 && pid > 0 &&
                   pid < 1L << 30
               ? (pid_t)pid
               : 0;
}

/* A stream of its own over the folder. */
static DIR *open_stream(int dir_fd)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    if (!stream && fd >= 0)
        close(fd);
    return stream;
}

void nx_peers_sweep(int dir_fd)
{
    NX_AUTO_DIR DIR *stream = open_stream(dir_fd);
    for (const struct dirent *entry; stream && (entry = readdir(stream));) {
        if (!pid_of(entry->d_name))
            continue;
        NX_AUTO_FD int fd = connect_to(dir_fd, entry->d_name);
        if (fd < 0 && errno == ECONNREFUSED)
            unlinkat(dir_fd, entry->d_name, 0);
    }
}

static int by_pid(const void *a, const void *b)
{
    pid_t x = ((const struct nx_peer *)a)->pid, y = ((const struct nx_peer *)b)->pid;
    return (x > y) - (x < y);
}

static int add_peer(struct nx_peers *peers, int dir_fd, const char *name, struct nx_error *err)
{
    struct nx_peer peer = { .pid = pid_of(name) };
    if (!peer.pid || peers->count == PEERS_MAX)
        return 0;
    if (ask(dir_fd, peer.pid, nx_peers_status_request(0), LIST_MS, &peer.status, &peer.why) < 0) {
        if (nx_check_interrupt(err) < 0)
            return -1;
        if (peer.why.code == NX_ERR_CANCELLED)
            return 0;
    }
    struct nx_peer *items = reallocarray(peers->items, peers->count + 1, sizeof *items);
    if (!items) {
        json_decref(peer.status);
        return nx_fail_errno(err, "machines");
    }
    peers->items = items;
    items[peers->count++] = peer;
    return 0;
}

/* What a killed one has left goes, unless somebody is busy in the folder. */
static void sweep(void)
{
    NX_AUTO_FREE char *base = NULL;
    struct nx_error ignored = NX_ERROR_INIT;
    NX_AUTO_FD int fd = nx_instance_lock_base(&base, &ignored);
    if (fd < 0)
        return;
    nx_peers_sweep(fd);
    close(nx_steal_fd(&fd));
    nx_instance_leave_base(base);
}

int nx_peers_list(struct nx_peers *ret_peers, struct nx_error *err)
{
    struct nx_error why = NX_ERROR_INIT;
    *ret_peers = (struct nx_peers){ 0 };
    NX_AUTO_FD int dir_fd = nx_instance_open_base(&why);
    if (dir_fd < 0 && why.code != NX_OK)
        return nx_fail(err, why.code, "%s", why.msg);
    if (dir_fd < 0)
        return 0;
    sweep();
    NX_AUTO_DIR DIR *stream = open_stream(dir_fd);
    int ret = 0;
    for (const struct dirent *entry; ret == 0 && stream && (entry = readdir(stream));)
        ret = add_peer(ret_peers, dir_fd, entry->d_name, err);
    if (ret < 0)
        nx_peers_release(ret_peers);
    else if (ret_peers->count)
        qsort(ret_peers->items, ret_peers->count, sizeof *ret_peers->items, by_pid);
    return ret;
}

void nx_peers_release(struct nx_peers *peers)
{
    for (size_t i = 0; i < peers->count; i++)
        json_decref(peers->items[i].status);
    free(peers->items);
    *peers = (struct nx_peers){ 0 };
}

/* ---- choosing ---- */

const char *nx_peers_text(const struct nx_peer *peer, const char *member)
{
    const char *text = json_string_value(json_object_get(peer->status, member));
    return text ? text : "";
}

static bool has_pid(const struct nx_peer *peer, const char *machine)
{
    char pid[16];
    snprintf(pid, sizeof pid, "%d", (int)peer->pid);
    return strcmp(pid, machine) == 0;
}

static bool is_called(const struct nx_peer *peer, const char *machine)
{
    static const char *const members[] = { "name", "url", "location" };
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (strcmp(nx_peers_text(peer, members[i]), machine) == 0)
            return true;
    return has_pid(peer, machine);
}

/* The one with this pid: a machine may be called by a number, and must not stand before the one that has it. */
static const struct nx_peer *find_pid(const struct nx_peers *peers, const char *machine)
{
    for (size_t i = 0; machine && i < peers->count; i++)
        if (has_pid(&peers->items[i], machine))
            return &peers->items[i];
    return NULL;
}

/* "100 (debian), 200 (tiny)" */
static void name_them(const struct nx_peers *peers, const char *machine,
                      char text[static NAMES_MAX])
{
    size_t len = 0;
    text[0] = 0;
    for (size_t i = 0; i < peers->count && len < NAMES_MAX; i++) {
        const struct nx_peer *peer = &peers->items[i];
        const char *name = nx_peers_text(peer, "name");
        if (machine && !is_called(peer, machine))
            continue;
        len += (size_t)snprintf(text + len, NAMES_MAX - len, "%s%d (%.64s)", len ? ", " : "",
                                (int)peer->pid, name[0] ? name : "not known yet");
    }
    nx_plain(text);
}

int nx_peers_choose(const struct nx_peers *peers, const char *machine,
                    const struct nx_peer **ret_peer, struct nx_error *err)
{
    char names[NAMES_MAX];
    const struct nx_peer *found = NULL, *by_pid = find_pid(peers, machine);
    size_t n = 0;
    for (size_t i = 0; !by_pid && i < peers->count; i++)
        if (!machine || is_called(&peers->items[i], machine)) {
            found = &peers->items[i];
            n++;
        }
    name_them(peers, n > 1 ? machine : NULL, names);
    if (by_pid) {
        *ret_peer = by_pid;
        return 0;
    }
    if (peers->count == 0)
        return nx_fail(err, NX_ERR_SYSTEM, "no machine of this user is running here");
    if (n == 0)
        return nx_fail(err, NX_ERR_SYSTEM, "no running machine is called %s; there are: %s",
                       machine, names);
    if (n > 1)
        return nx_fail(err, NX_ERR_SYSTEM, "which machine?  Name its pid: %s", names);
    *ret_peer = found;
    return 0;
}
