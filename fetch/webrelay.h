/* SPDX-License-Identifier: MIT */
/* WebSockets of our web server's that are handed on to a server that speaks WebSocket itself, which is QEMU's VNC: what
 * comes from either side goes to the other one as it is, so nothing of either is parsed here but the answer's first line.
 *
 * Threads: each relay has one of its own.  Any thread may start one; nx_webrelays_free() waits for all.
 */
#ifndef NX_FETCH_WEBRELAY_H
#define NX_FETCH_WEBRELAY_H

#include <microhttpd.h>

#include "common/error.h"

#define NX_WEBRELAYS_MAX 8 /* at a time */

/* A stream socket to hand on to, which is connected or connecting, and closed at the end, or -1.  Called on the relay's thread,
 * whose end would have to wait for it: it must not wait itself.
 */
typedef int nx_web_dial(void *opaque);

struct nx_webrelays;

/* All relays to one server: dial connects to it, once for each. */
int nx_webrelays_new(nx_web_dial *dial, void *opaque, struct nx_webrelays **ret_relays,
                     struct nx_error *err);

/* The answer to a browser's handshake (RFC 6455, section 4), to be queued with status 101: the relay then begins.  NULL: it
 * is none.
 */
struct MHD_Response *nx_webrelays_answer(struct nx_webrelays *relays,
                                         struct MHD_Connection *connection);

/* End all, and let none begin any more: before MHD_stop_daemon(), which wants them closed.  NULL is fine. */
void nx_webrelays_end(struct nx_webrelays *relays);

/* Free what has ended: after MHD_stop_daemon().  NULL is fine. */
void nx_webrelays_free(struct nx_webrelays *relays);

#endif
