/* SPDX-License-Identifier: MIT */
#include "fetch/qmp.h"

#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/main.h"

/* The other end of a nx_qmp: what QEMU would have. */
static int open_pair(struct nx_qmp **ret_qmp)
{
    int fds[2];
    struct nx_error err = NX_ERROR_INIT;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    nx_assert_ok(nx_qmp_new(fds[0], ret_qmp, &err), err);
    return fds[1];
}

static void say(int qemu, const char *text)
{
    ck_assert_int_eq(write(qemu, text, strlen(text)), (ssize_t)strlen(text));
}

static void expect(struct nx_qmp *qmp, struct nx_qmp_message *message, enum nx_qmp_kind kind)
{
    struct nx_error err = NX_ERROR_INIT;
    nx_assert_ok(nx_qmp_receive(qmp, message, &err), err);
    ck_assert_int_eq(message->kind, kind);
}

START_TEST(conversation)
{
    NX_AUTO_QMP struct nx_qmp *qmp = NULL;
    NX_AUTO_FD int qemu = open_pair(&qmp);
    struct nx_qmp_message message = { 0 };
    struct nx_error err = NX_ERROR_INIT;
    uint64_t id = 0;
    char sent[256] = "";

    expect(qmp, &message, NX_QMP_NOTHING);
    say(qemu, "{\"QMP\": {\"version\": {}, \"capabilities\": [\"oob\"]}}\r\n");
    expect(qmp, &message, NX_QMP_GREETING);
    nx_assert_ok(nx_qmp_send(qmp, "qmp_capabilities", NULL, &id, &err), err);
    ck_assert_uint_eq(id, 1);
    ck_assert(read(qemu, sent, sizeof sent - 1) > 0);
    ck_assert_str_eq(sent, "{\"execute\":\"qmp_capabilities\",\"id\":1}\n");

    /* An answer that comes in pieces, with an event close behind it. */
    say(qemu, "{\"return\": {}, ");
    expect(qmp, &message, NX_QMP_NOTHING);
    say(qemu, "\"id\": 1}\r\n{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true}}\r\n{\"ev");
    expect(qmp, &message, NX_QMP_RETURN);
    ck_assert_uint_eq(message.id, 1);
    expect(qmp, &message, NX_QMP_EVENT);
    ck_assert_str_eq(message.name, "SHUTDOWN");
    ck_assert(json_is_true(json_object_get(message.data, "guest")));
    expect(qmp, &message, NX_QMP_NOTHING);
    say(qemu, "ent\": \"RESET\"}\n{\"id\": 2, \"error\": {\"class\": \"GenericError\", "
              "\"desc\": \"no such thing\"}}\n");
    expect(qmp, &message, NX_QMP_EVENT);
    ck_assert_str_eq(message.name, "RESET");
    ck_assert_ptr_null(message.data);
    expect(qmp, &message, NX_QMP_ERROR);
    ck_assert_str_eq(message.name, "no such thing");

    nx_assert_ok(nx_qmp_send(qmp, "cont", json_pack("{s:i}", "a", 1), &id, &err), err);
    memset(sent, 0, sizeof sent);
    ck_assert(read(qemu, sent, sizeof sent - 1) > 0);
    ck_assert_ptr_nonnull(strstr(sent, "\"arguments\":{\"a\":1}"));

    /* What came before the end counts, then the end does, again and again. */
    say(qemu, "{\"event\": \"STOP\"}\n{\"unfinished\":");
    close(nx_steal_fd(&qemu));
    expect(qmp, &message, NX_QMP_EVENT);
    expect(qmp, &message, NX_QMP_CLOSED);
    expect(qmp, &message, NX_QMP_CLOSED);
    nx_assert_fails(nx_qmp_send(qmp, "quit", NULL, NULL, &err), err, "QMP: quit");
    nx_qmp_message_release(&message);
}
END_TEST

/* A QEMU that was taken over says what it likes; none of it may hurt. */
START_TEST(hostile)
{
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        { "\n", "not a JSON object" },
        { "[]\n", "not a JSON object" },
        { "{\"event\": \"A\"\n", "not a JSON object" },
        { "{\"event\": \"A\"} {\"event\": \"B\"}\n", "not a JSON object" },
        { "{\"event\": \"A\", \"event\": \"B\"}\n", "not a JSON object" },
        { "{\"event\": \"\xff\xfe\"}\n", "not a JSON object" },
        { "{}\n", "no known kind" },
        { "{\"event\": 7}\n", "no known kind" },
        { "{\"error\": \"text\"}\n", "no known kind" },
        { "{\"id\": \"x\"}\n", "no known kind" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        NX_AUTO_QMP struct nx_qmp *qmp = NULL;
        NX_AUTO_FD int qemu = open_pair(&qmp);
        struct nx_qmp_message message = { 0 };
        struct nx_error err = NX_ERROR_INIT;
        say(qemu, cases[i].text);
        nx_assert_fails(nx_qmp_receive(qmp, &message, &err), err, cases[i].message);
        ck_assert_int_eq(err.code, NX_ERR_FORMAT);
        ck_assert_ptr_null(message.whole);
    }
}
END_TEST

START_TEST(strange_but_harmless)
{
    NX_AUTO_QMP struct nx_qmp *qmp = NULL;
    NX_AUTO_FD int qemu = open_pair(&qmp);
    struct nx_qmp_message message = { 0 };
    say(qemu, "{\"error\": {\"desc\": 5}, \"id\": -1}\n{\"event\": \"X\", \"data\": []}\n");
    expect(qmp, &message, NX_QMP_ERROR);
    ck_assert_str_eq(message.name, "QEMU does not say why");
    expect(qmp, &message, NX_QMP_EVENT);
    ck_assert_ptr_null(json_object_get(message.data, "nospace"));
    nx_qmp_message_release(&message);
}
END_TEST

/* Lines without end and nesting without end are refused, with bounded memory. */
START_TEST(endless)
{
    static const char *const fills[] = { "{\"event\": \"", "[", " " };
    for (size_t k = 0; k < sizeof fills / sizeof *fills; k++) {
        NX_AUTO_QMP struct nx_qmp *qmp = NULL;
        NX_AUTO_FD int qemu = open_pair(&qmp);
        struct nx_qmp_message message = { 0 };
        struct nx_error err = NX_ERROR_INIT;
        char block[4096];
        memset(block, fills[k][0], sizeof block);
        int ret = 0;
        size_t sent = 0;
        for (; ret == 0 && sent < 2 * NX_QMP_LINE_MAX; sent += sizeof block) {
            ck_assert_int_eq(write(qemu, block, sizeof block), sizeof block);
            ret = nx_qmp_receive(qmp, &message, &err);
        }
        ck_assert_int_eq(ret, -1);
        ck_assert_uint_le(sent, NX_QMP_LINE_MAX + 65536);
        ck_assert_ptr_nonnull(strstr(err.msg, "QMP"));
    }
}
END_TEST

NX_TEST_MAIN("qmp", conversation, hostile, strange_but_harmless, endless)
