/* SPDX-License-Identifier: MIT */
#include "common/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include "common/cleanup.h"

#define BACKLOG 1024 /* a classroom that starts at once; the kernel may make it less */

NX_DEFINE_AUTO(struct addrinfo *, addrinfo, freeaddrinfo)

static int bound_port(int fd, uint16_t *ret_port)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    socklen_t len = sizeof address;
    if (getsockname(fd, &address.any, &len) < 0)
        return -1;
    *ret_port =
        ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
    return 0;
}

/* SO_REUSEADDR: a server that was stopped may start again while its old connections fade out. */
static int listen_on(const struct addrinfo *info)
{
    const int on = 1;
    NX_AUTO_FD int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, info->ai_addr, info->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
        return -1;
    return nx_steal_fd(&fd);
}

int nx_listen(const char *address, uint16_t port, const char *address_option,
              const char *port_option, int *ret_fd, uint16_t *ret_port, struct nx_error *err)
{
    const struct addrinfo hints = { .ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM };
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    NX_AUTO(addrinfo) struct addrinfo *info = NULL;
    int failed = getaddrinfo(address, service, &hints, &info);
    if (failed)
        return nx_fail(err, NX_ERR_SYSTEM, "%s %s: %s", address_option, address,
                       gai_strerror(failed));
    NX_AUTO_FD int fd = -1;
    for (const struct addrinfo *i = info; i && fd < 0; i = i->ai_next)
        fd = listen_on(i);
    if (fd < 0 && errno == EADDRINUSE)
        return nx_fail(err, NX_ERR_SYSTEM,
                       "port %u of %s is in use: choose another one with %s, or 0 for a free one",
                       port, address, port_option);
    if (fd < 0 || bound_port(fd, ret_port) < 0)
        return nx_fail_errno(err, "cannot listen on port %u of %s", port, address);
    *ret_fd = nx_steal_fd(&fd);
    return 0;
}
