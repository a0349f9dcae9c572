/* SPDX-License-Identifier: MIT */
/* A slow line, or a broken one, between a client and a server:
 *
 *     relay [-r BYTES_PER_SECOND] [-d MS] [-f PORT_FILE] PORT ADDRESS:PORT
 *
 * Connections to PORT of 127.0.0.1 (0: any free one, written to PORT_FILE) are relayed to ADDRESS:PORT.  All of them share
 * the rate, in each direction; each byte takes MS milliseconds, and so does the news of a new connection
 * in both directions: so connecting and asking cost what they would on a line with a round trip of 2 MS.  What the line
 * has no room for waits in a queue, as in a router: of QUEUE_MS, shared fairly; then the senders wait.
 *
 *     SIGUSR1   the line is dead: connections stay, nothing comes through
 *     SIGWINCH  the line is slow: a twentieth of its rate
 *     SIGUSR2   it is alive again, and as quick as before
 *     SIGHUP    all connections break, and new ones are refused, until SIGUSR2
 *     SIGTERM   the end
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LINKS_MAX  64
#define PIECE      4096 /* bytes: what one turn moves */
#define PIECES_MAX 512  /* on their way in one direction of a link */
#define SLOWER     20   /* times, when it is slow */
#define QUEUE_MS   40   /* what may wait for a limited line */

/* Bytes on their way: they arrive when they are due. */
struct piece {
    int64_t due; /* µs */
    size_t len, sent;
    char data[PIECE];
};

/* One direction of a link. */
struct lane {
    int from, to;
    struct piece *pieces; /* a ring */
    size_t first, count;
    int64_t open_at; /* µs: when the connection would be there */
    bool full;       /* to takes no more just now */
    bool ended;      /* from has nothing more */
    bool finished;   /* to was told so */
};

struct link {
    bool used;
    int client, server;
    struct lane up, down;
};

static struct sockaddr_in target;
static int64_t delay_us;
static double rate;        /* bytes a second; 0: no limit */
static int64_t free_at[2]; /* µs: when the line has room for the next byte, up and down */
static struct link links[LINKS_MAX];
static volatile sig_atomic_t dead, slow, refusing, cut, ending;

static int64_t now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000) + ts.tv_nsec / 1000;
}

static void on_signal(int sig)
{
    if (sig == SIGUSR1)
        dead = 1;
    else if (sig == SIGUSR2)
        dead = slow = refusing = 0;
    else if (sig == SIGWINCH)
        slow = 1;
    else if (sig == SIGHUP)
        cut = refusing = 1;
    else
        ending = 1;
}

static void close_link(struct link *link)
{
    close(link->client);
    close(link->server);
    free(link->up.pieces);
    free(link->down.pieces);
    *link = (struct link){ 0 };
}

static void open_link(int client)
{
    struct link *link = NULL;
    for (size_t i = 0; i < LINKS_MAX && !link; i++)
        if (!links[i].used)
            link = &links[i];
    int server = link && !refusing ? socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
    if (server < 0 || connect(server, (struct sockaddr *)&target, sizeof target) < 0) {
        if (server >= 0)
            close(server);
        close(client);
        return;
    }
    int one = 1;
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(server, F_SETFL, O_NONBLOCK);
    fcntl(client, F_SETFL, O_NONBLOCK);
    *link = (struct link){
        true, client, server, { .from = client, .to = server }, { .from = server, .to = client }
    };
    link->up.pieces = calloc(PIECES_MAX, sizeof(struct piece));
    link->down.pieces = calloc(PIECES_MAX, sizeof(struct piece));
    if (!link->up.pieces || !link->down.pieces)
        exit(1);
    /* The handshake, which the kernel has done at once, would have cost a round trip. */
    link->up.open_at = now_us() + 2 * delay_us;
}

/* Read what fits; false when the link is broken. */
static bool take(struct lane *lane, int direction)
{
    struct piece *piece = &lane->pieces[(lane->first + lane->count) % PIECES_MAX];
    ssize_t n = read(lane->from, piece->data, sizeof piece->data);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n == 0) {
        lane->ended = true;
        return true;
    }
    int64_t now = now_us();
    if (free_at[direction] < now)
        free_at[direction] = now;
    if (rate > 0)
        free_at[direction] += (int64_t)((double)n * 1e6 / rate * (slow ? SLOWER : 1));
    int64_t sent_at = free_at[direction] > lane->open_at ? free_at[direction] : lane->open_at;
    piece->due = sent_at + delay_us;
    piece->len = (size_t)n;
    piece->sent = 0;
    lane->count++;
    return true;
}

/* Hand over what is due; false when the link is broken. */
static bool give(struct lane *lane)
{
    while (lane->count > 0) {
        struct piece *piece = &lane->pieces[lane->first];
        if (piece->due > now_us())
            return true;
        ssize_t n =
            send(lane->to, piece->data + piece->sent, piece->len - piece->sent, MSG_NOSIGNAL);
        lane->full = n < 0 && errno == EAGAIN;
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        piece->sent += (size_t)n;
        if (piece->sent < piece->len)
            return true;
        lane->first = (lane->first + 1) % PIECES_MAX;
        lane->count--;
    }
    if (lane->ended && !lane->finished) {
        shutdown(lane->to, SHUT_WR);
        lane->finished = true;
    }
    return true;
}

static int64_t max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* When this lane is to be looked at, if no socket says so before; INT64_MAX: never. */
static int64_t next_of(const struct lane *lane, int direction)
{
    int64_t next = INT64_MAX;
    if (lane->count > 0 && !lane->full)
        next = lane->pieces[lane->first].due;
    int64_t room = free_at[direction] - QUEUE_MS * 1000;
    bool could_read = !lane->ended && lane->count < PIECES_MAX;
    return could_read && room > now_us() && room < next ? room : next;
}

/* How long until something is due; -1: only a socket can tell. */
static int wait_ms(void)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < LINKS_MAX && !dead; i++) {
        const struct lane *lanes[] = { &links[i].up, &links[i].down };
        for (int l = 0; links[i].used && l < 2; l++) {
            int64_t time = next_of(lanes[l], l);
            if (time < next)
                next = time;
        }
    }
    return next == INT64_MAX ? -1 : (int)((max(next - now_us(), 0) + 999) / 1000);
}

static bool reads(const struct lane *lane, int direction)
{
    return !dead && !lane->ended && lane->count < PIECES_MAX &&
           free_at[direction] - now_us() <= QUEUE_MS * 1000;
}

static void serve_links(const struct pollfd *fds)
{
    static size_t last;  /* that has sent something down: now it is the others' turn */
    bool breaking = cut; /* once for all of them; a later signal is for the next round */
    if (breaking)
        cut = 0;
    for (size_t n = 1, after = last; n <= LINKS_MAX; n++) {
        size_t i = (after + n) % LINKS_MAX;
        struct link *link = &links[i];
        if (!link->used)
            continue;
        bool good = !breaking;
        if (good && fds[2 * i].revents & (POLLIN | POLLHUP) && reads(&link->up, 0))
            good = take(&link->up, 0);
        if (good && fds[2 * i + 1].revents & (POLLIN | POLLHUP) && reads(&link->down, 1)) {
            good = take(&link->down, 1);
            last = i;
        }
        if (good && !dead)
            good = give(&link->up) && give(&link->down);
        if (!good || (link->up.finished && link->down.finished))
            close_link(link);
    }
}

static struct pollfd watch(const struct link *link, int fd, bool in, bool out)
{
    short events = (short)((in ? POLLIN : 0) | (out && !dead ? POLLOUT : 0));
    return (struct pollfd){ link->used && events ? fd : -1, events, 0 };
}

static void run(int listener)
{
    struct pollfd fds[2 * LINKS_MAX + 1];
    while (!ending) {
        for (size_t i = 0; i < LINKS_MAX; i++) {
            const struct link *link = &links[i];
            fds[2 * i] = watch(link, link->client, reads(&link->up, 0), link->down.full);
            fds[2 * i + 1] = watch(link, link->server, reads(&link->down, 1), link->up.full);
        }
        fds[2 * LINKS_MAX] = (struct pollfd){ dead ? -1 : listener, POLLIN, 0 };
        int timeout = wait_ms();
        if (poll(fds, 2 * LINKS_MAX + 1, timeout < 0 || timeout > 200 ? 200 : timeout) < 0) {
            if (errno != EINTR)
                return;
            for (size_t i = 0; i < 2 * LINKS_MAX + 1; i++)
                fds[i].revents = 0;
        }
        serve_links(fds);
        if (fds[2 * LINKS_MAX].revents) {
            int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
            if (client >= 0)
                open_link(client);
        }
    }
}

static int listen_on(unsigned port, const char *port_file)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    socklen_t len = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) < 0 || listen(fd, 64) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        return -1;
    FILE *file = port_file ? fopen(port_file, "we") : NULL;
    if (file) {
        fprintf(file, "%u\n", ntohs(address.sin_port));
        fclose(file);
    }
    return port_file && !file ? -1 : fd;
}

static int parse_target(char *text)
{
    char *colon = strrchr(text, ':');
    if (!colon)
        return -1;
    *colon = 0;
    target.sin_family = AF_INET;
    target.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    return inet_pton(AF_INET, text, &target.sin_addr) == 1 ? 0 : -1;
}

int main(int argc, char **argv)
{
    const char *port_file = NULL;
    int option;
    while ((option = getopt(argc, argv, "r:d:f:")) != -1) {
        if (option == 'r')
            rate = strtod(optarg, NULL);
        else if (option == 'd')
            delay_us = strtoll(optarg, NULL, 10) * 1000;
        else if (option == 'f')
            port_file = optarg;
        else
            return 2;
    }
    if (argc - optind != 2 || parse_target(argv[optind + 1]) < 0) {
        fputs("relay [-r BYTES_PER_SECOND] [-d MS] [-f PORT_FILE] PORT ADDRESS:PORT\n", stderr);
        return 2;
    }
    /* One after the other: a handler that interrupts another's start would be the first to be done. */
    struct sigaction action = { .sa_handler = on_signal };
    sigfillset(&action.sa_mask);
    const int signals[] = { SIGUSR1, SIGUSR2, SIGWINCH, SIGHUP, SIGTERM, SIGINT };
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        sigaction(signals[i], &action, NULL);
    int listener = listen_on((unsigned)strtoul(argv[optind], NULL, 10), port_file);
    if (listener < 0) {
        perror("relay");
        return 1;
    }
    run(listener);
    return 0;
}
