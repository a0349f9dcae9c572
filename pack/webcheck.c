/* SPDX-License-Identifier: MIT */
#include "pack/webcheck.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "common/plain.h"
#include "common/policy.h"
#include "common/types.h"
#include "formats/package.h"
#include "pack/remote.h"

#define SMALL         4096   /* bytes of a small range */
#define SMALL_OFFSET  100    /* of the first of them: neither at the front of anything, nor round */
#define ROOTS_MAX     3      /* images whose index is looked at */
#define RANGES_MAX    8      /* small ranges, at most */
#define SLOW_US       200000 /* from a question to the first byte, beside the way */
#define CERTIFICATE_S (14 * 24 * 3600)
#define OTHER_ETAG    "\"nxref-check\""
#define OTHER_ORIGIN  "https://nxref-check.invalid"
#define ALL_ENCODINGS "gzip, deflate, br, zstd"

struct state {
    struct nx_webcheck *check;
    struct nx_prober prober;
    const char *url;
    char *final_url; /* owned */
    bool secure;     /* it is https */
    struct nx_head *head;
    struct nx_buffer front; /* the file's first bytes, which hold the head */
    uint64_t total;
    char etag[256]; /* the first answer's, if strong */
    bool if_range;  /* name it, as nxfetch does */
    bool changes;   /* there was another one since */
    bool kept;      /* the last answer came whole, so its connection could be kept */
    unsigned first_byte_us[RANGES_MAX], n_ranges;
    unsigned could_keep, kept_not;
};

/* ---- findings -------------------------------------------------------------------- */

/* The first time counts. */
__attribute__((format(printf, 3, 4))) static void found(struct state *s, enum nx_trouble trouble,
                                                        const char *fmt, ...)
{
    char *text = s->check->found[trouble];
    if (*text)
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof s->check->found[0], fmt, ap);
    va_end(ap);
    nx_plain_ascii(text);
}

unsigned nx_webcheck_count(const struct nx_webcheck *check, enum nx_severity severity)
{
    unsigned n = 0;
    for (int t = 0; t < NX_TROUBLES; t++)
        n += check->found[t][0] && nx_trouble_severity((enum nx_trouble)t) == severity;
    return n;
}

static const char *or_none(const char *value)
{
    return value[0] ? value : "(none)";
}

static bool is_encoded(const struct nx_reply *reply)
{
    const char *encoding = reply->http.content_encoding;
    return encoding[0] && strcasecmp(encoding, "identity") != 0;
}

/* Why there is no answer to be judged. */
static enum nx_trouble trouble_of_line(const struct nx_reply *reply)
{
    bool redirected = reply->http.status >= 300;
    switch (reply->code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
        return NX_TROUBLE_TLS;
    case CURLE_TOO_MANY_REDIRECTS:
        return NX_TROUBLE_REDIRECT_REFUSED;
    case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9 is another one, too */
        return redirected ? NX_TROUBLE_REDIRECT_REFUSED : NX_TROUBLE_NO_ANSWER;
    default:
        return NX_TROUBLE_NO_ANSWER;
    }
}

/* nxfetch would not take this answer to a range: what is that called? */
static void found_refusal(struct state *s, const struct nx_reply *reply)
{
    const struct nx_http_request *http = &reply->http;
    char range[NX_FIELD_MAX];
    if (is_encoded(reply) &&
        (http->fault == NX_HTTP_NO_RANGES || http->fault == NX_HTTP_COMPRESSED)) {
        found(s, NX_TROUBLE_COMPRESSED,
              "the answer has Content-Encoding: %s, where identity was asked for",
              http->content_encoding);
        return;
    }
    switch (http->fault) {
    case NX_HTTP_NO_RANGES:
        found(s, NX_TROUBLE_NO_RANGES, "the answer to a Range request has status 200, not 206");
        break;
    case NX_HTTP_WRONG_RANGE:
        nx_prober_field(&s->prober, "Content-Range", range);
        found(s, NX_TROUBLE_CONTENT_RANGE,
              "asked for bytes %" PRIu64 "-%" PRIu64 ", got Content-Range: %s", http->offset,
              http->offset + http->length - 1, or_none(range));
        break;
    case NX_HTTP_WRONG_LENGTH:
        found(s, NX_TROUBLE_LENGTH, "%s", reply->verdict.msg);
        break;
    case NX_HTTP_BAD_STATUS:
        found(s, NX_TROUBLE_STATUS, "%s", reply->verdict.msg);
        break;
    default:
        found(s, trouble_of_line(reply), "%s", reply->verdict.msg);
    }
}

/* ---- what headers say -------------------------------------------------------------- */

static void look_at_server(struct state *s)
{
    char via[NX_FIELD_MAX];
    nx_prober_field(&s->prober, "Server", s->check->server);
    nx_prober_field(&s->prober, "Via", via);
    s->check->webserver = nx_webserver_detect(s->check->server, via);
}

static void look_at_etag(struct state *s, const struct nx_reply *reply)
{
    char raw[NX_FIELD_MAX];
    nx_prober_field(&s->prober, "ETag", raw);
    memcpy(s->etag, reply->http.etag, sizeof s->etag);
    s->if_range = s->etag[0];
    if (s->etag[0])
        return;
    if (!raw[0])
        found(s, NX_TROUBLE_NO_ETAG, "the answer has no ETag");
    else if (strncmp(raw, "W/", 2) == 0)
        found(s, NX_TROUBLE_WEAK_ETAG, "the ETag is weak: %s", raw);
    else
        found(s, NX_TROUBLE_NO_ETAG, "the ETag is none, for it is not in quotes or too long: %s",
              raw);
}

static void look_at_type(struct state *s)
{
    char type[NX_FIELD_MAX];
    nx_prober_field(&s->prober, "Content-Type", type);
    size_t len = strcspn(type, "; \t");
    if (len != strlen(NX_PACKAGE_TYPE) || strncasecmp(type, NX_PACKAGE_TYPE, len) != 0)
        found(s, NX_TROUBLE_TYPE, "Content-Type: %s, not " NX_PACKAGE_TYPE, or_none(type));
}

/* The value of a directive such as "max-age" in a Cache-Control header; -1 if it is not there, 0 without a value. */
static long directive(const char *header, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = header; *at; at += strcspn(at, ","), at += strspn(at, ", \t"))
        if (strncasecmp(at, name, len) == 0 && strchr("=, \t", at[len]))
            return at[len] == '=' ? strtol(at + len + 1 + (at[len + 1] == '"'), NULL, 10) : 0;
    return -1;
}

/* The last part of the URL's path. */
static void name_of(const char *url, char name[static 256])
{
    const char *end = url + strcspn(url, "?#");
    const char *start = end;
    while (start > url && start[-1] != '/')
        start--;
    snprintf(name, 256, "%.*s", end - start < 255 ? (int)(end - start) : 255, start);
}

/* What caches on the way may do: policy.h. */
static void look_at_caching(struct state *s)
{
    char control[NX_FIELD_MAX], expires[NX_FIELD_MAX], name[256];
    nx_prober_field(&s->prober, "Cache-Control", control);
    nx_prober_field(&s->prober, "Expires", expires);
    name_of(s->final_url, name);
    if (directive(control, "no-store") >= 0 || directive(control, "private") >= 0) {
        found(s, NX_TROUBLE_NOT_CACHED, "Cache-Control: %s", control);
        return;
    }
    if (nx_name_is_versioned(name) || directive(control, "no-cache") >= 0)
        return;
    long shared = directive(control, "s-maxage"), age = directive(control, "max-age");
    if (shared > 0 || age > 0 || directive(control, "immutable") >= 0)
        found(s, NX_TROUBLE_CACHED_TOO_LONG,
              "Cache-Control: %s, for a name that may come to mean "
              "another package",
              control);
    else if (shared == 0 || age == 0)
        return;
    else if (expires[0] && curl_getdate(expires, NULL) > time(NULL))
        found(s, NX_TROUBLE_CACHED_TOO_LONG,
              "Expires: %s, for a name that may come to mean another package", expires);
    else if (!expires[0])
        found(s, NX_TROUBLE_NO_CACHE_CONTROL,
              control[0] ? "Cache-Control: %s, which says nothing of how long"
                         : "the answer has no Cache-Control%s",
              control);
}

static void look_at_way(struct state *s, const struct nx_reply *reply)
{
    struct nx_webcheck *check = s->check;
    check->redirects = reply->redirects;
    check->http2 = reply->http2;
    if (reply->redirects > 0)
        found(s, NX_TROUBLE_REDIRECTS, "%u redirect%s: the package is at %s", reply->redirects,
              reply->redirects == 1 ? "" : "s", check->final_url);
    if (reply->downgraded)
        found(s, NX_TROUBLE_DOWNGRADE, "a redirect leads from https to http");
    if (!s->secure)
        found(s, NX_TROUBLE_NO_TLS, "it is served by http, not https");
    else if (!reply->http2)
        found(s, NX_TROUBLE_NO_HTTP2, "the server does not offer HTTP/2");
    int64_t left = reply->certificate_end - time(NULL);
    if (reply->certificate_end && left > 0 && left < CERTIFICATE_S)
        found(s, NX_TROUBLE_CERTIFICATE_ENDS, "the certificate expires in %d hours",
              (int)(left / 3600));
}

/* ---- the package's head -------------------------------------------------------------- */

static int ask(struct state *s, const char *url, const struct nx_question *question,
               struct nx_reply *ret_reply, struct nx_error *err)
{
    if (nx_prober_ask(&s->prober, url, question, ret_reply, err) < 0)
        return -1;
    unsigned us = ret_reply->round_trip_us;
    if (us && (!s->check->round_trip_us || us < s->check->round_trip_us))
        s->check->round_trip_us = us;
    return 0;
}

/* A certificate that is not believed is told, and then taken, to see what else there is. */
static int ask_first(struct state *s, const struct nx_question *question,
                     struct nx_reply *ret_reply, struct nx_error *err)
{
    if (ask(s, s->url, question, ret_reply, err) < 0)
        return -1;
    if (!ret_reply->bad_certificate)
        return 0;
    found_refusal(s, ret_reply);
    nx_reply_release(ret_reply);
    s->prober.options.insecure = true;
    return ask(s, s->url, question, ret_reply, err);
}

/* What the first answer says beside its bytes. */
static int take_first(struct state *s, const struct nx_reply *reply, struct nx_error *err)
{
    const char *final = reply->final_url ? reply->final_url : s->url;
    s->final_url = strdup(final);
    if (!s->final_url)
        return nx_fail_errno(err, "%s", s->check->url);
    nx_http_display_url(final, s->check->final_url);
    nx_plain_ascii(s->check->final_url);
    s->secure = strncasecmp(final, "https:", 6) == 0;
    look_at_server(s);
    if (reply->http.status != 200 && reply->http.status != 206)
        return 0;
    s->check->answered = true;
    look_at_way(s, reply);
    look_at_etag(s, reply);
    look_at_type(s);
    look_at_caching(s);
    return 0;
}

/* 1: front has the head; 0: there is none, and found() says why. */
static int parse_head(struct state *s, struct nx_reply *reply, size_t *ret_need,
                      struct nx_error *err)
{
    struct nx_error why = NX_ERROR_INIT;
    *ret_need = 0;
    nx_buffer_release(&s->front);
    if (nx_buffer_add(&s->front, reply->http.body.data, reply->http.body.len, err) < 0)
        return -1;
    s->total = reply->http.total;
    if (nx_remote_parse(&reply->http, "the package", &s->head, ret_need, &why) == 0)
        return s->head ? 1 : 0;
    if (why.code == NX_ERR_SYSTEM)
        return nx_fail(err, why.code, "%s: %s", s->check->url, why.msg);
    *ret_need = 0;
    found(s, NX_TROUBLE_PACKAGE, "%s", why.msg);
    return 0;
}

/* 1: go on; 0: nothing more can be asked. */
static int check_head(struct state *s, struct nx_error *err)
{
    struct nx_question question = { .length = NX_HEAD_FIRST, .may_be_short = true };
    for (;;) {
        NX_AUTO_REPLY struct nx_reply reply = { 0 };
        if (ask_first(s, &question, &reply, err) < 0 ||
            (!s->final_url && take_first(s, &reply, err) < 0))
            return -1;
        if (reply.verdict.code != NX_OK) {
            found_refusal(s, &reply);
            return 0;
        }
        size_t need;
        int r = parse_head(s, &reply, &need, err);
        if (r != 0 || need == 0) {
            s->check->have_package = r > 0;
            s->check->size = s->total;
            s->kept = true;
            return r;
        }
        question.length = need;
    }
}

/* ---- ranges ---------------------------------------------------------------------------- */

/* Another ETag or size than at first: that of a host, if it is told which. */
static void compare(struct state *s, const struct nx_reply *reply, const char *address)
{
    const struct nx_http_request *http = &reply->http;
    const char *on = address ? " on " : "";
    const char *host = address ? address : "";
    if (http->status == 206 && http->have_range && http->total != s->total)
        found(s, NX_TROUBLE_SIZE_CHANGES,
              "the file had %" PRIu64 " bytes, and then %" PRIu64 "%s%s", s->total, http->total, on,
              host);
    if (s->etag[0] && (http->status == 206 || http->status == 200) &&
        strcmp(http->etag, s->etag) != 0) {
        found(s, NX_TROUBLE_ETAG_CHANGES, "the ETag was %s, and then %s%s%s", s->etag,
              http->etag[0] ? http->etag : "none that is strong", on, host);
        s->changes = true;
        s->if_range = false;
    }
}

static void note_times(struct state *s, const struct nx_reply *reply)
{
    if (s->n_ranges < RANGES_MAX)
        s->first_byte_us[s->n_ranges++] = reply->first_byte_us;
    if (s->kept) {
        s->could_keep++;
        s->kept_not += reply->connections > 0;
    }
}

/* Ask for a small range as nxfetch does, with the ETag that was seen.  1: *ret_reply has it, to be released; 0: it has
 * not, and found() says why.
 */
static int ask_range(struct state *s, uint64_t offset, uint64_t length, struct nx_reply *ret_reply,
                     struct nx_error *err)
{
    struct nx_question question = { .offset = offset, .length = length };
    for (;;) {
        char etag[sizeof s->etag];
        memcpy(etag, s->etag, sizeof etag);
        question.if_range = s->if_range ? etag : NULL;
        if (ask(s, s->url, &question, ret_reply, err) < 0)
            return -1;
        bool good = ret_reply->verdict.code == NX_OK;
        compare(s, ret_reply, NULL);
        if (good)
            note_times(s, ret_reply);
        s->kept = good;
        if (good)
            return 1;
        bool again = question.if_range && ret_reply->http.changed;
        if (again && ret_reply->http.status == 200 && !s->changes)
            found(s, NX_TROUBLE_IF_RANGE_REFUSED,
                  "the answer to If-Range with the file's own ETag has status 200, not 206");
        else if (!again)
            found_refusal(s, ret_reply);
        nx_reply_release(ret_reply);
        if (!again)
            return 0;
        s->if_range = false;
    }
}

/* A part of what is known already. */
static int check_part(struct state *s, const struct nx_buffer *known, uint64_t known_offset,
                      uint64_t offset, uint64_t length, struct nx_error *err)
{
    uint64_t end = known_offset + known->len;
    if (offset >= end)
        return 1;
    if (length > end - offset)
        length = end - offset;
    NX_AUTO_REPLY struct nx_reply reply = { 0 };
    int r = ask_range(s, offset, length, &reply, err);
    if (r > 0 && memcmp(reply.http.body.data, known->data + (offset - known_offset), length) != 0)
        found(s, NX_TROUBLE_WRONG_BYTES,
              "bytes %" PRIu64 "-%" PRIu64 " are others than in a range around them", offset,
              offset + length - 1);
    return r;
}

/* Two ranges, one within the other, in the middle of the file. */
static int check_middle(struct state *s, struct nx_error *err)
{
    uint64_t middle = s->total / 2;
    uint64_t length = s->total - middle < 2 * SMALL ? s->total - middle : 2 * SMALL;
    NX_AUTO_REPLY struct nx_reply reply = { 0 };
    int r = ask_range(s, middle, length, &reply, err);
    return r <= 0 ? r : check_part(s, &reply.http.body, middle, middle + 1000, SMALL, err);
}

/* The roots of the images' indexes, whose digests the signed manifest has. */
static int check_roots(struct state *s, struct nx_error *err)
{
    const struct nx_manifest *m = s->head->manifest;
    for (unsigned i = 0, n = 0; i < m->n_images && n < ROOTS_MAX; i++) {
        const struct nx_image *image = &m->images[i];
        if (image->root.size == 0 || image->root.size > NX_HEAD_FIRST)
            continue;
        n++;
        NX_AUTO_REPLY struct nx_reply reply = { 0 };
        uint64_t offset = m->index.offset + image->root.offset;
        int r = ask_range(s, offset, image->root.size, &reply, err);
        if (r <= 0)
            return r;
        struct nx_digest digest;
        nx_digest_of(reply.http.body.data, reply.http.body.len, &digest);
        if (!nx_digest_equal(&digest, &image->root_digest))
            found(s, NX_TROUBLE_WRONG_BYTES,
                  "bytes %" PRIu64 "-%" PRIu64 " are not those that the package's manifest names",
                  offset, offset + image->root.size - 1);
    }
    return 1;
}

static int check_end(struct state *s, struct nx_error *err)
{
    NX_AUTO_REPLY struct nx_reply reply = { 0 };
    uint64_t length = s->total < SMALL ? s->total : SMALL;
    return ask_range(s, s->total - length, length, &reply, err);
}

static int by_size(const void *a, const void *b)
{
    unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
    return x < y ? -1 : x > y;
}

static void judge_times(struct state *s)
{
    struct nx_webcheck *check = s->check;
    if (s->could_keep > 0 && s->kept_not * 2 > s->could_keep)
        found(s, NX_TROUBLE_NO_KEEP_ALIVE,
              "%u of %u requests needed a new connection, for the server had closed the last one",
              s->kept_not, s->could_keep);
    if (s->n_ranges == 0)
        return;
    qsort(s->first_byte_us, s->n_ranges, sizeof s->first_byte_us[0], by_size);
    check->first_byte_us = s->first_byte_us[s->n_ranges / 2];
    if (check->first_byte_us > check->round_trip_us + SLOW_US)
        found(s, NX_TROUBLE_SLOW,
              "the first byte of a small range comes after %u ms, the median of %u; the way there "
              "and back takes %u ms",
              check->first_byte_us / 1000, s->n_ranges, check->round_trip_us / 1000);
}

/* 1: ranges work. */
static int check_ranges(struct state *s, struct nx_error *err)
{
    int r = check_part(s, &s->front, 0, SMALL_OFFSET, SMALL, err);
    if (r > 0)
        r = check_roots(s, err);
    if (r > 0)
        r = check_middle(s, err);
    if (r > 0)
        r = check_end(s, err);
    judge_times(s);
    return r;
}

/* ---- as others ask ----------------------------------------------------------------------- */

/* 1: there is an answer, whatever it says, to be released; 0: there is none, though there was one to nxfetch. */
static int ask_otherwise(struct state *s, const struct nx_question *question,
                         struct nx_reply *ret_reply, struct nx_error *err)
{
    if (ask(s, s->url, question, ret_reply, err) < 0)
        return -1;
    if (ret_reply->http.status != 0)
        return 1;
    found(s, NX_TROUBLE_UNRELIABLE, "%s", ret_reply->verdict.msg);
    nx_reply_release(ret_reply);
    return 0;
}

/* With conditions.  The answers' bodies are not taken. */
static int check_conditions(struct state *s, struct nx_error *err)
{
    if (!s->etag[0] || s->changes)
        return 0;
    NX_AUTO_REPLY struct nx_reply other = { 0 };
    struct nx_question question = {
        .offset = SMALL_OFFSET, .length = SMALL, .may_be_short = true, .if_range = OTHER_ETAG
    };
    int r = ask_otherwise(s, &question, &other, err);
    if (r <= 0)
        return r;
    if (other.http.status == 206)
        found(s, NX_TROUBLE_IF_RANGE_IGNORED,
              "the answer to If-Range with another ETag has status 206, not 200");

    NX_AUTO_REPLY struct nx_reply same = { 0 };
    char field[sizeof s->etag + 32];
    snprintf(field, sizeof field, "If-None-Match: %s", s->etag);
    question = (struct nx_question){ .field = field };
    r = ask_otherwise(s, &question, &same, err);
    if (r <= 0)
        return r;
    if (same.http.status != 304)
        found(s, NX_TROUBLE_IF_NONE_MATCH,
              "the answer to If-None-Match with the file's own ETag has status %ld, not 304",
              same.http.status);
    return 0;
}

static bool is_compressed(struct state *s, const struct nx_reply *reply, const char *what)
{
    if (!is_encoded(reply))
        return false;
    found(s, NX_TROUBLE_COMPRESSES, "%s is sent with Content-Encoding: %s", what,
          reply->http.content_encoding);
    return true;
}

/* As who downloads the package asks. */
static int check_whole(struct state *s, struct nx_error *err)
{
    NX_AUTO_REPLY struct nx_reply reply = { 0 };
    char length[NX_FIELD_MAX];
    int r = ask_otherwise(s, &(struct nx_question){ 0 }, &reply, err);
    if (r <= 0)
        return r;
    nx_prober_field(&s->prober, "Content-Length", length);
    if (is_compressed(s, &reply, "all of the file"))
        return 0;
    if (reply.http.status != 200)
        found(s, NX_TROUBLE_WHOLE, "the answer to a request for all of the file has status %ld",
              reply.http.status);
    else if (!length[0])
        found(s, NX_TROUBLE_WHOLE, "the answer for all of the file has no Content-Length");
    else if (strtoull(length, NULL, 10) != s->total)
        found(s, NX_TROUBLE_WHOLE,
              "all of the file is said to have Content-Length: %s, ranges of it %" PRIu64 " bytes",
              length, s->total);
    return 0;
}

/* As a browser or a cache asks, which accepts compression. */
static int check_compression(struct state *s, struct nx_error *err)
{
    NX_AUTO_REPLY struct nx_reply range = { 0 };
    NX_AUTO_REPLY struct nx_reply whole = { 0 };
    struct nx_question question = { .offset = SMALL_OFFSET,
                                    .length = SMALL,
                                    .may_be_short = true,
                                    .accept_encoding = ALL_ENCODINGS };
    int r = ask_otherwise(s, &question, &range, err);
    if (r <= 0)
        return r;
    if (is_compressed(s, &range, "a range, to a client that accepts compression,"))
        return 0;
    if (range.http.status == 200)
        found(s, NX_TROUBLE_COMPRESSES,
              "a client that accepts compression gets status 200 for a range, not 206");
    question = (struct nx_question){ .accept_encoding = ALL_ENCODINGS };
    r = ask_otherwise(s, &question, &whole, err);
    if (r <= 0)
        return r;
    is_compressed(s, &whole, "all of the file, to a client that accepts compression,");
    return 0;
}

/* Is the header NAME one of those that CORS exposes? */
static bool exposes(const char *list, const char *name)
{
    return directive(list, "*") >= 0 || directive(list, name) >= 0;
}

/* As a page of another site asks. */
static int check_cors(struct state *s, struct nx_error *err)
{
    NX_AUTO_REPLY struct nx_reply reply = { 0 };
    char allow[NX_FIELD_MAX], expose[NX_FIELD_MAX];
    const struct nx_question question = { .offset = SMALL_OFFSET,
                                          .length = SMALL,
                                          .may_be_short = true,
                                          .field = "Origin: " OTHER_ORIGIN };
    int r = ask_otherwise(s, &question, &reply, err);
    if (r <= 0)
        return r;
    nx_prober_field(&s->prober, "Access-Control-Allow-Origin", allow);
    nx_prober_field(&s->prober, "Access-Control-Expose-Headers", expose);
    if (strcmp(allow, "*") != 0 && strcmp(allow, OTHER_ORIGIN) != 0)
        found(s, NX_TROUBLE_NO_CORS, "Access-Control-Allow-Origin: %s, not *", or_none(allow));
    else if (!exposes(expose, "Content-Range") || !exposes(expose, "ETag"))
        found(s, NX_TROUBLE_NO_CORS,
              "Access-Control-Expose-Headers: %s, without Content-Range or ETag", or_none(expose));
    return 0;
}

/* ---- the host's addresses ------------------------------------------------------------------ */

/* Each may be another machine. */
static int check_address(struct state *s, const char *address, struct nx_error *err)
{
    NX_AUTO_REPLY struct nx_reply reply = { 0 };
    const struct nx_question question = {
        .offset = SMALL_OFFSET, .length = SMALL, .may_be_short = true, .address = address
    };
    if (ask(s, s->final_url, &question, &reply, err) < 0)
        return -1;
    if (reply.verdict.code == NX_OK) {
        compare(s, &reply, address);
        size_t len = reply.http.body.len;
        if (SMALL_OFFSET + len > s->front.len ||
            memcmp(reply.http.body.data, s->front.data + SMALL_OFFSET, len) != 0)
            found(s, NX_TROUBLE_WRONG_BYTES, "%s has another file", address);
    } else if (reply.http.status == 0) {
        found(s, NX_TROUBLE_ADDRESS, "%s: %s", address, reply.verdict.msg);
    } else {
        found(s, NX_TROUBLE_UNRELIABLE, "%s: %s", address, reply.verdict.msg);
    }
    return 0;
}

static int check_addresses(struct state *s, struct nx_error *err)
{
    struct nx_addresses addresses;
    nx_prober_addresses(&s->prober, s->final_url, &addresses);
    for (unsigned i = 0; addresses.n > 1 && i < addresses.n; i++)
        if (check_address(s, addresses.text[i], err) < 0)
            return -1;
    return 0;
}

/* ---- all together ---------------------------------------------------------------------------- */

static int run(struct state *s, struct nx_error *err)
{
    static int (*const as_others[])(struct state *, struct nx_error *) = {
        check_conditions, check_whole, check_compression, check_cors, check_addresses,
    };
    if (nx_prober_start(&s->prober, err) < 0)
        return -1;
    int r = check_head(s, err);
    if (r > 0)
        r = check_ranges(s, err);
    for (size_t i = 0; r > 0 && i < sizeof as_others / sizeof as_others[0]; i++)
        if (as_others[i](s, err) < 0)
            return -1;
    if (s->prober.repeated > 0)
        found(s, NX_TROUBLE_UNRELIABLE,
              "%u of %u requests were answered well only when repeated: %s", s->prober.repeated,
              s->prober.asked, s->prober.why_repeated.msg);
    s->check->questions = s->prober.asked;
    return r < 0 ? -1 : 0;
}

int nx_webcheck_run(const char *url, const struct nx_webcheck_options *options,
                    struct nx_webcheck *ret_check, struct nx_error *err)
{
    *ret_check = (struct nx_webcheck){ 0 };
    nx_plain_ascii((char *)nx_http_display_url(url, ret_check->url));
    struct state s = { .check = ret_check,
                       .url = url,
                       .prober = { .options = options->http,
                                   .timeout = options->timeout,
                                   .n_addresses = options->n_addresses },
                       .front = NX_BUFFER_INIT(NX_HEAD_MAX) };
    memcpy(s.prober.addresses, options->addresses, sizeof s.prober.addresses);
    int r = run(&s, err);
    nx_prober_release(&s.prober);
    nx_head_free(s.head);
    nx_buffer_release(&s.front);
    free(s.final_url);
    return r;
}
