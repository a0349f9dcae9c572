/* SPDX-License-Identifier: MIT */
#include "pack/webcheck-state.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define OTHER_ETAG    "\"nxref-check\""
#define OTHER_ORIGIN  "https://nxref-check.invalid"
#define ALL_ENCODINGS "gzip, deflate, br, zstd"

/* 1: there is an answer, whatever it says, to be released; 0: there is none, though there was one to nxfetch. */
static int ask_otherwise(struct nx_webcheck_state *s, const struct nx_question *question,
                         struct nx_reply *ret_reply, struct nx_error *err)
{
    if (nx_webcheck_ask(s, s->url, question, ret_reply, err) < 0)
        return -1;
    if (ret_reply->http.status != 0)
        return 1;
    nx_webcheck_found(s, NX_TROUBLE_UNRELIABLE, "%s", ret_reply->verdict.msg);
    nx_reply_release(ret_reply);
    return 0;
}

/* With conditions.  The answers' bodies are not taken. */
static int check_conditions(struct nx_webcheck_state *s, struct nx_error *err)
{
    if (!s->etag[0] || s->changes)
        return 0;
    NX_AUTO_REPLY struct nx_reply other = { 0 };
    struct nx_question question = {
        .offset = NX_SMALL_OFFSET, .length = NX_SMALL, .may_be_short = true, .if_range = OTHER_ETAG
    };
    int r = ask_otherwise(s, &question, &other, err);
    if (r <= 0)
        return r;
    if (other.http.status == 206)
        nx_webcheck_found(s, NX_TROUBLE_IF_RANGE_IGNORED,
                          "the answer to If-Range with another ETag has status 206, not 200");

    NX_AUTO_REPLY struct nx_reply same = { 0 };
    char field[sizeof s->etag + 32];
    snprintf(field, sizeof field, "If-None-Match: %s", s->etag);
    question = (struct nx_question){ .field = field };
    r = ask_otherwise(s, &question, &same, err);
    if (r <= 0)
        return r;
    if (same.http.status != 304)
        nx_webcheck_found(
            s, NX_TROUBLE_IF_NONE_MATCH,
            "the answer to If-None-Match with the file's own ETag has status %ld, not 304",
            same.http.status);
    return 0;
}

static bool is_compressed(struct nx_webcheck_state *s, const struct nx_reply *reply,
                          const char *what)
{
    if (!nx_reply_is_encoded(reply))
        return false;
    nx_webcheck_found(s, NX_TROUBLE_COMPRESSES, "%s is sent with Content-Encoding: %s", what,
                      reply->http.content_encoding);
    return true;
}

/* As who downloads the package asks. */
static int check_whole(struct nx_webcheck_state *s, struct nx_error *err)
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
        nx_webcheck_found(s, NX_TROUBLE_WHOLE,
                          "the answer to a request for all of the file has status %ld",
                          reply.http.status);
    else if (!length[0])
        nx_webcheck_found(s, NX_TROUBLE_WHOLE,
                          "the answer for all of the file has no Content-Length");
    else if (strtoull(length, NULL, 10) != s->total)
        nx_webcheck_found(
            s, NX_TROUBLE_WHOLE,
            "all of the file is said to have Content-Length: %s, ranges of it %" PRIu64 " bytes",
            length, s->total);
    return 0;
}

/* As a browser or a cache asks, which accepts compression. */
static int check_compression(struct nx_webcheck_state *s, struct nx_error *err)
{
    NX_AUTO_REPLY struct nx_reply range = { 0 };
    NX_AUTO_REPLY struct nx_reply whole = { 0 };
    struct nx_question question = { .offset = NX_SMALL_OFFSET,
                                    .length = NX_SMALL,
                                    .may_be_short = true,
                                    .accept_encoding = ALL_ENCODINGS };
    int r = ask_otherwise(s, &question, &range, err);
    if (r <= 0)
        return r;
    if (is_compressed(s, &range, "a range, to a client that accepts compression,"))
        return 0;
    if (range.http.status == 200)
        nx_webcheck_found(s, NX_TROUBLE_COMPRESSES,
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
    return nx_webcheck_directive(list, "*") >= 0 || nx_webcheck_directive(list, name) >= 0;
}

/* As a page of another site asks. */
static int check_cors(struct nx_webcheck_state *s, struct nx_error *err)
{
    NX_AUTO_REPLY struct nx_reply reply = { 0 };
    char allow[NX_FIELD_MAX], expose[NX_FIELD_MAX];
    const struct nx_question question = { .offset = NX_SMALL_OFFSET,
                                          .length = NX_SMALL,
                                          .may_be_short = true,
                                          .field = "Origin: " OTHER_ORIGIN };
    int r = ask_otherwise(s, &question, &reply, err);
    if (r <= 0)
        return r;
    nx_prober_field(&s->prober, "Access-Control-Allow-Origin", allow);
    nx_prober_field(&s->prober, "Access-Control-Expose-Headers", expose);
    if (strcmp(allow, "*") != 0 && strcmp(allow, OTHER_ORIGIN) != 0)
        nx_webcheck_found(s, NX_TROUBLE_NO_CORS, "Access-Control-Allow-Origin: %s, not *",
                          nx_or_none(allow));
    else if (!exposes(expose, "Content-Range") || !exposes(expose, "ETag"))
        nx_webcheck_found(s, NX_TROUBLE_NO_CORS,
                          "Access-Control-Expose-Headers: %s, without Content-Range or ETag",
                          nx_or_none(expose));
    return 0;
}

int nx_webcheck_as_others(struct nx_webcheck_state *s, struct nx_error *err)
{
    static int (*const checks[])(struct nx_webcheck_state *, struct nx_error *) = {
        check_conditions,
        check_whole,
        check_compression,
        check_cors,
    };
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++)
        if (checks[i](s, err) < 0)
            return -1;
    return 0;
}
