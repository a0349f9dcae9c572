/* SPDX-License-Identifier: MIT */
/* The channel between engine and launcher: frames that are right, and frames from an engine that was taken over. */
#include "fetch/channel.h"

#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/support/main.h"
#include "tests/support/package.h"

static int fds[2];
static struct nx_buffer payload = NX_BUFFER_INIT(NX_CHANNEL_MAX);

static void setup(void)
{
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
}

static void teardown(void)
{
    close(fds[0]);
    close(fds[1]);
    nx_buffer_release(&payload);
}

static void send_raw(uint32_t type, uint32_t len, const void *data, size_t sent)
{
    uint32_t header[] = { type, len };
    ck_assert_int_eq(write(fds[0], header, sizeof(header)), sizeof(header));
    ck_assert_int_eq(write(fds[0], data, sent), (ssize_t)sent);
    shutdown(fds[0], SHUT_WR);
}

START_TEST(test_round_trip)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_stats stats = { .bytes = 5, .n_images = 2 };
    int type;
    nx_assert_ok(nx_channel_send(fds[0], NX_MSG_STATS, &stats, sizeof(stats), &err), err);
    nx_assert_ok(nx_channel_send(fds[0], NX_MSG_READY, NULL, 0, &err), err);
    shutdown(fds[0], SHUT_WR);
    nx_assert_ok(nx_channel_receive(fds[1], NULL, &type, &payload, &err), err);
    ck_assert_int_eq(type, NX_MSG_STATS);
    ck_assert_mem_eq(payload.data, &stats, sizeof(stats));
    nx_assert_ok(nx_channel_receive(fds[1], NULL, &type, &payload, &err), err);
    ck_assert_int_eq(type, NX_MSG_READY);
    nx_assert_ok(nx_channel_receive(fds[1], NULL, &type, &payload, &err), err);
    ck_assert_int_eq(type, 0);
}
END_TEST

START_TEST(test_text_is_cleaned)
{
    struct nx_error err = NX_ERROR_INIT;
    int type;
    nx_assert_ok(nx_channel_send(fds[0], NX_MSG_NOTICE, "a\033[2Jb\n", 7, &err), err);
    nx_assert_ok(nx_channel_receive(fds[1], NULL, &type, &payload, &err), err);
    ck_assert_str_eq((const char *)payload.data, "a?[2Jb?");
}
END_TEST

static struct nx_stats too_many_images = { .n_images = NX_IMAGES_MAX + 1 };
static struct nx_error no_error; /* its code is NX_OK */

static const struct hostile {
    uint32_t type, len;
    const void *data;
    size_t sent;
    const char *message;
} hostiles[] = {
    { 99, 0, "", 0, "unknown message 99" },
    { 0, 0, "", 0, "unknown message 0" },
    { NX_MSG_HEAD, 0, "", 0, "message 1 has 0 bytes" },
    { NX_MSG_HEAD, UINT32_MAX, "", 0, "message 1 has 4294967295 bytes" },
    { NX_MSG_READY, 1, "x", 1, "has 1 bytes" },
    { NX_MSG_STATS, 8, "12345678", 8, "has 8 bytes" },
    { NX_MSG_STATS, sizeof(struct nx_stats), &too_many_images, sizeof(struct nx_stats),
      "statistics of 65 images" },
    { NX_MSG_FAILED, sizeof(struct nx_error), &no_error, sizeof(struct nx_error),
      "an error that is none" },
    { NX_MSG_NOTICE, 5000, "", 0, "has 5000 bytes" },
    { NX_MSG_NOTICE, 20, "short", 5, "in the middle of a message" },
    { NX_MSG_NOTICE, 20, "", 0, "in the middle of a message" },
};

START_TEST(test_hostile)
{
    const struct hostile *h = &hostiles[_i];
    struct nx_error err = NX_ERROR_INIT;
    int type;
    send_raw(h->type, h->len, h->data, h->sent);
    nx_assert_fails(nx_channel_receive(fds[1], NULL, &type, &payload, &err), err, h->message);
}
END_TEST

START_TEST(test_gone)
{
    struct nx_error err = NX_ERROR_INIT;
    close(fds[1]);
    nx_assert_fails(nx_channel_send(fds[0], NX_MSG_QUIT, NULL, 0, &err), err,
                    "the other process has gone");
    ck_assert_int_eq(err.code, NX_ERR_CANCELLED);
    fds[1] = dup(fds[0]);
}
END_TEST

/* An engine that was taken over sends half a frame and no more: it is not waited for beyond the time limit, nor beyond Ctrl-C. */
START_TEST(test_half_a_frame)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_patience patience = { nx_now_ms() + 200, -1 };
    const uint32_t header[] = { NX_MSG_NOTICE, 20 };
    int type, cancel[2];
    ck_assert_int_eq(write(fds[0], header, sizeof(header)), sizeof(header));
    nx_assert_fails(nx_channel_receive(fds[1], &patience, &type, &payload, &err), err,
                    "does not come to its end");
    ck_assert_int_ge(nx_now_ms(), patience.due);
    ck_assert_int_eq(pipe(cancel), 0);
    ck_assert_int_eq(write(cancel[1], "x", 1), 1);
    patience = (struct nx_patience){ nx_now_ms() + 60000, cancel[0] };
    ck_assert_int_eq(write(fds[0], header, 3), 3);
    nx_assert_fails(nx_channel_receive(fds[1], &patience, &type, &payload, &err), err,
                    "interrupted");
    ck_assert_int_eq(err.code, NX_ERR_CANCELLED);
    close(cancel[0]);
    close(cancel[1]);
}
END_TEST

static void make_head(const struct nx_key *key, struct nx_head **ret_head)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_BUFFER struct nx_buffer package = NX_BUFFER_INIT(1u << 20);
    uint8_t data[8192] = "a disk";
    struct test_image image = { "disk0", NX_IMAGE_DISK, 4096, data, sizeof(data) };
    size_t need;
    test_package_build(&image, 1, key, &package);
    nx_assert_ok(nx_head_parse(package.data, package.len, "test", ret_head, &need, &err), err);
    ck_assert_ptr_nonnull(*ret_head);
}

START_TEST(test_head)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_KEY struct nx_key *key = NULL;
    NX_AUTO_HEAD struct nx_head *head = NULL;
    NX_AUTO_HEAD struct nx_head *back = NULL;
    if (_i == 1)
        nx_assert_ok(nx_key_generate(&key, &err), err);
    make_head(key, &head);
    nx_assert_ok(nx_channel_pack_head(head, &payload, &err), err);
    nx_assert_ok(nx_channel_unpack_head(&payload, "test", &back, &err), err);
    ck_assert(nx_digest_equal(&head->manifest_digest, &back->manifest_digest));
    ck_assert_int_eq(back->signer != NULL, _i == 1);
}
END_TEST

/* Every byte of a signed head counts, and so does its end. */
START_TEST(test_bent_head)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_KEY struct nx_key *key = NULL;
    NX_AUTO_HEAD struct nx_head *head = NULL;
    NX_AUTO_HEAD struct nx_head *back = NULL;
    nx_assert_ok(nx_key_generate(&key, &err), err);
    make_head(key, &head);
    nx_assert_ok(nx_channel_pack_head(head, &payload, &err), err);
    for (size_t i = 0; i < payload.len; i++) {
        payload.data[i] ^= 1;
        ck_assert_msg(nx_channel_unpack_head(&payload, "test", &back, &err) < 0, "byte %zu", i);
        payload.data[i] ^= 1;
    }
    for (payload.len--; payload.len > 0; payload.len--)
        ck_assert_msg(nx_channel_unpack_head(&payload, "test", &back, &err) < 0, "%zu bytes",
                      payload.len);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("channel");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, test_round_trip);
    tcase_add_test(tcase, test_text_is_cleaned);
    tcase_add_loop_test(tcase, test_hostile, 0, sizeof(hostiles) / sizeof(hostiles[0]));
    tcase_add_test(tcase, test_gone);
    tcase_add_test(tcase, test_half_a_frame);
    tcase_add_loop_test(tcase, test_head, 0, 2);
    tcase_add_test(tcase, test_bent_head);
    return nx_test_run("channel", tcase);
}
