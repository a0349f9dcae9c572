/* SPDX-License-Identifier: MIT */
/* What the engine says to a launcher that is slow to listen. */
#include "fetch/report.h"

#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/main.h"

static int fds[2]; /* the engine's end, the launcher's */
static struct nx_report report;

static bool is_full(void)
{
    struct pollfd pfd = { .fd = fds[0], .events = POLLOUT };
    return poll(&pfd, 1, 0) == 0;
}

/* The launcher has something else to do. */
static void setup(void)
{
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    nx_report_init(&report, fds[0]);
    while (!is_full())
        nx_report_text(&report, NX_MSG_NOTICE, "of no interest");
    nx_report_add(&report, &report.stats.requests, 7);
}

static void teardown(void)
{
    nx_report_release(&report);
    close(fds[0]);
    close(fds[1]);
}

/* Reads all that there is; the last statistics among it, requests == 0 if there were none. */
static void *listen_late(void *opaque)
{
    struct nx_stats *stats = opaque;
    NX_AUTO_BUFFER struct nx_buffer payload = NX_BUFFER_INIT(NX_CHANNEL_MAX);
    struct nx_error err = NX_ERROR_INIT;
    int type;
    usleep(100000);
    while (nx_channel_receive(fds[1], NULL, &type, &payload, &err) == 0 && type != 0)
        if (type == NX_MSG_STATS)
            memcpy(stats, payload.data, sizeof(*stats));
    return NULL;
}

/* Those of each moment are not worth waiting for; the last are. */
START_TEST(test_stats)
{
    bool last = _i != 0;
    struct nx_stats stats = { .requests = 0 };
    pthread_t launcher;
    if (!last)
        nx_report_send_stats(&report);
    ck_assert_int_eq(pthread_create(&launcher, NULL, listen_late, &stats), 0);
    if (last)
        nx_report_send_last_stats(&report);
    shutdown(fds[0], SHUT_WR);
    pthread_join(launcher, NULL);
    ck_assert_uint_eq(stats.requests, last ? 7 : 0);
}
END_TEST

/* A launcher that has stopped listening for good holds the engine for a while only. */
START_TEST(test_nobody_listens)
{
    nx_report_send_last_stats(&report);
    ck_assert(is_full());
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("report");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, test_stats, 0, 2);
    tcase_add_test(tcase, test_nobody_listens);
    return nx_test_run("report", tcase);
}
