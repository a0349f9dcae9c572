/* SPDX-License-Identifier: MIT */
/* WebSockets that are handed on: a server beside the test answers the handshake as QEMU does, and then sends back
 * what it gets, turned by one, so that nothing can pass that did not go both ways.
 */
#include "fetch/webserver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "tests/support/main.h"

#define HEAD_MAX 4096
#define MANY     (8 << 20) /* bytes: more than sockets hold */
/* Of RFC 6455, section 1.3. */
#define KEY      "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPTED "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

/* How the server behind behaves. */
enum manner {
    TURNS,   /* as it should */
    REFUSES, /* answers 403 */
    MUMBLES, /* sends a head without end */
    WAITS,   /* says nothing */
    ABSENT,  /* cannot be reached */
    ENDS,    /* ends after its answer */
    BUSY,    /* accepts nobody for now */
};

static _Atomic enum manner manner;
static atomic_int dialled;
static struct nx_webserver *server;
static unsigned port;
static char base[64], cookie[128];

static void send_all(int fd, const void *data, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = send(fd, (const char *)data + at, len - at, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        at += (size_t)n;
    }
}

/* Up to the empty line. */
static void read_head(int fd, char head[static HEAD_MAX])
{
    size_t len = 0;
    head[0] = 0;
    while (len < HEAD_MAX - 1 && !strstr(head, "\r\n\r\n") && recv(fd, head + len, 1, 0) == 1)
        head[++len] = 0;
}

static void *behind(void *opaque)
{
    NX_AUTO_FD int fd = (int)(intptr_t)opaque;
    char head[HEAD_MAX], block[5000];
    read_head(fd, head);
    bool right = strstr(head, "GET / HTTP/1.1\r\n") && strstr(head, "Sec-WebSocket-Key: " KEY) &&
                 strstr(head, "Sec-WebSocket-Protocol: binary") && !strstr(head, "Cookie");
    const char *answer = manner == REFUSES || !right
                             ? "HTTP/1.1 403 Forbidden\r\n\r\n"
                             : "HTTP/1.1 101 Switching\r\nA: b\r\n\r\nfirst";
    if (manner == MUMBLES)
        for (int i = 0; i < 100; i++)
            send_all(fd, "A: 0123456789012345678901234567890123456789012345678901234567890\r\n",
                     66);
    else if (manner != WAITS)
        send_all(fd, answer, strlen(answer));
    ssize_t n;
    while (manner != ENDS && (n = recv(fd, block, sizeof block, 0)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            block[i]++;
        send_all(fd, block, (size_t)n);
    }
    return NULL;
}

#define FIRST "HTTP/1.1 101 Switching\r\n\r\nfirst"
static int busy_listener = -1;

/* As screen.c does it. */
static int begin_connection(void)
{
    struct sockaddr_in to;
    socklen_t len = sizeof to;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ck_assert(fd >= 0 && getsockname(busy_listener, (struct sockaddr *)&to, &len) == 0);
    ck_assert(connect(fd, (struct sockaddr *)&to, sizeof to) == 0 || errno == EINPROGRESS);
    return fd;
}

static int dial(void *opaque)
{
    int pair[2];
    pthread_t thread;
    dialled++;
    if (manner == BUSY)
        return begin_connection();
    if (manner == ABSENT || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return -1;
    ck_assert(pthread_create(&thread, NULL, behind, (void *)(intptr_t)pair[1]) == 0);
    pthread_detach(thread);
    return pair[0];
}

static int connected(void)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    const struct timeval patience = { .tv_sec = 20 };
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

/* A browser's handshake, with more header lines; the answer's head, and the connection. */
static int shake_hands(const char *more, char head[static HEAD_MAX])
{
    char request[1024];
    int fd = connected();
    snprintf(request, sizeof request,
             "GET %s/websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: %s\r\n"
             "Connection: keep-alive, Upgrade\r\n%s\r\n",
             base, cookie, more);
    send_all(fd, request, strlen(request));
    read_head(fd, head);
    return fd;
}
#define RIGHT "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " KEY "\r\n"

static void start(enum manner how)
{
    static const struct nx_web_address address = { "127.0.0.1", 0 };
    const struct nx_web_route route = { .path = "/websocket", .dial = dial };
    struct nx_error err = NX_ERROR_INIT;
    char request[256], head[HEAD_MAX], token[64];
    signal(SIGPIPE, SIG_IGN);
    manner = how;
    dialled = 0;
    nx_assert_ok(nx_webserver_start("web", &address, &route, 1, &server, &err), err);
    ck_assert(sscanf(nx_webserver_url(server), "http://127.0.0.1:%u/?token=%40s", &port, token) ==
              2);
    NX_AUTO_FD int fd = connected();
    snprintf(request, sizeof request, "GET /websocket?token=%s HTTP/1.1\r\nHost: localhost\r\n\r\n",
             token);
    send_all(fd, request, strlen(request));
    read_head(fd, head);
    const char *at = strstr(head, "Location: ");
    ck_assert_msg(at && sscanf(at, "Location: %33s", base) == 1, "%s", head);
    snprintf(cookie, sizeof cookie, "nxfetch=%s", token);
}

static void read_exactly(int fd, const char *wanted)
{
    char got[64] = "";
    size_t len = strlen(wanted);
    ck_assert(recv(fd, got, len, MSG_WAITALL) == (ssize_t)len);
    ck_assert_str_eq(got, wanted);
}

START_TEST(goes_both_ways)
{
    char head[HEAD_MAX];
    start(TURNS);
    NX_AUTO_FD int fd = shake_hands(RIGHT "Sec-WebSocket-Protocol: binary\r\n", head);
    ck_assert_msg(strncmp(head, "HTTP/1.1 101 ", 13) == 0 && strstr(head, ACCEPTED) &&
                      strstr(head, "Sec-WebSocket-Protocol: binary"),
                  "%s", head);
    read_exactly(fd, "first"); /* came with the server's head */
    send_all(fd, "HAL", 3);
    read_exactly(fd, "IBM");
    NX_AUTO_FD int other = shake_hands(RIGHT, head); /* a protocol is offered only to who asks */
    ck_assert(strstr(head, ACCEPTED) && !strstr(head, "Sec-WebSocket-Protocol"));
    read_exactly(other, "first");
    ck_assert_int_eq(dialled, 2);
    nx_webserver_stop(server);
    char byte;
    ck_assert(recv(fd, &byte, 1, 0) <= 0 && recv(other, &byte, 1, 0) <= 0);
}
END_TEST

static void *send_many(void *opaque)
{
    char block[4096];
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (char)i;
    for (size_t at = 0; at < MANY; at += sizeof block)
        send_all((int)(intptr_t)opaque, block, sizeof block);
    return NULL;
}

/* Whoever does not read makes the other one wait, and nothing is lost. */
START_TEST(waits_for_the_slower)
{
    char head[HEAD_MAX], block[3000];
    pthread_t thread;
    start(TURNS);
    NX_AUTO_FD int fd = shake_hands(RIGHT, head);
    read_exactly(fd, "first");
    ck_assert(pthread_create(&thread, NULL, send_many, (void *)(intptr_t)fd) == 0);
    for (size_t at = 0; at < MANY;) {
        ssize_t n = recv(fd, block, sizeof block, 0);
        ck_assert_msg(n > 0, "after %zu bytes", at);
        for (ssize_t i = 0; i < n; i++, at++)
            if (block[i] != (char)(at % 4096 + 1))
                ck_abort_msg("byte %zu", at);
    }
    pthread_join(thread, NULL);
    nx_webserver_stop(server);
}
END_TEST

/* A server behind that is not what it should be ends the browser's connection. */
START_TEST(servers_behind)
{
    static const enum manner manners[] = { REFUSES, MUMBLES, ABSENT, ENDS };
    char head[HEAD_MAX], byte;
    for (size_t i = 0; i < sizeof manners / sizeof *manners; i++) {
        start(manners[i]);
        NX_AUTO_FD int fd = shake_hands(RIGHT, head);
        ck_assert_msg(strncmp(head, "HTTP/1.1 101 ", 13) == 0, "%s", head);
        if (manners[i] == ENDS)
            read_exactly(fd, "first");
        ck_assert_msg(recv(fd, &byte, 1, 0) == 0, "manner %d", (int)manners[i]);
        nx_webserver_stop(server);
    }
}
END_TEST

/* One that says nothing holds up neither the end of the browser's nor our own. */
START_TEST(silent_server)
{
    char head[HEAD_MAX];
    start(WAITS);
    int fd = shake_hands(RIGHT, head);
    close(fd);
    NX_AUTO_FD int other = shake_hands(RIGHT, head);
    int64_t before = nx_now_ms();
    nx_webserver_stop(server);
    ck_assert(nx_now_ms() - before < 10000);
}
END_TEST

/* One that accepts nobody, as a QEMU that stands still: whoever comes waits until it does, or until our end. */
START_TEST(busy_server)
{
    struct sockaddr_in any = { .sin_family = AF_INET };
    char head[HEAD_MAX];
    int taken[4];
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    busy_listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert(bind(busy_listener, (struct sockaddr *)&any, sizeof any) == 0);
    ck_assert(listen(busy_listener, 0) == 0);
    for (size_t i = 0; i < 4; i++) /* more than the kernel takes for it */
        taken[i] = begin_connection();
    start(BUSY);
    NX_AUTO_FD int fd = shake_hands(RIGHT, head);
    for (bool ours = false; !ours;) {
        NX_AUTO_FD int accepted = accept(busy_listener, NULL, NULL);
        for (size_t i = 0; i < 4 && taken[i] >= 0; i++)
            close(nx_steal_fd(&taken[i]));
        read_head(accepted, head); /* nothing, of those that have just ended */
        ours = head[0];
        ck_assert(accepted >= 0);
        if (ours)
            send_all(accepted, FIRST, strlen(FIRST));
        if (ours)
            read_exactly(fd, "first");
    }
    for (size_t i = 0; i < 4; i++)
        taken[i] = begin_connection();
    NX_AUTO_FD int other = shake_hands(RIGHT, head);
    int64_t before = nx_now_ms();
    nx_webserver_stop(server);
    ck_assert(nx_now_ms() - before < 10000);
    for (size_t i = 0; i < 4; i++)
        close(taken[i]);
    close(nx_steal_fd(&busy_listener));
}
END_TEST

START_TEST(no_handshakes)
{
    static const char *const wrong[] = {
        "",
        "Upgrade: websocket\r\n",
        "Upgrade: h2c\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " KEY "\r\n",
        "Upgrade: websocket\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: " KEY "\r\n",
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n",
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " KEY KEY "\r\n",
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
        "0123456789 1234567890123\r\n",
    };
    char head[HEAD_MAX];
    start(TURNS);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        NX_AUTO_FD int fd = shake_hands(wrong[i], head);
        ck_assert_msg(strncmp(head, "HTTP/1.1 400 ", 13) == 0, "%s: %s", wrong[i], head);
    }
    NX_AUTO_FD int fd = shake_hands(RIGHT "Origin: http://evil.example\r\n", head);
    ck_assert_msg(strncmp(head, "HTTP/1.1 403 ", 13) == 0, "%s", head);
    cookie[10]++;
    NX_AUTO_FD int stranger = shake_hands(RIGHT, head);
    ck_assert_msg(strncmp(head, "HTTP/1.1 403 ", 13) == 0, "%s", head);
    ck_assert_int_eq(dialled, 0);
    nx_webserver_stop(server);
}
END_TEST

/* More than may be at a time are turned away; when some have gone there is room again. */
START_TEST(too_many)
{
    int fds[NX_WEBRELAYS_MAX];
    char head[HEAD_MAX], byte;
    start(TURNS);
    for (size_t i = 0; i < NX_WEBRELAYS_MAX; i++) {
        fds[i] = shake_hands(RIGHT, head);
        read_exactly(fds[i], "first");
    }
    NX_AUTO_FD int one_more = shake_hands(RIGHT, head);
    ck_assert(recv(one_more, &byte, 1, 0) == 0);
    for (size_t i = 0; i < NX_WEBRELAYS_MAX; i++)
        close(fds[i]);
    /* They go when their threads have seen it. */
    int64_t end = nx_now_ms() + 20000;
    for (bool room = false; !room;) {
        NX_AUTO_FD int again = shake_hands(RIGHT, head);
        room = recv(again, &byte, 1, 0) == 1;
        ck_assert(nx_now_ms() < end);
    }
    nx_webserver_stop(server);
}
END_TEST

NX_TEST_MAIN("webrelay", goes_both_ways, waits_for_the_slower, servers_behind, silent_server,
             busy_server, no_handshakes, too_many)
