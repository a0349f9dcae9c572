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
};

struct nx_server;

/* Start to serve; requests are answered as soon as this returns.  Threads are started with the
 * signal mask of the caller.  Stop with nx_server_stop().
 */
int nx_server_start(const struct nx_server_options *options, struct nx_server **ret_server,
                    struct nx_error *err);

uint16_t nx_server_port(const struct nx_server *server);

/* "http://127.0.0.1:8080/", owned by the server. */
const char *nx_server_url(const struct nx_server *server);

/* Cut all connections, end all threads, free everything.  NULL is fine. */
void nx_server_stop(struct nx_server *server);

static inline void nx_auto_server(struct nx_server **server)
{
    nx_server_stop(*server);
}
#define NX_AUTO_SERVER NX_AUTO(server)

#endif
