/* SPDX-License-Identifier: MIT */
/* Threads: libmicrohttpd's one thread calls on_request(); struct nx_webserver is not changed after the start. */
#include "fetch/webserver.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <signal.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "common/beneath.h"
#include "common/listen.h"
#include "common/log.h"
#include "common/path.h"
#include "common/types.h"

#define CONNECTIONS_MAX 64
#define IDLE_SECONDS    30
#define CONNECTION_MAX  (UINT32_C(32) << 10) /* bytes of a request's head */
#define COOKIE          "nxfetch"
#define COOKIE_SECONDS  86400 /* renewed by whatever is asked for meanwhile */
#define RANDOM_BYTES    16
#define HEX_SIZE        (2 * RANDOM_BYTES + 1)
#define NAME_SIZE       256
#define REFUSED_TYPE    "text/html; charset=utf-8"

struct route {
    struct nx_web_route is;
    int folder_fd; /* -1: none */
};

struct nx_webserver {
    struct MHD_Daemon *daemon;
    struct route *routes;
    size_t n_routes;
    bool loopback;
    char run[HEX_SIZE]; /* the folder that everything is below */
    char token[HEX_SIZE];
    char own_name[NAME_SIZE]; /* this host's, if others may come to us by it; else "" */
    char url[NAME_SIZE];
};

/* ---- addresses ---- */

static bool is_numeric(const char *host)
{
    struct in6_addr ignored;
    return inet_pton(AF_INET, host, &ignored) == 1 || inet_pton(AF_INET6, host, &ignored) == 1;
}

/* Split "host", "host:port" and "[v6]:port"; *ret_port is what stands behind the colon, or "". */
static int split(const char *text, char host[static NAME_SIZE], const char **ret_port)
{
    bool v6 = text[0] == '[';
    const char *from = text + v6;
    size_t len = strcspn(from, v6 ? "]" : ":");
    const char *behind = from + len + (v6 && from[len] == ']');
    if (len >= NAME_SIZE || (v6 && from[len] != ']') || (*behind && *behind != ':'))
        return -1;
    memcpy(host, from, len);
    host[len] = 0;
    *ret_port = *behind ? behind + 1 : behind;
    return 0;
}

static int parse_port(const char *text, uint16_t *ret_port)
{
    size_t digits = strspn(text, "0123456789");
    unsigned long port = digits && digits <= 5 ? strtoul(text, NULL, 10) : 0;
    if (text[digits] || digits > 5 || port > 65535)
        return -1;
    *ret_port = (uint16_t)port;
    return 0;
}

int nx_web_address_parse(const char *option, const char *text, struct nx_web_address *ret_address,
                         struct nx_error *err)
{
    struct nx_web_address address = { .host = "127.0.0.1" };
    char host[NAME_SIZE] = "";
    const char *port = text ? text : "";
    bool only_port = !port[strspn(port, "0123456789")];
    if ((!only_port && split(text, host, &port) < 0) || parse_port(port, &address.port) < 0 ||
        strlen(host) >= sizeof address.host ||
        (host[0] && !is_numeric(host) && strcmp(host, "localhost") != 0))
        return nx_fail(err, NX_ERR_USAGE,
                       "--%s: '%s' is not [ADDRESS:]PORT, as in 8080, 0.0.0.0:8080 or [::1]:0",
                       option, text);
    if (host[0] && strcmp(host, "localhost") != 0)
        strcpy(address.host, host);
    *ret_address = address;
    return 0;
}

static bool is_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0;
}

static bool is_any(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

/* ---- who asks ---- */

static const char *field(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/* Only letters of host names, addresses and ports, so that it can stand in a header of ours. */
static bool is_authority(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "-._:[]";
    return text && *text && !text[strspn(text, letters)] && strlen(text) < NAME_SIZE;
}

static bool host_is_ours(const struct nx_webserver *server, const char *authority)
{
    char host[NAME_SIZE];
    const char *ignored;
    if (!is_authority(authority) || split(authority, host, &ignored) < 0)
        return false;
    return is_numeric(host) || strcasecmp(host, "localhost") == 0 ||
           (server->own_name[0] && strcasecmp(host, server->own_name) == 0);
}

/* Under which name the browser knows us.  A page of another site cannot send X-Forwarded-Host without asking first. */
static const char *authority_of(struct MHD_Connection *connection)
{
    const char *forwarded = field(connection, "X-Forwarded-Host");
    return is_authority(forwarded) ? forwarded : field(connection, MHD_HTTP_HEADER_HOST);
}

static bool origin_is_ours(struct MHD_Connection *connection)
{
    const char *origin = field(connection, MHD_HTTP_HEADER_ORIGIN);
    if (!origin)
        return true; /* a page that the user opens, or no browser */
    size_t scheme = strncmp(origin, "http://", 7) == 0    ? 7
                    : strncmp(origin, "https://", 8) == 0 ? 8
                                                          : 0;
    return scheme && strcasecmp(origin + scheme, authority_of(connection)) == 0;
}

static bool is_token(const struct nx_webserver *server, const char *text)
{
    size_t len = sizeof server->token - 1;
    return text && strlen(text) == len && CRYPTO_memcmp(text, server->token, len) == 0;
}

/* ---- what is answered ---- */

/* Scripts, pictures and connections are our own only, whatever words of strangers may stand in a page. */
static enum MHD_Result add_policy(struct MHD_Response *response, struct MHD_Connection *connection)
{
    char policy[1024];
    const char *authority = authority_of(connection);
    if (!is_authority(authority))
        authority = "127.0.0.1"; /* a request that is refused */
    snprintf(policy, sizeof policy,
             "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; "
             "img-src 'self' data: blob:; connect-src 'self' ws://%s wss://%s; "
             "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
             authority, authority);
    return MHD_add_response_header(response, "Content-Security-Policy", policy);
}

/* Queue it, with what all answers have; it is freed. */
static enum MHD_Result finish(struct MHD_Connection *connection, unsigned status, const char *type,
                              struct MHD_Response *response)
{
    static const char *const fields[][2] = {
        { "Cache-Control", "no-store" },
        { "X-Content-Type-Options", "nosniff" },
        { "Referrer-Policy", "no-referrer" },
        { "Cross-Origin-Opener-Policy", "same-origin" },
        { "Cross-Origin-Resource-Policy", "same-origin" },
    };
    if (!response)
        return MHD_NO;
    enum MHD_Result result = add_policy(response, connection);
    for (size_t i = 0; i < sizeof fields / sizeof *fields && result == MHD_YES; i++)
        result = MHD_add_response_header(response, fields[i][0], fields[i][1]);
    if (result == MHD_YES && type)
        result = MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (result == MHD_YES && status == MHD_HTTP_METHOD_NOT_ALLOWED)
        result = MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    if (result == MHD_YES)
        result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result send_text(struct MHD_Connection *connection, unsigned status,
                                 const char *type, const char *text)
{
    return finish(
        connection, status, type,
        MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_MUST_COPY));
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status, const char *why)
{
    char page[1024];
    snprintf(page, sizeof page,
             "<!DOCTYPE html><html lang=\"en\"><title>nxfetch</title><p>%u: %s</p></html>\n",
             status, why);
    return send_text(connection, status, REFUSED_TYPE, page);
}

/* A browser that came by another site's link has the cookie, but does not send it: it does when this page asks. */
static enum MHD_Result refuse_stranger(struct MHD_Connection *connection)
{
    return refuse(connection, MHD_HTTP_FORBIDDEN,
                  "open the whole address that nxfetch has printed, or <a href=\"\">this page once "
                  "more</a> if you have just done that");
}

/* The cookie is as good as the token, so it is for our folder alone. */
static enum MHD_Result add_cookie(const struct nx_webserver *server, struct MHD_Response *response)
{
    char cookie[256];
    snprintf(cookie, sizeof cookie, COOKIE "=%s; Path=/%s/; Max-Age=%d; HttpOnly; SameSite=Strict",
             server->token, server->run, COOKIE_SECONDS);
    return MHD_add_response_header(response, MHD_HTTP_HEADER_SET_COOKIE, cookie);
}

static enum MHD_Result send_on(const struct nx_webserver *server, struct MHD_Connection *connection,
                               const char *path)
{
    char to[NAME_SIZE];
    struct MHD_Response *response =
        MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);
    if (!response)
        return MHD_NO;
    snprintf(to, sizeof to, "/%s%s", server->run, path);
    if (add_cookie(server, response) != MHD_YES ||
        MHD_add_response_header(response, MHD_HTTP_HEADER_LOCATION, to) != MHD_YES) {
        MHD_destroy_response(response);
        return MHD_NO;
    }
    return finish(connection, MHD_HTTP_SEE_OTHER, NULL, response);
}

static enum MHD_Result send_made(const struct nx_webserver *server,
                                 struct MHD_Connection *connection,
                                 const struct nx_web_route *route)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_BUFFER struct nx_buffer body = NX_BUFFER_INIT(NX_WEB_BODY_MAX);
    if (route->answer(route->opaque, &body, &err) < 0) {
        nx_log(NX_LOG_WARNING, "the page %s: %s", route->path, err.msg);
        return refuse(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "nxfetch says why");
    }
    struct MHD_Response *response =
        MHD_create_response_from_buffer(body.len, body.data, MHD_RESPMEM_MUST_COPY);
    if (!response || add_cookie(server, response) != MHD_YES) {
        if (response)
            MHD_destroy_response(response);
        return MHD_NO;
    }
    return finish(connection, MHD_HTTP_OK, route->type, response);
}

static enum MHD_Result send_file(struct MHD_Connection *connection, const struct route *route,
                                 const char *name)
{
    struct nx_path path;
    struct stat st;
    char absolute[PATH_MAX];
    if (snprintf(absolute, sizeof absolute, "/%s", name) >= (int)sizeof absolute ||
        nx_path_from_url(absolute, &path) != 0 || path.slash || !path.text[0])
        return refuse(connection, MHD_HTTP_NOT_FOUND, "there is no such file");
    NX_AUTO_FD int fd = nx_beneath_open(route->folder_fd, path.text);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return refuse(connection, MHD_HTTP_NOT_FOUND, "there is no such file");
    struct MHD_Response *response = MHD_create_response_from_fd64((uint64_t)st.st_size, fd);
    if (response)
        nx_steal_fd(&fd);
    return finish(connection, MHD_HTTP_OK, nx_media_type_of(path.text)->type, response);
}

/* ---- requests ---- */

static const struct route *find_route(const struct nx_webserver *server, const char *path)
{
    for (size_t i = 0; i < server->n_routes; i++) {
        const struct nx_web_route *route = &server->routes[i].is;
        if (route->folder ? strncmp(path, route->path, strlen(route->path)) == 0
                          : strcmp(path, route->path) == 0)
            return &server->routes[i];
    }
    return NULL;
}

/* The path below our folder, or NULL. */
static const char *below_run(const struct nx_webserver *server, const char *url)
{
    size_t len = strlen(server->run);
    return url[0] == '/' && strncmp(url + 1, server->run, len) == 0 && url[1 + len] == '/'
               ? url + 1 + len
               : NULL;
}

static enum MHD_Result answer(const struct nx_webserver *server, struct MHD_Connection *connection,
                              const char *url)
{
    const char *token = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "token");
    const char *path = token ? url : below_run(server, url);
    const char *proof =
        token ? token : MHD_lookup_connection_value(connection, MHD_COOKIE_KIND, COOKIE);
    if (!path || !is_token(server, proof))
        return refuse_stranger(connection);
    const struct route *route = find_route(server, path);
    if (!route)
        return refuse(connection, MHD_HTTP_NOT_FOUND, "there is no such page");
    if (token) /* and not to a path that a stranger has thought of */
        return send_on(server, connection, route->is.path);
    if (route->is.folder)
        return send_file(connection, route, path + strlen(route->is.path));
    return route->is.text ? send_text(connection, MHD_HTTP_OK, route->is.type, route->is.text)
                          : send_made(server, connection, &route->is);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **request)
{
    static char begun;
    const struct nx_webserver *server = cls;
    /* Whoever sends a body has asked for what is refused: at once then, without reading it. */
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return *request ? MHD_NO
                        : refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD");
    if (!*request || *upload_size) {
        *request = &begun;
        *upload_size = 0;
        return MHD_YES;
    }
    if (!host_is_ours(server, field(connection, MHD_HTTP_HEADER_HOST)))
        return refuse(connection, MHD_HTTP_FORBIDDEN, "that is not a name of this server");
    if (!origin_is_ours(connection))
        return refuse(connection, MHD_HTTP_FORBIDDEN, "that was asked by a page of another site");
    return answer(server, connection, url);
}

/* Paths stay as they are sent, until we decode what names a file: MHD would cut them at "%00". */
static size_t keep_encoded(void *cls, struct MHD_Connection *connection, char *text)
{
    return strlen(text);
}

/* ---- start and stop ---- */

static int make_random(char text[static HEX_SIZE], struct nx_error *err)
{
    unsigned char bytes[RANDOM_BYTES];
    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return nx_fail(err, NX_ERR_SYSTEM, "OpenSSL gives no random numbers");
    for (size_t i = 0; i < sizeof bytes; i++)
        sprintf(text + 2 * i, "%02x", bytes[i]);
    return 0;
}

static int copy_routes(struct nx_webserver *server, const struct nx_web_route *routes, size_t n,
                       struct nx_error *err)
{
    server->routes = calloc(n, sizeof *server->routes);
    if (!server->routes)
        return nx_fail_errno(err, "web server");
    for (; server->n_routes < n; server->n_routes++) {
        struct route *route = &server->routes[server->n_routes];
        *route = (struct route){ .is = routes[server->n_routes], .folder_fd = -1 };
        if (route->is.folder && nx_beneath_open_root(route->is.folder, &route->folder_fd, err) < 0)
            return -1;
    }
    return 0;
}

/* The name to be opened: who listens everywhere is reached by this host's name. */
static void make_url(struct nx_webserver *server, const struct nx_web_address *address,
                     uint16_t port)
{
    const char *host = address->host;
    bool v6 = strchr(host, ':');
    server->loopback = is_loopback(host);
    if (!server->loopback && gethostname(server->own_name, sizeof server->own_name - 1) < 0)
        server->own_name[0] = 0;
    if (is_any(host) && is_authority(server->own_name))
        snprintf(server->url, sizeof server->url, "http://%.150s:%u/?token=%s", server->own_name,
                 port, server->token);
    else
        snprintf(server->url, sizeof server->url, "http://%s%s%s:%u/?token=%s", v6 ? "[" : "", host,
                 v6 ? "]" : "", port, server->token);
}

/* Signals are for the launcher's thread, which waits for them. */
static struct MHD_Daemon *start_daemon(struct nx_webserver *server, int fd)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC, 0, NULL, NULL, on_request, server,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MAX, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_UNESCAPE_CALLBACK,
        keep_encoded, NULL, MHD_OPTION_END);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return daemon;
}

int nx_webserver_start(const char *option, const struct nx_web_address *address,
                       const struct nx_web_route *routes, size_t n_routes,
                       struct nx_webserver **ret_server, struct nx_error *err)
{
    char name[64];
    uint16_t port;
    NX_AUTO_WEBSERVER struct nx_webserver *server = calloc(1, sizeof *server);
    NX_AUTO_FD int fd = -1;
    if (!server)
        return nx_fail_errno(err, "web server");
    snprintf(name, sizeof name, "--%s", option);
    if (make_random(server->token, err) < 0 || make_random(server->run, err) < 0 ||
        copy_routes(server, routes, n_routes, err) < 0 ||
        nx_listen(address->host, address->port, name, name, &fd, &port, err) < 0)
        return -1;
    make_url(server, address, port);
    server->daemon = start_daemon(server, fd);
    if (!server->daemon)
        return nx_fail_errno(err, "%s: the server does not start", name);
    nx_steal_fd(&fd); /* closed by MHD_stop_daemon() */
    *ret_server = NX_STEAL(server);
    return 0;
}

const char *nx_webserver_url(const struct nx_webserver *server)
{
    return server->url;
}

bool nx_webserver_is_loopback(const struct nx_webserver *server)
{
    return server->loopback;
}

void nx_webserver_stop(struct nx_webserver *server)
{
    if (!server)
        return;
    if (server->daemon)
        MHD_stop_daemon(server->daemon);
    for (size_t i = 0; i < server->n_routes; i++)
        if (server->routes[i].folder_fd >= 0)
            close(server->routes[i].folder_fd);
    free(server->routes);
    free(server);
}
