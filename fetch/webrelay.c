/* SPDX-License-Identifier: MIT */
/* Threads: libmicrohttpd's thread begins a relay, which then belongs to its own thread; what both look at is under the
 * lock.  A descriptor that becomes readable at the end wakes all of them.
 */
#include "fetch/webrelay.h"

#include <errno.h>
#include <openssl/evp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/log.h"

#define KEY_LENGTH   24 /* 16 bytes as base64 */
#define KEY_MAGIC    "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define ACCEPT_SIZE  32
#define BLOCK_SIZE   65536
#define GREETING_MAX 4096 /* bytes of the answer to our handshake */
#define GREETING_MS \
    60000 /* QEMU answers between two steps of the guest, which may wait for the network */
#define REQUEST_SIZE 512
#define PROTOCOL     "binary" /* all that QEMU knows */

/* What goes one way. */
struct flow {
    int from, to;
    size_t at, end; /* of block: what was read and is not written yet */
    uint8_t block[BLOCK_SIZE];
};

struct relay {
    struct nx_webrelays *relays;
    char key[KEY_LENGTH + 1];
    int browser; /* libmicrohttpd's socket */
    struct MHD_UpgradeResponseHandle *handle;
    bool ended; /* its thread is to be joined; under the lock */
    pthread_t thread;
    struct flow to_browser, to_server;
};

struct nx_webrelays {
    nx_web_dial *dial;
    void *opaque;
    pthread_mutex_t lock;
    bool ending; /* under the lock, as are the relays */
    int end_fd;  /* eventfd */
    struct relay *relays[NX_WEBRELAYS_MAX];
};

int nx_webrelays_new(nx_web_dial *dial, void *opaque, struct nx_webrelays **ret_relays,
                     struct nx_error *err)
{
    struct nx_webrelays *relays = calloc(1, sizeof *relays);
    if (!relays)
        return nx_fail_errno(err, "WebSockets");
    relays->end_fd = eventfd(0, EFD_CLOEXEC);
    if (relays->end_fd < 0) {
        nx_fail_errno(err, "WebSockets: eventfd");
        free(relays);
        return -1;
    }
    pthread_mutex_init(&relays->lock, NULL);
    relays->dial = dial;
    relays->opaque = opaque;
    *ret_relays = relays;
    return 0;
}

/* ---- on the relay's thread ---- */

/* Wait for one of the events; the end of all relays and time are failures.  fd -1 is none. */
static int wait_for(const struct relay *relay, struct pollfd *fds, nfds_t n, int timeout_ms)
{
    fds[n] = (struct pollfd){ .fd = relay->relays->end_fd, .events = POLLIN };
    int ready;
    do
        ready = poll(fds, n + 1, timeout_ms);
    while (ready < 0 && errno == EINTR);
    return ready <= 0 || fds[n].revents ? -1 : 0;
}

/* A QEMU that stands still accepts nobody: the kernel takes a few for it, and lets the next one wait for minutes. */
static int await_connection(const struct relay *relay, int server)
{
    struct pollfd fds[3] = { { .fd = server, .events = POLLOUT },
                             { .fd = relay->browser, .events = POLLRDHUP } };
    int why = 0;
    socklen_t len = sizeof why;
    return wait_for(relay, fds, 2, GREETING_MS) < 0 || fds[1].revents ||
                   getsockopt(server, SOL_SOCKET, SO_ERROR, &why, &len) < 0 || why != 0
               ? -1
               : 0;
}

/* The server's answer up to its empty line, and not a byte more: what follows is the browser's. */
static int read_greeting(const struct relay *relay, int server, char text[static GREETING_MAX])
{
    size_t len = 0;
    while (len < GREETING_MAX - 1) {
        struct pollfd fds[3] = { { .fd = server, .events = POLLIN },
                                 { .fd = relay->browser, .events = POLLRDHUP } };
        if (wait_for(relay, fds, 2, GREETING_MS) < 0 || fds[1].revents ||
            recv(server, text + len, 1, MSG_DONTWAIT) != 1)
            return -1;
        text[++len] = 0;
        if (len >= 4 && strcmp(text + len - 4, "\r\n\r\n") == 0)
            return 0;
    }
    return -1;
}

/* The browser's key, so that the answer that it has got from us is the server's, too. */
static int greet(const struct relay *relay, int server)
{
    char text[GREETING_MAX];
    int len = snprintf(text, REQUEST_SIZE,
                       "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                       "Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
                       "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: " PROTOCOL "\r\n\r\n",
                       relay->key);
    if (send(server, text, (size_t)len, MSG_NOSIGNAL) != len ||
        read_greeting(relay, server, text) < 0)
        return -1;
    return strncmp(text, "HTTP/1.1 101 ", 13) == 0 ? 0 : -1;
}

static bool must_wait(ssize_t n)
{
    return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* Read when there is nothing to write, and write what was read; -1 at the end of either side. */
static int move(struct flow *flow)
{
    if (flow->at == flow->end) {
        ssize_t n = recv(flow->from, flow->block, sizeof flow->block, MSG_DONTWAIT);
        if (n <= 0)
            return must_wait(n) ? 0 : -1;
        flow->at = 0;
        flow->end = (size_t)n;
    }
    ssize_t n =
        send(flow->to, flow->block + flow->at, flow->end - flow->at, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0)
        return must_wait(n) ? 0 : -1;
    flow->at += (size_t)n;
    return 0;
}

static bool is_full(const struct flow *flow)
{
    return flow->at < flow->end;
}

static void hand_on(struct relay *relay, int server)
{
    struct flow *in = &relay->to_server, *out = &relay->to_browser;
    in->from = out->to = relay->browser;
    in->to = out->from = server;
    for (;;) {
        struct pollfd fds[3] = {
            { .fd = relay->browser,
              .events = (short)((is_full(in) ? 0 : POLLIN) | (is_full(out) ? POLLOUT : 0)) },
            { .fd = server,
              .events = (short)((is_full(out) ? 0 : POLLIN) | (is_full(in) ? POLLOUT : 0)) }
        };
        if (wait_for(relay, fds, 2, -1) < 0 || ((fds[0].revents | fds[1].revents) & POLLERR) ||
            move(in) < 0 || move(out) < 0)
            return;
    }
}

static void *relay_thread(void *opaque)
{
    struct relay *relay = opaque;
    NX_AUTO_FD int server = relay->relays->dial(relay->relays->opaque);
    if (server >= 0 && await_connection(relay, server) == 0 && greet(relay, server) == 0)
        hand_on(relay, server);
    MHD_upgrade_action(relay->handle, MHD_UPGRADE_ACTION_CLOSE);
    pthread_mutex_lock(&relay->relays->lock);
    relay->ended = true;
    pthread_mutex_unlock(&relay->relays->lock);
    return NULL;
}

/* ---- beginning ---- */

/* A place for a relay under the lock: one that is free, or whose relay has ended; NULL: there is none. */
static struct relay **find_place(struct nx_webrelays *relays)
{
    for (size_t i = 0; i < NX_WEBRELAYS_MAX && !relays->ending; i++) {
        struct relay **place = &relays->relays[i];
        if (!*place)
            return place;
        if ((*place)->ended) {
            pthread_join((*place)->thread, NULL);
            free(*place);
            *place = NULL;
            return place;
        }
    }
    return NULL;
}

/* RFC 6455, section 4.2.2: the key's digest says that a WebSocket server has answered. */
static void accept_key(const char *key, char accept[static ACCEPT_SIZE])
{
    char text[KEY_LENGTH + sizeof KEY_MAGIC];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    snprintf(text, sizeof text, "%s%s", key, KEY_MAGIC);
    EVP_Digest(text, strlen(text), digest, &len, EVP_sha1(), NULL);
    EVP_EncodeBlock((unsigned char *)accept, digest, (int)len);
}

static const char *field(struct MHD_Connection *connection, const char *name)
{
    const char *value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
    return value ? value : "";
}

static bool is_handshake(struct MHD_Connection *connection, const char *key)
{
    static const char base64[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    return strcasecmp(field(connection, "Upgrade"), "websocket") == 0 &&
           strcmp(field(connection, "Sec-WebSocket-Version"), "13") == 0 &&
           strlen(key) == KEY_LENGTH && strspn(key, base64) == KEY_LENGTH;
}

/* extra is what came behind the handshake. */
static int begin(struct nx_webrelays *relays, struct relay *relay, const char *extra,
                 size_t extra_size)
{
    struct relay **place = find_place(relays);
    if (!place || extra_size > sizeof relay->to_server.block)
        return -1;
    memcpy(relay->to_server.block, extra, extra_size);
    relay->to_server.end = extra_size;
    if (pthread_create(&relay->thread, NULL, relay_thread, relay) != 0)
        return -1;
    *place = relay;
    return 0;
}

/* libmicrohttpd's thread: the answer is sent, and the socket ours. */
static void on_upgrade(void *cls, struct MHD_Connection *connection, void *request,
                       const char *extra, size_t extra_size, MHD_socket browser,
                       struct MHD_UpgradeResponseHandle *handle)
{
    struct nx_webrelays *relays = cls;
    struct relay *relay = calloc(1, sizeof *relay);
    int ret = -1;
    if (relay) {
        relay->relays = relays;
        relay->browser = browser;
        relay->handle = handle;
        snprintf(relay->key, sizeof relay->key, "%s", field(connection, "Sec-WebSocket-Key"));
        pthread_mutex_lock(&relays->lock);
        ret = begin(relays, relay, extra, extra_size);
        pthread_mutex_unlock(&relays->lock);
    }
    if (ret < 0) {
        nx_log(NX_LOG_INFO, "one browser too many wants to see the machine's screen");
        MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
        free(relay);
    }
}

struct MHD_Response *nx_webrelays_answer(struct nx_webrelays *relays,
                                         struct MHD_Connection *connection)
{
    char accept[ACCEPT_SIZE];
    const char *key = field(connection, "Sec-WebSocket-Key");
    if (!is_handshake(connection, key))
        return NULL;
    accept_key(key, accept);
    struct MHD_Response *response = MHD_create_response_for_upgrade(on_upgrade, relays);
    if (!response)
        return NULL;
    bool wants_protocol = strcmp(field(connection, "Sec-WebSocket-Protocol"), PROTOCOL) == 0;
    if (MHD_add_response_header(response, "Upgrade", "websocket") != MHD_YES ||
        MHD_add_response_header(response, "Sec-WebSocket-Accept", accept) != MHD_YES ||
        (wants_protocol &&
         MHD_add_response_header(response, "Sec-WebSocket-Protocol", PROTOCOL) != MHD_YES)) {
        MHD_destroy_response(response);
        return NULL;
    }
    return response;
}

/* ---- the end ---- */

void nx_webrelays_end(struct nx_webrelays *relays)
{
    if (!relays)
        return;
    pthread_mutex_lock(&relays->lock);
    relays->ending = true; /* from now on no place changes */
    pthread_mutex_unlock(&relays->lock);
    eventfd_write(relays->end_fd, 1);
    for (size_t i = 0; i < NX_WEBRELAYS_MAX; i++)
        if (relays->relays[i])
            pthread_join(relays->relays[i]->thread, NULL);
}

void nx_webrelays_free(struct nx_webrelays *relays)
{
    if (!relays)
        return;
    for (size_t i = 0; i < NX_WEBRELAYS_MAX; i++)
        free(relays->relays[i]);
    pthread_mutex_destroy(&relays->lock);
    close(relays->end_fd);
    free(relays);
}
