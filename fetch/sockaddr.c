/* SPDX-License-Identifier: MIT */
#include "fetch/sockaddr.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

int nx_socket_address(int dir_fd, const char *name, struct sockaddr_un *ret_address)
{
    *ret_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    int n = snprintf(ret_address->sun_path, sizeof ret_address->sun_path, "/proc/self/fd/%d/%s",
                     dir_fd, name);
    if (n >= 0 && n < (int)sizeof ret_address->sun_path)
        return 0;
    errno = ENAMETOOLONG;
    return -1;
}
