/* SPDX-License-Identifier: MIT */
/* A small web server for the user's own browser: the machine's screen, or how far its parts have come.
 *
 * It listens on loopback unless told otherwise.  Other programs and users of this host, and every web page that the user
 * looks at, can reach a port there; so
 *
 *   - a URL has a random token of 128 bits.  Who opens it gets a cookie in exchange, and is sent on to the same page below
 *     a folder that is this run's alone: http://127.0.0.1:PORT/?token=… leads to http://127.0.0.1:PORT/RUN/.  The cookie is
 *     for that folder only (browsers send cookies to all ports of a host, and other ports may be somebody else's), and
 *     neither scripts nor requests of other sites have it.  Everything else is refused: 403.
 *   - the Host must be an address, "localhost", or, if we listen beyond loopback, this host's name: a stranger's
 *     name that was made to mean 127.0.0.1 is refused.  An Origin must be our own: that of the Host, or, behind a proxy
 *     that serves us under another name, of the X-Forwarded-Host.
 *
 * Links in pages must be relative, and GET and HEAD are all that can be asked.
 *
 * Threads: the server has its own, one that answers and one for each WebSocket, which block all signals.  Routes'
 * functions are called on the answering one, one at a time, so they must neither wait nor touch what other threads
 * change without a lock.  After nx_webserver_stop() none runs.  Start it after processes were forked that go on without
 * exec, such as the engine: they would keep its port.
 */
#ifndef NX_FETCH_WEBSERVER_H
#define NX_FETCH_WEBSERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/error.h"

#define NX_WEB_BODY_MAX (UINT32_C(8) << 20) /* bytes that a route may answer with */

/* Where to listen: a numeric address, and a port, or 0 for one that is free. */
struct nx_web_address {
    char host[64];
    uint16_t port;
};

/* "[ADDR:]PORT", "ADDR:", or NULL for a free port on loopback; an IPv6 address has brackets.  A USAGE error names --option. */
int nx_web_address_parse(const char *option, const char *text, struct nx_web_address *ret_address,
                         struct nx_error *err);

/* Append the answer to body, an empty buffer of at most NX_WEB_BODY_MAX bytes.  A failure is logged, and a 500. */
typedef int nx_web_answer(void *opaque, struct nx_buffer *body, struct nx_error *err);

/* What is at a path, by one of text, answer and folder. */
struct nx_web_route {
    const char
        *path; /* "/", "/chunks.json": exactly that; of a folder "/novnc/": all that begins so */
    const char *type;      /* media type of text, or of what answer gives */
    const char *text;      /* a fixed answer */
    nx_web_answer *answer; /* one that is made anew each time, as its opaque needs it */
    void *opaque;
    const char *
        folder; /* regular files in it, by their names' types; not what links in it would lead out to */
};

struct nx_webserver;

/* Start it.  The routes are copied, their strings are not; option is the one that the user has asked with, for messages.
 * A folder that is not there is a failure.
 */
int nx_webserver_start(const char *option, const struct nx_web_address *address,
                       const struct nx_web_route *routes, size_t n_routes,
                       struct nx_webserver **ret_server, struct nx_error *err);

/* What the user is to open for the path "/": it has the token in it. */
const char *nx_webserver_url(const struct nx_webserver *server);

/* Can only this host reach it? */
bool nx_webserver_is_loopback(const struct nx_webserver *server);

/* Close all connections, end the threads, free it.  NULL is fine. */
void nx_webserver_stop(struct nx_webserver *server);

NX_DEFINE_AUTO(struct nx_webserver *, webserver, nx_webserver_stop)
#define NX_AUTO_WEBSERVER NX_AUTO(webserver) /* nx_webserver_stop() at the end of scope */

#endif
