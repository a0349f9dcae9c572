/* SPDX-License-Identifier: MIT */
/* The socket that a server listens on. */
#ifndef NX_COMMON_LISTEN_H
#define NX_COMMON_LISTEN_H

#include <stdint.h>

#include "common/error.h"

/* Listen on a numeric address or host name, and a TCP port; 0: one that the kernel chooses.
 * The options are those that the user has set address and port with, for messages.
 * *ret_fd is to be closed; *ret_port is the port that it is.
 */
int nx_listen(const char *address, uint16_t port, const char *address_option,
              const char *port_option, int *ret_fd, uint16_t *ret_port, struct nx_error *err);

#endif
