/* SPDX-License-Identifier: MIT */
/* Questions to a web server, one after the other, of which all of the answer is looked at: how a check asks.
 * Each is made and judged by common/http.h, as nxfetch's requests are, so that what is good here is good there.
 *
 * The server may be hostile.  Headers, bodies and redirects are bounded there; here each question has a time
 * limit, and so have all of them together.
 */
#ifndef NX_PACK_PROBER_H
#define NX_PACK_PROBER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/http.h"

#define NX_PROBER_TIMEOUT   20  /* seconds for a question, unless told otherwise */
#define NX_PROBER_QUESTIONS 5   /* all of them together may take so many times as long */
#define NX_PROBER_ADDRESSES 8   /* of a host, at most */
#define NX_FIELD_MAX        512 /* bytes of a header that are looked at */

struct nx_prober {
    struct nx_http_options options;
    unsigned timeout; /* seconds; 0: NX_PROBER_TIMEOUT */
    /* Ask these instead of what the host's name says, if there are any; owned by the caller. */
    const char *addresses[NX_PROBER_ADDRESSES];
    unsigned n_addresses;

    CURL *easy;                   /* its connections are kept from question to question */
    int64_t deadline;             /* of all questions */
    unsigned asked, repeated;     /* questions; those that were answered only when repeated */
    struct nx_error why_repeated; /* the first of them */
};

struct nx_question {
    uint64_t offset, length; /* the range; length 0: all of the file, of which no byte is taken */
    bool may_be_short;
    const char *if_range;        /* an ETag, or NULL */
    const char *accept_encoding; /* NULL: "identity", as nxfetch says */
    const char *field;           /* one more header, as "Name: value", or NULL */
    const char *address;         /* ask this address on a new connection, or NULL */
};

struct nx_reply {
    struct nx_http_request http; /* body, status, total, etag */
    CURLcode code;
    struct nx_error
        verdict; /* NX_OK: nxfetch would take it; else what nxfetch would say, without the URL */
    bool bad_certificate; /* that is why */
    unsigned redirects;   /* that were followed */
    bool downgraded;      /* one of them left https for http */
    char *final_url;      /* where they ended */
    bool http2;
    unsigned connections;    /* that were made for this; 0: an old one was used */
    unsigned round_trip_us;  /* of a TCP connection that was made for this; else 0 */
    unsigned first_byte_us;  /* from the question to the answer's first byte */
    int64_t certificate_end; /* when it expires, in seconds since 1970; 0: not known */
};

/* Before the first question.  Fill in options, timeout and addresses before. */
int nx_prober_start(struct nx_prober *prober, struct nx_error *err);
void nx_prober_release(struct nx_prober *prober);

/* Ask url.  What may pass is tried again while the question has time.  0: there is *ret_reply, good or bad, to be
 * released; -1: the host has no memory, or the user has interrupted.
 */
int nx_prober_ask(struct nx_prober *prober, const char *url, const struct nx_question *question,
                  struct nx_reply *ret_reply, struct nx_error *err);
void nx_reply_release(struct nx_reply *reply);

/* A header of the last reply, made printable ASCII and cut to the size of text; several ones are joined with commas.
 * "" if there is none.  Returns text.
 */
const char *nx_prober_field(const struct nx_prober *prober, const char *name,
                            char text[static NX_FIELD_MAX]);

/* The same of the answer that came before all redirects, which is the last reply itself where there was none. */
const char *nx_prober_first_field(const struct nx_prober *prober, const char *name,
                                  char text[static NX_FIELD_MAX]);

/* The addresses that url's host has, as text, each once; at most NX_PROBER_ADDRESSES.  None if it is an address itself
 * or has none.
 */
struct nx_addresses {
    char text[NX_PROBER_ADDRESSES][64];
    unsigned n;
};
void nx_prober_addresses(const struct nx_prober *prober, const char *url,
                         struct nx_addresses *ret_addresses);

static inline void nx_auto_prober(struct nx_prober *prober)
{
    nx_prober_release(prober);
}
#define NX_AUTO_PROBER NX_AUTO(prober)

static inline void nx_auto_reply(struct nx_reply *reply)
{
    nx_reply_release(reply);
}
#define NX_AUTO_REPLY NX_AUTO(reply)

#endif
