/* SPDX-License-Identifier: MIT */
/* What QEMU is told over QMP about its VNC server, before anybody can connect: the password, which must not stand on a
 * command line, where every user of the host could read it.  And what it is asked: where its WebSocket listens.
 */
#ifndef NX_FETCH_VM_SCREEN_H
#define NX_FETCH_VM_SCREEN_H

#include <stdbool.h>
#include <stdint.h>

#include "fetch/qmp.h"

/* All zero: QEMU shows no VNC. */
struct nx_vm_screen {
    const char
        *password;  /* for "password=on" in -vnc, with which nobody gets in before; NULL: none */
    bool websocket; /* its port is wanted */
    bool
        hidden; /* only the WebSocket is: have the plain port closed, which QEMU cannot do without at first */
    uint64_t first_id, last_id; /* of the commands; 0: none was sent */
    uint16_t port;              /* the WebSocket's, once it is known */
    bool up;                    /* all is done */
};

/* Send what is to be sent. */
int nx_vm_screen_ask(struct nx_vm_screen *screen, struct nx_qmp *qmp, struct nx_error *err);

/* Is the message, a RETURN or an ERROR, an answer to that? */
bool nx_vm_screen_asked(const struct nx_vm_screen *screen, const struct nx_qmp_message *message);

/* Take such an answer.  Fails if QEMU did not do it. */
int nx_vm_screen_take(struct nx_vm_screen *screen, const struct nx_qmp_message *message,
                      struct nx_error *err);

#endif
