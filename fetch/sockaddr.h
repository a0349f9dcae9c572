/* SPDX-License-Identifier: MIT */
#ifndef NX_FETCH_SOCKADDR_H
#define NX_FETCH_SOCKADDR_H

#include <sys/un.h>

/* The address of a Unix socket called name in an open folder.  A socket's name has room for 107 bytes, fewer than a folder's may
 * take, so it goes through /proc, and holds while dir_fd is open.  -1: even so name is too long.
 */
int nx_socket_address(int dir_fd, const char *name, struct sockaddr_un *ret_address);

#endif
