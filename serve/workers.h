/* SPDX-License-Identifier: MIT */
/* Threads that each run a libmicrohttpd daemon with epoll of its own; all of them accept from one socket.
 *
 * libmicrohttpd has such a pool, but its threads may forget to answer: when they find 128 events at once, they wait
 * for more of them before they look at those, for as long as no connection times out (MHD_epoll() of 0.9.75, which is
 * Debian 12's).  So it is told never to wait (MHD_run()), and the waiting is done here.
 */
#ifndef NX_SERVE_WORKERS_H
#define NX_SERVE_WORKERS_H

#include <microhttpd.h>

#include "common/cleanup.h"
#include "common/error.h"

struct nx_workers;

/* Start a daemon with flags MHD_USE_EPOLL and whatever else, but threads; it owns listen_fd and closes it.  NULL: error. */
typedef struct MHD_Daemon *nx_workers_start_daemon(void *cls, int listen_fd, struct nx_error *err);

/* Start count threads, with the signal mask of the caller.  listen_fd stays the caller's, who may close it. */
int nx_workers_start(unsigned count, int listen_fd, nx_workers_start_daemon *start, void *cls,
                     struct nx_workers **ret_workers, struct nx_error *err);

/* Cut all connections, end all threads, free everything.  NULL is fine. */
void nx_workers_stop(struct nx_workers *workers);

NX_DEFINE_AUTO(struct nx_workers *, workers, nx_workers_stop)
#define NX_AUTO_WORKERS NX_AUTO(workers)

#endif
