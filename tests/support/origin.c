/* SPDX-License-Identifier: MIT */
/* Threads: one accepts, and one answers each connection, which is closed after its answer. */
#include "tests/support/origin.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "tests/support/main.h"

struct origin {
    int fd;
    int stop[2]; /* a pipe: its end means the end */
    int go[2];   /* a pipe: its end ends all pauses */
    char url[64];
    pthread_t thread;

    pthread_mutex_t lock;
    pthread_cond_t idle;
    const uint8_t *data; /* under lock, as all below */
    size_t len;
    char etag[64];
    enum origin_mischief mischief;
    unsigned times;
    unsigned requests;
    uint64_t bytes;
    unsigned busy; /* connections */
};

struct connection {
    struct origin *origin;
    int fd;
};

struct request {
    bool ranged;
    uint64_t first, last;
    char if_range[64];
};

static bool read_request(int fd, struct request *ret)
{
    char text[8192];
    size_t len = 0;
    while (len < sizeof(text) - 1) {
        ssize_t n = recv(fd, text + len, sizeof(text) - 1 - len, 0);
        if (n <= 0)
            return false;
        len += (size_t)n;
        text[len] = '\0';
        if (strstr(text, "\r\n\r\n"))
            break;
    }
    const char *range = strcasestr(text, "\r\nRange: bytes=");
    const char *if_range = strcasestr(text, "\r\nIf-Range: ");
    *ret = (struct request){ 0 };
    ret->ranged = range && sscanf(range + 15, "%" SCNu64 "-%" SCNu64, &ret->first, &ret->last) == 2;
    if (if_range)
        sscanf(if_range + 12, "%63[^\r]", ret->if_range);
    return true;
}

static void send_text(int fd, const char *text)
{
    send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static size_t send_all(int fd, const uint8_t *data, size_t len)
{
    size_t sent = 0;
    while (sent < len) {
        ssize_t n = send(fd, data + sent, len - sent, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        sent += (size_t)n;
    }
    return sent;
}

/* What is served to one request. */
struct answer {
    enum origin_mischief mischief;
    const uint8_t *data;
    size_t len;
    char etag[64];
};

static struct answer choose_answer(struct origin *origin)
{
    pthread_mutex_lock(&origin->lock);
    struct answer answer = { ORIGIN_GOOD, origin->data, origin->len, "" };
    strcpy(answer.etag, origin->etag);
    origin->requests++;
    if (origin->times > 0) {
        answer.mischief = origin->mischief;
        if (origin->times != UINT_MAX)
            origin->times--;
    }
    pthread_mutex_unlock(&origin->lock);
    return answer;
}

static void send_headers(int fd, const struct answer *answer, const struct request *request,
                         bool partial)
{
    char text[1024];
    uint64_t shift = answer->mischief == ORIGIN_WRONG_RANGE ? 1 : 0;
    int n = snprintf(
        text, sizeof(text),
        "HTTP/1.1 %s\r\nContent-Length: %" PRIu64 "\r\nETag: %s\r\nConnection: close\r\n%s",
        partial ? "206 Partial Content" : "200 OK",
        partial ? request->last - request->first + 1 : (uint64_t)answer->len, answer->etag,
        answer->mischief == ORIGIN_GZIP ? "Content-Encoding: gzip\r\n" : "");
    if (partial)
        n += snprintf(text + n, sizeof(text) - (size_t)n,
                      "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%zu\r\n",
                      request->first + shift, request->last + shift, answer->len);
    snprintf(text + n, sizeof(text) - (size_t)n, "\r\n");
    send_text(fd, text);
}

/* Until the pipe ends; false if the origin does, or the client. */
static bool wait_for_end(struct origin *origin, int pipe_fd, int fd)
{
    struct pollfd pfds[] = { { .fd = pipe_fd, .events = POLLIN },
                             { .fd = origin->stop[0] },
                             { .fd = fd, .events = POLLRDHUP } };
    while (poll(pfds, 3, -1) < 0 && errno == EINTR)
        ;
    return pfds[0].revents && !pfds[1].revents && !pfds[2].revents;
}

static void send_body(struct origin *origin, int fd, const struct answer *answer, uint64_t first,
                      size_t len)
{
    NX_AUTO_FREE uint8_t *body = malloc(len);
    memcpy(body, answer->data + first, len);
    if (answer->mischief == ORIGIN_WRONG_BYTES)
        body[len / 2] ^= 1;
    bool halved = answer->mischief == ORIGIN_SHORT_BODY || answer->mischief == ORIGIN_PAUSE;
    size_t sent = send_all(fd, body, halved ? len / 2 : len);
    if (answer->mischief == ORIGIN_PAUSE && wait_for_end(origin, origin->go[0], fd))
        sent += send_all(fd, body + sent, len - sent);
    pthread_mutex_lock(&origin->lock);
    origin->bytes += sent;
    pthread_mutex_unlock(&origin->lock);
}

static void answer_range(struct origin *origin, int fd, const struct answer *answer,
                         struct request *request)
{
    bool partial = request->ranged && answer->mischief != ORIGIN_IGNORES_RANGE &&
                   (!request->if_range[0] || strcmp(request->if_range, answer->etag) == 0 ||
                    answer->mischief == ORIGIN_IGNORES_IF_RANGE);
    if (partial && request->first >= answer->len) {
        send_text(fd, "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n");
        return;
    }
    if (request->last >= answer->len)
        request->last = answer->len - 1;
    send_headers(fd, answer, request, partial);
    if (answer->mischief == ORIGIN_STALL)
        wait_for_end(origin, origin->stop[0], fd);
    else if (partial)
        send_body(origin, fd, answer, request->first, request->last - request->first + 1);
    else
        send_body(origin, fd, answer, 0, answer->len);
}

static void answer_one(struct origin *origin, int fd)
{
    struct request request;
    if (!read_request(fd, &request))
        return;
    struct answer answer = choose_answer(origin);
    struct linger reset = { .l_onoff = 1, .l_linger = 0 };
    switch (answer.mischief) {
    case ORIGIN_RESET:
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        break;
    case ORIGIN_503:
        send_text(fd, "HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n"
                      "Connection: close\r\n\r\n");
        break;
    case ORIGIN_404:
        send_text(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        break;
    default:
        answer_range(origin, fd, &answer, &request);
    }
}

static void *serve_connection(void *opaque)
{
    struct connection *connection = opaque;
    struct origin *origin = connection->origin;
    answer_one(origin, connection->fd);
    close(connection->fd);
    free(connection);
    pthread_mutex_lock(&origin->lock);
    origin->busy--;
    pthread_cond_signal(&origin->idle);
    pthread_mutex_unlock(&origin->lock);
    return NULL;
}

static void *accept_connections(void *opaque)
{
    struct origin *origin = opaque;
    for (;;) {
        struct pollfd pfds[] = { { .fd = origin->stop[0] },
                                 { .fd = origin->fd, .events = POLLIN } };
        if (poll(pfds, 2, -1) < 0)
            continue;
        if (pfds[0].revents)
            return NULL;
        int fd = accept(origin->fd, NULL, NULL);
        if (fd < 0)
            continue;
        struct connection *connection = malloc(sizeof(*connection));
        *connection = (struct connection){ origin, fd };
        pthread_mutex_lock(&origin->lock);
        origin->busy++;
        pthread_mutex_unlock(&origin->lock);
        pthread_t thread;
        ck_assert_int_eq(pthread_create(&thread, NULL, serve_connection, connection), 0);
        pthread_detach(thread);
    }
}

struct origin *origin_start(const void *data, size_t len)
{
    struct origin *origin = calloc(1, sizeof(*origin));
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t addr_len = sizeof(addr);
    ck_assert_ptr_nonnull(origin);
    origin->data = data;
    origin->len = len;
    strcpy(origin->etag, "\"1\"");
    pthread_mutex_init(&origin->lock, NULL);
    pthread_cond_init(&origin->idle, NULL);
    ck_assert_int_eq(pipe(origin->stop), 0);
    ck_assert_int_eq(pipe(origin->go), 0);
    origin->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(origin->fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    ck_assert_int_eq(listen(origin->fd, 64), 0);
    getsockname(origin->fd, (struct sockaddr *)&addr, &addr_len);
    snprintf(origin->url, sizeof(origin->url), "http://127.0.0.1:%u/test.nxpk",
             ntohs(addr.sin_port));
    ck_assert_int_eq(pthread_create(&origin->thread, NULL, accept_connections, origin), 0);
    return origin;
}

void origin_stop(struct origin *origin)
{
    if (!origin)
        return;
    close(origin->stop[1]);
    pthread_join(origin->thread, NULL);
    pthread_mutex_lock(&origin->lock);
    while (origin->busy > 0)
        pthread_cond_wait(&origin->idle, &origin->lock);
    pthread_mutex_unlock(&origin->lock);
    origin_go_on(origin);
    close(origin->go[0]);
    close(origin->stop[0]);
    close(origin->fd);
    pthread_mutex_destroy(&origin->lock);
    pthread_cond_destroy(&origin->idle);
    free(origin);
}

const char *origin_url(const struct origin *origin)
{
    return origin->url;
}

void origin_misbehave(struct origin *origin, enum origin_mischief mischief, unsigned times)
{
    pthread_mutex_lock(&origin->lock);
    origin->mischief = mischief;
    origin->times = times;
    pthread_mutex_unlock(&origin->lock);
}

void origin_go_on(struct origin *origin)
{
    if (origin->go[1] >= 0)
        close(origin->go[1]);
    origin->go[1] = -1;
}

void origin_change(struct origin *origin, const char *etag, const void *data, size_t len)
{
    pthread_mutex_lock(&origin->lock);
    snprintf(origin->etag, sizeof(origin->etag), "%s", etag);
    if (data) {
        origin->data = data;
        origin->len = len;
    }
    pthread_mutex_unlock(&origin->lock);
}

unsigned origin_requests(struct origin *origin)
{
    pthread_mutex_lock(&origin->lock);
    unsigned n = origin->requests;
    pthread_mutex_unlock(&origin->lock);
    return n;
}

uint64_t origin_bytes(struct origin *origin)
{
    pthread_mutex_lock(&origin->lock);
    uint64_t n = origin->bytes;
    pthread_mutex_unlock(&origin->lock);
    return n;
}
