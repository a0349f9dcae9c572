/* SPDX-License-Identifier: MIT */
/* What the parts of a check know of each other: webcheck.c asks as nxfetch does, webcheck-others.c as browsers and caches
 * do, and webcheck-headers.c looks at what the headers say.
 */
#ifndef NX_PACK_WEBCHECK_STATE_H
#define NX_PACK_WEBCHECK_STATE_H

#include <strings.h>

#include "formats/package.h"
#include "pack/webcheck.h"

#define NX_SMALL        4096 /* bytes of a small range */
#define NX_SMALL_OFFSET 100  /* of the first of them: neither at the front of anything, nor round */
#define NX_SMALL_MAX    8    /* small ranges whose times are kept */

struct nx_webcheck_state {
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
    unsigned first_byte_us[NX_SMALL_MAX], n_ranges;
    unsigned could_keep, kept_not;
};

/* Note a trouble and what exactly it is; the first time counts. */
void nx_webcheck_found(struct nx_webcheck_state *s, enum nx_trouble trouble, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* nx_prober_ask(), and what it tells of the way. */
int nx_webcheck_ask(struct nx_webcheck_state *s, const char *url,
                    const struct nx_question *question, struct nx_reply *ret_reply,
                    struct nx_error *err);

/* What the headers of the last reply, which is 200 or 206, say of the server and the file; s->final_url is set. */
void nx_webcheck_headers(struct nx_webcheck_state *s, const struct nx_reply *reply);

/* The value of a directive such as "max-age" in a list such as that of Cache-Control; 0 without a value, -1 if it is not
 * there.
 */
long nx_webcheck_directive(const char *list, const char *name);

/* Once ranges work: ask as browsers and caches do. */
int nx_webcheck_as_others(struct nx_webcheck_state *s, struct nx_error *err);

static inline const char *nx_or_none(const char *value)
{
    return value[0] ? value : "(none)";
}

static inline bool nx_reply_is_encoded(const struct nx_reply *reply)
{
    const char *encoding = reply->http.content_encoding;
    return encoding[0] && strcasecmp(encoding, "identity") != 0;
}

#endif
