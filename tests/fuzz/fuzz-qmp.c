/* SPDX-License-Identifier: MIT */
/* What a QEMU that was taken over says to the launcher. */
#include "fetch/qmp.h"

#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nx_error err;
    struct nx_qmp *qmp = NULL;
    struct nx_qmp_message message = { 0 };
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return 0;
    if (size > 0)
        (void)!send(fds[1], data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    close(fds[1]);
    if (nx_qmp_new(fds[0], &qmp, &err) < 0)
        return 0;
    while (nx_qmp_receive(qmp, &message, &err) == 0 && message.kind != NX_QMP_CLOSED) {
        bool named = message.kind == NX_QMP_EVENT || message.kind == NX_QMP_ERROR;
        if (message.kind == NX_QMP_NOTHING || (named && !message.name) ||
            (message.kind == NX_QMP_RETURN && !message.data))
            abort();
        if (named && strlen(message.name) > NX_QMP_LINE_MAX)
            abort();
    }
    nx_qmp_message_release(&message);
    nx_qmp_free(qmp);
    return 0;
}
