/* SPDX-License-Identifier: MIT */
/* Threads: a daemon is used by its own thread only, until that has been joined. */
#include "serve/workers.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "common/io.h"

struct worker {
    struct MHD_Daemon *daemon;
    int epoll_fd; /* the daemon's */
    int stop_fd;  /* of all of them */
    pthread_t thread;
    bool runs;
};

struct nx_workers {
    int stop_fd; /* readable: the threads are to end */
    unsigned count;
    struct worker all[];
};

/* Milliseconds until a connection times out, as poll() takes them. */
static int time_left(struct MHD_Daemon *daemon)
{
    MHD_UNSIGNED_LONG_LONG ms;
    if (MHD_get_timeout(daemon, &ms) != MHD_YES)
        return -1;
    return ms < INT_MAX ? (int)ms : INT_MAX;
}

static unsigned count_connections(struct MHD_Daemon *daemon)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
    return info ? info->num_connections : 0;
}

/* Do what can be done now.  A connection that has ended may have made room for another: that is seen at the beginning of
 * the next run, which must not wait for somebody who is connected already.
 */
static void run_once(struct MHD_Daemon *daemon)
{
    unsigned before, now = count_connections(daemon);
    do {
        before = now;
        MHD_run(daemon);
        now = count_connections(daemon);
    } while (now < before);
}

static void *run(void *cls)
{
    struct worker *worker = cls;
    struct pollfd fds[] = { { .fd = worker->epoll_fd, .events = POLLIN },
                            { .fd = worker->stop_fd, .events = POLLIN } };
    while (!fds[1].revents) {
        poll(fds, 2, time_left(worker->daemon));
        run_once(worker->daemon);
    }
    return NULL;
}

static int make_daemon(struct worker *worker, int listen_fd, nx_workers_start_daemon *start,
                       void *cls, struct nx_error *err)
{
    int fd = fcntl(listen_fd, F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        return nx_fail_errno(err, "the server does not start");
    worker->daemon = start(cls, fd, err);
    if (!worker->daemon) {
        close(fd); /* some of its failures have done that */
        return -1;
    }
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(worker->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (!info || info->epoll_fd < 0)
        return nx_fail(err, NX_ERR_SYSTEM, "the server does not start: no epoll");
    worker->epoll_fd = info->epoll_fd;
    return 0;
}

static int start_thread(struct worker *worker, struct nx_error *err)
{
    int rc = pthread_create(&worker->thread, NULL, run, worker);
    if (rc != 0)
        return nx_fail(err, NX_ERR_SYSTEM, "the server does not start: %s", strerror(rc));
    worker->runs = true;
    return 0;
}

int nx_workers_start(unsigned count, int listen_fd, nx_workers_start_daemon *start, void *cls,
                     struct nx_workers **ret_workers, struct nx_error *err)
{
    NX_AUTO_WORKERS struct nx_workers *workers =
        calloc(1, sizeof *workers + count * sizeof *workers->all);
    if (!workers)
        return nx_fail_errno(err, "server");
    workers->count = count;
    workers->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (workers->stop_fd < 0)
        return nx_fail_errno(err, "server");
    for (unsigned i = 0; i < count; i++) {
        workers->all[i].stop_fd = workers->stop_fd;
        if (make_daemon(&workers->all[i], listen_fd, start, cls, err) < 0)
            return -1;
    }
    /* Only now, so that start() need not expect callbacks, and nobody else's descriptor is closed twice. */
    for (unsigned i = 0; i < count; i++)
        if (start_thread(&workers->all[i], err) < 0)
            return -1;
    *ret_workers = NX_STEAL(workers);
    return 0;
}

void nx_workers_stop(struct nx_workers *workers)
{
    if (!workers)
        return;
    if (workers->stop_fd >= 0)
        eventfd_write(workers->stop_fd, 1);
    for (unsigned i = 0; i < workers->count; i++) {
        struct worker *worker = &workers->all[i];
        if (worker->runs)
            pthread_join(worker->thread, NULL);
        if (worker->daemon)
            MHD_stop_daemon(worker->daemon);
    }
    if (workers->stop_fd >= 0)
        close(workers->stop_fd);
    free(workers);
}
