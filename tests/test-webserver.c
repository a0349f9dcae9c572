/* SPDX-License-Identifier: MIT */
/* The local web server: who is answered, and with what. */
#include "fetch/webserver.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/io.h"
#include "tests/support/main.h"

#define ANSWER_MAX 65536

static struct nx_webserver *server;
static unsigned port;
static char dir[64], token[64], cookie[256], base[64];
static atomic_int asked;
static atomic_bool signals_blocked;

static int tell(void *opaque, struct nx_buffer *body, struct nx_error *err)
{
    sigset_t blocked;
    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    signals_blocked = sigismember(&blocked, SIGINT) == 1 && sigismember(&blocked, SIGTERM) == 1;
    asked++;
    return opaque ? nx_buffer_printf(body, err, "{\"asked\":\"%s\"}", (const char *)opaque)
                  : nx_fail(err, NX_ERR_SYSTEM, "nothing to tell");
}

/* Send a request as it is; the whole answer, with its head, into answer, and its status. */
static int ask(char answer[static ANSWER_MAX], const char *request)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    NX_AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    ck_assert(send(fd, request, strlen(request), MSG_NOSIGNAL) == (ssize_t)strlen(request));
    size_t len = 0;
    ssize_t n;
    while (len < ANSWER_MAX - 1 && (n = recv(fd, answer + len, ANSWER_MAX - 1 - len, 0)) > 0)
        len += (size_t)n;
    answer[len] = 0;
    int status = 0;
    ck_assert_msg(sscanf(answer, "HTTP/1.1 %d", &status) == 1, "no answer: \"%s\"", answer);
    return status;
}

/* A well-meant request for path, with more header lines ("Name: value\r\n"). */
static int get(char answer[static ANSWER_MAX], const char *path, const char *more)
{
    char request[4096];
    snprintf(request, sizeof request,
             "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nConnection: close\r\n%s\r\n", path, port,
             more);
    return ask(answer, request);
}

/* The same below the run's folder, with the cookie. */
static int get_ours(char answer[static ANSWER_MAX], const char *path, const char *more)
{
    char whole[1024], lines[1024];
    snprintf(whole, sizeof whole, "%s%s", base, path);
    snprintf(lines, sizeof lines, "Cookie: %s\r\n%s", cookie, more);
    return get(answer, whole, lines);
}

/* The value of a header line. */
static void field_of(const char *answer, const char *name, char value[static 256])
{
    char start[64];
    snprintf(start, sizeof start, "\r\n%s: ", name);
    const char *at = strstr(answer, start);
    ck_assert_msg(at, "no %s in: %s", name, answer);
    at += strlen(start);
    snprintf(value, 256, "%.*s", (int)strcspn(at, "\r"), at);
}

static void write_text(const char *name, const char *text)
{
    struct nx_error err = NX_ERROR_INIT;
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    nx_assert_ok(nx_write_file(path, 0644, text, strlen(text), &err), err);
}

/* The URL is exchanged for a cookie: what every test but that of the refusals needs. */
static void log_in(void)
{
    char answer[ANSWER_MAX], value[256], path[128];
    snprintf(path, sizeof path, "/?token=%s", token);
    ck_assert_int_eq(get(answer, path, ""), 303);
    field_of(answer, "Location", value);
    snprintf(base, sizeof base, "%.*s", (int)strlen(value) - 1, value);
    field_of(answer, "Set-Cookie", value);
    snprintf(cookie, sizeof cookie, "%.*s", (int)strcspn(value, ";"), value);
}

static void start(void)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_web_address address;
    char path[128];
    strcpy(dir, "/tmp/nxpk-web-XXXXXX");
    ck_assert(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/files", dir);
    ck_assert(mkdir(path, 0755) == 0);
    snprintf(path, sizeof path, "%s/files/sub", dir);
    ck_assert(mkdir(path, 0755) == 0);
    write_text("secret", "secret");
    write_text("files/a.js", "let a;");
    write_text("files/sub/b.css", "b{}");
    write_text("files/.hidden", "hidden");
    snprintf(path, sizeof path, "%s/files/out", dir);
    ck_assert(symlink("../secret", path) == 0);
    snprintf(path, sizeof path, "%s/files/fifo", dir);
    ck_assert(mkfifo(path, 0644) == 0);
    snprintf(path, sizeof path, "%s/files", dir);
    const struct nx_web_route routes[] = {
        { .path = "/", .type = "text/html; charset=utf-8", .text = "<p>here</p>" },
        { .path = "/told.json", .type = "application/json", .answer = tell, .opaque = dir },
        { .path = "/untold.json", .type = "application/json", .answer = tell },
        { .path = "/files/", .folder = path },
    };
    nx_assert_ok(nx_web_address_parse("web", NULL, &address, &err), err);
    nx_assert_ok(nx_webserver_start("web", &address, routes, 4, &server, &err), err);
    ck_assert(nx_webserver_is_loopback(server));
    ck_assert_int_eq(
        sscanf(nx_webserver_url(server), "http://127.0.0.1:%u/?token=%40[0-9a-f]", &port, token),
        2);
    ck_assert_uint_eq(strlen(token), 32);
    log_in();
}

static void stop(void)
{
    char command[128];
    nx_webserver_stop(server);
    snprintf(command, sizeof command, "rm -r '%s'", dir);
    ck_assert(system(command) == 0);
}

START_TEST(answers)
{
    char answer[ANSWER_MAX], value[256];
    start();
    ck_assert_int_eq(get_ours(answer, "/", ""), 200);
    ck_assert(strstr(answer, "\r\n\r\n<p>here</p>"));
    field_of(answer, "Content-Type", value);
    ck_assert_str_eq(value, "text/html; charset=utf-8");
    int before = asked;
    ck_assert_int_eq(get_ours(answer, "/told.json", ""), 200);
    ck_assert(strstr(answer, dir) && asked == before + 1 && signals_blocked);
    field_of(answer, "Set-Cookie", value);
    ck_assert_int_eq(get_ours(answer, "/untold.json", ""), 500);
    ck_assert(!strstr(answer, "nothing to tell"));
    ck_assert_int_eq(get_ours(answer, "/files/a.js", ""), 200);
    ck_assert(strstr(answer, "\r\n\r\nlet a;"));
    field_of(answer, "Content-Type", value);
    ck_assert_str_eq(value, "text/javascript; charset=utf-8");
    ck_assert_int_eq(get_ours(answer, "/files/sub/b.css?v=1", ""), 200);
    ck_assert(strstr(answer, "\r\n\r\nb{}"));
    stop();
}
END_TEST

START_TEST(headers)
{
    static const char *const lines[] = {
        "Cache-Control: no-store",           "X-Content-Type-Options: nosniff",
        "Referrer-Policy: no-referrer",      "default-src 'none'; script-src 'self'",
        "connect-src 'self' ws://127.0.0.1", "frame-ancestors 'none'",
    };
    static const char *const paths[] = { "/", "/told.json", "/files/a.js", "/none" };
    char answer[ANSWER_MAX], value[256], whole[256];
    start();
    for (size_t i = 0; i < 4; i++) {
        get_ours(answer, paths[i], "");
        for (size_t k = 0; k < sizeof lines / sizeof *lines; k++)
            ck_assert_msg(strstr(answer, lines[k]), "%s: no %s", paths[i], lines[k]);
        ck_assert_msg(!strstr(answer, "Access-Control"), "%s: other sites may read it", paths[i]);
    }
    snprintf(whole, sizeof whole, "/?token=%s", token);
    ck_assert_int_eq(get(answer, whole, ""), 303);
    field_of(answer, "Set-Cookie", value);
    snprintf(whole, sizeof whole, "; Path=%s/; ", base);
    ck_assert(strstr(value, whole) && strstr(value, "; HttpOnly") &&
              strstr(value, "; SameSite=Strict"));
    stop();
}
END_TEST

START_TEST(refused_methods)
{
    char answer[ANSWER_MAX], request[1024];
    start();
    static const char *const methods[] = { "POST", "PUT", "DELETE", "OPTIONS", "TRACE" };
    for (size_t i = 0; i < 5; i++) {
        snprintf(request, sizeof request,
                 "%s %s/ HTTP/1.1\r\nHost: localhost\r\nCookie: %s\r\nContent-Length: 3\r\n"
                 "Connection: close\r\n\r\na=b",
                 methods[i], base, cookie);
        ck_assert_int_eq(ask(answer, request), 405);
        ck_assert(strstr(answer, "Allow: GET, HEAD"));
    }
    snprintf(request, sizeof request,
             "HEAD %s/ HTTP/1.1\r\nHost: localhost\r\nCookie: %s\r\nConnection: close\r\n\r\n",
             base, cookie);
    ck_assert_int_eq(ask(answer, request), 200);
    ck_assert(strstr(answer, "Content-Length: 11") && !strstr(answer, "here"));
    stop();
}
END_TEST

/* Without the token, or with a wrong one, nothing but that is told. */
START_TEST(strangers)
{
    char answer[ANSWER_MAX], path[256], lines[512];
    start();
    ck_assert_int_eq(get(answer, "/", ""), 403);
    ck_assert_int_eq(get(answer, "/told.json", ""), 403);
    ck_assert_int_eq(get(answer, "/none", ""), 403);
    ck_assert_int_eq(get(answer, "/?token=", ""), 403);
    ck_assert_int_eq(get(answer, "/?token=00000000000000000000000000000000", ""), 403);
    snprintf(path, sizeof path, "/?token=%.31s", token);
    ck_assert_int_eq(get(answer, path, ""), 403);
    snprintf(path, sizeof path, "/?token=%s0", token);
    ck_assert_int_eq(get(answer, path, ""), 403);
    snprintf(path, sizeof path, "%s/", base);
    ck_assert_int_eq(get(answer, path, ""), 403);
    ck_assert(!strstr(answer, token) && !strstr(answer, "Set-Cookie"));
    ck_assert_int_eq(get(answer, path, "Cookie: nxfetch=0\r\n"), 403);
    /* The folder alone is no key, and the cookie without it none either. */
    snprintf(lines, sizeof lines, "Cookie: %s\r\n", cookie);
    ck_assert_int_eq(get(answer, path, lines), 200);
    ck_assert_int_eq(get(answer, "/", lines), 403);
    snprintf(path, sizeof path, "%sx/", base);
    ck_assert_int_eq(get(answer, path, lines), 403);
    /* A token leads only to what is there. */
    snprintf(path, sizeof path, "//evil.example/?token=%s", token);
    ck_assert_int_eq(get(answer, path, ""), 404);
    stop();
}
END_TEST

START_TEST(names)
{
    static const struct {
        const char *host, *more;
        int status;
    } cases[] = {
        { "127.0.0.1", "", 200 },
        { "LocalHost:9000", "", 200 },
        { "[::1]:80", "", 200 },
        { "192.0.2.1:8080", "", 200 },
        { "evil.example", "", 403 },
        { "127.0.0.1.evil.example:80", "", 403 },
        { "localhost.evil.example", "", 403 },
        { "[::1", "", 403 },
        { "127.0.0.1; script-src *", "", 403 },
        { "", "", 403 },
        { "127.0.0.1:1", "Origin: http://127.0.0.1:1\r\n", 200 },
        { "127.0.0.1:1", "Origin: https://127.0.0.1:1\r\n", 200 },
        { "127.0.0.1:1", "Origin: http://127.0.0.1:2\r\n", 403 },
        { "127.0.0.1:1", "Origin: http://evil.example\r\n", 403 },
        { "127.0.0.1:1", "Origin: file://127.0.0.1:1\r\n", 403 },
        { "127.0.0.1:1", "Origin: null\r\n", 403 },
        { "127.0.0.1:1", "Origin: \r\n", 403 },
        { "127.0.0.1:1", "Origin: https://vm.example.org\r\nX-Forwarded-Host: vm.example.org\r\n",
          200 },
        { "127.0.0.1:1", "Origin: https://evil.example\r\nX-Forwarded-Host: vm.example.org\r\n",
          403 },
        { "evil.example", "X-Forwarded-Host: 127.0.0.1\r\n", 403 },
    };
    char answer[ANSWER_MAX], request[1024];
    start();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(request, sizeof request,
                 "GET %s/ HTTP/1.1\r\nHost: %s\r\nCookie: %s\r\nConnection: close\r\n%s\r\n", base,
                 cases[i].host, cookie, cases[i].more);
        int status = ask(answer, request);
        ck_assert_msg(status == cases[i].status, "Host: %s, %s: %d", cases[i].host, cases[i].more,
                      status);
    }
    snprintf(request, sizeof request, "GET %s/ HTTP/1.0\r\nCookie: %s\r\n\r\n", base, cookie);
    ck_assert_int_eq(ask(answer, request), 403); /* no Host at all */
    stop();
}
END_TEST

START_TEST(folders)
{
    static const char *const paths[] = {
        "/files/",
        "/files/sub",
        "/files/sub/",
        "/files/none",
        "/files/out",
        "/files/fifo",
        "/files/.hidden",
        "/files/../secret",
        "/files/%2e%2e/secret",
        "/files/sub/../../secret",
        "/files/..%2fsecret",
        "/files/../files/a.js",
        "/files//../secret",
        "/files/a.js/",
        "/files/a.js%00.png/x",
    };
    char answer[ANSWER_MAX];
    start();
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        int status = get_ours(answer, paths[i], "");
        ck_assert_msg(status == 404 || status == 400, "%s: %d: %s", paths[i], status, answer);
        ck_assert(!strstr(answer, "\r\n\r\nsecret"));
    }
    stop();
}
END_TEST

START_TEST(addresses)
{
    static const struct {
        const char *text, *host;
        unsigned port;
    } good[] = {
        { NULL, "127.0.0.1", 0 },
        { "", "127.0.0.1", 0 },
        { "8080", "127.0.0.1", 8080 },
        { ":8080", "127.0.0.1", 8080 },
        { "0.0.0.0:1", "0.0.0.0", 1 },
        { "127.0.0.1", "127.0.0.1", 0 },
        { "[::1]:65535", "::1", 65535 },
        { "localhost:7", "127.0.0.1", 7 },
        { "[::]", "::", 0 },
        { "192.0.2.1:", "192.0.2.1", 0 },
    };
    static const char *const bad[] = {
        "65536",
        "-1",
        "x",
        "example.org:80",
        "::1",
        "[::1",
        "[::1]8",
        "1.2.3:80",
        "127.0.0.1:8x",
        "127.0.0.1:000080",
        "999999999999999999999",
        "1.2.3.4.5:1",
        " 80",
    };
    struct nx_web_address address;
    struct nx_error err = NX_ERROR_INIT;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        nx_assert_ok(nx_web_address_parse("web", good[i].text, &address, &err), err);
        ck_assert_str_eq(address.host, good[i].host);
        ck_assert_uint_eq(address.port, good[i].port);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        nx_assert_fails(nx_web_address_parse("web", bad[i], &address, &err), err,
                        "is not [ADDRESS:]PORT");
        ck_assert_int_eq(err.code, NX_ERR_USAGE);
    }
}
END_TEST

START_TEST(refused_starts)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_web_address address = { "127.0.0.1", 0 };
    const struct nx_web_route nowhere = { .path = "/x/", .folder = "/nonexistent/folder" };
    struct nx_webserver *other = NULL;
    start();
    nx_assert_fails(nx_webserver_start("web", &address, &nowhere, 1, &other, &err), err,
                    "/nonexistent/folder");
    address.port = (uint16_t)port;
    const struct nx_web_route page = { .path = "/", .type = "text/plain", .text = "" };
    nx_assert_fails(nx_webserver_start("web", &address, &page, 1, &other, &err), err,
                    "is in use: choose another one with --web");
    ck_assert(!other);
    stop();
}
END_TEST

/* Connections that do nothing hold up neither the others nor the end. */
START_TEST(idlers)
{
    struct sockaddr_in to = { .sin_family = AF_INET };
    int fds[40];
    char answer[ANSWER_MAX];
    start();
    to.sin_port = htons((uint16_t)port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (size_t i = 0; i < 40; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert(connect(fds[i], (struct sockaddr *)&to, sizeof to) == 0);
        if (i % 2)
            ck_assert(send(fds[i], "GET / HT", 8, MSG_NOSIGNAL) == 8);
    }
    ck_assert_int_eq(get_ours(answer, "/", ""), 200);
    stop();
    for (size_t i = 0; i < 40; i++)
        close(fds[i]);
}
END_TEST

NX_TEST_MAIN("webserver", answers, headers, refused_methods, strangers, names, folders, addresses,
             refused_starts, idlers)
