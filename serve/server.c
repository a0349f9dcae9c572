/* SPDX-License-Identifier: MIT */
/* Threads: libmicrohttpd's pool calls on_request() and on_completed().  A connection stays with
 * one thread, so a struct exchange has one user at a time; struct nx_server is not
 * changed after the start.
 */
#include "serve/server.h"

#include <inttypes.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "common/io.h"
#include "common/log.h"
#include "serve/beneath.h"
#include "serve/listen.h"
#include "serve/site.h"

#define THREADS         4
#define CONNECTIONS_MAX 400 /* each may hold a file too: fits into the usual limit of 1024 */
#define IDLE_SECONDS    60  /* without a byte either way */
#define BLOCK_SIZE      (64 * 1024) /* of several ranges; a single one goes by sendfile */
#define PEM_MAX         (1024 * 1024)

struct nx_server {
    struct MHD_Daemon *daemon;
    int root_fd;
    uint16_t port;
    char *url;
    struct nx_buffer cert, key;
    char complaint[256]; /* libmicrohttpd's last message during the start */
};

/* A request and its answer, until both have been sent and logged. */
struct exchange {
    struct nx_answer answer;
    char *url;
    char *range; /* as asked for, for the log; NULL if not */
    enum nx_method method;
    char method_name[16];
    uint64_t length; /* of the answer's body */
};

static void free_exchange(struct exchange *exchange)
{
    if (!exchange)
        return;
    nx_answer_release(&exchange->answer);
    free(exchange->url);
    free(exchange->range);
    free(exchange);
}
NX_DEFINE_AUTO(struct exchange *, exchange, free_exchange)

static const char *field(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static struct exchange *new_exchange(struct MHD_Connection *connection, const char *method,
                                     const char *url)
{
    NX_AUTO(exchange) struct exchange *exchange = calloc(1, sizeof *exchange);
    if (!exchange)
        return NULL;
    exchange->answer.fd = -1;
    exchange->method = nx_method_from_name(method);
    strncat(exchange->method_name, method, sizeof exchange->method_name - 1);
    const char *range = field(connection, MHD_HTTP_HEADER_RANGE);
    exchange->url = strdup(url);
    exchange->range = range ? strdup(range) : NULL;
    if (!exchange->url || (range && !exchange->range))
        return NULL;
    return NX_STEAL(exchange);
}

/* ---- the access log ---------------------------------------------------------- */

/* What a client sent, fit for one field of a line on a terminal: cut, and only printable ASCII. */
static const char *printable(const char *from, char *to, size_t size)
{
    size_t n = 0;
    for (; from[n] && n < size - 1; n++)
        to[n] = from[n] > 0x20 && from[n] < 0x7f ? from[n] : '?';
    to[n] = '\0';
    return to;
}

static void log_exchange(struct MHD_Connection *connection, const struct exchange *exchange,
                         enum MHD_RequestTerminationCode how)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    char host[64] = "?", url[512], range[128], method[sizeof exchange->method_name];
    if (info) {
        const struct sockaddr *address = info->client_addr;
        socklen_t len = address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                       : sizeof(struct sockaddr_in);
        getnameinfo(address, len, host, sizeof host, NULL, 0, NI_NUMERICHOST);
    }
    nx_log(NX_LOG_NOTICE, "%s %s %s%s%s %u %" PRIu64 "%s", host,
           printable(exchange->method_name, method, sizeof method),
           printable(exchange->url, url, sizeof url), exchange->range ? " " : "",
           exchange->range ? printable(exchange->range, range, sizeof range) : "",
           exchange->answer.status, exchange->length,
           how == MHD_REQUEST_TERMINATED_COMPLETED_OK ? "" : " (cut off)");
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **request,
                         enum MHD_RequestTerminationCode how)
{
    struct exchange *exchange = *request;
    if (exchange && exchange->answer.status)
        log_exchange(connection, exchange, how);
    free_exchange(exchange);
    *request = NULL;
}

/* ---- answers ----------------------------------------------------------------- */

static ssize_t read_body(void *cls, uint64_t offset, char *buf, size_t max)
{
    struct exchange *exchange = cls;
    ssize_t n = nx_answer_read(&exchange->answer, offset, buf, max);
    return n > 0 ? n
                 : MHD_CONTENT_READER_END_WITH_ERROR; /* the length is known: no end before it */
}

/* A single piece of the file goes out by sendfile; libmicrohttpd then owns the descriptor. */
static struct MHD_Response *make_response(struct exchange *exchange)
{
    struct nx_answer *answer = &exchange->answer;
    struct MHD_Response *response;
    if (answer->n_segments == 1 && answer->segments[0].text_length == 0 && answer->length > 0) {
        response = MHD_create_response_from_fd_at_offset64(answer->length, answer->fd,
                                                           answer->segments[0].offset);
        if (response)
            nx_steal_fd(&answer->fd);
    } else if (answer->length == 0) {
        response = MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);
    } else {
        response = MHD_create_response_from_callback(answer->length, BLOCK_SIZE, read_body,
                                                     exchange, NULL);
    }
    if (response)
        MHD_add_response_header(response, MHD_HTTP_HEADER_SERVER, "nxserve/" NX_VERSION);
    for (size_t i = 0; response && i < answer->n_headers; i++) {
        const struct nx_header *header = &answer->headers[i];
        if (MHD_add_response_header(response, header->name, header->value) != MHD_YES) {
            MHD_destroy_response(response);
            return NULL;
        }
    }
    return response;
}

static enum MHD_Result send_answer(struct MHD_Connection *connection, struct exchange *exchange)
{
    bool bodiless = exchange->method == NX_METHOD_HEAD || exchange->answer.status == 304;
    exchange->length = bodiless ? 0 : exchange->answer.length;
    struct MHD_Response *response = make_response(exchange);
    if (!response)
        return MHD_NO;
    enum MHD_Result queued = MHD_queue_response(connection, exchange->answer.status, response);
    MHD_destroy_response(response); /* the connection holds its own reference */
    return queued;
}

/* Called once when the header has been read, and again when the whole request has; bodies,
 * which our methods have no use for, are read and dropped in between.
 */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **request)
{
    const struct nx_server *server = cls;
    struct exchange *exchange = *request;
    if (!exchange) {
        *request = exchange = new_exchange(connection, method, url);
        if (!exchange)
            return MHD_NO;
        if (exchange->method != NX_METHOD_OTHER)
            return MHD_YES;
    }
    if (*upload_size) {
        *upload_size = 0;
        return MHD_YES;
    }
    const struct nx_request asked = {
        .method = exchange->method,
        .range = exchange->range,
        .if_range = field(connection, MHD_HTTP_HEADER_IF_RANGE),
        .if_match = field(connection, MHD_HTTP_HEADER_IF_MATCH),
        .if_none_match = field(connection, MHD_HTTP_HEADER_IF_NONE_MATCH),
        .if_modified_since = field(connection, MHD_HTTP_HEADER_IF_MODIFIED_SINCE),
        .if_unmodified_since = field(connection, MHD_HTTP_HEADER_IF_UNMODIFIED_SINCE),
    };
    struct nx_error err = NX_ERROR_INIT;
    if (nx_site_answer(server->root_fd, &asked, url, &exchange->answer, &err) < 0) {
        nx_log(NX_LOG_WARNING, "a request went unanswered: %s", err.msg);
        return MHD_NO;
    }
    return send_answer(connection, exchange);
}

/* ---- start and stop ------------------------------------------------------------ */

/* libmicrohttpd decodes URLs in place, and cuts them at %00; path.c decodes them instead. */
static size_t keep_encoded(void *cls, struct MHD_Connection *connection, char *text)
{
    return strlen(text);
}

/* Its complaints about clients are for -v; that about a failed start becomes our error. */
__attribute__((format(printf, 2, 0))) static void on_complaint(void *cls, const char *fmt,
                                                               va_list ap)
{
    struct nx_server *server = cls;
    char text[sizeof server->complaint];
    vsnprintf(text, sizeof text, fmt, ap);
    text[strcspn(text, "\n")] = '\0';
    if (server->daemon)
        nx_log(NX_LOG_INFO, "%s", text);
    else
        memcpy(server->complaint, text, sizeof text);
}

static int read_tls_files(struct nx_server *server, const struct nx_server_options *options,
                          struct nx_error *err)
{
    if (!MHD_is_feature_supported(MHD_FEATURE_TLS))
        return nx_fail(err, NX_ERR_USAGE,
                       "--tls-cert: this system's libmicrohttpd was built without TLS");
    if (nx_read_file(options->tls_cert, PEM_MAX, &server->cert, err) < 0)
        return nx_fail_while(err, "--tls-cert");
    if (nx_read_file(options->tls_key, PEM_MAX, &server->key, err) < 0)
        return nx_fail_while(err, "--tls-key");
    return 0;
}

static int start_daemon(struct nx_server *server, bool tls, int listen_fd, struct nx_error *err)
{
    const struct MHD_OptionItem tls_items[] = {
        { MHD_OPTION_HTTPS_MEM_CERT, 0, server->cert.data },
        { MHD_OPTION_HTTPS_MEM_KEY, 0, server->key.data },
        { MHD_OPTION_END, 0, NULL },
    };
    const struct MHD_OptionItem items[] = {
        { MHD_OPTION_LISTEN_SOCKET, listen_fd, NULL },
        { MHD_OPTION_THREAD_POOL_SIZE, THREADS, NULL },
        { MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, NULL },
        { MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS, NULL },
        { MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, NULL },
        { MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)keep_encoded, NULL },
        { MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, NULL },
        { tls ? MHD_OPTION_ARRAY : MHD_OPTION_END, 0, (void *)tls_items },
        { MHD_OPTION_END, 0, NULL },
    };
    /* The logger comes first: it is to hear what is wrong with the other options. */
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_USE_ERROR_LOG;
    server->daemon = MHD_start_daemon(flags | (tls ? MHD_USE_TLS : 0), 0, NULL, NULL, on_request,
                                      server, MHD_OPTION_EXTERNAL_LOGGER, on_complaint, server,
                                      MHD_OPTION_ARRAY, items, MHD_OPTION_END);
    if (!server->daemon)
        return nx_fail(err, NX_ERR_SYSTEM, "the server does not start: %s", server->complaint);
    return 0;
}

uint16_t nx_server_port(const struct nx_server *server)
{
    return server->port;
}

const char *nx_server_url(const struct nx_server *server)
{
    return server->url;
}

void nx_server_stop(struct nx_server *server)
{
    if (!server)
        return;
    if (server->daemon)
        MHD_stop_daemon(server->daemon);
    if (server->root_fd >= 0)
        close(server->root_fd);
    nx_buffer_release(&server->cert);
    nx_buffer_release(&server->key);
    free(server->url);
    free(server);
}

int nx_server_start(const struct nx_server_options *options, struct nx_server **ret_server,
                    struct nx_error *err)
{
    NX_AUTO_SERVER struct nx_server *server = calloc(1, sizeof *server);
    if (!server)
        return nx_fail_errno(err, "server");
    server->root_fd = -1;
    bool tls = options->tls_cert != NULL;
    if (nx_beneath_open_root(options->dir, &server->root_fd, err) < 0)
        return -1;
    if (tls && read_tls_files(server, options, err) < 0)
        return -1;
    NX_AUTO_FD int listen_fd = -1;
    if (nx_listen(options->address, options->port, &listen_fd, &server->port, err) < 0)
        return -1;
    bool v6 = strchr(options->address, ':') != NULL;
    if (asprintf(&server->url, "http%s://%s%s%s:%u/", tls ? "s" : "", v6 ? "[" : "",
                 options->address, v6 ? "]" : "", server->port) < 0) {
        server->url = NULL;
        return nx_fail_errno(err, "server");
    }
    if (start_daemon(server, tls, listen_fd, err) < 0)
        return -1;
    nx_steal_fd(&listen_fd); /* closed by MHD_stop_daemon() */
    *ret_server = NX_STEAL(server);
    return 0;
}
