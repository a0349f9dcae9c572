/* SPDX-License-Identifier: MIT */
/* QEMU's monitor protocol (docs/interop/qmp-spec in QEMU): JSON objects, one a line, over a
 * Unix socket.  QEMU runs a stranger's machine and may have been taken over by it, so what it
 * says is bounded and checked.  One thread.
 */
#ifndef NX_FETCH_QMP_H
#define NX_FETCH_QMP_H

#include <jansson.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/error.h"

#define NX_QMP_LINE_MAX (1024 * 1024) /* bytes of one message */

struct nx_qmp;

/* Speak over fd, a connected socket; it becomes nonblocking and ours. */
int nx_qmp_new(int fd, struct nx_qmp **ret_qmp, struct nx_error *err);
void nx_qmp_free(struct nx_qmp *qmp);

/* For poll(): readable when nx_qmp_receive() may have something. */
int nx_qmp_fd(const struct nx_qmp *qmp);

enum nx_qmp_kind {
    NX_QMP_NOTHING,  /* no whole message has come yet */
    NX_QMP_GREETING, /* QEMU is up: its devices are made and its images open */
    NX_QMP_RETURN,   /* command id succeeded; data is its value */
    NX_QMP_ERROR,    /* command id failed; name is QEMU's sentence */
    NX_QMP_EVENT,    /* name is the event, data what it carries (may be NULL) */
    NX_QMP_CLOSED,   /* QEMU has closed the socket: it ends */
};

/* Strings and data live until the message is released or received into again. */
struct nx_qmp_message {
    enum nx_qmp_kind kind;
    uint64_t id; /* of the command; 0: an error that belongs to none */
    const char *name;
    json_t *data;
    json_t *whole; /* owned */
};

/* Take the next message, without waiting.  FORMAT error if QEMU does not speak QMP. */
int nx_qmp_receive(struct nx_qmp *qmp, struct nx_qmp_message *ret_message, struct nx_error *err);
void nx_qmp_message_release(struct nx_qmp_message *message);

/* Send a command with its arguments (stolen; NULL for none).  *ret_id, if not NULL, is what its
 * answer will carry.  Commands are short and few: a socket that does not take one is an error.
 */
int nx_qmp_send(struct nx_qmp *qmp, const char *command, json_t *arguments, uint64_t *ret_id,
                struct nx_error *err);

NX_DEFINE_AUTO(struct nx_qmp *, qmp, nx_qmp_free)
#define NX_AUTO_QMP NX_AUTO(qmp)

#endif
