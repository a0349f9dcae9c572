/* SPDX-License-Identifier: MIT */
#include "fetch/vm_screen.h"

#include <stdlib.h>

static int ask(struct nx_vm_screen *screen, struct nx_qmp *qmp, const char *command,
               json_t *arguments, struct nx_error *err)
{
    if (nx_qmp_send(qmp, command, arguments, &screen->last_id, err) < 0)
        return -1;
    if (!screen->first_id)
        screen->first_id = screen->last_id;
    return 0;
}

int nx_vm_screen_ask(struct nx_vm_screen *screen, struct nx_qmp *qmp, struct nx_error *err)
{
    if (screen->hidden && ask(screen, qmp, "display-update",
                              json_pack("{s:s, s:[]}", "type", "vnc", "addresses"), err) < 0)
        return -1;
    if (screen->password &&
        ask(screen, qmp, "set_password",
            json_pack("{s:s, s:s}", "protocol", "vnc", "password", screen->password), err) < 0)
        return -1;
    if (screen->websocket && ask(screen, qmp, "query-vnc-servers", NULL, err) < 0)
        return -1;
    screen->up = !screen->first_id;
    return 0;
}

bool nx_vm_screen_asked(const struct nx_vm_screen *screen, const struct nx_qmp_message *message)
{
    return screen->first_id && message->id >= screen->first_id && message->id <= screen->last_id;
}

/* The port of the first WebSocket in query-vnc-servers' answer; 0: there is none. */
static uint16_t websocket_port(const json_t *servers)
{
    for (size_t i = 0; i < json_array_size(servers); i++) {
        const json_t *sockets = json_object_get(json_array_get(servers, i), "server");
        for (size_t k = 0; k < json_array_size(sockets); k++) {
            const json_t *socket = json_array_get(sockets, k);
            const char *service = json_string_value(json_object_get(socket, "service"));
            long port = service ? strtol(service, NULL, 10) : 0;
            if (json_is_true(json_object_get(socket, "websocket")) && port > 0 && port < 65536)
                return (uint16_t)port;
        }
    }
    return 0;
}

int nx_vm_screen_take(struct nx_vm_screen *screen, const struct nx_qmp_message *message,
                      struct nx_error *err)
{
    if (message->kind == NX_QMP_ERROR)
        return nx_fail(err, NX_ERR_SYSTEM, "QEMU does not show the machine's screen by VNC: %s",
                       message->name);
    if (message->id != screen->last_id)
        return 0;
    if (screen->websocket) {
        screen->port = websocket_port(message->data);
        if (!screen->port)
            return nx_fail(err, NX_ERR_SYSTEM,
                           "QEMU does not show the machine's screen to browsers: it has no "
                           "WebSocket");
    }
    screen->up = true;
    return 0;
}
