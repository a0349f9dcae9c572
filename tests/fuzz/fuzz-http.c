/* SPDX-License-Identifier: MIT */
/* What a web server answers to a request for a range, through curl: the first three bytes choose
 * what was asked for, the rest comes over the connection.
 */
#include "common/http.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

#define SECRET "aXbYcZ" /* of the URL: no message may have it, but what the server itself says */
static bool server_knows;

static curl_socket_t open_connection(void *opaque, curlsocktype purpose, struct curl_sockaddr *to)
{
    int *fd = opaque, taken = *fd;
    *fd = -1; /* a redirection finds nobody */
    return taken < 0 ? CURL_SOCKET_BAD : taken;
}

/* curl 7.88 connects again what CURL_SOCKOPT_ALREADY_CONNECTED said to be connected: it finds this. */
__attribute__((visibility("default"))) int connect(int fd, const struct sockaddr *to, socklen_t len)
{
    return 0;
}

/* Like the engine, which takes chunks out as they come. */
static void take_some(struct nx_http_request *request)
{
    struct nx_error err;
    NX_AUTO_BUFFER struct nx_buffer front = NX_BUFFER_INIT(0);
    if (request->body.len > 10 && nx_http_take(request, 10, &front, &err) < 0)
        abort();
}

/* 0: what was asked for has come. */
static int ask(int fd, struct nx_http_request *request)
{
    static const struct nx_http_options options = { .connect_timeout = 5, .stall_timeout = 5 };
    static const char url[] = "http://user:" SECRET "@127.0.0.1/x.nxpk";
    struct nx_error err = NX_ERROR_INIT;
    CURL *easy = curl_easy_init();
    if (!easy || nx_http_prepare(easy, url, &options, request, &err) < 0)
        abort();
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_connection);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, &fd);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    CURLcode code = curl_easy_perform(easy);
    int ret = nx_http_finish(easy, url, code, request, &err);
    if (ret == 0) {
        uint64_t got = request->taken + request->body.len;
        if (request->status != 206 || !request->have_range || got > request->length ||
            (got < request->length &&
             (!request->may_be_short || request->offset + got != request->total)))
            abort(); /* these are not the bytes that were asked for */
        if (request->if_range_etag && request->etag[0] &&
            strcmp(request->if_range_etag, request->etag) != 0)
            abort(); /* nor this the file */
    } else if (!server_knows && strstr(err.msg, SECRET)) {
        abort();
    }
    curl_easy_cleanup(easy);
    if (fd >= 0)
        close(fd);
    return ret;
}

static int answer(const uint8_t *data, size_t size)
{
    int fds[2];
    if (size < 3 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return -1;
    uint64_t length = 1 + data[2];
    struct nx_http_request request = { .offset = (uint64_t)data[1] * data[1],
                                       .length = length,
                                       .may_be_short = data[0] & 1,
                                       .if_range_etag = data[0] & 2 ? "\"one\"" : NULL,
                                       .arrived = data[0] & 4 ? take_some : NULL,
                                       .body = NX_BUFFER_INIT(length) };
    /* What does not fit into the socket is a connection that breaks. */
    if (size > 3)
        (void)!send(fds[1], data + 3, size - 3, MSG_DONTWAIT | MSG_NOSIGNAL);
    shutdown(fds[1], SHUT_WR);
    int ret = ask(fds[0], &request);
    nx_http_request_release(&request);
    close(fds[1]);
    return ret;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char good[] = "aa\1HTTP/1.1 206 OK\r\nContent-Range: bytes 9409-9410/9999\r\n"
                               "Content-Length: 2\r\n\r\nxy";
    static bool connected;
    if (!connected && answer((const uint8_t *)good, sizeof good - 1) < 0)
        abort(); /* nothing is fuzzed: another curl, which connects in another way? */
    connected = true;
    server_knows = memmem(data, size, SECRET, strlen(SECRET));
    answer(data, size);
    return 0;
}
