/* SPDX-License-Identifier: MIT */
/* Threads: everything shared is under one lock.  A batch's transfer is the transport's until its
 * done() puts the batch on the list of arrivals; then a worker's.  Lock order: ours before the
 * transport's.
 *
 * A range is handed over while it comes (more_arrived(), on the network thread): its first members
 * go to the workers as a batch of their own, and their bytes leave the transfer with them.  So the members that are
 * left are those that a second try asks for, and a range needs memory for what the workers have not got to.
 *
 * A blob that somebody waits for and that is far behind in such a range, or in one that has stalled, leaves it and is
 * fetched by itself (is_far()); the range brings its bytes once more, for nobody.
 *
 * A flight is referenced by the table (while it is on its way, and until its bytes are kept), by its batch, and by
 * each thread that waits for it.
 */
#include "fetch/flight.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/clock.h"

#include "fetch/digestmap.h"

#define WORKERS     2
#define GAP_MAX     4096       /* bytes between two blobs of one range */
#define ARRIVED_MAX (8u << 20) /* bytes that the workers have not got to: then ranges are held */
#define WRONG_MAX   3          /* times that each mirror may have wrong bytes for one blob, … */
#define WRONG_RUN   10 /* … and while a machine runs: in a minute somebody may have put it right */
#define NEAR_BYTES \
    (512u << 10) /* what 100 Mbit/s bring in 40 ms: as long as a range's own speed is not known */
#define STALLED_MS    1500 /* after so long without a byte nobody should wait for a range */
#define LOOK_AGAIN_MS 1000 /* how often who waits asks whether that is so */

struct flight {
    struct nx_map_node node; /* its key is the blob's digest */
    struct nx_blob blob;
    unsigned refs;          /* under lock */
    struct batch *batch;    /* under lock; NULL once it has arrived */
    bool urgent;            /* under lock: somebody waits */
    bool background;        /* under lock: part of what is to be fetched whole, not just a guess */
    bool done;              /* under lock */
    struct nx_bytes *bytes; /* under lock until done: then constant; NULL: err */
    struct nx_error err;    /* under lock until done: what is wrong so far */
    unsigned wrong;         /* worker: how often its bytes were wrong */
};

struct batch {
    struct nx_transfer transfer;
    struct nx_flights *flights;
    TAILQ_ENTRY(batch) link; /* on the list of arrivals: under lock */
    struct nx_error err;     /* what the transfer ended with */
    size_t arrived_bytes;    /* what it has added to the flights' */

    /* How the range comes: under lock.  Times are those of nx_now_ms(). */
    int64_t started;   /* the try that the next two belong to; 0: no byte has come yet */
    int64_t first_ms;  /* its first bytes came then … */
    uint64_t first_at; /* … and ended at this offset */
    int64_t last_ms;   /* its last bytes came then */
    uint64_t here;     /* all before this offset has come */

    struct flight **members; /* in slots; under lock until the batch has arrived, as count */
    size_t count;
    struct flight *slots[];
};

struct nx_flights {
    struct nx_transport *transport;
    struct nx_report *report;
    nx_flight_landed_fn *landed;
    nx_flight_busy_fn *busy; /* or NULL */
    void *opaque;
    pthread_t workers[WORKERS];
    unsigned n_workers;

    pthread_mutex_t lock;
    pthread_cond_t arrival;      /* the list of arrivals has grown */
    pthread_cond_t landing;      /* a flight is done */
    pthread_cond_t emptying;     /* fewer than `awaited` bytes are on their way */
    struct nx_map map;           /* under lock */
    TAILQ_HEAD(, batch) arrived; /* under lock; the urgent first */
    uint64_t arrived_bytes;      /* under lock: of the batches that are, or are with a worker */
    uint64_t bytes;              /* under lock: of all flights in the map */
    uint64_t awaited;            /* under lock: somebody waits until there are fewer; 0: nobody */
    struct nx_error background_err; /* under lock: why one that nobody waits for has failed */
    uint64_t told_wrong; /* under lock: mirrors, by bit, whose wrong bytes the user has heard of */
    bool stopping;       /* under lock */
};

/* ---- flights --------------------------------------------------------------- */

static void unref(struct flight *flight) /* under lock */
{
    if (--flight->refs > 0)
        return;
    nx_bytes_unref(flight->bytes);
    free(flight);
}

static struct flight *find(struct nx_flights *flights, const struct nx_digest *digest)
{
    return NX_MAP_ENTRY(nx_map_find(&flights->map, digest), struct flight, node);
}

/* A new flight in the table; NULL without memory.  Under lock. */
static struct flight *add_flight(struct nx_flights *flights, const struct nx_blob *blob,
                                 enum nx_priority priority)
{
    struct flight *flight = calloc(1, sizeof(*flight));
    if (!flight)
        return NULL;
    flight->node.key = blob->digest;
    flight->blob = *blob;
    flight->refs = 1;
    flight->urgent = priority == NX_PRIORITY_DEMAND;
    flight->background = priority == NX_PRIORITY_BACKGROUND;
    nx_map_insert(&flights->map, &flight->node);
    flights->bytes += blob->size;
    return flight;
}

/* Out of the table: who comes now finds the bytes elsewhere, or begins anew.  Under lock. */
static void remove_flight(struct nx_flights *flights, struct flight *flight)
{
    nx_map_remove(&flights->map, &flight->node);
    flights->bytes -= flight->blob.size;
    if (flights->bytes <
        flights->awaited) { /* not for each one: who waits would wake up as often */
        flights->awaited = 0;
        pthread_cond_broadcast(&flights->emptying);
    }
    unref(flight);
}

static void set_done(struct nx_flights *flights, struct flight *flight, struct nx_bytes *bytes,
                     const struct nx_error *err)
{
    pthread_mutex_lock(&flights->lock);
    flight->bytes = bytes;
    flight->done = true;
    if (err) {
        flight->err = *err;
        if (flight->background && flights->background_err.code == NX_OK)
            flights->background_err = *err;
        remove_flight(flights, flight);
    }
    pthread_cond_broadcast(&flights->landing);
    pthread_mutex_unlock(&flights->lock);
}

/* ---- batches --------------------------------------------------------------- */

static void batch_arrived(struct nx_transfer *transfer, const struct nx_error *err);
static bool more_arrived(struct nx_transfer *transfer);

static struct batch *new_batch(struct nx_flights *flights, size_t room, enum nx_priority priority)
{
    struct batch *batch = calloc(1, sizeof(*batch) + room * sizeof(batch->slots[0]));
    if (!batch)
        return NULL;
    batch->flights = flights;
    batch->members = batch->slots;
    batch->transfer.priority = priority;
    batch->transfer.done = batch_arrived;
    batch->transfer.arrived = more_arrived;
    batch->transfer.opaque = batch;
    return batch;
}

static void add_member(struct batch *batch, struct flight *flight) /* under lock */
{
    if (batch->count == 0)
        batch->transfer.offset = batch->here = flight->blob.offset;
    batch->transfer.length = flight->blob.offset + flight->blob.size - batch->transfer.offset;
    flight->refs++;
    flight->batch = batch;
    batch->members[batch->count++] = flight;
}

static void free_batch(struct nx_flights *flights, struct batch *batch)
{
    nx_http_request_release(&batch->transfer.http);
    pthread_mutex_lock(&flights->lock);
    for (size_t i = 0; i < batch->count; i++)
        unref(batch->members[i]);
    pthread_mutex_unlock(&flights->lock);
    free(batch);
}

/* ---- ranges that come bit by bit ------------------------------------------- */

/* How many of the batch's members are here in whole, but not all of them: the last ones come with batch_arrived(). */
static size_t count_whole(const struct batch *batch)
{
    size_t n = 0;
    while (n + 1 < batch->count &&
           batch->members[n]->blob.offset + batch->members[n]->blob.size <= batch->here)
        n++;
    return n;
}

static void note_progress(struct batch *batch) /* under lock */
{
    const struct nx_transfer *transfer = &batch->transfer;
    batch->here = transfer->offset + transfer->http.body.len;
    batch->last_ms = nx_now_ms();
    if (batch->started == transfer->started)
        return;
    batch->started = transfer->started;
    batch->first_ms = batch->last_ms;
    batch->first_at = batch->here;
}

/* The first n members leave the batch, with their bytes.  NULL without memory: then they leave it later.  Under lock. */
static struct batch *take_part(struct batch *batch, size_t n)
{
    struct nx_transfer *transfer = &batch->transfer;
    const struct nx_blob *last = &batch->members[n - 1]->blob;
    struct batch *part = new_batch(batch->flights, n, transfer->priority);
    if (!part)
        return NULL;
    part->transfer.offset = transfer->offset;
    part->transfer.mirror = transfer->mirror;
    part->transfer.first_mirror = transfer->first_mirror;
    if (nx_transfer_take(transfer, last->offset + last->size - transfer->offset,
                         &part->transfer.http.body, NULL) < 0) {
        free(part);
        return NULL;
    }
    part->count = n;
    memcpy(part->members, batch->members, n * sizeof(part->members[0]));
    batch->members += n;
    batch->count -= n;
    return part;
}

/* Put a batch where the workers find it: first what somebody waits for.  Under lock. */
static void add_arrived(struct nx_flights *flights, struct batch *batch)
{
    bool urgent = false;
    for (size_t i = 0; i < batch->count; i++) {
        batch->members[i]->batch = NULL;
        urgent |= batch->members[i]->urgent;
    }
    batch->arrived_bytes = batch->transfer.http.body.len;
    flights->arrived_bytes += batch->arrived_bytes;
    if (urgent)
        TAILQ_INSERT_HEAD(&flights->arrived, batch, link);
    else
        TAILQ_INSERT_TAIL(&flights->arrived, batch, link);
    pthread_cond_signal(&flights->arrival);
}

static bool is_awaited(const struct batch *batch) /* under lock */
{
    for (size_t i = 0; i < batch->count; i++)
        if (batch->members[i]->urgent)
            return true;
    return false;
}

/* Hand over what has come of a range, so that nobody waits for what stands behind it (nx_transfer.arrived).  A line may
 * be faster than the workers, and than the cache's disk.
 */
static bool more_arrived(struct nx_transfer *transfer)
{
    struct batch *batch = transfer->opaque;
    struct nx_flights *flights = batch->flights;
    pthread_mutex_lock(&flights->lock);
    note_progress(batch);
    size_t n = count_whole(batch);
    struct batch *part = n ? take_part(batch, n) : NULL;
    if (part)
        add_arrived(flights, part);
    bool room = flights->arrived_bytes < ARRIVED_MAX, awaited = is_awaited(batch);
    pthread_mutex_unlock(&flights->lock);
    return room && (awaited || !flights->busy || !flights->busy(flights->opaque));
}

/* All of a range, or what was left of it, is here or has failed (nx_transfer.done). */
static void batch_arrived(struct nx_transfer *transfer, const struct nx_error *err)
{
    struct batch *batch = transfer->opaque;
    struct nx_flights *flights = batch->flights;
    if (err)
        batch->err = *err;
    pthread_mutex_lock(&flights->lock);
    add_arrived(flights, batch);
    pthread_mutex_unlock(&flights->lock);
}

/* ---- what somebody waits for, far behind in a range ------------------------ */

/* Does it come sooner by a request of its own?  That costs a round trip (about what this range's first byte took), and
 * its bytes share the line with the range's.  On its way in the range it costs the time that the bytes before it
 * take.  Twice is the margin: both are guesses, and what is fetched by itself comes twice.  At 100 Mbit/s and a round
 * trip of 40 ms that means from 1.5 MiB on: 122 ms then, instead of 168 ms for 2 MiB and 670 ms for 8 MiB.  Under lock.
 */
static bool is_far(const struct batch *batch, const struct flight *flight)
{
    if (batch->count < 2)
        return false;
    if (batch->started && nx_now_ms() - batch->last_ms > STALLED_MS)
        return true;
    uint64_t offset = flight->blob.offset;
    uint64_t before = offset > batch->here ? offset - batch->here : 0;
    int64_t ms = batch->last_ms - batch->first_ms;
    if (ms <= 0)
        return before > NEAR_BYTES;
    uint64_t trip = (uint64_t)(batch->first_ms - batch->started);
    uint64_t meanwhile = (batch->here - batch->first_at) * trip / (uint64_t)ms;
    return before > 2 * (meanwhile + flight->blob.size);
}

/* Out of its range, to be put into another one.  Under lock. */
static void leave_batch(struct flight *flight)
{
    struct batch *batch = NX_STEAL(flight->batch);
    size_t i = 0;
    while (batch->members[i] != flight)
        i++;
    batch->count--;
    memmove(&batch->members[i], &batch->members[i + 1],
            (batch->count - i) * sizeof(batch->members[0]));
    flight->refs--;
}

/* Should this flight leave the range that it is in for the one that is being gathered?  Under lock. */
static bool should_leave(const struct flight *flight, const struct nx_blob *blob,
                         const struct batch *gathered, enum nx_priority priority)
{
    return priority == NX_PRIORITY_DEMAND && flight->batch && flight->batch != gathered &&
           flight->blob.offset == blob->offset && flight->blob.size == blob->size &&
           is_far(flight->batch, flight);
}

/* ---- gathering ------------------------------------------------------------- */

/* May this blob be the batch's next?  A small gap before it costs less than another request. */
static bool fits(const struct batch *batch, const struct nx_blob *blob, uint64_t request_max)
{
    uint64_t end = batch->transfer.offset + batch->transfer.length;
    return blob->offset >= end && blob->offset - end <= GAP_MAX &&
           blob->offset + blob->size - batch->transfer.offset <= request_max;
}

/* Gather the blobs from *at on that make one range; NULL if none is left (or no memory).  Under lock. */
static struct batch *next_batch(struct nx_flights *flights, const struct nx_blob *blobs,
                                size_t count, size_t *at, enum nx_priority priority,
                                uint64_t request_max)
{
    struct batch *batch = NULL;
    for (; *at < count; (*at)++) {
        const struct nx_blob *blob = &blobs[*at];
        struct flight *flight = find(flights, &blob->digest);
        if (flight) {
            flight->background |= priority == NX_PRIORITY_BACKGROUND;
            flight->urgent |= priority == NX_PRIORITY_DEMAND;
        }
        if (flight && !should_leave(flight, blob, batch, priority)) {
            if (flight->batch)
                nx_transport_promote(flights->transport, &flight->batch->transfer, priority);
            continue;
        }
        if (batch && !fits(batch, blob, request_max))
            break;
        if (!batch && !(batch = new_batch(flights, count - *at, priority)))
            break;
        if (flight)
            leave_batch(flight);
        else if (!(flight = add_flight(flights, blob, priority)))
            break;
        add_member(batch, flight);
    }
    if (batch && batch->count == 0) {
        free(batch);
        return NULL;
    }
    return batch;
}

/* Who waits for what they asked for finds that out; nobody waits for the background.  Under lock. */
static void note_no_memory(struct nx_flights *flights, enum nx_priority priority)
{
    if (priority == NX_PRIORITY_BACKGROUND && flights->background_err.code == NX_OK)
        nx_fail(&flights->background_err, NX_ERR_SYSTEM, "no memory to fetch what is missing");
}

void nx_flights_cannot_begin(struct nx_flights *flights, enum nx_priority priority)
{
    pthread_mutex_lock(&flights->lock);
    note_no_memory(flights, priority);
    pthread_mutex_unlock(&flights->lock);
}

void nx_flights_begin(struct nx_flights *flights, const struct nx_blob *blobs, size_t count,
                      enum nx_priority priority, uint64_t request_max)
{
    for (size_t at = 0; at < count;) {
        pthread_mutex_lock(&flights->lock);
        struct batch *batch = flights->stopping
                                  ? NULL
                                  : next_batch(flights, blobs, count, &at, priority, request_max);
        if (!batch && !flights->stopping && at < count)
            note_no_memory(flights, priority);
        pthread_mutex_unlock(&flights->lock);
        if (!batch)
            return;
        /* Without the lock: a transport that has stopped calls done() here. */
        nx_transport_submit(flights->transport, &batch->transfer);
    }
}

/* ---- waiting --------------------------------------------------------------- */

/* Have a flight for the blob, and a reference to it.  NULL: stopping, no memory, or it has landed
 * and left the table between the two locks.
 */
static struct flight *join(struct nx_flights *flights, const struct nx_blob *blob,
                           bool *ret_stopping)
{
    nx_flights_begin(flights, blob, 1, NX_PRIORITY_DEMAND, blob->size);
    pthread_mutex_lock(&flights->lock);
    struct flight *flight = find(flights, &blob->digest);
    if (flight)
        flight->refs++;
    *ret_stopping = flights->stopping;
    pthread_mutex_unlock(&flights->lock);
    return flight;
}

/* Wait until the flight is done, for so long at most.  Under lock; false when time is up. */
static bool is_done_within(struct nx_flights *flights, const struct flight *flight, int ms)
{
    int64_t due = nx_now_ms() + ms;
    int rc = 0;
    while (!flight->done && !flights->stopping && rc != ETIMEDOUT)
        rc = nx_wait_until(&flights->landing, &flights->lock, due);
    return flight->done || flights->stopping;
}

/* Nothing has come for a while: the user should know what the guest waits for.  Under lock. */
static void wait_told(struct nx_flights *flights, const struct flight *flight)
{
    struct nx_error why = flight->err;
    pthread_mutex_unlock(&flights->lock);
    nx_report_wait(flights->report, why.code == NX_OK ? NX_REPORT_WAIT_TEXT : why.msg);
    pthread_mutex_lock(&flights->lock);
    while (!flight->done && !flights->stopping)
        pthread_cond_wait(&flights->landing, &flights->lock);
    pthread_mutex_unlock(&flights->lock);
    nx_report_go_on(flights->report);
    pthread_mutex_lock(&flights->lock);
}

/* Wait as long as it takes.  Under lock. */
static void wait_done(struct nx_flights *flights, const struct flight *flight)
{
    for (int64_t tell = nx_now_ms() + NX_REPORT_WAIT_MS; nx_now_ms() < tell;) {
        if (is_done_within(flights, flight, LOOK_AGAIN_MS))
            return;
        if (!flight->batch || !is_far(flight->batch, flight))
            continue;
        /* Its range was near, but has stalled since, or is slower now. */
        pthread_mutex_unlock(&flights->lock);
        nx_flights_begin(flights, &flight->blob, 1, NX_PRIORITY_DEMAND, flight->blob.size);
        pthread_mutex_lock(&flights->lock);
    }
    if (!flight->done && !flights->stopping)
        wait_told(flights, flight);
}

static int wait_for(struct nx_flights *flights, struct flight *flight, struct nx_bytes **ret_bytes,
                    struct nx_error *err)
{
    int r = 0;
    pthread_mutex_lock(&flights->lock);
    wait_done(flights, flight);
    if (!flight->done) {
        r = nx_fail(err, NX_ERR_CANCELLED, "the engine ends");
    } else if (flight->bytes) {
        *ret_bytes = nx_bytes_ref(flight->bytes);
    } else {
        if (err)
            *err = flight->err;
        r = -1;
    }
    unref(flight);
    pthread_mutex_unlock(&flights->lock);
    return r;
}

int nx_flights_wait(struct nx_flights *flights, const struct nx_blob *blob,
                    struct nx_bytes **ret_bytes, struct nx_error *err)
{
    *ret_bytes = NULL;
    bool stopping;
    struct flight *flight = join(flights, blob, &stopping);
    if (flight)
        return wait_for(flights, flight, ret_bytes, err);
    return stopping ? nx_fail(err, NX_ERR_CANCELLED, "the engine ends") : 0;
}

bool nx_flights_has(struct nx_flights *flights, const struct nx_digest *digest)
{
    pthread_mutex_lock(&flights->lock);
    bool has = find(flights, digest) != NULL;
    pthread_mutex_unlock(&flights->lock);
    return has;
}

int nx_flights_wait_below(struct nx_flights *flights, uint64_t bytes, struct nx_error *err)
{
    pthread_mutex_lock(&flights->lock);
    while (flights->bytes >= bytes && !flights->stopping) {
        if (flights->awaited < bytes)
            flights->awaited = bytes;
        pthread_cond_wait(&flights->emptying, &flights->lock);
    }
    struct nx_error failure = flights->background_err;
    flights->background_err = (struct nx_error)NX_ERROR_INIT;
    if (flights->stopping)
        nx_fail(&failure, NX_ERR_CANCELLED, "the engine ends");
    pthread_mutex_unlock(&flights->lock);
    if (failure.code == NX_OK)
        return 0;
    if (err)
        *err = failure;
    return -1;
}

uint64_t nx_flights_bytes(struct nx_flights *flights)
{
    pthread_mutex_lock(&flights->lock);
    uint64_t bytes = flights->bytes;
    pthread_mutex_unlock(&flights->lock);
    return bytes;
}

/* ---- arrivals: the workers ------------------------------------------------- */

static void describe_wrong(struct nx_flights *flights, const struct nx_blob *blob, unsigned mirror,
                           struct nx_error *ret_err)
{
    char url[512], until[NX_VOLUME_UNTIL];
    uint64_t within;
    nx_transport_where(flights->transport, mirror, blob->offset, url, &within);
    nx_fail(
        ret_err, NX_ERR_FORMAT,
        "%s: the %s at offset %" PRIu64
        "%s has not the bytes that the author signed: the file there is damaged or another version",
        url, blob->page ? "index page" : "chunk", within,
        nx_volumes_until(nx_transport_volumes(flights->transport), blob->offset, blob->size,
                         until));
}

/* Wrong bytes: ask the next mirror for this one blob, or give up. */
static void fetch_again(struct nx_flights *flights, struct batch *from, struct flight *flight)
{
    struct nx_error err = NX_ERROR_INIT;
    const struct nx_transfer *transfer = &from->transfer;
    /* Of two that each had a part of it one is wrong: in turn. */
    unsigned mirror = flight->wrong % 2 ? transfer->mirror : transfer->first_mirror;
    unsigned n = nx_transport_mirrors(flights->transport);
    unsigned tries = n * (nx_transport_is_patient(flights->transport) ? WRONG_RUN : WRONG_MAX);
    describe_wrong(flights, &flight->blob, mirror, &err);
    nx_transport_leave(flights->transport, mirror);
    struct batch *batch =
        ++flight->wrong < tries ? new_batch(flights, 1, from->transfer.priority) : NULL;
    pthread_mutex_lock(&flights->lock);
    uint64_t bit = UINT64_C(1) << (mirror % 64);
    bool tell = !(flights->told_wrong & bit);
    flights->told_wrong |= bit;
    flight->err = err;
    if (batch) {
        add_member(batch, flight);
        if (flight->urgent)
            batch->transfer.priority = NX_PRIORITY_DEMAND;
    }
    pthread_mutex_unlock(&flights->lock);
    if (tell)
        nx_report_text(flights->report, NX_MSG_NOTICE, "%s", err.msg);
    if (!batch) {
        set_done(flights, flight, NULL, &err);
        return;
    }
    batch->transfer.avoided = mirror + 1;
    if (flight->wrong % n == 0)
        batch->transfer.delay_ms = nx_http_backoff_ms(flight->wrong / n, 0);
    nx_report_add(flights->report, &flights->report->stats.retries, 1);
    nx_transport_submit(flights->transport, &batch->transfer);
}

/* The flight's bytes out of the batch's body, checked; NULL without memory or if they are wrong. */
static struct nx_bytes *take_bytes(const struct batch *batch, const struct flight *flight)
{
    struct nx_digest found;
    const uint8_t *data =
        batch->transfer.http.body.data + (flight->blob.offset - batch->transfer.offset);
    nx_digest_of(data, flight->blob.size, &found);
    if (!nx_digest_equal(&found, &flight->blob.digest))
        return NULL;
    struct nx_bytes *bytes = nx_bytes_new(flight->blob.size);
    if (bytes)
        memcpy(bytes->data, data, flight->blob.size);
    return bytes;
}

/* The transfer has failed, or was given up as nobody waited.  If somebody does now, it is worth another. */
static void fetch_urgently(struct nx_flights *flights, struct batch *from, struct flight *flight)
{
    struct batch *batch = NULL;
    pthread_mutex_lock(&flights->lock);
    if (flight->urgent && from->transfer.priority != NX_PRIORITY_DEMAND &&
        from->err.code != NX_ERR_CANCELLED)
        batch = new_batch(flights, 1, NX_PRIORITY_DEMAND);
    if (batch)
        add_member(batch, flight);
    pthread_mutex_unlock(&flights->lock);
    if (batch)
        nx_transport_submit(flights->transport, &batch->transfer);
    else
        set_done(flights, flight, NULL, &from->err);
}

/* True if the flight has its bytes. */
static bool land(struct nx_flights *flights, struct batch *batch, struct flight *flight)
{
    if (batch->err.code != NX_OK) {
        fetch_urgently(flights, batch, flight);
        return false;
    }
    struct nx_bytes *bytes = take_bytes(batch, flight);
    if (!bytes) {
        fetch_again(flights, batch, flight);
        return false;
    }
    flights->landed(&flight->blob, bytes, true, flights->opaque);
    set_done(flights, flight, bytes, NULL);
    return true;
}

/* What can wait until those who waited have their bytes. */
static void keep(struct nx_flights *flights, struct flight *flight)
{
    flights->landed(&flight->blob, flight->bytes, false, flights->opaque);
    pthread_mutex_lock(&flights->lock);
    remove_flight(flights, flight);
    pthread_mutex_unlock(&flights->lock);
}

static void process(struct nx_flights *flights, struct batch *batch)
{
    size_t landed = 0;
    for (size_t i = 0; i < batch->count; i++) {
        struct flight *flight = batch->members[i];
        if (land(flights, batch, flight)) {
            batch->members[i] = batch->members[landed];
            batch->members[landed++] = flight;
        }
    }
    for (size_t i = 0; i < landed; i++)
        keep(flights, batch->members[i]);
    free_batch(flights, batch);
}

static void *work(void *opaque)
{
    struct nx_flights *flights = opaque;
    pthread_mutex_lock(&flights->lock);
    for (;;) {
        struct batch *batch = TAILQ_FIRST(&flights->arrived);
        if (!batch && flights->stopping)
            break;
        if (!batch) {
            pthread_cond_wait(&flights->arrival, &flights->lock);
            continue;
        }
        TAILQ_REMOVE(&flights->arrived, batch, link);
        pthread_mutex_unlock(&flights->lock);
        size_t bytes = batch->arrived_bytes;
        process(flights, batch);
        pthread_mutex_lock(&flights->lock);
        flights->arrived_bytes -= bytes;
    }
    pthread_mutex_unlock(&flights->lock);
    return NULL;
}

/* ---- new and free ---------------------------------------------------------- */

int nx_flights_new(struct nx_transport *transport, struct nx_report *report,
                   nx_flight_landed_fn *landed, nx_flight_busy_fn *busy, void *opaque,
                   struct nx_flights **ret_flights, struct nx_error *err)
{
    NX_AUTO_FLIGHTS struct nx_flights *flights = calloc(1, sizeof(*flights));
    if (!flights)
        return nx_fail_errno(err, "flights");
    pthread_mutex_init(&flights->lock, NULL);
    pthread_cond_init(&flights->arrival, NULL);
    pthread_cond_init(&flights->landing, NULL);
    pthread_cond_init(&flights->emptying, NULL);
    TAILQ_INIT(&flights->arrived);
    flights->transport = transport;
    flights->report = report;
    flights->landed = landed;
    flights->busy = busy;
    flights->opaque = opaque;
    if (nx_map_init(&flights->map, 10, err) < 0)
        return -1;
    for (; flights->n_workers < WORKERS; flights->n_workers++) {
        int rc = pthread_create(&flights->workers[flights->n_workers], NULL, work, flights);
        if (rc != 0)
            return nx_fail(err, NX_ERR_SYSTEM, "worker thread: %s", strerror(rc));
    }
    *ret_flights = NX_STEAL(flights);
    return 0;
}

void nx_flights_stop(struct nx_flights *flights)
{
    pthread_mutex_lock(&flights->lock);
    flights->stopping = true;
    pthread_cond_broadcast(&flights->arrival);
    pthread_cond_broadcast(&flights->landing);
    pthread_cond_broadcast(&flights->emptying);
    pthread_mutex_unlock(&flights->lock);
    while (flights->n_workers > 0)
        pthread_join(flights->workers[--flights->n_workers], NULL);
}

void nx_flights_free(struct nx_flights *flights)
{
    if (!flights)
        return;
    nx_flights_stop(flights);
    for (struct batch *batch; (batch = TAILQ_FIRST(&flights->arrived));) {
        TAILQ_REMOVE(&flights->arrived, batch, link); /* it was begun while they stopped */
        process(flights, batch);
    }
    nx_map_release(&flights->map);
    pthread_cond_destroy(&flights->landing);
    pthread_cond_destroy(&flights->emptying);
    pthread_cond_destroy(&flights->arrival);
    pthread_mutex_destroy(&flights->lock);
    free(flights);
}
