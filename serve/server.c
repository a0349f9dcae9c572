/* SPDX-License-Identifier: MIT */
/* Threads: those of workers.h call on_target(), on_request(), on_completed() and on_connection(), and so does the one that
 * stops them, after their end.  A connection stays with one thread, so a struct exchange has one user at a time;
 * struct nx_server is not changed after the start, but for its metrics and its access log, which may be used by all.
 */
#include "serve/server.h"

#include <inttypes.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "common/beneath.h"
#include "common/io.h"
#include "common/listen.h"
#include "common/log.h"
#include "serve/accesslog.h"
#include "serve/delivered.h"
#include "serve/metrics.h"
#include "serve/scrape.h"
#include "serve/site.h"
#include "serve/workers.h"

#define THREADS         4
#define CONNECTIONS_MAX 4096 /* if the limit of open files allows it: each may hold a file too */
#define FILES_RESERVED  96   /* of that limit, for all else */
/* For its header; libmicrohttpd maps what is above 32 KiB, so that all of it is given back: from the
 * heap, 1,200 clients three times over had grown it from 46 to 68 MB.
 */
#define CONNECTION_MEMORY (36 * 1024)
#define IDLE_SECONDS      60          /* without a byte either way */
#define BLOCK_SIZE        (64 * 1024) /* of several ranges; a single one goes by sendfile */
#define PEM_MAX           (1024 * 1024)

struct nx_server {
    struct nx_workers *workers;
    int root_fd;
    uint16_t port;
    char *url;
    unsigned connections_max; /* of all threads */
    bool tls;
    struct nx_metrics metrics;
    struct nx_accesslog *log; /* NULL: requests are told on stderr */
    struct nx_scrape *scrape; /* NULL: nobody asked for figures */
    char *metrics_url;
    struct nx_buffer cert, key;
    bool starting;       /* no thread runs yet */
    char complaint[256]; /* libmicrohttpd's last message then */
};

/* A request and its answer, until both have been sent and logged. */
struct exchange {
    struct nx_answer answer;
    char *target; /* as asked for, for the log */
    char *range;  /* the same; NULL if there is none */
    enum nx_method method;
    char method_name[16]; /* "" until the header has been read */
    char version[16];
    time_t when;
    uint64_t length; /* of the answer's body */
    uint64_t begin;  /* nx_delivered_begin() when it was about to be sent */
};

static void free_exchange(struct exchange *exchange)
{
    if (!exchange)
        return;
    nx_answer_release(&exchange->answer);
    free(exchange->target);
    free(exchange->range);
    free(exchange);
}
NX_DEFINE_AUTO(struct exchange *, exchange, free_exchange)

static const char *field(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/* Called with the request line, before libmicrohttpd takes the target to pieces: the exchange begins, and ends in
 * on_completed(), also when the header turns out to be none.  Without memory there is none.
 */
static void *on_target(void *cls, const char *target, struct MHD_Connection *connection)
{
    struct nx_server *server = cls;
    NX_AUTO(exchange) struct exchange *exchange = calloc(1, sizeof *exchange);
    if (!exchange)
        return NULL;
    exchange->answer = (struct nx_answer)NX_ANSWER_INIT;
    exchange->when = time(NULL);
    exchange->target = strdup(target);
    if (!exchange->target)
        return NULL;
    nx_metrics_begun(&server->metrics);
    return NX_STEAL(exchange);
}

/* The rest of the header.  Fails without memory. */
static int read_header(struct exchange *exchange, struct MHD_Connection *connection,
                       const char *method, const char *version)
{
    exchange->method = nx_method_from_name(method);
    strncat(exchange->method_name, method, sizeof exchange->method_name - 1);
    strncat(exchange->version, version, sizeof exchange->version - 1);
    const char *range = field(connection, MHD_HTTP_HEADER_RANGE);
    exchange->range = range ? strdup(range) : NULL;
    return range && !exchange->range ? -1 : 0;
}

/* ---- what is told of a request ------------------------------------------------ */

/* What a client sent, fit for one field of a line on a terminal: cut, and only printable ASCII. */
static const char *printable(const char *from, char *to, size_t size)
{
    size_t n = 0;
    for (; from[n] && n < size - 1; n++)
        to[n] = from[n] > 0x20 && from[n] < 0x7f ? from[n] : '?';
    to[n] = '\0';
    return to;
}

static const char *host_of(struct MHD_Connection *connection, char *host, size_t size)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    strcpy(host, "?");
    if (info) {
        const struct sockaddr *address = info->client_addr;
        socklen_t len = address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                       : sizeof(struct sockaddr_in);
        getnameinfo(address, len, host, (socklen_t)size, NULL, 0, NI_NUMERICHOST);
    }
    return host;
}

static int socket_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

/* Our answer's status, or that of libmicrohttpd's own to what is no HTTP; 499 if none was sent, since the client
 * went away before.
 */
static unsigned status_of(struct MHD_Connection *connection, const struct exchange *exchange)
{
    if (exchange->answer.status)
        return exchange->answer.status;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_HTTP_STATUS);
    return info && info->http_status ? info->http_status : 499;
}

static unsigned count_ranges(const struct nx_answer *answer)
{
    unsigned n = 0;
    for (size_t i = 0; answer->status == 206 && i < answer->n_segments; i++)
        n += answer->segments[i].length > 0;
    return n;
}

static void write_access(struct nx_accesslog *log, struct MHD_Connection *connection,
                         const struct exchange *exchange, unsigned status, uint64_t bytes)
{
    char host[64];
    nx_accesslog_write(log, &(const struct nx_access){
                                .host = host_of(connection, host, sizeof host),
                                .when = exchange->when,
                                .method = exchange->method_name,
                                .target = exchange->target,
                                .version = exchange->version,
                                .status = status,
                                .bytes = bytes,
                                .referer = field(connection, MHD_HTTP_HEADER_REFERER),
                                .user_agent = field(connection, MHD_HTTP_HEADER_USER_AGENT),
                            });
}

static void say_access(struct MHD_Connection *connection, const struct exchange *exchange,
                       unsigned status, uint64_t bytes, bool cut)
{
    char host[64], target[512], range[128], method[sizeof exchange->method_name];
    nx_log(NX_LOG_NOTICE, "%s %s %s%s%s %u %" PRIu64 "%s", host_of(connection, host, sizeof host),
           *exchange->method_name ? printable(exchange->method_name, method, sizeof method) : "-",
           printable(exchange->target, target, sizeof target), exchange->range ? " " : "",
           exchange->range ? printable(exchange->range, range, sizeof range) : "", status, bytes,
           cut ? " (cut off)" : "");
}

/* What a client that went away has taken of the body.  The head of the answer is counted in, some 500 bytes: nobody
 * tells its size.
 */
static uint64_t bytes_taken(struct MHD_Connection *connection, const struct exchange *exchange)
{
    uint64_t delivered = nx_delivered_since(socket_of(connection), exchange->begin);
    return delivered < exchange->length ? delivered : exchange->length;
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **request,
                         enum MHD_RequestTerminationCode how)
{
    struct nx_server *server = cls;
    NX_AUTO(exchange) struct exchange *exchange = *request;
    *request = NULL;
    if (!exchange)
        return;
    bool cut = how != MHD_REQUEST_TERMINATED_COMPLETED_OK;
    unsigned status = status_of(connection, exchange);
    uint64_t bytes = cut && exchange->length ? bytes_taken(connection, exchange) : exchange->length;
    if (server->log)
        write_access(server->log, connection, exchange, status, bytes);
    else
        say_access(connection, exchange, status, bytes, cut);
    /* Last: what the figures say is over is in the log. */
    nx_metrics_ended(&server->metrics, status, count_ranges(&exchange->answer), bytes, cut);
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct nx_server *server = cls;
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        nx_metrics_connected(&server->metrics);
    else
        nx_metrics_disconnected(&server->metrics);
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
    exchange->begin = nx_delivered_begin(socket_of(connection));
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
    if (!exchange)
        return MHD_NO;
    if (!*exchange->method_name) {
        if (read_header(exchange, connection, method, version) < 0)
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
    if (server->starting)
        memcpy(server->complaint, text, sizeof text);
    else
        nx_log(NX_LOG_INFO, "%s", text);
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

/* A thread's (workers.h). */
static struct MHD_Daemon *start_daemon(void *cls, int listen_fd, struct nx_error *err)
{
    struct nx_server *server = cls;
    const struct MHD_OptionItem tls_items[] = {
        { MHD_OPTION_HTTPS_MEM_CERT, 0, server->cert.data },
        { MHD_OPTION_HTTPS_MEM_KEY, 0, server->key.data },
        { MHD_OPTION_END, 0, NULL },
    };
    const struct MHD_OptionItem items[] = {
        { MHD_OPTION_LISTEN_SOCKET, listen_fd, NULL },
        { MHD_OPTION_CONNECTION_LIMIT, server->connections_max / THREADS, NULL },
        { MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, NULL },
        { MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS, NULL },
        { MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, NULL },
        { MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)keep_encoded, NULL },
        { MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)on_target, server },
        { MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, server },
        { MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, server },
        { server->tls ? MHD_OPTION_ARRAY : MHD_OPTION_END, 0, (void *)tls_items },
        { MHD_OPTION_END, 0, NULL },
    };
    /* The logger comes first: it is to hear what is wrong with the other options. */
    unsigned flags = MHD_USE_EPOLL | MHD_USE_ERROR_LOG | (server->tls ? MHD_USE_TLS : 0);
    server->starting = true;
    struct MHD_Daemon *daemon =
        MHD_start_daemon(flags, 0, NULL, NULL, on_request, server, MHD_OPTION_EXTERNAL_LOGGER,
                         on_complaint, server, MHD_OPTION_ARRAY, items, MHD_OPTION_END);
    server->starting = false;
    if (!daemon)
        nx_fail(err, NX_ERR_SYSTEM, "the server does not start: %s", server->complaint);
    return daemon;
}

/* As many connections for each thread as the limit of open files has room for, after raising it. */
static unsigned connections_of_each(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 1;
    rlim_t wanted = 2 * CONNECTIONS_MAX + FILES_RESERVED;
    if (limit.rlim_cur < wanted) {
        struct rlimit more = { wanted < limit.rlim_max ? wanted : limit.rlim_max, limit.rlim_max };
        if (setrlimit(RLIMIT_NOFILE, &more) == 0)
            limit = more;
    }
    if (limit.rlim_cur >= wanted)
        return CONNECTIONS_MAX / THREADS;
    rlim_t room = limit.rlim_cur > FILES_RESERVED ? (limit.rlim_cur - FILES_RESERVED) / 2 : 0;
    return room > THREADS ? (unsigned)room / THREADS : 1;
}

static int write_metrics(void *cls, struct nx_buffer *out, struct nx_error *err)
{
    const struct nx_server *server = cls;
    return nx_metrics_write(&server->metrics, server->connections_max, out, err);
}

/* "http://[::1]:8080/": to be freed; NULL without memory. */
static char *make_url(const char *scheme, const char *address, uint16_t port, const char *path)
{
    char *url;
    bool v6 = strchr(address, ':') != NULL;
    int n = asprintf(&url, "%s://%s%s%s:%u%s", scheme, v6 ? "[" : "", address, v6 ? "]" : "", port,
                     path);
    return n < 0 ? NULL : url;
}

static int start_scrape(struct nx_server *server, const struct nx_server_options *options,
                        struct nx_error *err)
{
    if (nx_scrape_start(options->metrics_address, options->metrics_port, write_metrics, server,
                        &server->scrape, err) < 0)
        return -1;
    server->metrics_url =
        make_url("http", options->metrics_address, nx_scrape_port(server->scrape), "/metrics");
    return server->metrics_url ? 0 : nx_fail_errno(err, "server");
}

uint16_t nx_server_port(const struct nx_server *server)
{
    return server->port;
}

const char *nx_server_url(const struct nx_server *server)
{
    return server->url;
}

uint16_t nx_server_metrics_port(const struct nx_server *server)
{
    return server->scrape ? nx_scrape_port(server->scrape) : 0;
}

const char *nx_server_metrics_url(const struct nx_server *server)
{
    return server->metrics_url;
}

int nx_server_reopen_log(struct nx_server *server, struct nx_error *err)
{
    if (server->log && nx_accesslog_reopen(server->log, err) < 0)
        return nx_fail_while(err, "--access-log");
    return 0;
}

void nx_server_stop(struct nx_server *server)
{
    if (!server)
        return;
    nx_scrape_stop(server->scrape);
    nx_workers_stop(server->workers);
    nx_accesslog_free(server->log);
    if (server->root_fd >= 0)
        close(server->root_fd);
    nx_buffer_release(&server->cert);
    nx_buffer_release(&server->key);
    free(server->metrics_url);
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
    nx_metrics_init(&server->metrics);
    server->connections_max = THREADS * connections_of_each();
    server->tls = options->tls_cert != NULL;
    if (nx_beneath_open_root(options->dir, &server->root_fd, err) < 0)
        return -1;
    if (server->tls && read_tls_files(server, options, err) < 0)
        return -1;
    if (options->access_log && nx_accesslog_open(options->access_log, &server->log, err) < 0)
        return nx_fail_while(err, "--access-log");
    NX_AUTO_FD int listen_fd = -1;
    if (nx_listen(options->address, options->port, "--listen", "--port", &listen_fd, &server->port,
                  err) < 0)
        return -1;
    server->url = make_url(server->tls ? "https" : "http", options->address, server->port, "/");
    if (!server->url)
        return nx_fail_errno(err, "server");
    if (nx_workers_start(THREADS, listen_fd, start_daemon, server, &server->workers, err) < 0)
        return -1;
    if (options->metrics_address && start_scrape(server, options, err) < 0)
        return -1;
    *ret_server = NX_STEAL(server);
    return 0;
}
