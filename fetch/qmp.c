/* SPDX-License-Identifier: MIT */
#include "fetch/qmp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/buffer.h"

struct nx_qmp {
    int fd;
    uint64_t last_id;
    struct nx_buffer in; /* received, from the last unfinished line on */
    size_t taken;        /* of in: bytes of the lines that were handed out */
    bool closed;
};

int nx_qmp_new(int fd, struct nx_qmp **ret_qmp, struct nx_error *err)
{
    struct nx_qmp *qmp = calloc(1, sizeof *qmp);
    int flags = fcntl(fd, F_GETFL);
    if (!qmp || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        nx_fail_errno(err, "QMP");
        free(qmp);
        close(fd);
        return -1;
    }
    qmp->fd = fd;
    nx_buffer_init(&qmp->in, NX_QMP_LINE_MAX);
    *ret_qmp = qmp;
    return 0;
}

void nx_qmp_free(struct nx_qmp *qmp)
{
    if (!qmp)
        return;
    close(qmp->fd);
    nx_buffer_release(&qmp->in);
    free(qmp);
}

int nx_qmp_fd(const struct nx_qmp *qmp)
{
    return qmp->fd;
}

void nx_qmp_message_release(struct nx_qmp_message *message)
{
    json_decref(message->whole);
    *message = (struct nx_qmp_message){ 0 };
}

/* What kind of message is it?  Everything that is used later is checked here for its type. */
static int classify(struct nx_qmp_message *message, struct nx_error *err)
{
    json_t *whole = message->whole, *error = json_object_get(whole, "error");
    json_t *value = json_object_get(whole, "return");
    const char *event = json_string_value(json_object_get(whole, "event"));
    message->id = (uint64_t)json_integer_value(json_object_get(whole, "id"));
    if (json_object_get(whole, "QMP")) {
        message->kind = NX_QMP_GREETING;
    } else if (event) {
        message->kind = NX_QMP_EVENT;
        message->name = event;
        message->data = json_object_get(whole, "data");
    } else if (value) {
        message->kind = NX_QMP_RETURN;
        message->data = value;
    } else if (json_is_object(error)) {
        const char *text = json_string_value(json_object_get(error, "desc"));
        message->kind = NX_QMP_ERROR;
        message->name = text ? text : "QEMU does not say why";
        message->data = error;
    } else {
        return nx_fail(err, NX_ERR_FORMAT, "QMP: a message of no known kind");
    }
    return 0;
}

/* A whole line that has come, or NULL; it ends before *ret_len. */
static const char *take_line(struct nx_qmp *qmp, size_t *ret_len)
{
    size_t left = qmp->in.len - qmp->taken;
    const char *line = left ? (const char *)qmp->in.data + qmp->taken : NULL;
    const char *end = left ? memchr(line, '\n', left) : NULL;
    if (!end)
        return NULL;
    *ret_len = (size_t)(end - line);
    qmp->taken += *ret_len + 1;
    return line;
}

/* Move the unfinished line to the front and add what has come.  1 if something did, 0 if not now. */
static int fill(struct nx_qmp *qmp, struct nx_error *err)
{
    char chunk[16384];
    ssize_t n = recv(qmp->fd, chunk, sizeof chunk, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0) {
        qmp->closed = true; /* also ECONNRESET: QEMU was killed */
        return 0;
    }
    if (qmp->taken) {
        qmp->in.len -= qmp->taken;
        memmove(qmp->in.data, qmp->in.data + qmp->taken, qmp->in.len);
        qmp->taken = 0;
    }
    return nx_buffer_add(&qmp->in, chunk, (size_t)n, err) < 0 ? nx_fail_while(err, "QMP") : 1;
}

int nx_qmp_receive(struct nx_qmp *qmp, struct nx_qmp_message *ret_message, struct nx_error *err)
{
    nx_qmp_message_release(ret_message);
    size_t len;
    const char *line;
    while (!(line = take_line(qmp, &len))) {
        int more = qmp->closed ? 0 : fill(qmp, err);
        if (more < 0)
            return -1;
        if (more == 0) {
            ret_message->kind = qmp->closed ? NX_QMP_CLOSED : NX_QMP_NOTHING;
            return 0;
        }
    }
    json_error_t problem;
    ret_message->whole = json_loadb(line, len, JSON_REJECT_DUPLICATES, &problem);
    if (!json_is_object(ret_message->whole)) {
        nx_qmp_message_release(ret_message);
        return nx_fail(err, NX_ERR_FORMAT, "QMP: QEMU sent what is not a JSON object");
    }
    if (classify(ret_message, err) < 0) {
        nx_qmp_message_release(ret_message);
        return -1;
    }
    return 0;
}

int nx_qmp_send(struct nx_qmp *qmp, const char *command, json_t *arguments, uint64_t *ret_id,
                struct nx_error *err)
{
    json_t *message = json_pack("{s:s, s:I}", "execute", command, "id", (json_int_t)++qmp->last_id);
    if (message && arguments)
        json_object_set_new(message, "arguments", arguments);
    else
        json_decref(arguments);
    NX_AUTO_FREE char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;
    json_decref(message);
    if (!text)
        return nx_fail(err, NX_ERR_SYSTEM, "QMP: %s: no memory", command);
    size_t len = strlen(text);
    text[len] = '\n'; /* in place of the NUL: it is not needed any more */
    ssize_t n = send(qmp->fd, text, len + 1, MSG_NOSIGNAL);
    if (n < 0)
        return nx_fail_errno(err, "QMP: %s", command);
    if ((size_t)n != len + 1)
        return nx_fail(err, NX_ERR_SYSTEM, "QMP: %s: QEMU does not listen", command);
    if (ret_id)
        *ret_id = qmp->last_id;
    return 0;
}
