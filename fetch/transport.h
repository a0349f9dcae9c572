/* SPDX-License-Identifier: MIT */
/* Ranges of a package over HTTP, many at once: curl's multi interface on one network thread.
 *
 * What each answer is worth, http.h decides; what happens then, this does.  A failure that may
 * pass is tried again with back-off, on the next mirror if there is one.  A mirror that refuses is
 * left for the next one, and so is one that fails, or that hardly moves: what comes later does not ask it first.  When all of them refuse or the tries are used up, the transfer
 * fails - unless the transport is patient, for then a guest waits for these bytes: it goes on
 * trying, slowly, and the user is told.
 *
 * Of a package that is cut into volumes a range may reach over several files: these are asked for one after the other,
 * each from whichever mirror has it.
 *
 * A token that a server takes no more is made anew by the launcher (channel.h): what was refused waits for that, and is asked
 * for again.  A limit on the rate holds for all transfers together.
 *
 * What arrived() has taken of a range is not asked for again: a second try goes on behind it, and what has
 * brought something counts as no failure before it.
 */
#ifndef NX_FETCH_TRANSPORT_H
#define NX_FETCH_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/http.h"
#include "fetch/report.h"
#include "formats/volumes.h"

/* The most urgent first. */
enum nx_priority {
    NX_PRIORITY_DEMAND,     /* somebody waits */
    NX_PRIORITY_READAHEAD,  /* somebody will, probably; given up after a failure */
    NX_PRIORITY_BOOT,       /* the boot set */
    NX_PRIORITY_BACKGROUND, /* all the rest: only while nobody waits */
    NX_PRIORITIES,
};

struct nx_transport;
struct nx_transfer;

/* Called once for each transfer, on the network thread: be quick.  err is NULL if body holds the
 * bytes.  The transfer is the submitter's again.
 */
typedef void nx_transfer_fn(struct nx_transfer *transfer, const struct nx_error *err);

/* A range to fetch.  The submitter fills in the first part, and keeps it in place until done(). */
struct nx_transfer {
    uint64_t offset;
    uint64_t length; /* at least 1 */
    bool may_be_short;
    enum nx_priority priority;
    unsigned mirror; /* afterwards: which has answered (last, if it has taken several) */
    unsigned
        avoided; /* 1 + the mirror that is not to be asked first, for its bytes were wrong; or 0 */
    unsigned delay_ms; /* not before so many milliseconds from now */
    nx_transfer_fn *done;
    /* Called on the network thread when more of http.body has come, or NULL: be quick.  It may
     * call nx_transfer_take().  False: enough for now; it is called again before more is let in.
     */
    bool (*arrived)(struct nx_transfer *transfer);
    void *opaque;

    struct nx_http_request
        http; /* body (from offset on), total, etag: read them in done(), then release */

    /* The transport's own. */
    enum { NX_TRANSFER_IDLE, NX_TRANSFER_QUEUED, NX_TRANSFER_ACTIVE } state;
    TAILQ_ENTRY(nx_transfer) link;
    unsigned file; /* that is asked for: 0, or a volume */
    struct nx_transport *transport;
    CURL *easy;            /* while it is with curl */
    int64_t due;           /* ms: not before */
    int64_t started;       /* ms: when this try was; network thread */
    bool held;             /* arrived() wanted no more; network thread */
    bool throttled;        /* the rate's limit lets no more in; network thread */
    uint64_t counted;      /* bytes of this try that the rate's limit knows of; network thread */
    bool wants_token;      /* than http.used has; network thread */
    unsigned renewals;     /* tokens that it has waited for, and was refused with; network thread */
    unsigned first_mirror; /* which has answered first: over volumes there may be several */
    unsigned failures;     /* that may pass */
    unsigned refusals;     /* mirrors that have refused in a row */
    bool waits;            /* counted among those that the user hears of */
    char etag[256];        /* what If-Range names */
};

/* urls are copied; options and report must outlive the transport.  tries: how often a failure that may
 * pass is tried again before the transport is patient.
 */
int nx_transport_new(char *const *urls, unsigned n_urls, const struct nx_http_options *options,
                     unsigned tries, struct nx_report *report, struct nx_transport **ret_transport,
                     struct nx_error *err);

/* End all transfers with NX_ERR_CANCELLED, and the network thread.  Later submits end so at once. */
void nx_transport_stop(struct nx_transport *transport);
void nx_transport_free(struct nx_transport *transport);

void nx_transport_submit(struct nx_transport *transport, struct nx_transfer *transfer);

/* In arrived(): take the first n bytes of the body.  The transfer is then what is behind them: offset, length and
 * http.body move on.  *ret_front is to be released.  SYSTEM error without memory; nothing is taken then.
 */
int nx_transfer_take(struct nx_transfer *transfer, size_t n, struct nx_buffer *ret_front,
                     struct nx_error *err);

/* It is as urgent as this now, if it was less so.  Whoever demands it does not wait until a failure's back-off is
 * over.  Nothing happens if it is done already.
 */
void nx_transport_promote(struct nx_transport *transport, struct nx_transfer *transfer,
                          enum nx_priority priority);

/* The answer to NX_MSG_TOKEN_WANTED: options->login, which there is then, has this token (of len bytes, copied), and what has
 * waited for one is asked for again.  Errors of nx_login_set_token(): it keeps the one that it had.  Any thread.
 */
int nx_transport_set_token(struct nx_transport *transport, const void *token, size_t len,
                           struct nx_error *err);

/* From now on what somebody waits for never fails. */
void nx_transport_set_patient(struct nx_transport *transport);
bool nx_transport_is_patient(struct nx_transport *transport);

/* Something is wrong with what this mirror has: another one is asked first from now on, if there is one. */
void nx_transport_leave(struct nx_transport *transport, unsigned mirror);

/* The file must have at least so many bytes: a mirror with fewer is refused. */
void nx_transport_set_minimum(struct nx_transport *transport, uint64_t bytes);

/* The package is cut like this: offsets behind its head are asked for in its volumes, which stand beside it on each
 * mirror.  Before that it is taken for one file.  No transfer may be on its way.
 */
int nx_transport_set_volumes(struct nx_transport *transport, const struct nx_volumes *volumes,
                             struct nx_error *err);

unsigned nx_transport_mirrors(const struct nx_transport *transport);
const char *nx_transport_url(const struct nx_transport *transport, unsigned mirror);

/* For messages: the URL of the file that the package's byte at offset is in, and the offset there.  How it is cut. */
const char *nx_transport_where(const struct nx_transport *transport, unsigned mirror,
                               uint64_t offset, char text[static 512], uint64_t *ret_within);
const struct nx_volumes *nx_transport_volumes(const struct nx_transport *transport);

/* Fetch a range and wait for it, in any thread but the network's.  transfer->http is to be released. */
int nx_transport_fetch(struct nx_transport *transport, struct nx_transfer *transfer,
                       struct nx_error *err);

NX_DEFINE_AUTO(struct nx_transport *, transport, nx_transport_free)
#define NX_AUTO_TRANSPORT NX_AUTO(transport)

#endif
