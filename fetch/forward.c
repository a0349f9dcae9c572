/* SPDX-License-Identifier: MIT */
#include "fetch/forward.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "common/io.h"

static int probe(const struct nx_forward *forward, struct nx_error *err)
{
    NX_AUTO_FD int fd =
        socket(AF_INET, (forward->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)forward->host_port) };
    inet_pton(AF_INET, forward->host_address, &address.sin_addr);
    /* As QEMU does: connections of before that linger are no obstacle. */
    if (fd >= 0 && !forward->udp)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return 0;
    const char *remedy = errno == EADDRINUSE      ? "; take another number"
                         : errno == EACCES        ? "; take a number above 1023"
                         : errno == EADDRNOTAVAIL ? "; this host has no such address"
                                                  : "";
    return nx_fail(err, NX_ERR_SYSTEM, "--forward: %s port %u: %s%s", forward->host_address,
                   forward->host_port, strerror(errno), remedy);
}

int nx_forwards_probe(const struct nx_forward *forwards, unsigned count, struct nx_error *err)
{
    for (unsigned i = 0; i < count; i++)
        if (probe(&forwards[i], err) < 0)
            return -1;
    return 0;
}
