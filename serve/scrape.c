/* SPDX-License-Identifier: MIT */
/* Threads: libmicrohttpd's one thread calls on_request(); struct nx_scrape is not changed after the start. */
#include "serve/scrape.h"

#include <microhttpd.h>
#include <string.h>

#include "common/log.h"
#include "common/listen.h"
#include "serve/metrics.h"

#define CONNECTIONS_MAX 16
#define IDLE_SECONDS    10

struct nx_scrape {
    struct MHD_Daemon *daemon;
    uint16_t port;
    nx_scrape_write *write;
    void *cls;
};

static enum MHD_Result send_text(struct MHD_Connection *connection, unsigned status,
                                 const char *type, const void *text, size_t len)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(len, (void *)text, MHD_RESPMEM_MUST_COPY);
    if (!response)
        return MHD_NO;
    enum MHD_Result result = MHD_add_response_header(response, "Content-Type", type);
    if (result == MHD_YES && status == 405)
        result = MHD_add_response_header(response, "Allow", "GET, HEAD");
    if (result == MHD_YES)
        result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result send_refusal(struct MHD_Connection *connection, unsigned status)
{
    const char *text = status == 405 ? "405 Method Not Allowed\n" : "404 Not Found: try /metrics\n";
    return send_text(connection, status, "text/plain; charset=utf-8", text, strlen(text));
}

/* A body, which no request here has a use for, is read and dropped. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **request)
{
    static char begun;
    const struct nx_scrape *scrape = cls;
    if (!*request || *upload_size) {
        *request = &begun;
        *upload_size = 0;
        return MHD_YES;
    }
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return send_refusal(connection, 405);
    if (strcmp(url, "/metrics") != 0)
        return send_refusal(connection, 404);
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_BUFFER struct nx_buffer text = NX_BUFFER_INIT(NX_METRICS_BYTES_MAX);
    if (scrape->write(scrape->cls, &text, &err) < 0) {
        nx_log(NX_LOG_WARNING, "the metrics could not be told: %s", err.msg);
        return MHD_NO;
    }
    return send_text(connection, 200, NX_METRICS_TYPE, text.data, text.len);
}

int nx_scrape_start(const char *address, uint16_t port, nx_scrape_write *write, void *cls,
                    struct nx_scrape **ret_scrape, struct nx_error *err)
{
    NX_AUTO_SCRAPE struct nx_scrape *scrape = calloc(1, sizeof *scrape);
    if (!scrape)
        return nx_fail_errno(err, "metrics");
    scrape->write = write;
    scrape->cls = cls;
    NX_AUTO_FD int fd = -1;
    if (nx_listen(address, port, "--metrics", "--metrics", &fd, &scrape->port, err) < 0)
        return -1;
    scrape->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC, 0, NULL, NULL,
                                      on_request, scrape, MHD_OPTION_LISTEN_SOCKET, fd,
                                      MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
                                      MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
                                      MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
    if (!scrape->daemon)
        return nx_fail_errno(err, "--metrics: the server does not start");
    nx_steal_fd(&fd); /* closed by MHD_stop_daemon() */
    *ret_scrape = NX_STEAL(scrape);
    return 0;
}

uint16_t nx_scrape_port(const struct nx_scrape *scrape)
{
    return scrape->port;
}

void nx_scrape_stop(struct nx_scrape *scrape)
{
    if (!scrape)
        return;
    if (scrape->daemon)
        MHD_stop_daemon(scrape->daemon);
    free(scrape);
}
