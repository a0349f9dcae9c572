/* SPDX-License-Identifier: MIT */
/* Flights against a web server that misbehaves: what comes of a range before the rest does. */
#include "fetch/flight.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/support/main.h"
#include "tests/support/origin.h"

#define CHUNK     20000
#define CHUNKS    200
#define TOTAL     ((uint64_t)CHUNK * CHUNKS)
#define HALF      (CHUNKS / 2)
#define ONE_RANGE (16u << 20)
#define SOON_MS   30000 /* for what must not wait for the origin: it would take for ever */

static uint8_t data[TOTAL];
static struct nx_blob blobs[CHUNKS];
static struct origin *origin;
static struct nx_report report;
static struct nx_transport *transport;
static struct nx_flights *flights;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t landing = PTHREAD_COND_INITIALIZER;
static unsigned times[CHUNKS]; /* under lock: how often each has landed */
static unsigned n_landed;      /* under lock: how many have */

static void landed(const struct nx_blob *blob, struct nx_bytes *bytes, bool fresh, void *opaque)
{
    size_t i = blob->offset / CHUNK;
    ck_assert_uint_eq(bytes->len, CHUNK);
    ck_assert_mem_eq(bytes->data, data + blob->offset, CHUNK);
    if (!fresh)
        return;
    pthread_mutex_lock(&lock);
    n_landed += times[i]++ == 0;
    pthread_cond_broadcast(&landing);
    pthread_mutex_unlock(&lock);
}

static bool wait_landed(unsigned n)
{
    int64_t due = nx_now_ms() + SOON_MS;
    pthread_mutex_lock(&lock);
    int rc = 0;
    while (n_landed < n && rc == 0)
        rc = nx_wait_until(&landing, &lock, due);
    bool all = n_landed >= n;
    pthread_mutex_unlock(&lock);
    return all;
}

/* Until the origin has seen so many requests: the next one is another one's. */
static void wait_asked(unsigned n)
{
    int64_t limit = nx_now_ms() + SOON_MS;
    while (origin_requests(origin) < n && nx_now_ms() < limit)
        sched_yield();
    ck_assert_uint_eq(origin_requests(origin), n);
}

/* The time of day, which somebody sets back: what was to end now ends in so many seconds. */
static time_t ahead;

int clock_gettime(clockid_t clock, struct timespec *ret)
{
    int r = (int)syscall(SYS_clock_gettime, clock, ret);
    if (clock == CLOCK_REALTIME)
        ret->tv_sec += ahead;
    return r;
}

static void setup(void)
{
    for (size_t i = 0; i < TOTAL; i++)
        data[i] = (uint8_t)(i * 7 + (i >> 8) + (i >> 16));
    for (unsigned i = 0; i < CHUNKS; i++) {
        blobs[i] = (struct nx_blob){ .offset = (uint64_t)i * CHUNK, .size = CHUNK };
        nx_digest_of(data + blobs[i].offset, CHUNK, &blobs[i].digest);
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    nx_report_init(&report, -1);
    origin = origin_start(data, TOTAL);
}

/* What the cache's disk is. */
static atomic_bool busy;
static atomic_uint asked_busy;

static bool is_busy(void *opaque)
{
    asked_busy++;
    return busy;
}

/* Flights over a transport that gives a stalled range up after stall seconds. */
static void take_off(unsigned stall, unsigned tries)
{
    busy = false;
    static struct nx_http_options options;
    struct nx_error err = NX_ERROR_INIT;
    char *url = (char *)origin_url(origin);
    options = (struct nx_http_options){ .stall_timeout = stall, .connect_timeout = 2 };
    nx_assert_ok(nx_transport_new(&url, 1, &options, tries, &report, &transport, &err), err);
    nx_assert_ok(nx_flights_new(transport, &report, landed, is_busy, NULL, &flights, &err), err);
}

static void stop(void)
{
    nx_transport_stop(transport);
    nx_flights_stop(flights);
}

static void teardown(void)
{
    stop();
    nx_flights_free(flights);
    nx_transport_free(transport);
    origin_stop(origin);
    nx_report_release(&report);
}

static void begin_all(enum nx_priority priority)
{
    nx_flights_begin(flights, blobs, CHUNKS, priority, ONE_RANGE);
}

static int get(unsigned i, struct nx_error *err)
{
    struct nx_bytes *bytes = NULL;
    int r = nx_flights_wait(flights, &blobs[i], &bytes, err);
    if (bytes)
        ck_assert_mem_eq(bytes->data, data + blobs[i].offset, CHUNK);
    nx_bytes_unref(bytes);
    return r;
}

/* All have landed, and each only once. */
static void check_all(void)
{
    struct nx_error err = NX_ERROR_INIT;
    nx_assert_ok(nx_flights_wait_below(flights, 1, &err), err);
    for (unsigned i = 0; i < CHUNKS; i++)
        ck_assert_msg(times[i] == 1, "chunk %u has landed %u times", i, times[i]);
}

/* ---- what has come is there, while the rest has not ------------------------ */

START_TEST(test_delivery)
{
    take_off(60, 1);
    origin_misbehave(origin, ORIGIN_PAUSE, 1);
    begin_all(NX_PRIORITY_BOOT);
    ck_assert(wait_landed(HALF));
    ck_assert_uint_eq(n_landed, HALF);
    ck_assert_uint_eq(times[HALF], 0);
    origin_go_on(origin);
    check_all();
    ck_assert_uint_eq(origin_requests(origin), 1);
    ck_assert_uint_eq(report.stats.bytes, TOTAL);
}
END_TEST

/* While the cache's disk is behind a range waits at the server, but who waits for a part of it does not. */
START_TEST(test_held)
{
    struct nx_error err = NX_ERROR_INIT;
    take_off(60, 1);
    busy = true;
    begin_all(NX_PRIORITY_BOOT);
    for (unsigned since = asked_busy; asked_busy < since + 10;)
        sched_yield();
    pthread_mutex_lock(&lock);
    ck_assert_uint_lt(n_landed, CHUNKS);
    pthread_mutex_unlock(&lock);
    nx_assert_ok(get(CHUNKS - 1, &err), err);
    busy = false;
    check_all();
}
END_TEST

/* Each time half of what is left, then the connection ends: the next try goes on there.  Two tries are enough, for
 * each brings something.
 */
START_TEST(test_cut)
{
    take_off(60, 2);
    origin_misbehave(origin, ORIGIN_SHORT_BODY, 3);
    begin_all(NX_PRIORITY_BOOT);
    check_all();
    ck_assert_uint_eq(origin_requests(origin), 4);
    ck_assert_uint_le(origin_bytes(origin), TOTAL + 3 * CHUNK);
    ck_assert_uint_eq(report.stats.retries, 3);
}
END_TEST

/* Silence in the middle: as soon as that is too long, the rest is asked for again. */
START_TEST(test_stall)
{
    take_off(1, 2);
    origin_misbehave(origin, ORIGIN_PAUSE, 2);
    begin_all(NX_PRIORITY_BACKGROUND);
    check_all();
    ck_assert_uint_eq(origin_requests(origin), 3);
    ck_assert_uint_le(report.stats.bytes, TOTAL + 2 * CHUNK);
}
END_TEST

/* One byte in the middle is wrong: only its chunk comes again. */
START_TEST(test_wrong_bytes)
{
    take_off(60, 1);
    origin_misbehave(origin, ORIGIN_WRONG_BYTES, 1);
    begin_all(NX_PRIORITY_BOOT);
    check_all();
    ck_assert_uint_eq(origin_requests(origin), 2);
    ck_assert_uint_eq(origin_bytes(origin), TOTAL + CHUNK);
}
END_TEST

/* What does not come any more fails, what has come stays. */
START_TEST(test_gives_up)
{
    struct nx_error err = NX_ERROR_INIT;
    take_off(60, 1);
    origin_misbehave(origin, ORIGIN_SHORT_BODY, UINT_MAX);
    begin_all(NX_PRIORITY_BACKGROUND);
    nx_assert_fails(nx_flights_wait_below(flights, 1, &err), err, origin_url(origin));
    ck_assert_int_eq(err.code, NX_ERR_NETWORK);
    ck_assert_uint_ge(n_landed, HALF - 1);
    ck_assert_uint_lt(n_landed, CHUNKS);
    origin_misbehave(origin, ORIGIN_GOOD, 0);
    nx_assert_ok(get(CHUNKS - 1, &err), err);
}
END_TEST

/* ---- somebody waits for what is in the range ------------------------------- */

/* What comes next anyhow is not asked for again. */
START_TEST(test_near)
{
    take_off(60, 1);
    origin_misbehave(origin, ORIGIN_PAUSE, 1);
    begin_all(NX_PRIORITY_BOOT);
    ck_assert(wait_landed(HALF));
    nx_flights_begin(flights, &blobs[HALF], 2, NX_PRIORITY_DEMAND, ONE_RANGE);
    origin_go_on(origin);
    check_all();
    ck_assert_uint_eq(origin_requests(origin), 1);
}
END_TEST

/* Far behind in a long range: what somebody waits for comes by itself, neighbours in one request. */
START_TEST(test_far)
{
    struct nx_error err = NX_ERROR_INIT;
    take_off(60, 1);
    origin_misbehave(origin, ORIGIN_PAUSE, 1);
    begin_all(NX_PRIORITY_BOOT);
    ck_assert(wait_landed(HALF));
    /* The network is so quick here that only the silence makes them far. */
    int64_t start = nx_now_ms();
    nx_assert_ok(get(CHUNKS - 20, &err), err);
    ck_assert_int_lt(nx_now_ms() - start, SOON_MS);
    ck_assert_uint_eq(origin_requests(origin), 2);
    nx_flights_begin(flights, &blobs[CHUNKS - 10], 10, NX_PRIORITY_DEMAND, ONE_RANGE);
    ck_assert(wait_landed(HALF + 11));
    ck_assert_uint_eq(origin_requests(origin), 3);
    origin_go_on(origin);
    check_all();
    ck_assert_uint_eq(origin_requests(origin), 3);
    ck_assert_uint_eq(origin_bytes(origin), TOTAL + 11 * CHUNK);
}
END_TEST

/* No byte has come: then the distance alone decides, at once. */
START_TEST(test_far_of_nothing)
{
    struct nx_error err = NX_ERROR_INIT;
    take_off(60, 1);
    origin_misbehave(origin, ORIGIN_STALL, 1);
    begin_all(NX_PRIORITY_BOOT);
    wait_asked(1);
    int64_t start = nx_now_ms();
    nx_assert_ok(get(CHUNKS - 1, &err), err);
    ck_assert_int_lt(nx_now_ms() - start, SOON_MS);
    ck_assert_uint_eq(origin_requests(origin), 2);
    ck_assert_uint_eq(n_landed, 1);
}
END_TEST

/* The very next one, but the range has stalled while somebody waits; and the clock jumps meanwhile. */
START_TEST(test_near_of_stalled)
{
    struct nx_error err = NX_ERROR_INIT;
    ahead = _i == 0 ? 0 : 3600;
    take_off(60, 1);
    origin_misbehave(origin, ORIGIN_PAUSE, 1);
    begin_all(NX_PRIORITY_BOOT);
    ck_assert(wait_landed(HALF));
    int64_t start = nx_now_ms();
    nx_assert_ok(get(HALF, &err), err);
    ck_assert_int_lt(nx_now_ms() - start, SOON_MS);
    ck_assert_uint_eq(origin_requests(origin), 2);
    origin_go_on(origin);
    check_all();
}
END_TEST

/* Nothing else comes with it, and the server is silent: it is asked again before the time for a stall is up. */
START_TEST(test_alone)
{
    struct nx_error err = NX_ERROR_INIT;
    take_off(60, 2);
    origin_misbehave(origin, ORIGIN_STALL, 1);
    int64_t start = nx_now_ms();
    nx_assert_ok(get(0, &err), err);
    ck_assert_int_lt(nx_now_ms() - start, SOON_MS);
    ck_assert_uint_eq(origin_requests(origin), 2);
}
END_TEST

/* ---- ends ------------------------------------------------------------------ */

static void *wait_for_last(void *opaque)
{
    struct nx_error *err = opaque;
    ck_assert_int_lt(get(CHUNKS - 1, err), 0);
    return NULL;
}

START_TEST(test_stop)
{
    struct nx_error err = NX_ERROR_INIT;
    take_off(60, 1);
    nx_transport_set_patient(transport);
    origin_misbehave(origin, ORIGIN_PAUSE, UINT_MAX);
    begin_all(NX_PRIORITY_DEMAND);
    ck_assert(wait_landed(HALF));
    pthread_t thread;
    pthread_create(&thread, NULL, wait_for_last, &err);
    stop();
    pthread_join(thread, NULL);
    ck_assert_int_eq(err.code, NX_ERR_CANCELLED);
}
END_TEST

/* ---- all of it at once ----------------------------------------------------- */

#define READERS 4

static void *read_some(void *opaque)
{
    unsigned seed = (unsigned)(size_t)opaque;
    for (int n = 0; n < 60; n++) {
        struct nx_error err = NX_ERROR_INIT;
        unsigned i = (unsigned)rand_r(&seed) % CHUNKS;
        if (n % 3 == 0)
            nx_flights_begin(flights, &blobs[i], CHUNKS - i < 8 ? CHUNKS - i : 8,
                             NX_PRIORITY_DEMAND, 1u << 20);
        nx_assert_ok(get(i, &err), err);
    }
    return NULL;
}

/* Readers everywhere, while ranges come, break and have wrong bytes. */
START_TEST(test_crowd)
{
    struct nx_error err = NX_ERROR_INIT;
    pthread_t threads[READERS];
    take_off(1, 4);
    nx_transport_set_patient(transport);
    if (_i == 0)
        origin_misbehave(origin, ORIGIN_SHORT_BODY, 20);
    else
        origin_misbehave(origin, ORIGIN_WRONG_BYTES, 5);
    nx_flights_begin(flights, blobs, CHUNKS, NX_PRIORITY_BOOT, ONE_RANGE / 8);
    for (size_t i = 0; i < READERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, read_some, (void *)(i + 1)), 0);
    for (size_t i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    nx_assert_ok(nx_flights_wait_below(flights, 1, &err), err);
    ck_assert_uint_eq(n_landed, CHUNKS);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("flight");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, test_delivery);
    tcase_add_test(tcase, test_held);
    tcase_add_test(tcase, test_cut);
    tcase_add_test(tcase, test_stall);
    tcase_add_test(tcase, test_wrong_bytes);
    tcase_add_test(tcase, test_gives_up);
    tcase_add_test(tcase, test_near);
    tcase_add_test(tcase, test_far);
    tcase_add_test(tcase, test_far_of_nothing);
    tcase_add_loop_test(tcase, test_near_of_stalled, 0, 2);
    tcase_add_test(tcase, test_alone);
    tcase_add_test(tcase, test_stop);
    tcase_add_loop_test(tcase, test_crowd, 0, 2);
    return nx_test_run("flight", tcase);
}
