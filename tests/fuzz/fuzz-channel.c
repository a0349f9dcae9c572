/* SPDX-License-Identifier: MIT */
/* What an engine that was taken over says to the launcher. */
#include "fetch/channel.h"

#include <sys/socket.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

static void check_text(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            abort(); /* it would reach the terminal */
    if (text[len] != 0)
        abort();
}

static void use(int type, const struct nx_buffer *payload)
{
    struct nx_error err;
    NX_AUTO_HEAD struct nx_head *head = NULL;
    const struct nx_error *failure = (const void *)payload->data;
    switch (type) {
    case NX_MSG_HEAD:
        nx_channel_unpack_head(payload, "fuzz", &head, &err);
        break;
    case NX_MSG_NOTICE:
    case NX_MSG_WAITING:
    case NX_MSG_NO_STATE:
        check_text((const char *)payload->data, payload->len);
        break;
    case NX_MSG_FAILED:
        check_text(failure->msg, strlen(failure->msg));
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nx_error err;
    NX_AUTO_BUFFER struct nx_buffer payload = NX_BUFFER_INIT(NX_CHANNEL_MAX);
    int fds[2], type = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return 0;
    if (size > 0)
        (void)!send(fds[1], data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    close(fds[1]);
    while (nx_channel_receive(fds[0], NULL, &type, &payload, &err) == 0 && type != 0)
        use(type, &payload);
    close(fds[0]);
    return 0;
}
