/* SPDX-License-Identifier: MIT */
/* The wall clock jumps, as when somebody sets it or a host wakes up: no wait becomes longer or shorter by that. */
#include "common/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fetch/transport.h"
#include "tests/support/main.h"
#include "tests/support/origin.h"

static uint8_t data[1 << 20];
static struct nx_report report;
static struct origin *origin;
static atomic_long jump; /* s that the wall clock is off */

/* In place of libc's, for everything in this program. */
int clock_gettime(clockid_t id, struct timespec *ret_time)
{
    int ret = (int)syscall(SYS_clock_gettime, id, ret_time);
    if (ret == 0 && id == CLOCK_REALTIME)
        ret_time->tv_sec += atomic_load(&jump);
    return ret;
}

static void *fetch(void *opaque)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_transfer transfer = { .length = sizeof data, .priority = NX_PRIORITY_DEMAND };
    nx_assert_ok(nx_transport_fetch(opaque, &transfer, &err), err);
    nx_http_request_release(&transfer.http);
    return NULL;
}

static uint64_t waiting(void)
{
    pthread_mutex_lock(&report.lock);
    uint64_t n = report.stats.waiting;
    pthread_mutex_unlock(&report.lock);
    return n;
}

/* The user is told of a wait for the network when it is due: not at once, and not in an hour. */
START_TEST(told_when_due)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_TRANSPORT struct nx_transport *transport = NULL;
    char *url;
    nx_report_init(&report, -1);
    origin = origin_start(data, sizeof data);
    url = (char *)origin_url(origin);
    origin_misbehave(origin, ORIGIN_PAUSE, 1);
    const struct nx_http_options options = { 0 };
    nx_assert_ok(nx_transport_new(&url, 1, &options, 4, &report, &transport, &err), err);
    atomic_store(&jump, _i ? 3600 : -3600);
    pthread_t thread;
    int64_t start = nx_now_ms();
    ck_assert_int_eq(pthread_create(&thread, NULL, fetch, transport), 0);
    while (waiting() == 0 && nx_now_ms() - start < NX_REPORT_WAIT_MS + 30000)
        usleep(20000);
    ck_assert_int_ge(nx_now_ms() - start, NX_REPORT_WAIT_MS);
    ck_assert_uint_eq(waiting(), 1);
    origin_go_on(origin);
    pthread_join(thread, NULL);
    ck_assert_uint_eq(waiting(), 0);
    nx_transport_free(NX_STEAL(transport));
    origin_stop(origin);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("clock");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, told_when_due, 0, 2);
    return nx_test_run("clock", tcase);
}
