/* SPDX-License-Identifier: MIT */
/* The control socket: what may be asked, what is refused, and clients that do not behave. */
#include "fetch/control.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fetch/peers.h"
#include "tests/support/main.h"

static char dir[64];
static struct nx_control *control;

static void start(void)
{
    struct nx_error err = NX_ERROR_INIT;
    strcpy(dir, "/tmp/nxpk-control-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    setenv("XDG_RUNTIME_DIR", dir, 1);
    nx_assert_ok(nx_control_new(&control, &err), err);
}

/* Nothing is left of it, not even the folder. */
static void stop(void)
{
    char path[128];
    nx_control_free(control);
    control = NULL;
    snprintf(path, sizeof path, "%s/nxpk", dir);
    ck_assert(access(path, F_OK) < 0);
    ck_assert_int_eq(rmdir(dir), 0);
}

/* ---- lines ---- */

static const struct line {
    const char *text;
    const char *message; /* NULL: it is taken */
    enum nx_control_what what;
    unsigned cells;
} lines[] = {
    { "{\"ask\":\"status\"}", NULL, NX_ASK_STATUS, 0 },
    { "{\"ask\":\"status\",\"cells\":80}", NULL, NX_ASK_STATUS, 80 },
    { "{\"ask\":\"screenshot\",\"file\":\"/a.png\"}", NULL, NX_ASK_SCREENSHOT, 0 },
    { "{\"ask\":\"power\",\"how\":\"off\"}", NULL, NX_ASK_POWER_OFF, 0 },
    { "{\"ask\":\"power\",\"how\":\"reset\"}", NULL, NX_ASK_RESET, 0 },
    { "{\"ask\":\"power\",\"how\":\"stop\"}", NULL, NX_ASK_STOP, 0 },
    { "", "that is no JSON", 0, 0 },
    { "status", "that is no JSON", 0, 0 },
    { "{\"ask\":\"status\"} x", "that is no JSON", 0, 0 },
    { "{\"ask\":\"status\",\"ask\":\"power\"}", "that is no JSON", 0, 0 },
    { "[]", "asks for nothing", 0, 0 },
    { "{}", "asks for nothing", 0, 0 },
    { "{\"ask\":7}", "asks for nothing", 0, 0 },
    { "{\"ask\":\"secrets\"}", "ask: status, screenshot or power", 0, 0 },
    { "{\"ask\":\"status\",\"cells\":0}", "cells: a number", 0, 0 },
    { "{\"ask\":\"status\",\"cells\":-1}", "cells: a number", 0, 0 },
    { "{\"ask\":\"status\",\"cells\":4097}", "cells: a number", 0, 0 },
    { "{\"ask\":\"status\",\"cells\":\"80\"}", "cells: a number", 0, 0 },
    { "{\"ask\":\"screenshot\"}", "file: an absolute path", 0, 0 },
    { "{\"ask\":\"screenshot\",\"file\":\"a.png\"}", "file: an absolute path", 0, 0 },
    { "{\"ask\":\"screenshot\",\"file\":\"\"}", "file: an absolute path", 0, 0 },
    { "{\"ask\":\"screenshot\",\"file\":\"/a\\u0000b\"}", "that is no JSON", 0, 0 },
    { "{\"ask\":\"power\"}", "how: off, reset or stop", 0, 0 },
    { "{\"ask\":\"power\",\"how\":\"up\"}", "how: off, reset or stop", 0, 0 },
    { "{\"ask\":\"power\",\"how\":\"of\"}", "how: off, reset or stop", 0, 0 },
};

static void check_line(const struct line *line)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_control_request request;
    int ret = nx_control_parse(line->text, strlen(line->text), &request, &err);
    if (line->message) {
        nx_assert_fails(ret, err, line->message);
        ck_assert_int_eq(err.code, NX_ERR_USAGE);
        return;
    }
    nx_assert_ok(ret, err);
    ck_assert_int_eq(request.what, line->what);
    ck_assert_uint_eq(request.cells, line->cells);
}

START_TEST(test_lines)
{
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        check_line(&lines[i]);
}
END_TEST

START_TEST(test_hostile_lines)
{
    static char text[NX_CONTROL_LINE_MAX];
    struct nx_error err = NX_ERROR_INIT;
    struct nx_control_request request;
    memset(text, '[', sizeof text); /* as deep as a line can be */
    nx_assert_fails(nx_control_parse(text, sizeof text, &request, &err), err, "that is no JSON");
    err = (struct nx_error)NX_ERROR_INIT;
    int n = snprintf(text, sizeof text, "{\"ask\":\"screenshot\",\"file\":\"/");
    memset(text + n, 'a', sizeof text - (size_t)n);
    memcpy(text + sizeof text - 2, "\"}", 2);
    nx_assert_fails(nx_control_parse(text, sizeof text, &request, &err), err,
                    "file: an absolute path of less");
    err = (struct nx_error)NX_ERROR_INIT;
    nx_assert_fails(nx_control_parse("{\"ask\":\"\xff\"}", 11, &request, &err), err,
                    "that is no JSON");
}
END_TEST

/* ---- clients ---- */

static int connect_client(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/nxpk/%d.sock", dir, (int)getpid());
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* The launcher's loop, as long as something happens. */
static void attend(void)
{
    struct pollfd fds[NX_CONTROL_POLL_FDS];
    for (;;) {
        nx_control_poll_fds(control, fds);
        if (poll(fds, NX_CONTROL_POLL_FDS, 20) == 0)
            return;
        nx_control_handle(control, fds);
    }
}

/* What has come, up to the end of the connection if that is there. */
static const char *heard(int fd)
{
    static char text[65536 + 8];
    size_t len = 0;
    ssize_t n = -1;
    while (len < 65535 && (n = recv(fd, text + len, 65535 - len, MSG_DONTWAIT)) > 0)
        len += (size_t)n;
    text[len] = 0;
    if (len < 65535 && n == 0)
        strcat(text, "<end>");
    return text;
}

START_TEST(test_conversation)
{
    struct nx_control_request request;
    struct nx_error err = NX_ERROR_INIT;
    start();
    int fd = connect_client();
    say(fd, "{\"ask\":\"power\",");
    attend();
    ck_assert(!nx_control_take(control, &request));
    say(fd, "\"how\":\"off\"}\n");
    attend();
    ck_assert(nx_control_take(control, &request));
    ck_assert_int_eq(request.what, NX_ASK_POWER_OFF);
    ck_assert(!nx_control_take(control, &request));
    nx_control_answer_result(control, request.id, 0, &err);
    ck_assert_str_eq(heard(fd), "{\"ok\":true}\n<end>");
    close(fd);
    stop();
}
END_TEST

START_TEST(test_refused)
{
    struct nx_control_request request;
    struct nx_error err = NX_ERROR_INIT;
    start();
    int fd = connect_client();
    say(fd, "nonsense\n");
    attend();
    ck_assert(!nx_control_take(control, &request));
    ck_assert_ptr_nonnull(strstr(heard(fd), "{\"error\":\"that is no JSON"));
    close(fd);
    fd = connect_client();
    say(fd, "{\"ask\":\"power\",\"how\":\"reset\"}\n");
    attend();
    ck_assert(nx_control_take(control, &request));
    nx_fail(&err, NX_ERR_SYSTEM, "it \"does\" not run");
    nx_control_answer_result(control, request.id, -1, &err);
    ck_assert_str_eq(heard(fd), "{\"error\":\"it \\\"does\\\" not run\"}\n<end>");
    close(fd);
    fd = connect_client();
    say(fd, "{\"ask\":\"power\",\"how\":\"reset\"}\n");
    attend();
    ck_assert(nx_control_take(control, &request));
    strcpy(err.msg, "a name that is cut \xc3"); /* in the middle of a character */
    nx_control_answer_result(control, request.id, -1, &err);
    ck_assert_str_eq(heard(fd), "{\"error\":\"a name that is cut ?\"}\n<end>");
    close(fd);
    stop();
}
END_TEST

START_TEST(test_endless_line)
{
    struct nx_control_request request;
    static char text[NX_CONTROL_LINE_MAX + 2000];
    start();
    int fd = connect_client();
    memset(text, 'x', sizeof text - 1);
    say(fd, text);
    attend();
    ck_assert(!nx_control_take(control, &request));
    ck_assert_ptr_nonnull(strstr(heard(fd), "a line of more than 8192 bytes"));
    close(fd);
    stop();
}
END_TEST

/* Those that say nothing, or go away, take nobody's place, and what is answered to them is lost. */
START_TEST(test_crowd)
{
    struct nx_control_request request;
    struct nx_error err = NX_ERROR_INIT;
    int silent[3 * NX_CONTROL_CLIENTS];
    start();
    for (size_t i = 0; i < sizeof silent / sizeof *silent; i++) {
        silent[i] = connect_client();
        attend();
    }
    ck_assert_str_eq(heard(silent[0]), "<end>");
    int fd = connect_client();
    say(fd, "{\"ask\":\"status\",\"cells\":9}\n");
    attend();
    ck_assert(nx_control_take(control, &request));
    nx_control_answer(control, request.id + 1000, json_object());
    nx_control_answer(control, request.id, json_pack("{s:i}", "a", 1));
    ck_assert_str_eq(heard(fd), "{\"a\":1}\n<end>");
    close(fd);
    fd = connect_client();
    say(fd, "{\"ask\":\"status\"}\n");
    attend();
    ck_assert(nx_control_take(control, &request));
    close(fd);
    attend();
    nx_control_answer_result(control, request.id, 0, &err);
    for (size_t i = 0; i < sizeof silent / sizeof *silent; i++)
        close(silent[i]);
    stop();
}
END_TEST

/* An answer that the socket does not take at once comes in pieces. */
START_TEST(test_long_answer)
{
    struct nx_control_request request;
    size_t total = 0;
    start();
    int fd = connect_client();
    say(fd, "{\"ask\":\"status\"}\n");
    attend();
    ck_assert(nx_control_take(control, &request));
    char *text = malloc(2000001);
    memset(text, 'a', 2000000);
    text[2000000] = 0;
    nx_control_answer(control, request.id, json_pack("{s:s}", "text", text));
    free(text);
    for (int i = 0; i < 10000; i++) {
        const char *piece = heard(fd);
        size_t len = strlen(piece);
        bool ends = len >= 5 && strcmp(piece + len - 5, "<end>") == 0;
        total += len - (ends ? 5 : 0);
        if (ends)
            break;
        attend();
    }
    ck_assert_uint_eq(total, strlen("{\"text\":\"\"}\n") + 2000000);
    close(fd);
    stop();
}
END_TEST

/* What a killed nxfetch has left goes; what lives stays. */
START_TEST(test_stale)
{
    char path[128];
    struct nx_error err = NX_ERROR_INIT;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct nx_control *other = NULL;
    start();
    snprintf(address.sun_path, sizeof address.sun_path, "%s/nxpk/999999999.sock", dir);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd);
    snprintf(path, sizeof path, "%s/nxpk/notes.sock", dir);
    fclose(fopen(path, "w"));
    /* Our own name is taken, which happens to nobody else; but the sweep comes first. */
    nx_assert_fails(nx_control_new(&other, &err), err, "Address already in use");
    ck_assert(access(address.sun_path, F_OK) < 0);
    ck_assert_int_eq(access(path, F_OK), 0);
    unlink(path);
    close(connect_client());
    stop();
}
END_TEST

/* A folder that others may look into is none of ours. */
START_TEST(test_open_folder)
{
    char path[128];
    struct nx_error err = NX_ERROR_INIT;
    struct nx_peers peers;
    strcpy(dir, "/tmp/nxpk-control-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    setenv("XDG_RUNTIME_DIR", dir, 1);
    nx_assert_ok(nx_peers_list(&peers, &err), err); /* there is none yet */
    ck_assert_uint_eq(peers.count, 0);
    snprintf(path, sizeof path, "%s/nxpk", dir);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert_int_eq(chmod(path, 0755), 0);
    nx_assert_fails(nx_peers_list(&peers, &err), err, "not a private folder of this user");
    err = (struct nx_error)NX_ERROR_INIT;
    nx_assert_fails(nx_control_new(&control, &err), err, "not a private folder of this user");
    rmdir(path);
    rmdir(dir);
}
END_TEST

/* ---- choosing ---- */

START_TEST(test_choose)
{
    static const struct {
        const char *machine;
        pid_t pid; /* 0: refused with … */
        const char *message;
    } cases[] = {
        { "debian", 10, NULL },
        { "20", 20, NULL },
        { "10", 10, NULL }, /* and not the machine that is called so */
        { "http://h/tiny.nxpk", 20, NULL },
        { "./tiny.nxpk", 30, NULL },
        { "none", 0,
          "no running machine is called none; there are: 10 (debian), 20 (tiny), 30 (tiny), 40 "
          "(10)" },
        { "tiny", 0, "which machine?  Name its pid: 20 (tiny), 30 (tiny)" },
        { NULL, 0, "which machine?  Name its pid: 10 (debian), 20 (tiny), 30 (tiny), 40 (10)" },
    };
    struct nx_peer items[] = {
        { .pid = 10,
          .status = json_pack("{s:s, s:s}", "name", "debian", "url", "http://h/debian.nxpk") },
        { .pid = 20,
          .status = json_pack("{s:s, s:s}", "name", "tiny", "url", "http://h/tiny.nxpk") },
        { .pid = 30, .status = json_pack("{s:s, s:s}", "name", "tiny", "location", "./tiny.nxpk") },
        { .pid = 40, .status = json_pack("{s:s, s:s}", "name", "10", "url", "http://h/10.nxpk") },
    };
    const struct nx_peers peers = { items, 4 }, one = { items, 1 }, none = { 0 };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct nx_peer *peer = NULL;
        struct nx_error err = NX_ERROR_INIT;
        int ret = nx_peers_choose(&peers, cases[i].machine, &peer, &err);
        if (cases[i].pid) {
            nx_assert_ok(ret, err);
            ck_assert_int_eq(peer->pid, cases[i].pid);
        } else {
            nx_assert_fails(ret, err, cases[i].message);
        }
    }
    const struct nx_peer *peer;
    struct nx_error err = NX_ERROR_INIT;
    nx_assert_ok(nx_peers_choose(&one, NULL, &peer, &err), err);
    nx_assert_fails(nx_peers_choose(&none, "x", &peer, &err), err,
                    "no machine of this user is running here");
    for (size_t i = 0; i < 4; i++)
        json_decref(items[i].status);
}
END_TEST

NX_TEST_MAIN("control", test_lines, test_hostile_lines, test_conversation, test_refused,
             test_endless_line, test_crowd, test_long_answer, test_stale, test_open_folder,
             test_choose)
