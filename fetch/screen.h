/* SPDX-License-Identifier: MIT */
/* The machine's screen elsewhere than in a window of QEMU's: by VNC, and in a browser by noVNC.
 *
 * For a browser QEMU's VNC listens with a WebSocket on a loopback port that it chooses itself, and with a password that
 * only our web server's pages know; it hands the browser's WebSocket on, so that one port, and one URL, are all that
 * is needed to get to the screen, and nothing less is enough.
 *
 * Threads: the web server's read the session and the port; all else is for the launcher's.
 */
#ifndef NX_FETCH_SCREEN_H
#define NX_FETCH_SCREEN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "common/error.h"
#include "fetch/instance.h"
#include "fetch/options.h"
#include "fetch/vm_screen.h"
#include "fetch/webserver.h"

#define NX_VNC_PASSWORD_MAX 8 /* letters: VNC ignores what follows */

/* All zero: nothing but what -display does. */
struct nx_screen {
    const struct nx_options *options;
    char vnc[192];                          /* -vnc's value, or "" */
    char password[NX_VNC_PASSWORD_MAX + 1]; /* "": none */
    bool made_up;                           /* the password, by us */
    struct nx_webserver *web;
    char *session;    /* what the page is told, as JSON */
    atomic_uint port; /* of QEMU's WebSocket; 0: it is not known yet */
};

/* Before QEMU is started, but after the engine: choose the password and start the web server.  name is the machine's. */
int nx_screen_open(struct nx_screen *screen, const struct nx_options *options, const char *name,
                   struct nx_error *err);

/* What is to be done over QMP. */
struct nx_vm_screen nx_screen_wish(const struct nx_screen *screen);

/* It has been done: say how to get to the screen, and have the desktop open it in a browser, if there is one. */
void nx_screen_announce(struct nx_screen *screen, uint16_t port,
                        const struct nx_instance *instance);

/* End all connections, free it.  Harmless twice. */
void nx_screen_close(struct nx_screen *screen);

#endif
