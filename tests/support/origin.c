/* SPDX-License-Identifier: MIT */
/* Threads: in the origin's process one accepts, and one answers each connection, which is closed after its answer.  What
 * it shares with the test, the bytes that it serves among it, is in memory that both have mapped.
 */
#include "tests/support/origin.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"

#define TRICKLE_MS 10  /* between two bytes */
#define SLOW_MS    300 /* before the first one */

static const char *const names[ORIGIN_MISCHIEFS] = {
    [ORIGIN_GOOD] = "good",
    [ORIGIN_IGNORES_RANGE] = "ignores-range",
    [ORIGIN_IGNORES_IF_RANGE] = "ignores-if-range",
    [ORIGIN_WRONG_RANGE] = "wrong-range",
    [ORIGIN_WRONG_TOTAL] = "wrong-total",
    [ORIGIN_WRONG_LENGTH] = "wrong-length",
    [ORIGIN_SHORT_BODY] = "short-body",
    [ORIGIN_LONG_BODY] = "long-body",
    [ORIGIN_WRONG_BYTES] = "wrong-bytes",
    [ORIGIN_GZIP] = "gzip",
    [ORIGIN_STALL] = "stall",
    [ORIGIN_TRICKLE] = "trickle",
    [ORIGIN_PAUSE] = "pause",
    [ORIGIN_RESET] = "reset",
    [ORIGIN_GARBAGE] = "garbage",
    [ORIGIN_ENDLESS_HEADERS] = "endless-headers",
    [ORIGIN_ENDLESS_INTERIM] = "endless-interim",
    [ORIGIN_403] = "403",
    [ORIGIN_404] = "404",
    [ORIGIN_416] = "416",
    [ORIGIN_429] = "429",
    [ORIGIN_503] = "503",
    [ORIGIN_503_LATER] = "503-later",
    [ORIGIN_MOVED] = "moved",
    [ORIGIN_MOVED_AWAY] = "moved-away",
    [ORIGIN_MOVED_LOOP] = "moved-loop",
    [ORIGIN_MOVED_FILE] = "moved-file",
    [ORIGIN_MOVED_LONG] = "moved-long",
    [ORIGIN_WEAK_ETAG] = "weak-etag",
    [ORIGIN_NO_ETAG] = "no-etag",
    [ORIGIN_NEW_ETAG] = "new-etag",
    [ORIGIN_REFUSES_IF_RANGE] = "refuses-if-range",
    [ORIGIN_NEW_TOTAL] = "new-total",
    [ORIGIN_SHIFTED] = "shifted",
    [ORIGIN_SLOW] = "slow",
    [ORIGIN_RUDE] = "rude",
};

#define EMPTY "Content-Length: 0\r\nConnection: close\r\n\r\n"

/* Answers that are always the same. */
static const char *const fixed[ORIGIN_MISCHIEFS] = {
    [ORIGIN_GARBAGE] = "\x15\x03\x01 what is this?\r\n\r\n",
    [ORIGIN_403] = "HTTP/1.1 403 Forbidden\r\n" EMPTY,
    [ORIGIN_404] = "HTTP/1.1 404 Not Found\r\n" EMPTY,
    [ORIGIN_416] = "HTTP/1.1 416 Range Not Satisfiable\r\n" EMPTY,
    [ORIGIN_429] = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\n" EMPTY,
    [ORIGIN_503] = "HTTP/1.1 503 Busy\r\nRetry-After: 0\r\n" EMPTY,
    [ORIGIN_503_LATER] = "HTTP/1.1 503 Busy\r\nRetry-After: 2\r\n" EMPTY,
    [ORIGIN_MOVED] = "HTTP/1.1 302 Found\r\nLocation: /moved\r\n" EMPTY,
    [ORIGIN_MOVED_LOOP] = "HTTP/1.1 302 Found\r\nLocation: /test.nxpk\r\n" EMPTY,
    [ORIGIN_MOVED_FILE] = "HTTP/1.1 302 Found\r\nLocation: file:///etc/hostname\r\n" EMPTY,
};

/* What has no end: a beginning, and what follows it again and again. */
static const struct {
    const char *first, *next;
} endless[ORIGIN_MISCHIEFS] = {
    [ORIGIN_ENDLESS_HEADERS] = { "HTTP/1.1 206 Partial Content\r\n", "X-More: and more\r\n" },
    [ORIGIN_ENDLESS_INTERIM] = { "", "HTTP/1.1 100 Continue\r\n\r\n" },
    [ORIGIN_MOVED_LONG] = { "HTTP/1.1 302 Found\r\nLocation: /moved\r\n"
                            "Transfer-Encoding: chunked\r\n\r\n",
                            "a\r\n0123456789\r\n" },
};

#define ROOM ((size_t)1 << 30) /* for all that one origin serves; what is not used costs nothing */

struct origin {
    int fd;
    int stop[2]; /* a pipe: a byte in it means the end */
    int go[2];   /* a pipe: a byte in it ends all pauses */
    char url[64];
    pid_t pid;

    pthread_mutex_t lock; /* between the processes */
    pthread_cond_t idle;
    const uint8_t *data; /* in `room`; under lock, as all below */
    size_t len;
    uint8_t *room; /* where the next bytes go, behind those that may be on their way to somebody */
    char etag[64];
    enum origin_mischief mischief;
    unsigned times;
    unsigned percent;
    unsigned seed;
    char away[256];
    unsigned requests, mischiefs, passwords;
    uint64_t bytes;
    unsigned busy; /* connections */
};

struct connection {
    struct origin *origin;
    int fd;
};

struct request {
    bool ranged;
    bool moved;    /* its path is where a redirect has led to */
    bool password; /* it has brought one */
    uint64_t first, last;
    char if_range[64];
};

static void must(bool good)
{
    if (!good)
        abort();
}

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
    ret->moved = strncmp(text, "GET /moved ", 11) == 0;
    ret->password = strcasestr(text, "\r\nAuthorization: ") != NULL;
    if (if_range)
        sscanf(if_range + 12, "%63[^\r]", ret->if_range);
    return true;
}

static void send_text(int fd, const char *text)
{
    send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static void count(struct origin *origin, size_t more, size_t less)
{
    pthread_mutex_lock(&origin->lock);
    origin->bytes += more;
    origin->bytes -= less;
    pthread_mutex_unlock(&origin->lock);
}

/* Counted before, so that who has received them finds them counted. */
static size_t send_bytes(int fd, const void *data, size_t len)
{
    size_t sent = 0;
    while (sent < len) {
        ssize_t n = send(fd, (const uint8_t *)data + sent, len - sent, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        sent += (size_t)n;
    }
    return sent;
}

static size_t send_all(struct origin *origin, int fd, const uint8_t *data, size_t len)
{
    count(origin, len, 0);
    size_t sent = send_bytes(fd, data, len);
    count(origin, 0, len - sent);
    return sent;
}

/* What is served to one request. */
struct answer {
    enum origin_mischief mischief;
    unsigned number; /* of the request */
    const uint8_t *data;
    size_t len;
    char etag[64];
    char away[256];
};

static enum origin_mischief choose_mischief(struct origin *origin) /* under lock */
{
    if (origin->times > 0) {
        if (origin->times != UINT_MAX)
            origin->times--;
        return origin->mischief;
    }
    if (origin->percent == 0 || (unsigned)rand_r(&origin->seed) % 100 >= origin->percent)
        return ORIGIN_GOOD;
    enum origin_mischief mischief = ORIGIN_PAUSE;
    while (mischief == ORIGIN_PAUSE || (mischief == ORIGIN_MOVED_AWAY && !origin->away[0]))
        mischief = 1 + (unsigned)rand_r(&origin->seed) % (ORIGIN_FAILURES - 1);
    return mischief;
}

static struct answer choose_answer(struct origin *origin, const struct request *request)
{
    pthread_mutex_lock(&origin->lock);
    struct answer answer = { .data = origin->data, .len = origin->len };
    strcpy(answer.etag, origin->etag);
    strcpy(answer.away, origin->away);
    answer.number = ++origin->requests;
    origin->passwords += request->password;
    if (!request->moved)
        answer.mischief = choose_mischief(origin);
    origin->mischiefs += answer.mischief != ORIGIN_GOOD;
    pthread_mutex_unlock(&origin->lock);
    return answer;
}

/* What the headers of a range say of it. */
struct claim {
    uint64_t first, last, total, length;
};

static struct claim claim_of(const struct answer *answer, const struct request *request)
{
    struct claim claim = { request->first, request->last, answer->len,
                           request->last - request->first + 1 };
    if (answer->mischief == ORIGIN_WRONG_RANGE) {
        claim.first++;
        claim.last++;
    } else if (answer->mischief == ORIGIN_WRONG_TOTAL) {
        claim.total = claim.last;
    } else if (answer->mischief == ORIGIN_WRONG_LENGTH) {
        claim.length /= 2;
    } else if (answer->mischief == ORIGIN_LONG_BODY) {
        claim.length *= 2;
    } else if (answer->mischief == ORIGIN_NEW_TOTAL) {
        claim.total += answer->number;
    }
    return claim;
}

/* The ETag's header, and what else some mischief adds. */
static void write_etag(const struct answer *answer, char text[static 256])
{
    switch (answer->mischief) {
    case ORIGIN_WEAK_ETAG:
        snprintf(text, 256, "ETag: W/%s\r\n", answer->etag);
        break;
    case ORIGIN_NO_ETAG:
        text[0] = '\0';
        break;
    case ORIGIN_NEW_ETAG:
        snprintf(text, 256, "ETag: \"%u\"\r\n", answer->number);
        break;
    case ORIGIN_RUDE:
        snprintf(text, 256,
                 "ETag: W/\"\x1b[31mred\"\r\nServer: \x1b]0;title\x07 \xc3\x28\xff\r\n"
                 "Content-Type: \x1b[2J\xe2\x80\xae\r\nCache-Control: max-age=\x9b\x7f\r\n");
        break;
    default:
        snprintf(text, 256, "ETag: %s\r\n", answer->etag);
    }
}

static void send_headers(int fd, const struct answer *answer, const struct request *request,
                         bool partial)
{
    char text[1024], etag[256];
    const struct claim claim = claim_of(answer, request);
    write_etag(answer, etag);
    int n =
        snprintf(text, sizeof(text),
                 "HTTP/1.1 %s\r\nContent-Length: %" PRIu64 "\r\n%sConnection: close\r\n%s",
                 partial ? "206 Partial Content" : "200 OK", partial ? claim.length : answer->len,
                 etag, answer->mischief == ORIGIN_GZIP ? "Content-Encoding: gzip\r\n" : "");
    if (partial)
        n += snprintf(text + n, sizeof(text) - (size_t)n,
                      "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n", claim.first,
                      claim.last, claim.total);
    snprintf(text + n, sizeof(text) - (size_t)n, "\r\n");
    send_text(fd, text);
}

/* Until the pipe ends or time (-1: none) is up; false if the origin ends, or the client. */
static bool wait_for_end(struct origin *origin, int pipe_fd, int fd, int ms)
{
    struct pollfd pfds[] = { { .fd = pipe_fd, .events = POLLIN },
                             { .fd = origin->stop[0], .events = POLLIN },
                             { .fd = fd, .events = POLLRDHUP } };
    while (poll(pfds, 3, ms) < 0 && errno == EINTR)
        ;
    return !pfds[1].revents && !pfds[2].revents;
}

/* How much of a body goes out at once. */
static size_t prompt_part(enum origin_mischief mischief, size_t len)
{
    switch (mischief) {
    case ORIGIN_SHORT_BODY:
    case ORIGIN_WRONG_LENGTH:
    case ORIGIN_PAUSE:
        return len / 2;
    case ORIGIN_TRICKLE:
        return 0;
    default:
        return len;
    }
}

static void send_body(struct origin *origin, int fd, const struct answer *answer, uint64_t first,
                      size_t len)
{
    NX_AUTO_FREE uint8_t *body = malloc(len);
    bool shifted = answer->mischief == ORIGIN_SHIFTED && first > 0 && first + len < answer->len;
    memcpy(body, answer->data + first + shifted, len);
    if (answer->mischief == ORIGIN_WRONG_BYTES)
        body[len / 2] ^= 1;
    size_t sent = send_all(origin, fd, body, prompt_part(answer->mischief, len));
    if (answer->mischief == ORIGIN_PAUSE && wait_for_end(origin, origin->go[0], fd, -1))
        send_all(origin, fd, body + sent, len - sent);
    if (answer->mischief == ORIGIN_LONG_BODY)
        send_bytes(fd, body, len);
    while (answer->mischief == ORIGIN_TRICKLE && sent < len &&
           wait_for_end(origin, origin->stop[0], fd, TRICKLE_MS))
        sent += send_all(origin, fd, body + sent, 1);
}

static void answer_range(struct origin *origin, int fd, const struct answer *answer,
                         struct request *request)
{
    bool same = strcmp(request->if_range, answer->etag) == 0 &&
                answer->mischief != ORIGIN_NEW_ETAG && answer->mischief != ORIGIN_REFUSES_IF_RANGE;
    bool partial = request->ranged && answer->mischief != ORIGIN_IGNORES_RANGE &&
                   (!request->if_range[0] || same || answer->mischief == ORIGIN_IGNORES_IF_RANGE);
    if (answer->mischief == ORIGIN_SLOW)
        wait_for_end(origin, origin->stop[0], fd, SLOW_MS);
    if (partial && request->first >= answer->len) {
        send_text(fd, fixed[ORIGIN_416]);
        return;
    }
    if (request->last >= answer->len)
        request->last = answer->len - 1;
    send_headers(fd, answer, request, partial);
    if (answer->mischief == ORIGIN_STALL)
        wait_for_end(origin, origin->stop[0], fd, -1);
    else if (partial)
        send_body(origin, fd, answer, request->first, request->last - request->first + 1);
    else
        send_body(origin, fd, answer, 0, answer->len);
}

static void send_endlessly(struct origin *origin, int fd, const char *first, const char *next)
{
    char many[4096] = "";
    for (size_t len = 0; len + strlen(next) < sizeof(many); len += strlen(next))
        strcpy(many + len, next);
    send_text(fd, first);
    while (wait_for_end(origin, origin->stop[0], fd, 0) &&
           send_bytes(fd, many, strlen(many)) == strlen(many))
        ;
}

static void reset(int fd)
{
    struct linger linger = { .l_onoff = 1, .l_linger = 0 };
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

static void send_redirect(int fd, const char *url)
{
    char text[512];
    snprintf(text, sizeof(text), "HTTP/1.1 302 Found\r\nLocation: %s\r\n" EMPTY, url);
    send_text(fd, text);
}

static void answer_one(struct origin *origin, int fd)
{
    struct request request;
    if (!read_request(fd, &request))
        return;
    struct answer answer = choose_answer(origin, &request);
    if (fixed[answer.mischief])
        send_text(fd, fixed[answer.mischief]);
    else if (endless[answer.mischief].next)
        send_endlessly(origin, fd, endless[answer.mischief].first, endless[answer.mischief].next);
    else if (answer.mischief == ORIGIN_RESET)
        reset(fd);
    else if (answer.mischief == ORIGIN_MOVED_AWAY)
        send_redirect(fd, answer.away);
    else
        answer_range(origin, fd, &answer, &request);
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

static void accept_connections(struct origin *origin)
{
    for (;;) {
        struct pollfd pfds[] = { { .fd = origin->stop[0], .events = POLLIN },
                                 { .fd = origin->fd, .events = POLLIN } };
        if (poll(pfds, 2, -1) < 0)
            continue;
        if (pfds[0].revents)
            return;
        int fd = accept(origin->fd, NULL, NULL);
        if (fd < 0)
            continue;
        struct connection *connection = malloc(sizeof(*connection));
        *connection = (struct connection){ origin, fd };
        pthread_mutex_lock(&origin->lock);
        origin->busy++;
        pthread_mutex_unlock(&origin->lock);
        pthread_t thread;
        must(pthread_create(&thread, NULL, serve_connection, connection) == 0);
        pthread_detach(thread);
    }
}

static void run(struct origin *origin, pid_t test)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != test)
        _exit(1);
    accept_connections(origin);
    pthread_mutex_lock(&origin->lock);
    while (origin->busy > 0)
        pthread_cond_wait(&origin->idle, &origin->lock);
    _exit(0);
}

static void *map_shared(size_t size)
{
    void *p =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    must(p != MAP_FAILED);
    return p;
}

static void init_locks(struct origin *origin)
{
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&origin->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    pthread_cond_init(&origin->idle, NULL); /* among the origin's threads */
}

static void put_data(struct origin *origin, const void *data, size_t len)
{
    memcpy(origin->room, data, len);
    origin->data = origin->room;
    origin->len = len;
    origin->room += len;
}

struct origin *origin_start(const void *data, size_t len)
{
    struct origin *origin = map_shared(sizeof(*origin) + ROOM);
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t addr_len = sizeof(addr);
    origin->room = (uint8_t *)(origin + 1);
    put_data(origin, data, len);
    strcpy(origin->etag, "\"1\"");
    init_locks(origin);
    must(pipe(origin->stop) == 0);
    must(pipe(origin->go) == 0);
    origin->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(bind(origin->fd, (struct sockaddr *)&addr, sizeof(addr)) == 0);
    must(listen(origin->fd, 64) == 0);
    getsockname(origin->fd, (struct sockaddr *)&addr, &addr_len);
    snprintf(origin->url, sizeof(origin->url), "http://127.0.0.1:%u/test.nxpk",
             ntohs(addr.sin_port));
    pid_t test = getpid();
    pid_t pid = fork();
    must(pid >= 0);
    if (pid == 0)
        run(origin, test);
    origin->pid = pid;
    close(origin->fd);
    return origin;
}

/* For good: nobody reads it. */
static void say(const int pipe_fds[2])
{
    must(write(pipe_fds[1], "", 1) == 1);
}

void origin_stop(struct origin *origin)
{
    if (!origin)
        return;
    say(origin->stop);
    while (waitpid(origin->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    for (int i = 0; i < 2; i++) {
        close(origin->go[i]);
        close(origin->stop[i]);
    }
    munmap(origin, sizeof(*origin) + ROOM);
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

void origin_misbehave_at_random(struct origin *origin, unsigned percent, unsigned seed)
{
    pthread_mutex_lock(&origin->lock);
    origin->percent = percent;
    origin->seed = seed;
    pthread_mutex_unlock(&origin->lock);
}

const char *origin_name(enum origin_mischief mischief)
{
    return mischief < ORIGIN_MISCHIEFS ? names[mischief] : NULL;
}

void origin_move(struct origin *origin, const char *url)
{
    pthread_mutex_lock(&origin->lock);
    snprintf(origin->away, sizeof(origin->away), "%s", url);
    pthread_mutex_unlock(&origin->lock);
}

void origin_go_on(struct origin *origin)
{
    say(origin->go);
}

void origin_change(struct origin *origin, const char *etag, const void *data, size_t len)
{
    pthread_mutex_lock(&origin->lock);
    snprintf(origin->etag, sizeof(origin->etag), "%s", etag);
    if (data)
        put_data(origin, data, len);
    pthread_mutex_unlock(&origin->lock);
}

static unsigned look(struct origin *origin, const unsigned *count)
{
    pthread_mutex_lock(&origin->lock);
    unsigned n = *count;
    pthread_mutex_unlock(&origin->lock);
    return n;
}

unsigned origin_requests(struct origin *origin)
{
    return look(origin, &origin->requests);
}

unsigned origin_mischiefs(struct origin *origin)
{
    return look(origin, &origin->mischiefs);
}

unsigned origin_passwords(struct origin *origin)
{
    return look(origin, &origin->passwords);
}

uint64_t origin_bytes(struct origin *origin)
{
    pthread_mutex_lock(&origin->lock);
    uint64_t n = origin->bytes;
    pthread_mutex_unlock(&origin->lock);
    return n;
}
