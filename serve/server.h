/* SPDX-License-Identifier: MIT */
/* The HTTP server: libmicrohttpd carries what site.c answers.  A few threads with epoll
 * each; files go out by sendfile, so memory does not grow with them.
 */
#ifndef NX_SERVE_SERVER_H
#define NX_SERVE_SERVER_H

#include <stdint.h>

#include "common/cleanup.h"
#include "common/error.h"

struct nx_server_options {
    const char *dir;
    const char *address;
    uint16_t port;        /* 0: the kernel chooses */
    const char *tls_cert; /* PEM files, both or neither */
    const char *tls_key;
    const char *access_log; /* a file, or "-" for stdout; NULL: a line on stderr for each request */
    const char *metrics_address; /* where to tell the figures (scrape.h); NULL: nowhere */
    uint16_t metrics_port;       /* 0: the kernel chooses */
};

struct nx_server;

/* Start to serve; requests are answered as soon as this returns.  Threads are started with the
 * signal mask of the caller.  Raises the process's soft limit of open files as far as connections
 * need it.  Stop with nx_server_stop().
 */
int nx_server_start(const struct nx_server_options *options, struct nx_server **ret_server,
                    struct nx_error *err);

uint16_t nx_server_port(const struct nx_server *server);

/* "http://127.0.0.1:8080/", owned by the server. */
const char *nx_server_url(const struct nx_server *server);

/* "http://127.0.0.1:9100/metrics", owned by the server, and its port; NULL and 0 without metrics. */
const char *nx_server_metrics_url(const struct nx_server *server);
uint16_t nx_server_metrics_port(const struct nx_server *server);

/* Open the access log's file anew (accesslog.h).  Any thread. */
int nx_server_reopen_log(struct nx_server *server, struct nx_error *err);

/* Cut all connections, end all threads, free everything.  NULL is fine. */
void nx_server_stop(struct nx_server *server);

static inline void nx_auto_server(struct nx_server **server)
{
    nx_server_stop(*server);
}
#define NX_AUTO_SERVER NX_AUTO(server)

#endif
