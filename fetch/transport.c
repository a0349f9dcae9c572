/* SPDX-License-Identifier: MIT */
/* Threads: submit and promote put transfers into the queues under the lock, from any thread, and wake
 * the network thread up.  It alone touches curl, active transfers (but for their priority) and
 * the mirrors' ETags.  done() is called without the lock.
 */
#include "fetch/transport.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>

#include "common/clock.h"
#include "fetch/ratelimit.h"

#define CONNECTIONS_MAX  6    /* to one host, where HTTP/2 does not make it one */
#define TRANSFERS_MAX    24   /* at once; HTTP/2 streams */
#define UNURGENT_MAX     4    /* of them, those that nobody waits for: connections stay free */
#define DEMAND_RETRY_MS  5000 /* at most, while a guest waits: it goes on soon after the network */
#define DEMAND_STALL     5    /* s of silence in a demand's first try: bound_slowness() */
#define LIMITED_STALL    30   /* s, with a rate that is limited to less than NARROW */
#define NARROW           (256 << 10) /* bytes/s: each transfer may have to wait long for all others */
#define SLOW_SPEED       256         /* bytes/s: what is slower than that is silence, at first */
#define READAHEAD_TRIES  1
#define RENEWALS_MAX     10   /* tokens that are tried: a server may hear of a new one late */
#define RENEWAL_MS       1000 /* between them, at least: the launcher may take longer (bearer.h) */
#define CURL_BUFFER_SIZE (128L << 10)
#define RATE_BUFFER_SIZE (16L << 10) /* with a limit, which is kept in steps of this */
#define REFUSED_MS \
    30000 /* so long a mirror without a volume is not asked for it: it may be copied there just now */
#define HELD_MS \
    10 /* how often held transfers are looked at: a fast line's socket has more than that */

TAILQ_HEAD(transfer_list, nx_transfer);

/* A file of a mirror's: the package, its head, or a volume. */
struct remote {
    char *url;
    char etag[256];     /* the first strong one seen, "" if none */
    bool etag_unstable; /* it has changed once: the digests alone decide now */
    int64_t refused;    /* under lock: ms: a volume that could not be had then; 0: it could */
};

struct mirror {
    struct remote *files;
};

struct nx_transport {
    const struct nx_http_options *options;
    struct nx_report *report;
    struct mirror *mirrors; /* network thread, but for url and refused */
    unsigned n_mirrors;
    struct nx_volumes volumes; /* count 0: each mirror has one file */
    unsigned tries;
    CURLM *multi;              /* network thread, but for curl_multi_wakeup() */
    CURL *idle[TRANSFERS_MAX]; /* network thread */
    unsigned n_idle;
    struct nx_ratelimit rate; /* network thread */
    pthread_t thread;
    bool running; /* the thread is to be joined: nx_transport_stop()'s caller */

    pthread_mutex_t lock;
    struct transfer_list queues[NX_PRIORITIES]; /* under lock */
    struct transfer_list active;                /* under lock */
    unsigned preferred;                         /* under lock: the mirror that is asked first */
    unsigned n_active[NX_PRIORITIES];           /* under lock */
    uint64_t minimum;                           /* under lock */
    bool patient;                               /* under lock */
    bool stopping;                              /* under lock */
    bool token_asked;                           /* under lock: the launcher makes a new one */
    bool token_good;                            /* a token was taken; network thread */
};

static struct remote *remote_of(const struct nx_transport *transport,
                                const struct nx_transfer *transfer)
{
    return &transport->mirrors[transfer->mirror].files[transfer->file];
}

/* Where the first byte is that is still to be asked for. */
static struct nx_volume_place place_of(const struct nx_transport *transport,
                                       const struct nx_transfer *transfer)
{
    return nx_volumes_place(&transport->volumes, transfer->offset + transfer->http.kept);
}

/* ---- telling the user ------------------------------------------------------ */

/* A transfer that somebody waits for has trouble, or has no more. */
static void set_waits(struct nx_transport *transport, struct nx_transfer *transfer, bool waits,
                      const char *reason)
{
    if (transfer->waits == waits)
        return;
    transfer->waits = waits;
    if (waits)
        nx_report_wait(transport->report, reason);
    else
        nx_report_go_on(transport->report);
}

/* ---- starting -------------------------------------------------------------- */

/* May one more transfer of this priority start?  Under lock. */
static bool has_room(const struct nx_transport *transport, enum nx_priority priority)
{
    unsigned urgent = transport->n_active[NX_PRIORITY_DEMAND], unurgent = 0;
    for (int p = NX_PRIORITY_READAHEAD; p < NX_PRIORITIES; p++)
        unurgent += transport->n_active[p];
    if (urgent + unurgent >= TRANSFERS_MAX)
        return false;
    if (priority == NX_PRIORITY_DEMAND)
        return true;
    if (priority == NX_PRIORITY_BACKGROUND && urgent > 0)
        return false;
    return unurgent < UNURGENT_MAX;
}

/* Take the most urgent transfer that may start now, or NULL; *next_due is then when to look again.  Under lock. */
static struct nx_transfer *take_next(struct nx_transport *transport, int64_t *next_due)
{
    int64_t now = nx_now_ms();
    for (int p = 0; p < NX_PRIORITIES; p++) {
        struct nx_transfer *transfer;
        TAILQ_FOREACH(transfer, &transport->queues[p], link)
        {
            if (transfer->due > now) {
                if (transfer->due < *next_due)
                    *next_due = transfer->due;
                continue;
            }
            if (transfer->wants_token &&
                nx_login_is_current(transport->options->login, &transfer->http.used))
                continue;
            if (!has_room(transport, transfer->priority))
                break;
            if (!nx_ratelimit_allows(&transport->rate, p == NX_PRIORITY_DEMAND, now)) {
                if (now + HELD_MS < *next_due)
                    *next_due = now + HELD_MS;
                break;
            }
            TAILQ_REMOVE(&transport->queues[p], transfer, link);
            TAILQ_INSERT_TAIL(&transport->active, transfer, link);
            transport->n_active[transfer->priority]++;
            transfer->state = NX_TRANSFER_ACTIVE;
            return transfer;
        }
    }
    return NULL;
}

static CURL *take_handle(struct nx_transport *transport)
{
    if (transport->n_idle > 0)
        return transport->idle[--transport->n_idle];
    CURL *easy = curl_easy_init();
    if (easy)
        curl_easy_setopt(easy, CURLOPT_BUFFERSIZE,
                         transport->rate.limit ? RATE_BUFFER_SIZE : CURL_BUFFER_SIZE);
    return easy;
}

static void give_handle(struct nx_transport *transport, CURL *easy)
{
    if (easy && transport->n_idle < TRANSFERS_MAX)
        transport->idle[transport->n_idle++] = easy;
    else
        curl_easy_cleanup(easy);
}

static void failed(struct nx_transport *transport, struct nx_transfer *transfer,
                   const struct nx_error *err);

/* Take no more of its answer for now, or go on; the server then waits, as curl reads no more. */
static void hold(struct nx_transfer *transfer, bool held, bool throttled)
{
    transfer->held = held;
    transfer->throttled = throttled;
    curl_easy_pause(transfer->easy, held || throttled ? CURLPAUSE_RECV : CURLPAUSE_CONT);
}

/* May it let more in, by the rate's limit?  What has come of it is counted.  Network thread. */
static bool is_within_rate(struct nx_transport *transport, struct nx_transfer *transfer)
{
    const struct nx_http_request *http = &transfer->http;
    uint64_t came = http->taken + http->body.len - http->kept;
    if (!transport->rate.limit)
        return true;
    nx_ratelimit_spend(&transport->rate, came - transfer->counted);
    transfer->counted = came;
    pthread_mutex_lock(&transport->lock);
    bool urgent = transfer->priority == NX_PRIORITY_DEMAND;
    pthread_mutex_unlock(&transport->lock);
    return nx_ratelimit_allows(&transport->rate, urgent, nx_now_ms());
}

static void tell_arrived(struct nx_http_request *http)
{
    struct nx_transfer *transfer = http->opaque;
    bool within = is_within_rate(transfer->transport, transfer);
    bool more = !transfer->arrived || transfer->arrived(transfer);
    if ((!more && !transfer->held) || (!within && !transfer->throttled))
        hold(transfer, !more || transfer->held, !within);
}

/* While somebody waits, silence is borne less long at first: often just this connection is dead, and another one
 * works.  A server that does need long to answer, or a line that is this slow, gets its time in the next tries.
 */
static void bound_slowness(struct nx_transport *transport, const struct nx_transfer *transfer,
                           CURL *easy)
{
    const struct nx_http_options *options = transport->options;
    unsigned round = transfer->failures / transport->n_mirrors;
    long slowest = round < 8 ? SLOW_SPEED >> round : 1;
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, slowest);
    pthread_mutex_lock(&transport->lock);
    bool background = transfer->priority == NX_PRIORITY_BACKGROUND;
    pthread_mutex_unlock(&transport->lock);
    if (transport->rate.limit && transport->rate.limit < NARROW) { /* it is we who are slow */
        long turns = (long)(TRANSFERS_MAX * RATE_BUFFER_SIZE / transport->rate.limit);
        curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, LIMITED_STALL + turns);
        return;
    }
    if (background || round > 1)
        return;
    long limit = DEMAND_STALL << round;
    if (!options->stall_timeout || limit < options->stall_timeout)
        curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, limit);
    if (!options->connect_timeout || limit < options->connect_timeout)
        curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, limit);
}

static int start_with(struct nx_transport *transport, struct nx_transfer *transfer, CURL *easy,
                      struct nx_error *err)
{
    const struct remote *remote = remote_of(transport, transfer);
    const struct nx_volume_place place = place_of(transport, transfer);
    struct nx_http_request *http = &transfer->http;
    snprintf(transfer->etag, sizeof(transfer->etag), "%s", remote->etag);
    http->offset = place.offset;
    http->length = transfer->length - http->kept;
    if (http->length > place.left)
        http->length = place.left;
    http->may_be_short = transfer->may_be_short;
    http->if_range_etag = transfer->etag[0] ? transfer->etag : NULL;
    http->body.max = transfer->length;
    http->arrived = transfer->arrived || transport->rate.limit ? tell_arrived : NULL;
    http->opaque = transfer;
    transfer->transport = transport;
    transfer->started = nx_now_ms();
    transfer->held = transfer->throttled = transfer->wants_token = false;
    transfer->counted = 0;
    if (http->kept == 0)
        transfer->first_mirror = transfer->mirror;
    if (nx_http_prepare(easy, remote->url, transport->options, http, err) < 0)
        return -1;
    bound_slowness(transport, transfer, easy);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    char name[512];
    if (curl_multi_add_handle(transport->multi, easy) != CURLM_OK)
        return nx_fail(err, NX_ERR_SYSTEM, "%s: curl does not take the transfer",
                       nx_http_display_url(remote->url, name));
    transfer->easy = easy;
    return 0;
}

static void start(struct nx_transport *transport, struct nx_transfer *transfer)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_stats *stats = &transport->report->stats;
    nx_report_add(transport->report, &stats->requests, 1);
    CURL *easy = take_handle(transport);
    if (easy && start_with(transport, transfer, easy, &err) == 0)
        return;
    char name[512];
    if (!easy)
        nx_fail(&err, NX_ERR_SYSTEM, "%s: curl cannot start",
                nx_http_display_url(remote_of(transport, transfer)->url, name));
    give_handle(transport, easy);
    failed(transport, transfer, &err);
}

/* ---- ending ---------------------------------------------------------------- */

/* Out of the active list; the caller owns the transfer then. */
static void deactivate(struct nx_transport *transport, struct nx_transfer *transfer)
{
    pthread_mutex_lock(&transport->lock);
    TAILQ_REMOVE(&transport->active, transfer, link);
    transport->n_active[transfer->priority]--;
    transfer->state = NX_TRANSFER_IDLE;
    pthread_mutex_unlock(&transport->lock);
}

static void finish(struct nx_transport *transport, struct nx_transfer *transfer,
                   const struct nx_error *err)
{
    if (transfer->waits)
        set_waits(transport, transfer, false, NULL);
    transfer->done(transfer, err);
}

static void queue_again(struct nx_transport *transport, struct nx_transfer *transfer, int64_t delay)
{
    nx_report_add(transport->report, &transport->report->stats.retries, 1);
    pthread_mutex_lock(&transport->lock);
    transfer->due = nx_now_ms() + delay;
    transfer->state = NX_TRANSFER_QUEUED;
    TAILQ_INSERT_TAIL(&transport->queues[transfer->priority], transfer, link);
    pthread_mutex_unlock(&transport->lock);
}

static void leave(struct nx_transport *transport, unsigned mirror) /* under lock */
{
    if (transport->preferred == mirror)
        transport->preferred = (mirror + 1) % transport->n_mirrors;
}

/* The first mirror from this one on that has not just refused the file; this one if all have.  Under lock. */
static unsigned choose_mirror(const struct nx_transport *transport, unsigned first, unsigned file)
{
    int64_t now = nx_now_ms();
    for (unsigned i = 0; i < transport->n_mirrors; i++) {
        unsigned mirror = (first + i) % transport->n_mirrors;
        int64_t refused = transport->mirrors[mirror].files[file].refused;
        if (!refused || now - refused > REFUSED_MS)
            return mirror;
    }
    return first;
}

/* A mirror without one of the volumes may well have the others.  Under lock. */
static void leave_for(struct nx_transport *transport, struct nx_transfer *transfer, bool refused)
{
    unsigned mirror = transfer->mirror;
    if (refused && transfer->file > 0)
        remote_of(transport, transfer)->refused = nx_now_ms();
    else
        leave(transport, mirror);
    unsigned next = (mirror + 1) % transport->n_mirrors;
    transfer->mirror = choose_mirror(transport, next, transfer->file);
    if (!refused && transfer->mirror == mirror)
        transfer->mirror = next; /* what has refused before is better than what does not answer */
}

/* Milliseconds until the next try, or -1: give up. */
static int64_t next_try(struct nx_transport *transport, struct nx_transfer *transfer,
                        const struct nx_error *err, bool *ret_demand)
{
    bool refused = err->code == NX_ERR_SERVER;
    pthread_mutex_lock(&transport->lock);
    bool readahead = transfer->priority == NX_PRIORITY_READAHEAD;
    *ret_demand = transfer->priority == NX_PRIORITY_DEMAND;
    bool patient = transport->patient && !readahead;
    leave_for(transport, transfer, refused);
    pthread_mutex_unlock(&transport->lock);
    unsigned n = transport->n_mirrors;
    int64_t longest = *ret_demand && !transfer->http.retry_after ? DEMAND_RETRY_MS : INT64_MAX;
    if (transfer->http.taken > 0)
        transfer->failures = transfer->refusals = 0;
    transfer->refusals =
        refused ? transfer->refusals + 1 : 0;  /* all mirrors must refuse in a row */
    unsigned round = transfer->failures++ / n; /* back-off when all mirrors have had their turn */
    unsigned tries = readahead ? READAHEAD_TRIES : transport->tries;
    if (!patient && (refused ? transfer->refusals >= n : transfer->failures >= tries * n))
        return -1;
    if (transfer->failures % n != 0)
        return 0;
    int64_t backoff = nx_http_backoff_ms(round + 1, transfer->http.retry_after);
    return longest < backoff ? longest : backoff;
}

/* An inactive transfer has failed: try again, or tell the submitter. */
static void failed(struct nx_transport *transport, struct nx_transfer *transfer,
                   const struct nx_error *err)
{
    deactivate(transport, transfer);
    bool demand;
    int64_t delay = next_try(transport, transfer, err, &demand);
    if (delay < 0) {
        finish(transport, transfer, err);
        return;
    }
    if (demand && transfer->failures > 1)
        set_waits(transport, transfer, true, err->msg);
    queue_again(transport, transfer, delay);
}

/* A 206 whose file is too short is from a wrong copy; so is a volume that is too long.  (A mirror may have the whole
 * package where others have the head.)
 */
static int check_copy(struct nx_transport *transport, const struct nx_transfer *transfer,
                      struct nx_error *err)
{
    uint64_t total = transfer->http.total, most = UINT64_MAX;
    pthread_mutex_lock(&transport->lock);
    uint64_t minimum = transport->minimum;
    pthread_mutex_unlock(&transport->lock);
    if (transport->volumes.count)
        nx_volumes_bounds(&transport->volumes, transfer->file, &minimum, &most);
    bool too_long = transfer->file > 0 && total > most;
    if (total >= minimum && !too_long)
        return 0;
    char url[512];
    nx_http_display_url(remote_of(transport, transfer)->url, url);
    if (too_long)
        return nx_fail(err, NX_ERR_SERVER,
                       "%s: a volume of another package, or of another version: the server has "
                       "%" PRIu64 " bytes, at most %" PRIu64 " are its own",
                       url, total, most);
    return nx_fail(err, NX_ERR_SERVER,
                   "%s: truncated: the server has %" PRIu64 " bytes of at least %" PRIu64, url,
                   total, minimum);
}

/* Say what is behind a refusal.  Volumes are easily forgotten by who copies a package to a server, and what is truncated
 * has another range.
 */
static void explain(struct nx_transport *transport, const struct nx_transfer *transfer,
                    struct nx_error *err)
{
    const struct nx_error why = *err;
    long status = transfer->http.status;
    if (err->code == NX_ERR_SERVER && status == 206 && transfer->http.total > 0)
        check_copy(transport, transfer, err);
    else if (transfer->file > 0 && (status == 404 || status == 410))
        nx_fail(err, why.code, "%s: volume %u of the package's %u must be copied there, too",
                why.msg, transfer->file, transport->volumes.count);
}

static void learn_from(struct nx_transport *transport, const struct nx_transfer *transfer)
{
    struct remote *remote = remote_of(transport, transfer);
    if (!remote->etag_unstable && !remote->etag[0])
        snprintf(remote->etag, sizeof(remote->etag), "%s", transfer->http.etag);
    pthread_mutex_lock(&transport->lock);
    remote->refused = 0;
    pthread_mutex_unlock(&transport->lock);
}

/* The file is another one now, or the mirror's hosts disagree about ETags (Apache's old default names
 * inodes).  Ask once more without If-Range; digests decide.
 */
static bool etag_has_changed(struct nx_transport *transport, struct nx_transfer *transfer,
                             const struct nx_error *err)
{
    struct remote *remote = remote_of(transport, transfer);
    if (!transfer->http.changed)
        return false;
    if (!remote->etag_unstable)
        nx_report_text(transport->report, NX_MSG_NOTICE, "%s", err->msg);
    remote->etag_unstable = true;
    remote->etag[0] = '\0';
    return true;
}

/* ---- the token ------------------------------------------------------------- */

/* A token has expired while we had it: put the transfer back until there is another one, which the launcher is asked for.
 * False: new ones were refused, too, so it is about something else; if none was ever taken, one is enough.
 */
static bool wait_for_token(struct nx_transport *transport, struct nx_transfer *transfer)
{
    const struct nx_http_request *http = &transfer->http;
    struct nx_login *login = transport->options->login;
    if (http->status != 401 || !http->used.token)
        return false;
    bool refused = transfer->renewals >= (transport->token_good ? RENEWALS_MAX : 1);
    int64_t pause = transfer->renewals > 0 ? RENEWAL_MS : 0;
    transfer->renewals = refused ? 0 : transfer->renewals + 1;
    pthread_mutex_lock(&transport->lock);
    bool current = nx_login_is_current(login, &http->used);
    bool asks = current && !transport->token_asked;
    transport->token_asked = transport->token_asked || current;
    pthread_mutex_unlock(&transport->lock);
    if (asks)
        nx_report_send(transport->report, NX_MSG_TOKEN_WANTED, NULL, 0);
    if (refused && current)
        return false;
    transfer->wants_token = true; /* until there is one: take_next() */
    deactivate(transport, transfer);
    queue_again(transport, transfer, pause);
    return true;
}

int nx_transport_set_token(struct nx_transport *transport, const void *token, size_t len,
                           struct nx_error *err)
{
    /* At once for wait_for_token(): who is refused with this one is to ask for the next. */
    pthread_mutex_lock(&transport->lock);
    int r = nx_login_set_token(transport->options->login, token, len, err);
    transport->token_asked = false;
    pthread_mutex_unlock(&transport->lock);
    curl_multi_wakeup(transport->multi);
    return r;
}

/* The next of the files that an inactive transfer reaches over: what has come so far stays before it. */
static void go_on(struct nx_transport *transport, struct nx_transfer *transfer)
{
    transfer->http.kept = transfer->http.body.len;
    transfer->failures = transfer->refusals = 0;
    pthread_mutex_lock(&transport->lock);
    transfer->file = place_of(transport, transfer).file;
    transfer->mirror = choose_mirror(transport, transfer->mirror, transfer->file);
    transfer->due = 0;
    transfer->state = NX_TRANSFER_QUEUED;
    TAILQ_INSERT_HEAD(&transport->queues[transfer->priority], transfer, link);
    pthread_mutex_unlock(&transport->lock);
}

static bool has_all(const struct nx_transfer *transfer)
{
    return transfer->may_be_short || transfer->http.body.len == transfer->length;
}

static void completed(struct nx_transport *transport, CURL *easy, CURLcode code)
{
    struct nx_transfer *transfer;
    struct nx_error err = NX_ERROR_INIT;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
    int r = nx_http_finish(easy, remote_of(transport, transfer)->url, code, &transfer->http, &err);
    curl_multi_remove_handle(transport->multi, easy);
    give_handle(transport, easy);
    transfer->easy = NULL;
    uint64_t came = transfer->http.taken + transfer->http.body.len - transfer->http.kept;
    nx_report_add(transport->report, &transport->report->stats.bytes, came);
    if (came > 0)
        nx_report_mark(transport->report, &transport->report->stats.first_byte);
    if (r == 0)
        r = check_copy(transport, transfer, &err);
    else
        explain(transport, transfer, &err);
    if (r == 0) {
        transfer->renewals = 0;
        transport->token_good = transport->token_good || transfer->http.used.token;
        learn_from(transport, transfer);
        deactivate(transport, transfer);
        if (has_all(transfer))
            finish(transport, transfer, NULL);
        else
            go_on(transport, transfer);
    } else if (etag_has_changed(transport, transfer, &err)) {
        deactivate(transport, transfer);
        queue_again(transport, transfer, 0);
    } else if (!wait_for_token(transport, transfer)) {
        failed(transport, transfer, &err);
    }
}

/* ---- the network thread ---------------------------------------------------- */

/* Start what may start; how long curl may wait then, in ms; -1: stop. */
static int start_all(struct nx_transport *transport)
{
    for (;;) {
        int64_t next_due = INT64_MAX;
        pthread_mutex_lock(&transport->lock);
        bool stopping = transport->stopping;
        struct nx_transfer *transfer = stopping ? NULL : take_next(transport, &next_due);
        pthread_mutex_unlock(&transport->lock);
        if (stopping)
            return -1;
        if (transfer) {
            start(transport, transfer);
            continue;
        }
        int64_t wait = next_due == INT64_MAX ? INT_MAX : next_due - nx_now_ms();
        return wait < 0 ? 0 : wait > INT_MAX ? INT_MAX : (int)wait;
    }
}

static void handle_completed(struct nx_transport *transport)
{
    int left;
    CURLMsg *msg;
    while ((msg = curl_multi_info_read(transport->multi, &left)))
        if (msg->msg == CURLMSG_DONE)
            completed(transport, msg->easy_handle, msg->data.result);
}

/* The transfers that are left end without their bytes. */
static void cancel_all(struct nx_transport *transport)
{
    struct nx_error err = NX_ERROR_INIT;
    nx_fail(&err, NX_ERR_CANCELLED, "the transfer was cancelled");
    struct transfer_list all = TAILQ_HEAD_INITIALIZER(all);
    pthread_mutex_lock(&transport->lock);
    TAILQ_CONCAT(&all, &transport->active, link);
    for (int p = 0; p < NX_PRIORITIES; p++)
        TAILQ_CONCAT(&all, &transport->queues[p], link);
    struct nx_transfer *transfer;
    TAILQ_FOREACH(transfer, &all, link)
    {
        transfer->state = NX_TRANSFER_IDLE;
    }
    pthread_mutex_unlock(&transport->lock);
    while ((transfer = TAILQ_FIRST(&all))) {
        TAILQ_REMOVE(&all, transfer, link);
        if (transfer->easy) {
            curl_multi_remove_handle(transport->multi, transfer->easy);
            curl_easy_cleanup(transfer->easy);
            transfer->easy = NULL;
        }
        finish(transport, transfer, &err);
    }
}

/* Those that are held.  Only this thread holds them, and ends them. */
static unsigned list_held(struct nx_transport *transport,
                          struct nx_transfer *ret_transfers[TRANSFERS_MAX])
{
    struct nx_transfer *transfer;
    unsigned n = 0;
    pthread_mutex_lock(&transport->lock);
    TAILQ_FOREACH(transfer, &transport->active, link)
    if (transfer->held || transfer->throttled)
        ret_transfers[n++] = transfer;
    pthread_mutex_unlock(&transport->lock);
    return n;
}

static void release_one(struct nx_transport *transport, struct nx_transfer *transfer)
{
    bool held = transfer->held && !transfer->arrived(transfer);
    bool throttled = transfer->throttled && !is_within_rate(transport, transfer);
    if (held != transfer->held || throttled != transfer->throttled)
        hold(transfer, held, throttled);
}

/* Let those go on whose bytes are wanted again, the most urgent first: they were put into the list one after the other. */
static void release_held(struct nx_transport *transport)
{
    struct nx_transfer *held[TRANSFERS_MAX];
    unsigned n = list_held(transport, held);
    for (int p = 0; n > 0 && p < NX_PRIORITIES; p++) {
        for (unsigned i = 0; i < n; i++) {
            struct nx_transfer *transfer = held[i];
            pthread_mutex_lock(&transport->lock);
            bool its_turn = (int)transfer->priority == p;
            pthread_mutex_unlock(&transport->lock);
            if (its_turn)
                release_one(transport, transfer);
        }
    }
}

static void *run(void *opaque)
{
    struct nx_transport *transport = opaque;
    for (;;) {
        int wait = start_all(transport);
        if (wait < 0)
            break;
        int running;
        struct nx_transfer *held[TRANSFERS_MAX];
        release_held(transport);
        curl_multi_perform(transport->multi, &running);
        handle_completed(transport);
        /* What has just ended may have made room, or be tried again at once. */
        wait = start_all(transport);
        if (wait < 0)
            break;
        if (wait > HELD_MS && list_held(transport, held) > 0)
            wait = HELD_MS;
        curl_multi_poll(transport->multi, NULL, 0, wait, NULL);
    }
    return NULL;
}

void nx_transport_submit(struct nx_transport *transport, struct nx_transfer *transfer)
{
    transfer->failures = transfer->refusals = 0;
    transfer->waits = transfer->wants_token = false;
    transfer->renewals = 0;
    pthread_mutex_lock(&transport->lock);
    bool stopping = transport->stopping;
    transfer->file = place_of(transport, transfer).file;
    transfer->mirror = transport->preferred;
    if (transfer->avoided == transfer->mirror + 1)
        transfer->mirror = transfer->avoided % transport->n_mirrors;
    else
        transfer->mirror = choose_mirror(transport, transfer->mirror, transfer->file);
    if (!stopping) {
        transfer->due = nx_now_ms() + transfer->delay_ms;
        transfer->state = NX_TRANSFER_QUEUED;
        TAILQ_INSERT_TAIL(&transport->queues[transfer->priority], transfer, link);
    }
    pthread_mutex_unlock(&transport->lock);
    if (stopping) {
        struct nx_error err = NX_ERROR_INIT;
        nx_fail(&err, NX_ERR_CANCELLED, "the transfer was cancelled");
        transfer->done(transfer, &err);
        return;
    }
    curl_multi_wakeup(transport->multi);
}

int nx_transfer_take(struct nx_transfer *transfer, size_t n, struct nx_buffer *ret_front,
                     struct nx_error *err)
{
    if (nx_http_take(&transfer->http, n, ret_front, err) < 0)
        return -1;
    transfer->offset += n;
    transfer->length -= n;
    return 0;
}

static void raise_to(struct nx_transport *transport, struct nx_transfer *transfer,
                     enum nx_priority priority) /* under lock */
{
    if (transfer->state == NX_TRANSFER_QUEUED) {
        TAILQ_REMOVE(&transport->queues[transfer->priority], transfer, link);
        TAILQ_INSERT_TAIL(&transport->queues[priority], transfer, link);
    } else if (transfer->state == NX_TRANSFER_ACTIVE) {
        transport->n_active[transfer->priority]--;
        transport->n_active[priority]++;
    }
    transfer->priority = priority;
}

void nx_transport_promote(struct nx_transport *transport, struct nx_transfer *transfer,
                          enum nx_priority priority)
{
    pthread_mutex_lock(&transport->lock);
    bool stopping = transport->stopping; /* then cancel_all() has it */
    bool hurry = priority == NX_PRIORITY_DEMAND && transfer->state == NX_TRANSFER_QUEUED;
    bool raise = priority < transfer->priority;
    if (!stopping && hurry)
        transfer->due = 0; /* who has just come does not wait for what failed before */
    if (!stopping && raise)
        raise_to(transport, transfer, priority);
    pthread_mutex_unlock(&transport->lock);
    if (hurry || raise)
        curl_multi_wakeup(transport->multi);
}

/* ---- fetch and wait -------------------------------------------------------- */

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done; /* under lock */
    struct nx_error err;
};

static void wake(struct nx_transfer *transfer, const struct nx_error *err)
{
    struct waiter *waiter = transfer->opaque;
    pthread_mutex_lock(&waiter->lock);
    if (err)
        waiter->err = *err;
    waiter->done = true;
    pthread_cond_signal(&waiter->cond);
    pthread_mutex_unlock(&waiter->lock);
}

static bool is_done_within(struct waiter *waiter, int ms)
{
    int64_t due = nx_now_ms() + ms;
    pthread_mutex_lock(&waiter->lock);
    int rc = 0;
    while (!waiter->done && rc != ETIMEDOUT)
        rc = nx_wait_until(&waiter->cond, &waiter->lock, due);
    bool done = waiter->done;
    pthread_mutex_unlock(&waiter->lock);
    return done;
}

int nx_transport_fetch(struct nx_transport *transport, struct nx_transfer *transfer,
                       struct nx_error *err)
{
    struct waiter waiter = { .err = NX_ERROR_INIT };
    pthread_mutex_init(&waiter.lock, NULL);
    pthread_cond_init(&waiter.cond, NULL);
    transfer->done = wake;
    transfer->opaque = &waiter;
    nx_transport_submit(transport, transfer);
    bool told = !is_done_within(&waiter, NX_REPORT_WAIT_MS);
    if (told)
        nx_report_wait(transport->report, NX_REPORT_WAIT_TEXT);
    pthread_mutex_lock(&waiter.lock);
    while (!waiter.done)
        pthread_cond_wait(&waiter.cond, &waiter.lock);
    pthread_mutex_unlock(&waiter.lock);
    if (told)
        nx_report_go_on(transport->report);
    pthread_cond_destroy(&waiter.cond);
    pthread_mutex_destroy(&waiter.lock);
    if (waiter.err.code == NX_OK)
        return 0;
    if (err)
        *err = waiter.err;
    return -1;
}

/* ---- new and free ---------------------------------------------------------- */

static int copy_urls(struct nx_transport *transport, char *const *urls, unsigned n_urls,
                     struct nx_error *err)
{
    transport->mirrors = calloc(n_urls, sizeof(*transport->mirrors));
    if (!transport->mirrors)
        return nx_fail_errno(err, "mirrors");
    transport->n_mirrors = n_urls;
    for (unsigned i = 0; i < n_urls; i++) {
        struct remote *file = transport->mirrors[i].files = calloc(1, sizeof(*file));
        if (!file || !(file->url = strdup(urls[i])))
            return nx_fail_errno(err, "mirrors");
    }
    return 0;
}

int nx_transport_new(char *const *urls, unsigned n_urls, const struct nx_http_options *options,
                     unsigned tries, struct nx_report *report, struct nx_transport **ret_transport,
                     struct nx_error *err)
{
    NX_AUTO_TRANSPORT struct nx_transport *transport = calloc(1, sizeof(*transport));
    if (!transport)
        return nx_fail_errno(err, "transport");
    pthread_mutex_init(&transport->lock, NULL);
    for (int p = 0; p < NX_PRIORITIES; p++)
        TAILQ_INIT(&transport->queues[p]);
    TAILQ_INIT(&transport->active);
    transport->options = options;
    transport->report = report;
    transport->tries = tries;
    nx_ratelimit_init(&transport->rate, options->login ? options->login->rate : 0, nx_now_ms());
    if (copy_urls(transport, urls, n_urls, err) < 0)
        return -1;
    transport->multi = curl_multi_init();
    /* Without descriptors for waking up there is a multi all the same, whose thread would never hear of a transfer. */
    if (!transport->multi || curl_multi_wakeup(transport->multi) != CURLM_OK)
        return nx_fail(err, NX_ERR_SYSTEM,
                       "curl cannot start: too little memory, or too few files "
                       "may be open (ulimit -n)");
    curl_multi_setopt(transport->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
    curl_multi_setopt(transport->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)CONNECTIONS_MAX);
    int rc = pthread_create(&transport->thread, NULL, run, transport);
    if (rc != 0)
        return nx_fail(err, NX_ERR_SYSTEM, "network thread: %s", strerror(rc));
    transport->running = true;
    *ret_transport = NX_STEAL(transport);
    return 0;
}

void nx_transport_stop(struct nx_transport *transport)
{
    if (!transport || !transport->running)
        return;
    pthread_mutex_lock(&transport->lock);
    transport->stopping = true;
    pthread_mutex_unlock(&transport->lock);
    curl_multi_wakeup(transport->multi);
    pthread_join(transport->thread, NULL);
    transport->running = false;
    cancel_all(transport);
}

static void free_files(struct remote *files, unsigned n_volumes)
{
    for (unsigned i = 0; files && i <= n_volumes; i++)
        free(files[i].url);
    free(files);
}

static void free_mirrors(struct mirror *mirrors, unsigned n, unsigned n_volumes)
{
    for (unsigned i = 0; mirrors && i < n; i++)
        free_files(mirrors[i].files, n_volumes);
    free(mirrors);
}

void nx_transport_free(struct nx_transport *transport)
{
    if (!transport)
        return;
    nx_transport_stop(transport);
    while (transport->n_idle > 0)
        curl_easy_cleanup(transport->idle[--transport->n_idle]);
    if (transport->multi)
        curl_multi_cleanup(transport->multi);
    free_mirrors(transport->mirrors, transport->n_mirrors, transport->volumes.count);
    pthread_mutex_destroy(&transport->lock);
    free(transport);
}

void nx_transport_set_patient(struct nx_transport *transport)
{
    pthread_mutex_lock(&transport->lock);
    transport->patient = true;
    pthread_mutex_unlock(&transport->lock);
}

bool nx_transport_is_patient(struct nx_transport *transport)
{
    pthread_mutex_lock(&transport->lock);
    bool patient = transport->patient;
    pthread_mutex_unlock(&transport->lock);
    return patient;
}

void nx_transport_leave(struct nx_transport *transport, unsigned mirror)
{
    pthread_mutex_lock(&transport->lock);
    leave(transport, mirror);
    pthread_mutex_unlock(&transport->lock);
}

void nx_transport_set_minimum(struct nx_transport *transport, uint64_t bytes)
{
    pthread_mutex_lock(&transport->lock);
    transport->minimum = bytes;
    pthread_mutex_unlock(&transport->lock);
}

/* A mirror's files: the one that is known, and its volumes; NULL, and what was there stays. */
static struct remote *add_volumes(const struct remote *head, unsigned n_volumes,
                                  struct nx_error *err)
{
    char suffix[NX_VOLUME_SUFFIX];
    struct remote *files = calloc(n_volumes + 1, sizeof(*files));
    if (!files) {
        nx_fail_errno(err, "volumes");
        return NULL;
    }
    files[0] = *head;
    files[0].url = NULL;
    for (unsigned i = 0; i <= n_volumes; i++) {
        if (nx_http_extend_path(head->url, nx_volume_suffix(i, suffix), &files[i].url, err) < 0) {
            free_files(files, n_volumes);
            return NULL;
        }
    }
    return files;
}

int nx_transport_set_volumes(struct nx_transport *transport, const struct nx_volumes *volumes,
                             struct nx_error *err)
{
    unsigned n = 0;
    assert(transport->volumes.count == 0);
    struct mirror *mirrors = calloc(transport->n_mirrors, sizeof(*mirrors));
    if (!mirrors)
        return nx_fail_errno(err, "volumes");
    while (n < transport->n_mirrors &&
           (mirrors[n].files = add_volumes(transport->mirrors[n].files, volumes->count, err)))
        n++;
    if (n < transport->n_mirrors) {
        free_mirrors(mirrors, n, volumes->count);
        return -1;
    }
    pthread_mutex_lock(&transport->lock);
    free_mirrors(transport->mirrors, n, 0);
    transport->mirrors = mirrors;
    transport->volumes = *volumes;
    pthread_mutex_unlock(&transport->lock);
    return 0;
}

unsigned nx_transport_mirrors(const struct nx_transport *transport)
{
    return transport->n_mirrors;
}

const char *nx_transport_url(const struct nx_transport *transport, unsigned mirror)
{
    return transport->mirrors[mirror].files[0].url;
}

const char *nx_transport_where(const struct nx_transport *transport, unsigned mirror,
                               uint64_t offset, char text[static 512], uint64_t *ret_within)
{
    struct nx_volume_place place = nx_volumes_place(&transport->volumes, offset);
    *ret_within = place.offset;
    return nx_http_display_url(transport->mirrors[mirror].files[place.file].url, text);
}

const struct nx_volumes *nx_transport_volumes(const struct nx_transport *transport)
{
    return &transport->volumes;
}
