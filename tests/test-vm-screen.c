/* SPDX-License-Identifier: MIT */
/* What QEMU is told about its VNC, in which order, and what is made of its answers, which a guest that has taken it over
 * may have thought of.
 */
#include "fetch/vm_screen.h"

#include <sys/socket.h>

#include "tests/support/main.h"

#define SENT_MAX 1024

/* Ask for what screen wants, as the first of this QMP; what was sent into sent. */
static void ask(struct nx_vm_screen *screen, char sent[static SENT_MAX])
{
    int fds[2];
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_QMP struct nx_qmp *qmp = NULL;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    NX_AUTO_FD int qemu = fds[1];
    nx_assert_ok(nx_qmp_new(fds[0], &qmp, &err), err);
    nx_assert_ok(nx_vm_screen_ask(screen, qmp, &err), err);
    ssize_t n = recv(qemu, sent, SENT_MAX - 1, MSG_DONTWAIT);
    sent[n > 0 ? n : 0] = 0;
}

/* Take an answer to command id; json is the value of "return". */
static int take(struct nx_vm_screen *screen, uint64_t id, const char *json, struct nx_error *err)
{
    struct nx_qmp_message message = { .kind = NX_QMP_RETURN, .id = id };
    message.whole = message.data = json_loads(json, JSON_DECODE_ANY, NULL);
    ck_assert(message.data && nx_vm_screen_asked(screen, &message));
    int ret = nx_vm_screen_take(screen, &message, err);
    nx_qmp_message_release(&message);
    return ret;
}

#define SERVERS                                                               \
    "[{\"id\": \"default\", \"server\": ["                                    \
    "{\"host\": \"127.0.0.1\", \"service\": \"5900\", \"websocket\": false}," \
    "{\"host\": \"127.0.0.1\", \"service\": \"40023\", \"websocket\": true}]}]"

START_TEST(nothing_wanted)
{
    struct nx_vm_screen screen = { 0 };
    char sent[SENT_MAX];
    const struct nx_qmp_message other = { .kind = NX_QMP_RETURN, .id = 0 };
    ask(&screen, sent);
    ck_assert_str_eq(sent, "");
    ck_assert(screen.up && !nx_vm_screen_asked(&screen, &other));
}
END_TEST

/* Closed before the password opens it. */
START_TEST(browser_only)
{
    struct nx_vm_screen screen = { .password = "abcdefgh", .websocket = true, .hidden = true };
    struct nx_error err = NX_ERROR_INIT;
    char sent[SENT_MAX];
    ask(&screen, sent);
    ck_assert_str_eq(sent, "{\"execute\":\"display-update\",\"id\":1,\"arguments\":"
                           "{\"type\":\"vnc\",\"addresses\":[]}}\n"
                           "{\"execute\":\"set_password\",\"id\":2,\"arguments\":"
                           "{\"protocol\":\"vnc\",\"password\":\"abcdefgh\"}}\n"
                           "{\"execute\":\"query-vnc-servers\",\"id\":3}\n");
    nx_assert_ok(take(&screen, 1, "{}", &err), err);
    nx_assert_ok(take(&screen, 2, "{}", &err), err);
    ck_assert(!screen.up);
    nx_assert_ok(take(&screen, 3, SERVERS, &err), err);
    ck_assert(screen.up);
    ck_assert_uint_eq(screen.port, 40023);
}
END_TEST

START_TEST(vnc_only)
{
    struct nx_vm_screen screen = { .password = "abcdefgh" };
    struct nx_error err = NX_ERROR_INIT;
    char sent[SENT_MAX];
    ask(&screen, sent);
    ck_assert(strstr(sent, "set_password") && !strstr(sent, "display-update") && !screen.up);
    nx_assert_ok(take(&screen, 1, "{}", &err), err);
    ck_assert(screen.up);
}
END_TEST

START_TEST(refused)
{
    struct nx_vm_screen screen = { .password = "abcdefgh", .websocket = true };
    struct nx_error err = NX_ERROR_INIT;
    char sent[SENT_MAX];
    const struct nx_qmp_message no = { .kind = NX_QMP_ERROR, .id = 1, .name = "no DES here" };
    const struct nx_qmp_message other = { .kind = NX_QMP_ERROR, .id = 3, .name = "something" };
    ask(&screen, sent);
    ck_assert(nx_vm_screen_asked(&screen, &no) && !nx_vm_screen_asked(&screen, &other));
    nx_assert_fails(nx_vm_screen_take(&screen, &no, &err), err,
                    "does not show the machine's screen by VNC: no DES here");
    ck_assert(!screen.up);
}
END_TEST

START_TEST(strange_servers)
{
    static const char *const answers[] = {
        "{}",
        "[]",
        "7",
        "[7]",
        "[{\"server\": 7}]",
        "[{\"server\": [7]}]",
        "[{\"server\": [{\"websocket\": true}]}]",
        "[{\"server\": [{\"websocket\": true, \"service\": 5700}]}]",
        "[{\"server\": [{\"websocket\": true, \"service\": \"\"}]}]",
        "[{\"server\": [{\"websocket\": true, \"service\": \"0\"}]}]",
        "[{\"server\": [{\"websocket\": true, \"service\": \"-1\"}]}]",
        "[{\"server\": [{\"websocket\": true, \"service\": \"65536\"}]}]",
        "[{\"server\": [{\"websocket\": true, \"service\": \"99999999999999999999999\"}]}]",
        "[{\"server\": [{\"websocket\": 1, \"service\": \"5700\"}]}]",
        "[{\"server\": [{\"websocket\": false, \"service\": \"5700\"}]}]",
    };
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct nx_vm_screen screen = { .websocket = true };
        struct nx_error err = NX_ERROR_INIT;
        char sent[SENT_MAX];
        ask(&screen, sent);
        nx_assert_fails(take(&screen, 1, answers[i], &err), err, "it has no WebSocket");
        ck_assert_msg(!screen.up && !screen.port, "%s", answers[i]);
    }
}
END_TEST

NX_TEST_MAIN("vm-screen", nothing_wanted, browser_only, vnc_only, refused, strange_servers)
