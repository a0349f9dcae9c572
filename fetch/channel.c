/* SPDX-License-Identifier: MIT */
/* Threads: no state.  The engine's senders share a lock (report.h); each side has one receiver. */
#include "fetch/channel.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "common/bearer.h"
#include "common/clock.h"
#include "common/plain.h"
#include "fetch/mapmessage.h"

#define TEXT_MAX 4096 /* bytes of a notice */

struct frame_header {
    uint32_t type;
    uint32_t len;
};

/* In one go, if there is room: who is killed meanwhile should not leave a part of a message. */
static int send_full(int fd, struct iovec *parts, size_t n_parts, struct nx_error *err)
{
    while (n_parts > 0) {
        struct msghdr message = { .msg_iov = parts, .msg_iovlen = n_parts };
        ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            return nx_fail(err, NX_ERR_CANCELLED, "the other process has gone");
        if (n < 0)
            return nx_fail_errno(err, "channel");
        size_t sent = (size_t)n;
        for (; n_parts > 0 && sent >= parts->iov_len; parts++, n_parts--)
            sent -= parts->iov_len;
        if (n_parts > 0)
            *parts = (struct iovec){ (uint8_t *)parts->iov_base + sent, parts->iov_len - sent };
    }
    return 0;
}

int nx_channel_send(int fd, enum nx_message type, const void *payload, size_t len,
                    struct nx_error *err)
{
    if (len > NX_CHANNEL_MAX)
        return nx_fail(err, NX_ERR_SYSTEM, "channel: a message of %zu bytes is too long", len);
    struct frame_header header = { type, (uint32_t)len };
    struct iovec parts[] = { { &header, sizeof(header) }, { (void *)payload, len } };
    return send_full(fd, parts, len ? 2 : 1, err);
}

/* Until something has come. */
static int wait_readable(int fd, const struct nx_patience *patience, struct nx_error *err)
{
    for (;;) {
        struct pollfd fds[] = { { .fd = fd, .events = POLLIN },
                                { .fd = patience->cancel_fd, .events = POLLIN } };
        int64_t left = patience->due - nx_now_ms();
        int n = poll(fds, 2, left > 0 ? (int)left : 0);
        if (n > 0 && fds[0].revents)
            return 0;
        if (n > 0)
            return nx_fail(err, NX_ERR_CANCELLED, "interrupted");
        if (n == 0)
            return nx_fail(err, NX_ERR_SYSTEM, "channel: a message does not come to its end");
        if (errno != EINTR)
            return nx_fail_errno(err, "channel: poll");
    }
}

/* 1: all of it; 0: the end before its first byte; -1: an error, or the end in the middle. */
static int receive_full(int fd, const struct nx_patience *patience, void *data, size_t len,
                        struct nx_error *err)
{
    size_t have = 0;
    while (have < len) {
        if (patience && wait_readable(fd, patience, err) < 0)
            return -1;
        ssize_t n = recv(fd, (char *)data + have, len - have, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == ECONNRESET)
            n = 0;
        if (n < 0)
            return nx_fail_errno(err, "channel");
        if (n == 0)
            return have == 0 ? 0
                             : nx_fail(err, NX_ERR_CANCELLED,
                                       "the other process has gone in the middle of a message");
        have += (size_t)n;
    }
    return 1;
}

/* Text is for the user's terminal, whatever sent it. */
static int check_text(struct nx_buffer *payload, struct nx_error *err)
{
    for (size_t i = 0; i < payload->len; i++)
        if (!payload->data[i])
            payload->data[i] = '?';
    /* So that it can be used as a string. */
    if (nx_buffer_add(payload, "", 1, err) < 0)
        return -1;
    payload->len = strlen(nx_plain((char *)payload->data));
    return 0;
}

static int check_stats(struct nx_buffer *payload, struct nx_error *err)
{
    struct nx_stats stats;
    memcpy(&stats, payload->data, sizeof(stats));
    if (stats.n_images > NX_IMAGES_MAX)
        return nx_fail(err, NX_ERR_FORMAT, "channel: statistics of %u images", stats.n_images);
    return 0;
}

static int check_failed(struct nx_buffer *payload, struct nx_error *err)
{
    struct nx_error failure;
    memcpy(&failure, payload->data, sizeof(failure));
    if ((int)failure.code <= NX_OK || failure.code > NX_ERR_CANCELLED ||
        !memchr(failure.msg, '\0', sizeof(failure.msg)))
        return nx_fail(err, NX_ERR_FORMAT, "channel: an error that is none");
    nx_plain(failure.msg);
    memcpy(payload->data, &failure, sizeof(failure));
    return 0;
}

static int check_map(struct nx_buffer *payload, struct nx_error *err)
{
    return nx_map_check(payload, err);
}

/* What may come, and what is looked at before the caller sees it. */
static const struct frame_rule {
    enum nx_message type;
    size_t min, max; /* bytes of payload */
    int (*check)(struct nx_buffer *payload, struct nx_error *err);
} rules[] = {
    { NX_MSG_HEAD, 1, NX_CHANNEL_MAX, NULL },
    { NX_MSG_READY, 0, 0, NULL },
    { NX_MSG_STATS, sizeof(struct nx_stats), sizeof(struct nx_stats), check_stats },
    { NX_MSG_NOTICE, 0, TEXT_MAX, check_text },
    { NX_MSG_WAITING, 0, TEXT_MAX, check_text },
    { NX_MSG_RESUMED, 0, 0, NULL },
    { NX_MSG_DONE, 0, 0, NULL },
    { NX_MSG_FAILED, sizeof(struct nx_error), sizeof(struct nx_error), check_failed },
    { NX_MSG_NO_STATE, 0, TEXT_MAX, check_text },
    { NX_MSG_MAP, 4, NX_MAP_MESSAGE_MAX, check_map },
    { NX_MSG_TOKEN_WANTED, 0, 0, NULL },
    { NX_MSG_TOKEN, 1, NX_TOKEN_MAX, NULL },
    { NX_MSG_GO, 1, 1, NULL },
    { NX_MSG_STARTED, 0, 0, NULL },
    { NX_MSG_QUIT, 0, 0, NULL },
    { NX_MSG_ASK_MAP, sizeof(uint16_t), sizeof(uint16_t), NULL },
};

static const struct frame_rule *find_rule(const struct frame_header *header, struct nx_error *err)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if ((uint32_t)rules[i].type != header->type)
            continue;
        if (header->len < rules[i].min || header->len > rules[i].max) {
            nx_fail(err, NX_ERR_FORMAT, "channel: message %u has %u bytes", header->type,
                    header->len);
            return NULL;
        }
        return &rules[i];
    }
    nx_fail(err, NX_ERR_FORMAT, "channel: unknown message %u", header->type);
    return NULL;
}

int nx_channel_receive(int fd, const struct nx_patience *patience, int *ret_type,
                       struct nx_buffer *payload, struct nx_error *err)
{
    struct frame_header header;
    int r = receive_full(fd, patience, &header, sizeof(header), err);
    if (r <= 0) {
        *ret_type = 0;
        return r;
    }
    const struct frame_rule *rule = find_rule(&header, err);
    if (!rule)
        return -1;
    payload->len = 0;
    if (nx_buffer_reserve(payload, header.len, err) < 0)
        return -1;
    r = receive_full(fd, patience, payload->data, header.len, err);
    if (r < 0)
        return -1;
    if (r == 0 && header.len > 0)
        return nx_fail(err, NX_ERR_CANCELLED,
                       "the other process has gone in the middle of a message");
    payload->len = header.len;
    if (rule->check && rule->check(payload, err) < 0)
        return -1;
    *ret_type = (int)header.type;
    return 0;
}

/* HEAD's payload: u32 length of manifest.xml, manifest.xml, manifest.sig, signer.pem, u32 length of domain.xml,
 * domain.xml.
 */

int nx_channel_pack_head(const struct nx_head *head, struct nx_buffer *payload,
                         struct nx_error *err)
{
    char pem[NX_PUBLIC_PEM_SIZE + 1];
    if (nx_head_signer_pem(head, pem, err) < 0 ||
        nx_buffer_add_le(payload, 4, head->manifest_xml.len, err) < 0 ||
        nx_buffer_add(payload, head->manifest_xml.data, head->manifest_xml.len, err) < 0 ||
        nx_buffer_add(payload, head->signature, NX_SIGNATURE_SIZE, err) < 0 ||
        nx_buffer_add(payload, pem, NX_PUBLIC_PEM_SIZE, err) < 0 ||
        nx_buffer_add_le(payload, 4, head->domain_xml.len, err) < 0)
        return -1;
    return nx_buffer_add(payload, head->domain_xml.data, head->domain_xml.len, err);
}

/* A buffer that shows len bytes of the payload. */
static int take_part(struct nx_reader *r, struct nx_buffer *ret_part)
{
    uint64_t len;
    if (nx_read_le(r, 4, &len) < 0)
        return -1;
    const uint8_t *data = nx_read_bytes(r, (size_t)len);
    if (!data)
        return -1;
    *ret_part = (struct nx_buffer){ (uint8_t *)data, (size_t)len, (size_t)len, (size_t)len };
    return 0;
}

int nx_channel_unpack_head(const struct nx_buffer *payload, const char *name,
                           struct nx_head **ret_head, struct nx_error *err)
{
    struct nx_reader r = nx_reader(payload->data, payload->len);
    struct nx_buffer manifest, domain;
    const uint8_t *signature = NULL, *pem = NULL;
    if (take_part(&r, &manifest) < 0 || !(signature = nx_read_bytes(&r, NX_SIGNATURE_SIZE)) ||
        !(pem = nx_read_bytes(&r, NX_PUBLIC_PEM_SIZE)) || take_part(&r, &domain) < 0 ||
        nx_reader_left(&r) != 0)
        return nx_fail(err, NX_ERR_FORMAT, "channel: the head's parts do not fit in %zu bytes",
                       payload->len);
    return nx_head_from_parts(&manifest, signature, (const char *)pem, &domain, name, ret_head,
                              err);
}
