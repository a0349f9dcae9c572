/* SPDX-License-Identifier: MIT */
/* What a range request over HTTP is, for everyone who makes one: how a curl
 * handle is set up, what of a server's answer is believed, and what is worth a
 * second try (RFC 9110, sections 14 and 15).  The engine's transport drives many
 * of these through curl's multi interface; nx_http_get() makes one and waits.
 */
#ifndef NX_COMMON_HTTP_H
#define NX_COMMON_HTTP_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/error.h"
#include "common/login.h"

/* What the user may set for all requests (options of the programs). */
struct nx_http_options {
    const char *ca_file;      /* a CA bundle instead of the system's, or NULL */
    bool insecure;            /* take any certificate: the digests and the signature still hold */
    unsigned connect_timeout; /* seconds; 0: 15 */
    unsigned stall_timeout;   /* seconds without a byte; 0: 20 */
    unsigned tries;           /* of nx_http_get(), with back-off between them; 0: 4 */
    struct nx_login *login;   /* who the user is, and by which proxy; NULL: nobody */
};

/* "vmnetx+http://h/x" -> "http://h/x"; http and https URLs pass; others are a USAGE error.
 * *ret_url is to be freed.
 */
int nx_http_normalize_url(const char *text, char **ret_url, struct nx_error *err);

/* Does text open with one of the schemes that nx_http_normalize_url() takes? */
bool nx_http_is_url(const char *text);

/* url with suffix behind its path, before what a '?' begins.  *ret_url is to be freed. */
int nx_http_extend_path(const char *url, const char *suffix, char **ret_url, struct nx_error *err);

/* url without user name and password, for messages; into text, cut to its size; returns text. */
const char *nx_http_display_url(const char *url, char text[static 512]);

/* Has it a user name or password in it? */
bool nx_http_has_user(const char *url);

/* Which of our demands on a server an answer does not meet. */
enum nx_http_fault {
    NX_HTTP_NO_FAULT,     /* or one of the line, or of another kind */
    NX_HTTP_NO_RANGES,    /* 200 where 206 was to be */
    NX_HTTP_COMPRESSED,   /* a Content-Encoding */
    NX_HTTP_WRONG_RANGE,  /* no Content-Range, or another one */
    NX_HTTP_WRONG_LENGTH, /* a body that is shorter or longer than its range */
    NX_HTTP_CHANGED,      /* another ETag than if_range_etag */
    NX_HTTP_BAD_STATUS,   /* neither 206 nor 200 */
};

/* One request and its answer.  The caller owns it and keeps it in place from
 * nx_http_prepare() until curl is done with the handle.
 */
struct nx_http_request {
    uint64_t offset;   /* asked: bytes offset .. offset + length - 1 */
    uint64_t length;   /* at least 1 */
    bool may_be_short; /* the file may end before the range does (the first request of all) */
    const char *if_range_etag; /* a strong ETag that the file must still have, or NULL */
    /* For those who examine a server: */
    const char *accept_encoding; /* instead of "identity"; NULL: that */
    const char *field;           /* one more header, as "Name: value"; NULL: none */

    /* Called when more of the body has come, if not NULL; may call nx_http_take(). */
    void (*arrived)(struct nx_http_request *request);
    void *opaque;

    struct nx_buffer
        body;    /* set its max to length; its first byte is the file's at offset + taken */
    size_t kept; /* the first so many bytes of body are no part of the answer, but stay before it */
    uint64_t taken;  /* bytes that nx_http_take() has taken out of this answer */
    long status;     /* HTTP status, 0 before there was one */
    uint64_t total;  /* the file's size from Content-Range */
    bool have_range; /* a Content-Range was read and is what was asked for */
    char etag[256];  /* "" if none or weak */
    char content_encoding[32];
    unsigned retry_after;     /* seconds, 0 if not said */
    size_t header_bytes;      /* internal: bounded */
    struct nx_login *login;   /* internal: the options' */
    struct nx_login_use used; /* of login, by this request */
    unsigned long
        schemes; /* by which the server or proxy lets one log in, CURLAUTH_…, if it has refused */
    struct nx_error err; /* what the callbacks found wrong */
    char curl_text[CURL_ERROR_SIZE];
    struct curl_slist *headers; /* owned */
    bool body_checked;          /* internal: the status line and headers were judged */
    bool changed;               /* the file is not the one that if_range_etag names */
    enum nx_http_fault fault;   /* after a failure */
};

/* Set up easy for request: URL, range, callbacks, timeouts, http(s) only, at most
 * 5 redirects that never leave http(s) and take no password to another host, Accept-Encoding: identity.  What the server
 * sends is bounded: headers, the body, and what comes with a redirect.  Ends early when interrupted (interrupt.h).
 */
int nx_http_prepare(CURL *easy, const char *url, const struct nx_http_options *options,
                    struct nx_http_request *request, struct nx_error *err);

/* Judge a finished request: 0 and body, total, etag are good; or -1: NX_ERR_NETWORK
 * is worth another try (after retry_after), NX_ERR_SERVER and NX_ERR_SYSTEM are not.  The message
 * names the URL and, where the admin must act, what is wrong with the server.
 */
int nx_http_finish(CURL *easy, const char *url, CURLcode code, struct nx_http_request *request,
                   struct nx_error *err);

/* In arrived(): take the first n bytes of the body, which then begins behind them, so that a long range needs little
 * memory.  *ret_front is to be released.  SYSTEM error without memory; nothing is taken then.
 */
int nx_http_take(struct nx_http_request *request, size_t n, struct nx_buffer *ret_front,
                 struct nx_error *err);

/* The same, but the message does not open with the URL. */
int nx_http_judge(CURL *easy, CURLcode code, struct nx_http_request *request, struct nx_error *err);

/* Release body and headers. */
void nx_http_request_release(struct nx_http_request *request);

/* Fetch a range and wait for it, trying again as options say.  Fill offset, length,
 * may_be_short and body.max before; may be called from any thread.  Ends early when
 * interrupted (interrupt.h).
 */
int nx_http_get(const char *url, const struct nx_http_options *options,
                struct nx_http_request *request, struct nx_error *err);

/* Milliseconds to wait before try number n (1 is the first retry): doubles from 250 ms to
 * at most 15 s, with up to a quarter of jitter, never less than retry_after seconds (capped at 120).
 */
unsigned nx_http_backoff_ms(unsigned n, unsigned retry_after);

#endif
