/* SPDX-License-Identifier: MIT */
#include "serve/delivered.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static uint64_t acknowledged(int fd)
{
    struct tcp_info info = { 0 };
    socklen_t len = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ||
        len < offsetof(struct tcp_info, tcpi_bytes_acked) + sizeof info.tcpi_bytes_acked)
        return 0;
    return info.tcpi_bytes_acked;
}

uint64_t nx_delivered_begin(int fd)
{
    int under_way;
    if (ioctl(fd, SIOCOUTQ, &under_way) < 0 || under_way < 0)
        under_way = 0;
    return acknowledged(fd) + (uint64_t)under_way;
}

uint64_t nx_delivered_since(int fd, uint64_t begin)
{
    uint64_t now = acknowledged(fd);
    return now > begin ? now - begin : 0;
}
