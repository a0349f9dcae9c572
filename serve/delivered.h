/* SPDX-License-Identifier: MIT */
/* How much of what was sent on a TCP connection has arrived, as the kernel knows it: files go out by
 * sendfile, and nobody else can say how far an answer came that its client has cut off.
 */
#ifndef NX_SERVE_DELIVERED_H
#define NX_SERVE_DELIVERED_H

#include <stdint.h>

/* The bytes handed to the kernel for this connection so far; 0 if it does not say. */
uint64_t nx_delivered_begin(int fd);

/* The bytes that the client has acknowledged since begin, which is nx_delivered_begin()'s value then. */
uint64_t nx_delivered_since(int fd, uint64_t begin);

#endif
