/* SPDX-License-Identifier: MIT */
/* The transport against a web server that misbehaves. */
#include "fetch/transport.h"

#include <limits.h>

#include "common/clock.h"
#include "tests/support/main.h"
#include "tests/support/origin.h"

#define FILE_SIZE 200000

static uint8_t data[FILE_SIZE];
static struct origin *origin;
static struct nx_report report;
static struct nx_http_options options = { .connect_timeout = 2 };

static void setup(void)
{
    for (size_t i = 0; i < FILE_SIZE; i++)
        data[i] = (uint8_t)(i * 7 + (i >> 8));
    curl_global_init(CURL_GLOBAL_DEFAULT);
    options.stall_timeout = 10; /* s: a busy machine's origin is no slow one */
    origin = origin_start(data, FILE_SIZE);
    nx_report_init(&report, -1);
}

static void teardown(void)
{
    origin_stop(origin);
}

/* A server that is slow is given up soon: before connect_to(). */
static void be_impatient_with(enum origin_mischief mischief)
{
    if (mischief == ORIGIN_STALL || mischief == ORIGIN_TRICKLE)
        options.stall_timeout = 1;
}

static struct nx_transport *connect_to(const char *first, const char *second, unsigned tries)
{
    struct nx_error err = NX_ERROR_INIT;
    char *urls[] = { (char *)first, (char *)second };
    struct nx_transport *transport;
    nx_assert_ok(nx_transport_new(urls, second ? 2 : 1, &options, tries, &report, &transport, &err),
                 err);
    return transport;
}

/* Fetch a range and check its bytes. */
static int fetch(struct nx_transport *transport, uint64_t offset, uint64_t length,
                 struct nx_error *err)
{
    struct nx_transfer transfer = { .offset = offset, .length = length };
    int r = nx_transport_fetch(transport, &transfer, err);
    if (r == 0) {
        ck_assert_uint_eq(transfer.http.body.len, length);
        ck_assert_mem_eq(transfer.http.body.data, data + offset, length);
        ck_assert_uint_eq(transfer.http.total, FILE_SIZE);
    }
    nx_http_request_release(&transfer.http);
    return r;
}

START_TEST(test_ranges)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_TRANSPORT struct nx_transport *transport = connect_to(origin_url(origin), NULL, 1);
    nx_assert_ok(fetch(transport, 0, 1, &err), err);
    nx_assert_ok(fetch(transport, 12345, 100000, &err), err);
    nx_assert_ok(fetch(transport, FILE_SIZE - 1, 1, &err), err);
    ck_assert_uint_eq(report.stats.requests, 3);
    ck_assert_uint_eq(report.stats.bytes, 100002);
    ck_assert(report.stats.first_byte >= 0);
}
END_TEST

static const struct trouble {
    enum origin_mischief mischief;
    enum nx_errcode code; /* SERVER: it is not asked again */
    const char *message;
} troubles[] = {
    { ORIGIN_IGNORES_RANGE, NX_ERR_SERVER, "the server ignores ranges" },
    { ORIGIN_WRONG_RANGE, NX_ERR_SERVER, "Content-Range is not what was asked for" },
    { ORIGIN_WRONG_TOTAL, NX_ERR_SERVER, "Content-Range is not what was asked for" },
    { ORIGIN_WRONG_LENGTH, NX_ERR_NETWORK, "got 2500 of 5000 bytes" },
    { ORIGIN_SHORT_BODY, NX_ERR_NETWORK, "closed with 2500 bytes remaining" },
    { ORIGIN_LONG_BODY, NX_ERR_SERVER, "the server sends more bytes than were asked for" },
    { ORIGIN_GZIP, NX_ERR_SERVER, "the server compresses (Content-Encoding: gzip)" },
    { ORIGIN_STALL, NX_ERR_NETWORK, "too slow" },
    { ORIGIN_TRICKLE, NX_ERR_NETWORK, "too slow" },
    { ORIGIN_RESET, NX_ERR_NETWORK, "" },
    { ORIGIN_GARBAGE, NX_ERR_SERVER, "HTTP/0.9" },
    { ORIGIN_ENDLESS_HEADERS, NX_ERR_SERVER, "headers do not end" },
    { ORIGIN_ENDLESS_INTERIM, NX_ERR_SERVER, "headers do not end" },
    { ORIGIN_403, NX_ERR_SERVER, "access denied (HTTP status 403)" },
    { ORIGIN_404, NX_ERR_SERVER, "not found (HTTP status 404)" },
    { ORIGIN_416, NX_ERR_SERVER, "no bytes at offset 100 (HTTP status 416)" },
    { ORIGIN_429, NX_ERR_NETWORK, "HTTP status 429" },
    { ORIGIN_503, NX_ERR_NETWORK, "HTTP status 503" },
    { ORIGIN_503_LATER, NX_ERR_NETWORK, "HTTP status 503" },
    { ORIGIN_MOVED_LOOP, NX_ERR_SERVER, "Maximum (5) redirects followed" },
    { ORIGIN_MOVED_FILE, NX_ERR_SERVER, "Protocol \"file\" not supported or disabled" },
    { ORIGIN_MOVED_LONG, NX_ERR_SERVER, "the server sends more bytes than were asked for" },
};

/* How often the origin is asked, if so many tries are allowed. */
static unsigned asked(const struct trouble *t, unsigned tries)
{
    return t->mischief == ORIGIN_MOVED_LOOP ? 6 : t->code == NX_ERR_NETWORK ? tries : 1;
}

START_TEST(test_lasting_trouble)
{
    const struct trouble *t = &troubles[_i];
    struct nx_error err = NX_ERROR_INIT;
    be_impatient_with(t->mischief);
    NX_AUTO_TRANSPORT struct nx_transport *transport = connect_to(origin_url(origin), NULL, 2);
    origin_misbehave(origin, t->mischief, UINT_MAX);
    int64_t start = nx_now_ms();
    nx_assert_fails(fetch(transport, 100, 5000, &err), err, t->message);
    ck_assert_int_eq(err.code, t->code);
    ck_assert_ptr_nonnull(strstr(err.msg, origin_url(origin)));
    ck_assert_uint_eq(origin_requests(origin), asked(t, 2));
    ck_assert_uint_le(report.stats.bytes, 2 * 5000);
    ck_assert_int_lt(nx_now_ms() - start, 30000);
}
END_TEST

/* The next try is right. */
START_TEST(test_passing_trouble)
{
    struct nx_error err = NX_ERROR_INIT;
    if (troubles[_i].code != NX_ERR_NETWORK)
        return;
    be_impatient_with(troubles[_i].mischief);
    NX_AUTO_TRANSPORT struct nx_transport *transport = connect_to(origin_url(origin), NULL, 4);
    origin_misbehave(origin, troubles[_i].mischief, 2);
    nx_assert_ok(fetch(transport, 100, 5000, &err), err);
    ck_assert_uint_eq(report.stats.retries, 2);
}
END_TEST

/* What a server says of when to come back is obeyed. */
START_TEST(test_retry_after)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_TRANSPORT struct nx_transport *transport = connect_to(origin_url(origin), NULL, 2);
    origin_misbehave(origin, ORIGIN_503_LATER, 1);
    int64_t start = nx_now_ms();
    nx_assert_ok(fetch(transport, 100, 5000, &err), err);
    ck_assert_int_ge(nx_now_ms() - start, 2000);
}
END_TEST

/* A line, or a server, that is slow for good is borne in the end. */
START_TEST(test_slow)
{
    struct nx_error err = NX_ERROR_INIT;
    be_impatient_with(ORIGIN_TRICKLE);
    NX_AUTO_TRANSPORT struct nx_transport *transport = connect_to(origin_url(origin), NULL, 1);
    nx_transport_set_patient(transport);
    origin_misbehave(origin, ORIGIN_TRICKLE, UINT_MAX);
    nx_assert_ok(fetch(transport, 100, 250, &err), err); /* of 100 bytes a second */
    ck_assert_uint_gt(origin_requests(origin), 2);
}
END_TEST

START_TEST(test_redirect)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_TRANSPORT struct nx_transport *transport = connect_to(origin_url(origin), NULL, 1);
    origin_misbehave(origin, ORIGIN_MOVED, UINT_MAX);
    nx_assert_ok(fetch(transport, 100, 5000, &err), err);
    ck_assert_uint_eq(origin_requests(origin), 2);
}
END_TEST

/* The user's password is for the host that he has given it to, and a redirect is no reason to show it around. */
START_TEST(test_password)
{
    struct nx_error err = NX_ERROR_INIT;
    struct origin *other = origin_start(data, FILE_SIZE);
    char url[128];
    snprintf(url, sizeof(url), "http://user:secret@%s", origin_url(origin) + strlen("http://"));
    struct nx_transport *transport = connect_to(url, NULL, 1);
    origin_move(origin, origin_url(other));
    origin_misbehave(origin, ORIGIN_MOVED_AWAY, 1);
    nx_assert_ok(fetch(transport, 100, 5000, &err), err);
    ck_assert_uint_eq(origin_passwords(origin), 1);
    ck_assert_uint_eq(origin_requests(other), 1);
    ck_assert_uint_eq(origin_passwords(other), 0);
    origin_misbehave(origin, ORIGIN_404, 1);
    nx_assert_fails(fetch(transport, 100, 5000, &err), err, origin_url(origin));
    ck_assert_ptr_null(strstr(err.msg, "secret"));
    nx_transport_free(transport);
    origin_stop(other);
}
END_TEST

/* Where one mirror is in trouble, the other has the bytes: at once, and later without asking the first again. */
START_TEST(test_mirror)
{
    struct nx_error err = NX_ERROR_INIT;
    struct origin *bad = origin_start(data, FILE_SIZE);
    be_impatient_with(troubles[_i].mischief);
    origin_misbehave(bad, troubles[_i].mischief, UINT_MAX);
    struct nx_transport *transport = connect_to(origin_url(bad), origin_url(origin), 1);
    nx_assert_ok(fetch(transport, 100, 5000, &err), err);
    nx_assert_ok(fetch(transport, 5100, 5000, &err), err);
    ck_assert_uint_eq(origin_requests(bad), asked(&troubles[_i], 1));
    ck_assert_uint_eq(origin_requests(origin), 2);
    /* Until the other one is in trouble, too. */
    origin_misbehave(bad, ORIGIN_GOOD, 0);
    origin_misbehave(origin, troubles[_i].mischief, UINT_MAX);
    nx_assert_ok(fetch(transport, 10100, 5000, &err), err);
    nx_transport_free(transport);
    origin_stop(bad);
}
END_TEST

/* Nobody listens. */
START_TEST(test_refused)
{
    struct nx_error err = NX_ERROR_INIT;
    struct origin *gone = origin_start(data, FILE_SIZE);
    char url[64];
    snprintf(url, sizeof(url), "%s", origin_url(gone));
    origin_stop(gone);
    struct nx_transport *transport = connect_to(url, NULL, 2);
    nx_assert_fails(fetch(transport, 100, 5000, &err), err, "connect to 127.0.0.1 port");
    ck_assert_int_eq(err.code, NX_ERR_NETWORK);
    nx_transport_free(transport);
    transport = connect_to(url, origin_url(origin), 1);
    nx_assert_ok(fetch(transport, 100, 5000, &err), err);
    nx_assert_ok(fetch(transport, 100, 5000, &err), err);
    ck_assert_uint_eq(report.stats.retries, 1 + 1);
    nx_transport_free(transport);
}
END_TEST

/* A mirror whose bytes are wrong is not the first that is asked for them again. */
START_TEST(test_avoided)
{
    struct nx_error err = NX_ERROR_INIT;
    struct origin *bad = origin_start(data, FILE_SIZE);
    struct nx_transport *transport = connect_to(origin_url(bad), origin_url(origin), 1);
    struct nx_transfer transfer = { .length = 100, .avoided = 1 };
    nx_assert_ok(nx_transport_fetch(transport, &transfer, &err), err);
    ck_assert_uint_eq(transfer.mirror, 1);
    nx_http_request_release(&transfer.http);
    nx_assert_ok(fetch(transport, 0, 100, &err), err);
    ck_assert_uint_eq(origin_requests(bad), 1);
    nx_transport_leave(transport, 0);
    nx_assert_ok(fetch(transport, 0, 100, &err), err);
    ck_assert_uint_eq(origin_requests(bad), 1);
    nx_transport_free(transport);
    origin_stop(bad);
}
END_TEST

START_TEST(test_patience)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_TRANSPORT struct nx_transport *transport = connect_to(origin_url(origin), NULL, 1);
    nx_transport_set_patient(transport);
    origin_misbehave(origin, ORIGIN_RESET, 4);
    nx_assert_ok(fetch(transport, 100, 5000, &err), err);
    ck_assert_uint_eq(report.stats.retries, 4);
    ck_assert_uint_eq(report.stats.waiting, 0);
}
END_TEST

START_TEST(test_short_file)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_TRANSPORT struct nx_transport *transport = connect_to(origin_url(origin), NULL, 1);
    nx_transport_set_minimum(transport, FILE_SIZE);
    nx_assert_ok(fetch(transport, 0, 100, &err), err);
    nx_transport_set_minimum(transport, FILE_SIZE + 1);
    nx_assert_fails(fetch(transport, 0, 100, &err), err,
                    "truncated: the server has 200000 bytes of at least 200001");
}
END_TEST

/* A changed ETag is noticed, and then no more asked for: the digests decide. */
START_TEST(test_changed_etag)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_TRANSPORT struct nx_transport *transport = connect_to(origin_url(origin), NULL, 1);
    nx_assert_ok(fetch(transport, 0, 100, &err), err);
    origin_change(origin, "\"2\"", NULL, 0);
    nx_assert_ok(fetch(transport, 0, 100, &err), err);
    ck_assert_uint_eq(origin_requests(origin), 3);
    nx_assert_ok(fetch(transport, 0, 100, &err), err);
    ck_assert_uint_eq(origin_requests(origin), 4);
}
END_TEST

/* A server that does not know If-Range sends the new file's range: that is noticed before a byte of it is taken. */
START_TEST(test_ignored_if_range)
{
    struct nx_error err = NX_ERROR_INIT;
    static uint8_t other[FILE_SIZE];
    NX_AUTO_TRANSPORT struct nx_transport *transport = connect_to(origin_url(origin), NULL, 1);
    nx_assert_ok(fetch(transport, 0, 100, &err), err);
    origin_misbehave(origin, ORIGIN_IGNORES_IF_RANGE, UINT_MAX);
    nx_assert_ok(fetch(transport, 0, 100, &err), err);
    ck_assert_uint_eq(origin_requests(origin), 2);
    origin_change(origin, "\"2\"", other, FILE_SIZE);
    struct nx_transfer transfer = { .length = 100 };
    nx_assert_ok(nx_transport_fetch(transport, &transfer, &err), err);
    ck_assert_mem_eq(transfer.http.body.data, other, 100);
    ck_assert_ptr_null(transfer.http.if_range_etag);
    nx_http_request_release(&transfer.http);
    ck_assert_uint_eq(origin_requests(origin), 4);
}
END_TEST

/* ---- bit by bit ------------------------------------------------------------ */

/* What was taken, in order. */
static struct {
    uint8_t bytes[FILE_SIZE];
    size_t len;
    size_t longest; /* what was left in the body */
} taken;

static bool take_thousands(struct nx_transfer *transfer)
{
    NX_AUTO_BUFFER struct nx_buffer front = NX_BUFFER_INIT(0);
    size_t n = transfer->http.body.len / 1000 * 1000;
    ck_assert_uint_eq(transfer->offset, 100 + taken.len);
    ck_assert_int_eq(nx_transfer_take(transfer, n, &front, NULL), 0);
    ck_assert_uint_eq(front.len, n);
    if (n > 0)
        memcpy(taken.bytes + taken.len, front.data, n);
    taken.len += n;
    if (transfer->http.body.len > taken.longest)
        taken.longest = transfer->http.body.len;
    return true;
}

/* The answers break off; no thousand is asked for twice, and little memory is needed. */
START_TEST(test_taking)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_TRANSPORT struct nx_transport *transport = connect_to(origin_url(origin), NULL, 2);
    const unsigned cuts = 5; /* more than there are tries: but each try has brought something */
    memset(&taken, 0, sizeof(taken));
    origin_misbehave(origin, ORIGIN_SHORT_BODY, cuts);
    struct nx_transfer transfer = { .offset = 100, .length = 150000, .arrived = take_thousands };
    nx_assert_ok(nx_transport_fetch(transport, &transfer, &err), err);
    ck_assert_uint_eq(taken.len + transfer.http.body.len, 150000);
    ck_assert_uint_eq(transfer.offset, 100 + taken.len);
    ck_assert_uint_eq(transfer.length, transfer.http.body.len);
    ck_assert_mem_eq(taken.bytes, data + 100, taken.len);
    ck_assert_uint_lt(taken.longest, 1000);
    ck_assert_uint_eq(origin_requests(origin), cuts + 1);
    ck_assert_uint_lt(report.stats.bytes, 150000 + cuts * 1000); /* the origin counts too late */
    nx_http_request_release(&transfer.http);
}
END_TEST

/* Enough for now, at each third call: what is held comes later, and no more than curl's buffer meanwhile. */
static bool take_thousands_slowly(struct nx_transfer *transfer)
{
    static unsigned calls;
    take_thousands(transfer);
    return ++calls % 3 != 0;
}

START_TEST(test_holding)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_TRANSPORT struct nx_transport *transport = connect_to(origin_url(origin), NULL, 2);
    memset(&taken, 0, sizeof(taken));
    struct nx_transfer transfer = { .offset = 100,
                                    .length = 150000,
                                    .arrived = take_thousands_slowly };
    nx_assert_ok(nx_transport_fetch(transport, &transfer, &err), err);
    ck_assert_uint_eq(taken.len + transfer.http.body.len, 150000);
    ck_assert_mem_eq(taken.bytes, data + 100, taken.len);
    ck_assert_uint_eq(origin_requests(origin), 1);
    nx_http_request_release(&transfer.http);
}
END_TEST

/* As before, but nothing is left for the next try: it may be given up. */
static bool take_nothing(struct nx_transfer *transfer)
{
    return true;
}

START_TEST(test_taking_nothing)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_TRANSPORT struct nx_transport *transport = connect_to(origin_url(origin), NULL, 2);
    origin_misbehave(origin, ORIGIN_SHORT_BODY, UINT_MAX);
    struct nx_transfer transfer = { .length = 5000, .arrived = take_nothing };
    nx_assert_fails(nx_transport_fetch(transport, &transfer, &err), err, origin_url(origin));
    ck_assert_uint_eq(origin_requests(origin), 2);
    nx_http_request_release(&transfer.http);
}
END_TEST

/* ---- volumes --------------------------------------------------------------- */

/* The origin has the same file at every path: so it is the head, and each volume. */
static const struct nx_volumes three = { FILE_SIZE, FILE_SIZE, 2 * FILE_SIZE + 100000, 2 };

static struct nx_transport *connect_cut(const char *second, unsigned tries)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_transport *transport = connect_to(origin_url(origin), second, tries);
    nx_assert_ok(nx_transport_set_volumes(transport, &three, &err), err);
    return transport;
}

static void assert_repeated(const uint8_t *bytes, uint64_t offset, size_t len)
{
    for (size_t i = 0, n; i < len; i += n) {
        size_t within = (offset + i) % FILE_SIZE;
        n = len - i < FILE_SIZE - within ? len - i : FILE_SIZE - within;
        ck_assert_mem_eq(bytes + i, data + within, n);
    }
}

static int fetch_cut(struct nx_transport *transport, uint64_t offset, uint64_t length,
                     struct nx_error *err)
{
    struct nx_transfer transfer = { .offset = offset, .length = length };
    int r = nx_transport_fetch(transport, &transfer, err);
    if (r == 0) {
        ck_assert_uint_eq(transfer.http.body.len, length);
        assert_repeated(transfer.http.body.data, offset, length);
    }
    nx_http_request_release(&transfer.http);
    return r;
}

START_TEST(test_volumes)
{
    static const struct {
        uint64_t offset, length;
        unsigned requests;
    } cases[] = {
        { 0, 100, 1 },           { FILE_SIZE - 100, 100, 1 }, { FILE_SIZE, 100, 1 },
        { FILE_SIZE - 1, 2, 2 }, { 1000, 2 * FILE_SIZE, 3 },  { 2 * FILE_SIZE - 5, 10, 2 },
        { 0, 3 * FILE_SIZE, 3 },
    };
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_TRANSPORT struct nx_transport *transport = connect_cut(NULL, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned before = origin_requests(origin);
        uint64_t bytes = report.stats.bytes;
        nx_assert_ok(fetch_cut(transport, cases[i].offset, cases[i].length, &err), err);
        ck_assert_uint_eq(origin_requests(origin) - before, cases[i].requests);
        ck_assert_uint_eq(report.stats.bytes - bytes, cases[i].length);
    }
    ck_assert_uint_eq(report.stats.retries, 0);
    char url[512], wanted[512];
    uint64_t within;
    nx_transport_where(transport, 0, 2 * FILE_SIZE + 7, url, &within);
    snprintf(wanted, sizeof wanted, "%s.002", origin_url(origin));
    ck_assert_str_eq(url, wanted);
    ck_assert_uint_eq(within, 7);
}
END_TEST

/* A URL's query stays behind its path. */
START_TEST(test_volume_urls)
{
    static const struct {
        const char *url, *extended;
    } cases[] = {
        { "http://h/a.nxpk", "http://h/a.nxpk.001" },
        { "https://u:p@h:8080/d%20e/a.nxpk?token=x/y",
          "https://u:p@h:8080/d%20e/a.nxpk.001?token=x/y" },
        { "http://h", "http://h/.001" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nx_error err = NX_ERROR_INIT;
        char *extended = NULL;
        nx_assert_ok(nx_http_extend_path(cases[i].url, ".001", &extended, &err), err);
        ck_assert_str_eq(extended, cases[i].extended);
        free(extended);
    }
}
END_TEST

/* What fails in one of the files of a range is tried again, without what has come from the others. */
START_TEST(test_trouble_between_volumes)
{
    static const enum origin_mischief mischiefs[] = { ORIGIN_503, ORIGIN_SHORT_BODY, ORIGIN_RESET,
                                                      ORIGIN_MOVED, ORIGIN_WRONG_LENGTH };
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_TRANSPORT struct nx_transport *transport = connect_cut(NULL, 3);
    for (size_t i = 0; i < sizeof mischiefs / sizeof *mischiefs; i++) {
        origin_misbehave(origin, mischiefs[i], 2);
        nx_assert_ok(fetch_cut(transport, 150000, 300000, &err), err);
    }
    /* At random, so that it is the later files' turn, too. */
    NX_AUTO_TRANSPORT struct nx_transport *patient = connect_cut(NULL, 1);
    nx_transport_set_patient(patient);
    origin_misbehave_at_random(origin, 10, 7);
    for (uint64_t i = 0; i < 8; i++)
        nx_assert_ok(fetch_cut(patient, i * 1000, 3 * FILE_SIZE - 20000, &err), err);
    ck_assert_uint_gt(origin_mischiefs(origin), 0);
}
END_TEST

static bool take_all_cut(struct nx_transfer *transfer)
{
    NX_AUTO_BUFFER struct nx_buffer front = NX_BUFFER_INIT(0);
    size_t n = transfer->http.body.len / 7000 * 7000;
    if (n == 0)
        return true;
    uint64_t offset = transfer->offset;
    ck_assert_int_eq(nx_transfer_take(transfer, n, &front, NULL), 0);
    assert_repeated(front.data, offset, n);
    taken.len += n;
    if (transfer->http.body.len > taken.longest)
        taken.longest = transfer->http.body.len;
    return true;
}

/* Taken bit by bit, over the ends of files, while answers break off: what stands before an end stays for what is behind
 * it.
 */
START_TEST(test_taking_over_volumes)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_TRANSPORT struct nx_transport *transport = connect_cut(NULL, 2);
    for (unsigned cuts = 0; cuts < 5; cuts++) {
        memset(&taken, 0, sizeof(taken));
        unsigned before = origin_requests(origin);
        uint64_t bytes = report.stats.bytes;
        origin_misbehave(origin, ORIGIN_SHORT_BODY, cuts);
        struct nx_transfer transfer = { .offset = 100, .length = 500000, .arrived = take_all_cut };
        nx_assert_ok(nx_transport_fetch(transport, &transfer, &err), err);
        ck_assert_uint_eq(taken.len + transfer.http.body.len, 500000);
        ck_assert_uint_eq(transfer.offset, 100 + taken.len);
        ck_assert_uint_eq(transfer.length, transfer.http.body.len);
        assert_repeated(transfer.http.body.data, transfer.offset, transfer.http.body.len);
        ck_assert_uint_lt(taken.longest, 7000);
        ck_assert_uint_eq(origin_requests(origin) - before, cuts + 3);
        ck_assert_uint_lt(report.stats.bytes - bytes, 500000 + (cuts + 1) * 7000);
        nx_http_request_release(&transfer.http);
    }
}
END_TEST

/* A volume that one mirror lacks comes from the other from then on; the rest goes on coming from the first. */
START_TEST(test_volume_of_other_mirror)
{
    struct nx_error err = NX_ERROR_INIT;
    struct origin *other = origin_start(data, FILE_SIZE);
    struct nx_transport *transport = connect_cut(origin_url(other), 1);
    origin_misbehave(origin, ORIGIN_404, 1);
    nx_assert_ok(fetch_cut(transport, FILE_SIZE + 1000, 100, &err), err); /* of .001 */
    ck_assert_uint_eq(origin_requests(origin), 1);
    ck_assert_uint_eq(origin_requests(other), 1);
    nx_assert_ok(fetch_cut(transport, FILE_SIZE + 5000, 100, &err), err);
    ck_assert_uint_eq(origin_requests(origin), 1);
    ck_assert_uint_eq(origin_requests(other), 2);
    nx_assert_ok(fetch_cut(transport, 1000, 100, &err), err); /* the head, and .002 */
    nx_assert_ok(fetch_cut(transport, 2 * FILE_SIZE + 1000, 100, &err), err);
    ck_assert_uint_eq(origin_requests(origin), 3);
    ck_assert_uint_eq(origin_requests(other), 2);
    /* One range, of both. */
    nx_assert_ok(fetch_cut(transport, FILE_SIZE - 10, 20, &err), err);
    ck_assert_uint_eq(origin_requests(origin), 4);
    ck_assert_uint_eq(origin_requests(other), 3);
    nx_transport_free(transport);
    origin_stop(other);
}
END_TEST

/* A mirror that lacked a volume, and has it now, is asked again when the other one does not answer. */
START_TEST(test_volume_that_came_later)
{
    struct nx_error err = NX_ERROR_INIT;
    struct origin *other = origin_start(data, FILE_SIZE);
    struct nx_transport *transport = connect_cut(origin_url(other), 2);
    origin_misbehave(origin, ORIGIN_404, 1);
    nx_assert_ok(fetch_cut(transport, FILE_SIZE + 1000, 100, &err), err); /* from the other */
    origin_misbehave(other, ORIGIN_RESET, UINT_MAX);
    nx_assert_ok(fetch_cut(transport, FILE_SIZE + 5000, 100, &err), err);
    ck_assert_uint_eq(origin_requests(origin), 2);
    nx_transport_free(transport);
    origin_stop(other);
}
END_TEST

START_TEST(test_bad_volumes)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_TRANSPORT struct nx_transport *transport = connect_cut(NULL, 1);
    char wanted[600];
    origin_misbehave(origin, ORIGIN_404, 1);
    snprintf(wanted, sizeof wanted,
             "%s.002: not found (HTTP status 404): volume 2 of the package's 2 must be copied "
             "there, too",
             origin_url(origin));
    nx_assert_fails(fetch_cut(transport, 2 * FILE_SIZE, 100, &err), err, wanted);
    /* Put right, it is asked for again. */
    nx_assert_ok(fetch_cut(transport, 2 * FILE_SIZE, 100, &err), err);
    static const struct {
        struct nx_volumes volumes;
        const char *message;
    } cases[] = {
        { { FILE_SIZE, FILE_SIZE + 1, 3 * FILE_SIZE, 2 },
          ".001: truncated: the server has 200000 bytes of at least 200001" },
        { { FILE_SIZE, FILE_SIZE - 1, 3 * FILE_SIZE - 9, 2 },
          ".001: a volume of another package, or of another version: the server has 200000 bytes, "
          "at most 199999" },
        { { FILE_SIZE, 2 * FILE_SIZE, 2 * FILE_SIZE + 1, 1 },
          ".001: truncated: the server has 200000 bytes of at least 200001" },
        { { FILE_SIZE, FILE_SIZE - 1, 2 * FILE_SIZE - 9, 1 }, ".001: a volume of another package" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        NX_AUTO_TRANSPORT struct nx_transport *wrong = connect_to(origin_url(origin), NULL, 1);
        nx_assert_ok(nx_transport_set_volumes(wrong, &cases[i].volumes, &err), err);
        nx_assert_ok(fetch_cut(wrong, 100, 1000, &err), err); /* of the head */
        nx_assert_fails(fetch_cut(wrong, FILE_SIZE + 100, 100, &err), err, cases[i].message);
    }
}
END_TEST

/* ---- many at once ---------------------------------------------------------- */

struct tally {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    unsigned good, cancelled; /* under lock */
};

static void count(struct nx_transfer *transfer, const struct nx_error *err)
{
    struct tally *tally = transfer->opaque;
    pthread_mutex_lock(&tally->lock);
    if (!err && memcmp(transfer->http.body.data, data + transfer->offset, transfer->length) == 0)
        tally->good++;
    if (err && err->code == NX_ERR_CANCELLED)
        tally->cancelled++;
    pthread_cond_signal(&tally->cond);
    pthread_mutex_unlock(&tally->lock);
    nx_http_request_release(&transfer->http);
}

#define MANY 100

static void submit_many(struct nx_transport *transport, struct nx_transfer *transfers,
                        struct tally *tally)
{
    pthread_mutex_init(&tally->lock, NULL);
    pthread_cond_init(&tally->cond, NULL);
    for (unsigned i = 0; i < MANY; i++) {
        transfers[i] = (struct nx_transfer){ .offset = i * 1000,
                                             .length = 2000,
                                             .priority = i % NX_PRIORITIES,
                                             .done = count,
                                             .opaque = tally };
        nx_transport_submit(transport, &transfers[i]);
    }
}

START_TEST(test_many)
{
    static struct nx_transfer transfers[MANY];
    static struct tally tally;
    NX_AUTO_TRANSPORT struct nx_transport *transport = connect_to(origin_url(origin), NULL, 1);
    submit_many(transport, transfers, &tally);
    for (unsigned i = 0; i < MANY; i += 3)
        nx_transport_promote(transport, &transfers[i], NX_PRIORITY_DEMAND);
    pthread_mutex_lock(&tally.lock);
    while (tally.good < MANY)
        pthread_cond_wait(&tally.cond, &tally.lock);
    pthread_mutex_unlock(&tally.lock);
}
END_TEST

/* A transfer that is not due for a minute, in either queue. */
START_TEST(test_promoted_in_back_off)
{
    static struct tally tally = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0 };
    NX_AUTO_TRANSPORT struct nx_transport *transport = connect_to(origin_url(origin), NULL, 1);
    struct nx_transfer transfer = {
        .length = 2000, .delay_ms = 60000, .priority = _i, .done = count, .opaque = &tally
    };
    int64_t start = nx_now_ms();
    nx_transport_submit(transport, &transfer);
    nx_transport_promote(transport, &transfer, NX_PRIORITY_DEMAND);
    pthread_mutex_lock(&tally.lock);
    while (tally.good < 1)
        pthread_cond_wait(&tally.cond, &tally.lock);
    pthread_mutex_unlock(&tally.lock);
    ck_assert_int_lt(nx_now_ms() - start, 10000);
}
END_TEST

/* Nobody is forgotten at the end, however slow the server. */
START_TEST(test_stop)
{
    static struct nx_transfer transfers[MANY];
    static struct tally tally;
    NX_AUTO_TRANSPORT struct nx_transport *transport = connect_to(origin_url(origin), NULL, 1);
    origin_misbehave(origin, ORIGIN_STALL, UINT_MAX);
    submit_many(transport, transfers, &tally);
    nx_transport_stop(transport);
    ck_assert_uint_eq(tally.cancelled, MANY);
    struct nx_error err = NX_ERROR_INIT;
    nx_assert_fails(fetch(transport, 0, 1, &err), err, "cancelled");
}
END_TEST

int main(void)
{
    const int n_troubles = sizeof(troubles) / sizeof(troubles[0]);
    TCase *tcase = tcase_create("transport");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, test_ranges);
    tcase_add_loop_test(tcase, test_lasting_trouble, 0, n_troubles);
    tcase_add_loop_test(tcase, test_passing_trouble, 0, n_troubles);
    tcase_add_test(tcase, test_retry_after);
    tcase_add_test(tcase, test_slow);
    tcase_add_test(tcase, test_redirect);
    tcase_add_test(tcase, test_password);
    tcase_add_loop_test(tcase, test_mirror, 0, n_troubles);
    tcase_add_test(tcase, test_refused);
    tcase_add_test(tcase, test_avoided);
    tcase_add_test(tcase, test_patience);
    tcase_add_test(tcase, test_short_file);
    tcase_add_test(tcase, test_changed_etag);
    tcase_add_test(tcase, test_ignored_if_range);
    tcase_add_test(tcase, test_taking);
    tcase_add_test(tcase, test_taking_nothing);
    tcase_add_test(tcase, test_holding);
    tcase_add_test(tcase, test_volumes);
    tcase_add_test(tcase, test_volume_urls);
    tcase_add_test(tcase, test_trouble_between_volumes);
    tcase_add_test(tcase, test_taking_over_volumes);
    tcase_add_test(tcase, test_volume_of_other_mirror);
    tcase_add_test(tcase, test_volume_that_came_later);
    tcase_add_test(tcase, test_bad_volumes);
    tcase_add_test(tcase, test_many);
    tcase_add_loop_test(tcase, test_promoted_in_back_off, 0, NX_PRIORITIES);
    tcase_add_test(tcase, test_stop);
    return nx_test_run("transport", tcase);
}
