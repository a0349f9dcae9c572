/* SPDX-License-Identifier: MIT */
#include "pack/webcheck.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/plain.h"
#include "pack/remote.h"
#include "pack/webcheck-state.h"

#define ROOTS_MAX 3      /* images whose index is looked at */
#define SLOW_US   200000 /* from a question to the first byte, beside the way */

/* ---- findings -------------------------------------------------------------------- */

void nx_webcheck_found(struct nx_webcheck_state *s, enum nx_trouble trouble, const char *fmt, ...)
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

struct nx_remedy nx_webcheck_remedy(const struct nx_webcheck *check, enum nx_trouble trouble)
{
    /* From http to https is as it should be, but for the URL that was published. */
    bool to_tls =
        strncasecmp(check->url, "http:", 5) == 0 && strncasecmp(check->final_url, "https:", 6) == 0;
    switch (trouble) {
    case NX_TROUBLE_REDIRECTS:
        return nx_remedy_for(to_tls ? NX_WEBSERVER_OTHER : check->redirector, trouble);
    case NX_TROUBLE_REDIRECT_REFUSED:
    case NX_TROUBLE_DOWNGRADE:
        return nx_remedy_for(check->redirector, trouble);
    default:
        return nx_remedy_for(check->webserver, trouble);
    }
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
static void found_refusal(struct nx_webcheck_state *s, const struct nx_reply *reply)
{
    const struct nx_http_request *http = &reply->http;
    char range[NX_FIELD_MAX];
    if (nx_reply_is_encoded(reply) &&
        (http->fault == NX_HTTP_NO_RANGES || http->fault == NX_HTTP_COMPRESSED)) {
        nx_webcheck_found(s, NX_TROUBLE_COMPRESSED,
                          "the answer has Content-Encoding: %s, where identity was asked for",
                          http->content_encoding);
        return;
    }
    switch (http->fault) {
    case NX_HTTP_NO_RANGES:
        nx_webcheck_found(s, NX_TROUBLE_NO_RANGES,
                          "the answer to a Range request has status 200, not 206");
        break;
    case NX_HTTP_WRONG_RANGE:
        nx_prober_field(&s->prober, "Content-Range", range);
        nx_webcheck_found(s, NX_TROUBLE_CONTENT_RANGE,
                          "asked for bytes %" PRIu64 "-%" PRIu64 ", got Content-Range: %s",
                          http->offset, http->offset + http->length - 1, nx_or_none(range));
        break;
    case NX_HTTP_WRONG_LENGTH:
        nx_webcheck_found(s, NX_TROUBLE_LENGTH, "%s", reply->verdict.msg);
        break;
    case NX_HTTP_BAD_STATUS:
        nx_webcheck_found(s, NX_TROUBLE_STATUS, "%s", reply->verdict.msg);
        break;
    default:
        nx_webcheck_found(s, trouble_of_line(reply), "%s", reply->verdict.msg);
    }
}

/* ---- the package's head -------------------------------------------------------------- */

static void look_at_server(struct nx_webcheck_state *s)
{
    char server[NX_FIELD_MAX], via[NX_FIELD_MAX];
    nx_prober_field(&s->prober, "Server", s->check->server);
    nx_prober_field(&s->prober, "Via", via);
    s->check->webserver = nx_webserver_detect(s->check->server, via);
    nx_prober_first_field(&s->prober, "Server", server);
    nx_prober_first_field(&s->prober, "Via", via);
    s->check->redirector = nx_webserver_detect(server, via);
}

int nx_webcheck_ask(struct nx_webcheck_state *s, const char *url,
                    const struct nx_question *question, struct nx_reply *ret_reply,
                    struct nx_error *err)
{
    if (nx_prober_ask(&s->prober, url, question, ret_reply, err) < 0)
        return -1;
    unsigned us = ret_reply->round_trip_us;
    if (us && (!s->check->round_trip_us || us < s->check->round_trip_us))
        s->check->round_trip_us = us;
    return 0;
}

/* A certificate that is not believed is told, and then taken, to see what else there is: unless whoever has it would be
 * told a password.
 */
static int ask_first(struct nx_webcheck_state *s, const struct nx_question *question,
                     struct nx_reply *ret_reply, struct nx_error *err)
{
    if (nx_webcheck_ask(s, s->url, question, ret_reply, err) < 0)
        return -1;
    if (!ret_reply->bad_certificate || nx_http_has_user(s->url) ||
        nx_login_has_secrets(s->prober.options.login))
        return 0;
    found_refusal(s, ret_reply);
    nx_reply_release(ret_reply);
    s->prober.options.insecure = true;
    return nx_webcheck_ask(s, s->url, question, ret_reply, err);
}

/* What the first answer says beside its bytes. */
static int take_first(struct nx_webcheck_state *s, const struct nx_reply *reply,
                      struct nx_error *err)
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
    nx_webcheck_headers(s, reply);
    return 0;
}

/* 1: front has the head; 0: there is none, and nx_webcheck_found() says why. */
static int parse_head(struct nx_webcheck_state *s, struct nx_reply *reply, size_t *ret_need,
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
    nx_webcheck_found(s, NX_TROUBLE_PACKAGE, "%s", why.msg);
    return 0;
}

/* 1: go on; 0: nothing more can be asked. */
static int check_head(struct nx_webcheck_state *s, struct nx_error *err)
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
static void compare(struct nx_webcheck_state *s, const struct nx_reply *reply, const char *address)
{
    const struct nx_http_request *http = &reply->http;
    const char *on = address ? " on " : "";
    const char *host = address ? address : "";
    if (http->status == 206 && http->have_range && http->total != s->total)
        nx_webcheck_found(s, NX_TROUBLE_SIZE_CHANGES,
                          "the file had %" PRIu64 " bytes, and then %" PRIu64 "%s%s", s->total,
                          http->total, on, host);
    if (s->etag[0] && (http->status == 206 || http->status == 200) &&
        strcmp(http->etag, s->etag) != 0) {
        nx_webcheck_found(s, NX_TROUBLE_ETAG_CHANGES, "the ETag was %s, and then %s%s%s", s->etag,
                          http->etag[0] ? http->etag : "none that is strong", on, host);
        s->changes = true;
        s->if_range = false;
    }
}

static void note_times(struct nx_webcheck_state *s, const struct nx_reply *reply)
{
    if (s->n_ranges < NX_SMALL_MAX)
        s->first_byte_us[s->n_ranges++] = reply->first_byte_us;
    if (s->kept) {
        s->could_keep++;
        s->kept_not += reply->connections > 0;
    }
}

/* Ask for a small range as nxfetch does, with the ETag that was seen.  1: *ret_reply has it, to be released; 0: it has
 * not, and nx_webcheck_found() says why.
 */
static int ask_range(struct nx_webcheck_state *s, uint64_t offset, uint64_t length,
                     struct nx_reply *ret_reply, struct nx_error *err)
{
    struct nx_question question = { .offset = offset, .length = length };
    for (;;) {
        char etag[sizeof s->etag];
        memcpy(etag, s->etag, sizeof etag);
        question.if_range = s->if_range ? etag : NULL;
        if (nx_webcheck_ask(s, s->url, &question, ret_reply, err) < 0)
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
            nx_webcheck_found(
                s, NX_TROUBLE_IF_RANGE_REFUSED,
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
static int check_part(struct nx_webcheck_state *s, const struct nx_buffer *known,
                      uint64_t known_offset, uint64_t offset, uint64_t length, struct nx_error *err)
{
    uint64_t end = known_offset + known->len;
    if (offset >= end)
        return 1;
    if (length > end - offset)
        length = end - offset;
    NX_AUTO_REPLY struct nx_reply reply = { 0 };
    int r = ask_range(s, offset, length, &reply, err);
    if (r > 0 && memcmp(reply.http.body.data, known->data + (offset - known_offset), length) != 0)
        nx_webcheck_found(s, NX_TROUBLE_WRONG_BYTES,
                          "bytes %" PRIu64 "-%" PRIu64 " are others than in a range around them",
                          offset, offset + length - 1);
    return r;
}

/* Two ranges, one within the other, in the middle of the file. */
static int check_middle(struct nx_webcheck_state *s, struct nx_error *err)
{
    uint64_t middle = s->total / 2;
    uint64_t length = s->total - middle < 2 * NX_SMALL ? s->total - middle : 2 * NX_SMALL;
    NX_AUTO_REPLY struct nx_reply reply = { 0 };
    int r = ask_range(s, middle, length, &reply, err);
    return r <= 0 ? r : check_part(s, &reply.http.body, middle, middle + 1000, NX_SMALL, err);
}

/* The roots of the images' indexes, whose digests the signed manifest has. */
static int check_roots(struct nx_webcheck_state *s, struct nx_error *err)
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
            nx_webcheck_found(s, NX_TROUBLE_WRONG_BYTES,
                              "bytes %" PRIu64 "-%" PRIu64
                              " are not those that the package's manifest names",
                              offset, offset + image->root.size - 1);
    }
    return 1;
}

static int check_end(struct nx_webcheck_state *s, struct nx_error *err)
{
    NX_AUTO_REPLY struct nx_reply reply = { 0 };
    uint64_t length = s->total < NX_SMALL ? s->total : NX_SMALL;
    return ask_range(s, s->total - length, length, &reply, err);
}

static int by_size(const void *a, const void *b)
{
    unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
    return x < y ? -1 : x > y;
}

static void judge_times(struct nx_webcheck_state *s)
{
    struct nx_webcheck *check = s->check;
    if (s->could_keep > 0 && s->kept_not * 2 > s->could_keep)
        nx_webcheck_found(
            s, NX_TROUBLE_NO_KEEP_ALIVE,
            "%u of %u requests needed a new connection, for the server had closed the last one",
            s->kept_not, s->could_keep);
    if (s->n_ranges == 0)
        return;
    qsort(s->first_byte_us, s->n_ranges, sizeof s->first_byte_us[0], by_size);
    check->first_byte_us = s->first_byte_us[s->n_ranges / 2];
    if (check->first_byte_us > check->round_trip_us + SLOW_US)
        nx_webcheck_found(
            s, NX_TROUBLE_SLOW,
            "the first byte of a small range comes after %u ms, the median of %u; the way there "
            "and back takes %u ms",
            check->first_byte_us / 1000, s->n_ranges, check->round_trip_us / 1000);
}

/* 1: ranges work. */
static int check_ranges(struct nx_webcheck_state *s, struct nx_error *err)
{
    int r = check_part(s, &s->front, 0, NX_SMALL_OFFSET, NX_SMALL, err);
    if (r > 0)
        r = check_roots(s, err);
    if (r > 0)
        r = check_middle(s, err);
    if (r > 0)
        r = check_end(s, err);
    judge_times(s);
    return r;
}

/* ---- volumes --------------------------------------------------------------------------- */

/* 1: the volume is there, with the size that it must have; a byte of it is enough to tell. */
static int check_volume(struct nx_webcheck_state *s, const struct nx_volumes *volumes,
                        unsigned number, struct nx_error *err)
{
    const struct nx_question question = { .length = 1 };
    NX_AUTO_REPLY struct nx_reply reply = { 0 };
    NX_AUTO_FREE char *url = NULL;
    char suffix[NX_VOLUME_SUFFIX];
    uint64_t least, most;
    if (nx_http_extend_path(s->url, nx_volume_suffix(number, suffix), &url, err) < 0 ||
        nx_webcheck_ask(s, url, &question, &reply, err) < 0)
        return -1;
    nx_volumes_bounds(volumes, number, &least, &most);
    s->prober.deadline += (int64_t)s->prober.timeout * 1000; /* there may be a thousand of them */
    uint64_t size = reply.http.total;
    if (reply.verdict.code != NX_OK)
        nx_webcheck_found(s, NX_TROUBLE_VOLUME, "%s of %u volumes: %s", suffix, volumes->count,
                          reply.verdict.msg);
    else if (size < least || size > most)
        nx_webcheck_found(s, NX_TROUBLE_VOLUME,
                          "%s of %u volumes has %" PRIu64 " bytes, and must have %" PRIu64, suffix,
                          volumes->count, size, least);
    else
        return 1;
    return 0;
}

/* Up to the first that is not as it should be. */
static int check_volumes(struct nx_webcheck_state *s, struct nx_error *err)
{
    const struct nx_manifest *manifest = s->head->manifest;
    int r = 1;
    for (unsigned i = 1;
         nx_manifest_is_cut(manifest, s->total) && r > 0 && i <= manifest->volumes.count; i++)
        r = check_volume(s, &manifest->volumes, i, err);
    return r < 0 ? -1 : 0;
}

/* ---- the host's addresses ------------------------------------------------------------------ */

/* Each may be another machine. */
static int check_address(struct nx_webcheck_state *s, const char *address, struct nx_error *err)
{
    NX_AUTO_REPLY struct nx_reply reply = { 0 };
    const struct nx_question question = {
        .offset = NX_SMALL_OFFSET, .length = NX_SMALL, .may_be_short = true, .address = address
    };
    /* Not where it redirects to: that may be another host, with other addresses. */
    if (nx_webcheck_ask(s, s->url, &question, &reply, err) < 0)
        return -1;
    if (reply.verdict.code == NX_OK) {
        compare(s, &reply, address);
        size_t len = reply.http.body.len;
        if (NX_SMALL_OFFSET + len > s->front.len ||
            memcmp(reply.http.body.data, s->front.data + NX_SMALL_OFFSET, len) != 0)
            nx_webcheck_found(s, NX_TROUBLE_WRONG_BYTES, "%s has another file", address);
    } else if (reply.http.status == 0) {
        nx_webcheck_found(s, NX_TROUBLE_ADDRESS, "%s: %s", address, reply.verdict.msg);
    } else {
        nx_webcheck_found(s, NX_TROUBLE_UNRELIABLE, "%s: %s", address, reply.verdict.msg);
    }
    return 0;
}

static int check_addresses(struct nx_webcheck_state *s, struct nx_error *err)
{
    struct nx_addresses addresses;
    nx_prober_addresses(&s->prober, s->url, &addresses);
    for (unsigned i = 0; addresses.n > 1 && i < addresses.n; i++)
        if (check_address(s, addresses.text[i], err) < 0)
            return -1;
    return 0;
}

/* ---- all together ---------------------------------------------------------------------------- */

static int run(struct nx_webcheck_state *s, struct nx_error *err)
{
    if (nx_prober_start(&s->prober, err) < 0)
        return -1;
    int r = check_head(s, err);
    if (r > 0)
        r = check_ranges(s, err);
    if (r > 0 && (nx_webcheck_as_others(s, err) < 0 || check_volumes(s, err) < 0 ||
                  check_addresses(s, err) < 0))
        return -1;
    if (s->prober.repeated > 0)
        nx_webcheck_found(s, NX_TROUBLE_UNRELIABLE,
                          "%u of %u requests were answered well only when repeated: %s",
                          s->prober.repeated, s->prober.asked, s->prober.why_repeated.msg);
    s->check->questions = s->prober.asked;
    return r < 0 ? -1 : 0;
}

int nx_webcheck_run(const char *url, const struct nx_webcheck_options *options,
                    struct nx_webcheck *ret_check, struct nx_error *err)
{
    *ret_check = (struct nx_webcheck){ 0 };
    nx_plain_ascii((char *)nx_http_display_url(url, ret_check->url));
    struct nx_webcheck_state s = { .check = ret_check,
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
