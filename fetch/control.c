/* SPDX-License-Identifier: MIT */
#include "fetch/control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/json.h"
#include "fetch/instance.h"
#include "fetch/peers.h"
#include "fetch/mapmessage.h"
#include "fetch/sockaddr.h"

struct client {
    int fd;      /* -1: none */
    uint64_t id; /* the smallest is the oldest */
    struct nx_buffer in, out;
    size_t sent; /* of out */
    bool asked;  /* its line has come, and was no nonsense */
    bool taken;
    struct nx_control_request request;
};

struct nx_control {
    char *base; /* the folder of the socket */
    char name[32];
    bool bound;
    int fd;
    uint64_t last_id;
    struct client clients[NX_CONTROL_CLIENTS];
};

/* ---- requests ---- */

static int parse_cells(json_t *whole, struct nx_control_request *request, struct nx_error *err)
{
    json_t *cells = json_object_get(whole, "cells");
    json_int_t n = cells ? json_integer_value(cells) : 0;
    if (cells && (!json_is_integer(cells) || n < 1 || n > NX_MAP_CELLS_MAX))
        return nx_fail(err, NX_ERR_USAGE, "cells: a number from 1 to %d", NX_MAP_CELLS_MAX);
    request->cells = (unsigned)n;
    request->what = NX_ASK_STATUS;
    return 0;
}

static int parse_screenshot(json_t *whole, struct nx_control_request *request, struct nx_error *err)
{
    const char *file = json_string_value(json_object_get(whole, "file"));
    if (!file || file[0] != '/' || strlen(file) >= sizeof request->file)
        return nx_fail(err, NX_ERR_USAGE, "file: an absolute path of less than %zu bytes",
                       sizeof request->file);
    strcpy(request->file, file);
    request->what = NX_ASK_SCREENSHOT;
    return 0;
}

static int parse_power(json_t *whole, struct nx_control_request *request, struct nx_error *err)
{
    static const struct {
        const char *how;
        enum nx_control_what what;
    } ways[] = { { "off", NX_ASK_POWER_OFF }, { "reset", NX_ASK_RESET }, { "stop", NX_ASK_STOP } };
    const char *how = json_string_value(json_object_get(whole, "how"));
    for (size_t i = 0; how && i < sizeof ways / sizeof *ways; i++)
        if (strcmp(how, ways[i].how) == 0) {
            request->what = ways[i].what;
            return 0;
        }
    return nx_fail(err, NX_ERR_USAGE, "how: off, reset or stop");
}

int nx_control_parse(const char *line, size_t len, struct nx_control_request *ret_request,
                     struct nx_error *err)
{
    json_error_t problem;
    json_t *whole = json_loadb(line, len, JSON_REJECT_DUPLICATES, &problem);
    const char *ask = json_string_value(json_object_get(whole, "ask"));
    int ret;
    *ret_request = (struct nx_control_request){ 0 };
    if (!whole)
        ret = nx_fail(err, NX_ERR_USAGE, "that is no JSON: %s", problem.text);
    else if (!ask)
        ret = nx_fail(err, NX_ERR_USAGE, "that asks for nothing");
    else if (strcmp(ask, "status") == 0)
        ret = parse_cells(whole, ret_request, err);
    else if (strcmp(ask, "screenshot") == 0)
        ret = parse_screenshot(whole, ret_request, err);
    else if (strcmp(ask, "power") == 0)
        ret = parse_power(whole, ret_request, err);
    else
        ret = nx_fail(err, NX_ERR_USAGE, "ask: status, screenshot or power");
    json_decref(whole);
    return ret;
}

/* ---- clients ---- */

static void drop(struct client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    nx_buffer_release(&client->in);
    nx_buffer_release(&client->out);
    *client = (struct client){ .fd = -1 };
}

/* A place for one more: the oldest has had time enough. */
static struct client *make_room(struct nx_control *control)
{
    struct client *oldest = &control->clients[0];
    for (unsigned i = 0; i < NX_CONTROL_CLIENTS; i++) {
        struct client *client = &control->clients[i];
        if (client->fd < 0)
            return client;
        if (client->id < oldest->id)
            oldest = client;
    }
    drop(oldest);
    return oldest;
}

static void admit(struct nx_control *control)
{
    NX_AUTO_FD int fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 || !nx_peers_is_ours(fd) || nx_peers_is_confined(fd))
        return;
    struct client *client = make_room(control);
    *client = (struct client){ .fd = nx_steal_fd(&fd), .id = ++control->last_id };
    nx_buffer_init(&client->in, NX_CONTROL_LINE_MAX);
    nx_buffer_init(&client->out, NX_CONTROL_ANSWER_MAX);
}

/* As much of the answer as the socket takes; the end of the connection behind all of it. */
static void send_on(struct client *client)
{
    while (client->sent < client->out.len) {
        ssize_t n = send(client->fd, client->out.data + client->sent,
                         client->out.len - client->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            break;
        client->sent += (size_t)n;
    }
    drop(client);
}

static void answer_client(struct client *client, json_t *answer)
{
    NX_AUTO_FREE char *text =
        answer ? json_dumps(answer, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    json_decref(answer);
    if (!text || nx_buffer_printf(&client->out, NULL, "%s\n", text) < 0) {
        drop(client);
        return;
    }
    send_on(client);
}

static json_t *result_json(int ret, const struct nx_error *err)
{
    return ret == 0 ? json_pack("{s:b}", "ok", 1)
                    : json_pack("{s:o}", "error", nx_json_text(err->msg));
}

static void read_on(struct client *client)
{
    char chunk[1024];
    struct nx_error err = NX_ERROR_INIT;
    ssize_t n = recv(client->fd, chunk, sizeof chunk, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        drop(client);
        return;
    }
    if (nx_buffer_add(&client->in, chunk, (size_t)n, NULL) < 0) {
        nx_fail(&err, NX_ERR_USAGE, "a line of more than %d bytes", NX_CONTROL_LINE_MAX);
        answer_client(client, result_json(-1, &err));
        return;
    }
    const char *line = (const char *)client->in.data, *end = memchr(line, '\n', client->in.len);
    if (!end)
        return;
    client->asked = true;
    if (nx_control_parse(line, (size_t)(end - line), &client->request, &err) < 0)
        answer_client(client, result_json(-1, &err));
    else
        client->request.id = client->id;
}

/* ---- for the launcher's loop ---- */

void nx_control_poll_fds(const struct nx_control *control,
                         struct pollfd fds[static NX_CONTROL_POLL_FDS])
{
    fds[0] = (struct pollfd){ .fd = control ? control->fd : -1, .events = POLLIN };
    for (unsigned i = 0; i < NX_CONTROL_CLIENTS; i++) {
        const struct client *client = control ? &control->clients[i] : NULL;
        short events = !client ? 0 : client->out.len ? POLLOUT : client->asked ? 0 : POLLIN;
        fds[1 + i] = (struct pollfd){ .fd = client ? client->fd : -1, .events = events };
    }
}

void nx_control_handle(struct nx_control *control,
                       const struct pollfd fds[static NX_CONTROL_POLL_FDS])
{
    for (unsigned i = 0; control && i < NX_CONTROL_CLIENTS; i++) {
        struct client *client = &control->clients[i];
        if (client->fd < 0 || !fds[1 + i].revents)
            continue;
        if (client->out.len)
            send_on(client);
        else if (client->asked)
            drop(client); /* it has gone, and waits for nothing any more */
        else
            read_on(client);
    }
    if (control && fds[0].revents)
        admit(control);
}

bool nx_control_take(struct nx_control *control, struct nx_control_request *ret_request)
{
    for (unsigned i = 0; control && i < NX_CONTROL_CLIENTS; i++) {
        struct client *client = &control->clients[i];
        if (client->fd < 0 || !client->asked || client->taken)
            continue;
        client->taken = true;
        *ret_request = client->request;
        return true;
    }
    return false;
}

void nx_control_answer(struct nx_control *control, uint64_t id, json_t *answer)
{
    for (unsigned i = 0; control && i < NX_CONTROL_CLIENTS; i++)
        if (control->clients[i].fd >= 0 && control->clients[i].id == id) {
            answer_client(&control->clients[i], answer);
            return;
        }
    json_decref(answer);
}

void nx_control_answer_result(struct nx_control *control, uint64_t id, int ret,
                              const struct nx_error *err)
{
    nx_control_answer(control, id, result_json(ret, err));
}

void nx_control_forget(const struct nx_control *control)
{
    if (!control)
        return;
    close(control->fd);
    for (unsigned i = 0; i < NX_CONTROL_CLIENTS; i++)
        if (control->clients[i].fd >= 0)
            close(control->clients[i].fd);
}

/* ---- new and free ---- */

static int bind_socket(struct nx_control *control, int dir_fd, struct nx_error *err)
{
    struct sockaddr_un address;
    if (nx_socket_address(dir_fd, control->name, &address) < 0 ||
        bind(control->fd, (struct sockaddr *)&address, sizeof address) < 0)
        return nx_fail_errno(err, "%s/%s", control->base, control->name);
    control->bound = true;
    return listen(control->fd, NX_CONTROL_CLIENTS) < 0
               ? nx_fail_errno(err, "%s/%s", control->base, control->name)
               : 0;
}

int nx_control_new(struct nx_control **ret_control, struct nx_error *err)
{
    NX_AUTO_CONTROL struct nx_control *control = calloc(1, sizeof *control);
    if (!control)
        return nx_fail_errno(err, "control socket");
    for (unsigned i = 0; i < NX_CONTROL_CLIENTS; i++)
        control->clients[i].fd = -1;
    control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (control->fd < 0)
        return nx_fail_errno(err, "control socket");
    snprintf(control->name, sizeof control->name, "%d" NX_CONTROL_SUFFIX, (int)getpid());
    NX_AUTO_FD int dir_fd = nx_instance_lock_base(&control->base, err);
    if (dir_fd < 0)
        return -1;
    nx_peers_sweep(dir_fd);
    if (bind_socket(control, dir_fd, err) < 0)
        return -1;
    *ret_control = NX_STEAL(control);
    return 0;
}

void nx_control_free(struct nx_control *control)
{
    if (!control)
        return;
    for (unsigned i = 0; i < NX_CONTROL_CLIENTS; i++)
        drop(&control->clients[i]);
    if (control->fd >= 0)
        close(control->fd);
    if (control->bound)
        nx_instance_remove_file(control->base, control->name);
    free(control->base);
    free(control);
}
