/* SPDX-License-Identifier: MIT */
/* Threads of the engine process:
 *
 *     main      the channel, statistics; ends everything
 *     session   head, then the images, then what is fetched without being asked for
 *     network   curl (transport.c)
 *     workers   verify and keep what has arrived (flight.c)
 *     cache     writes what is kept (cachewriter.c)
 *     FUSE      answer reads (fuse.c)
 *
 * The objects that main must be able to stop exist before the session thread does; the rest belongs to
 * that thread until it was joined.
 */
#include "fetch/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "common/clock.h"
#include "common/progress.h"
#include "fetch/blobs.h"
#include "fetch/bootset.h"
#include "fetch/channel.h"
#include "fetch/engine_confine.h"
#include "fetch/export.h"
#include "fetch/fuse.h"
#include "fetch/images.h"
#include "fetch/lacking.h"
#include "fetch/opening.h"
#include "fetch/pull.h"
#include "fetch/recorder.h"
#include "fetch/mapmessage.h"
#include "fetch/state.h"
#include "fetch/survey.h"

#define TICK_MS     250 /* between statistics */
#define END_SECONDS 3   /* then the end is not waited for any longer */
#define TRIES       4
#define TRIES_PULL  10   /* a download that was left alone for the night should survive more */
#define SURVEY_MS   20   /* of a tick that go into the survey while somebody looks at the map … */
#define WATCHED_MS  3000 /* … which is so long after he has asked for it */
#define FRONT_MAX   (64u << 20) /* bytes: the front, with a boot set's index, fetched in one go */
#define SMALL_INDEX (1u << 20)  /* bytes: fetched whole once the machine runs */

struct engine {
    const struct nx_engine_config *config;
    int channel;
    int end_fd; /* eventfd: the session has ended, and the engine with it */
    char name[512];
    struct nx_report report;
    struct nx_parts package; /* the local one; no files: on the web */
    struct nx_cache *cache;
    struct nx_transport *transport;
    struct nx_blobs *blobs;
    struct nx_fuse *fuse;
    pthread_t session;

    /* the session's */
    struct nx_opened opened;
    struct nx_images *images;
    struct nx_recorder *recorder; /* or NULL */
    struct nx_chunkmap *map;
    bool resume;      /* the device state is wanted */
    bool start_lacks; /* something, offline, and it was told */

    /* main's */
    struct nx_survey survey;
    int64_t watched; /* nx_now_ms() when the map was last asked for; 0: never */

    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool go;        /* under lock */
    enum nx_go how; /* set before go */
    bool started;   /* under lock */
    bool mapped;    /* under lock: images and map are there, and stay */
    bool quit;      /* under lock */
};

static void set_flag(struct engine *engine, bool *flag)
{
    pthread_mutex_lock(&engine->lock);
    *flag = true;
    pthread_cond_broadcast(&engine->cond);
    pthread_mutex_unlock(&engine->lock);
}

/* ---- the session ----------------------------------------------------------- */

static int send_head(struct engine *engine, struct nx_error *err)
{
    NX_AUTO_BUFFER struct nx_buffer payload = NX_BUFFER_INIT(NX_CHANNEL_MAX);
    if (nx_channel_pack_head(engine->opened.head, &payload, err) < 0)
        return -1;
    nx_report_send(&engine->report, NX_MSG_HEAD, payload.data, payload.len);
    return 0;
}

/* Until the launcher has set *flag: 0; NX_ERR_CANCELLED when the engine is to end. */
static int wait_for(struct engine *engine, const bool *flag, struct nx_error *err)
{
    pthread_mutex_lock(&engine->lock);
    while (!*flag && !engine->quit)
        pthread_cond_wait(&engine->cond, &engine->lock);
    bool set = *flag;
    pthread_mutex_unlock(&engine->lock);
    return set ? 0 : nx_fail(err, NX_ERR_CANCELLED, "the engine ends");
}

/* Does the package's boot set belong to this way of starting? */
static bool wants_boot_set(const struct engine *engine)
{
    const struct nx_manifest *manifest = engine->opened.head->manifest;
    return manifest->boot_chunks && manifest->suspended == engine->resume && engine->transport &&
           manifest->boot_index <= FRONT_MAX && !engine->config->pull &&
           !engine->config->no_fuse_fetch_all;
}

static const struct nx_parts *local_package(const struct engine *engine)
{
    return engine->config->path ? &engine->package : NULL;
}

static struct nx_state_sources state_sources(const struct engine *engine)
{
    return (struct nx_state_sources){ .manifest = engine->opened.head->manifest,
                                      .front = &engine->opened.front,
                                      .parts = local_package(engine),
                                      .name = engine->name,
                                      .cache = engine->cache,
                                      .transport = engine->transport };
}

/* How far the package's front is worth having in one request: the device state, and what of the index the
 * boot set needs.  An earlier start has left all that in the cache.
 */
static uint64_t wanted_front(const struct engine *engine)
{
    const struct nx_manifest *m = engine->opened.head->manifest;
    const struct nx_state_sources sources = state_sources(engine);
    struct nx_cache *cache = engine->cache;
    if (wants_boot_set(engine) && !(cache && nx_cache_has(cache, &m->images[0].root_digest)))
        return m->index.offset + m->boot_index;
    if (engine->resume && !nx_state_is_cached(&sources))
        return m->device_state.offset + m->device_state.size;
    return 0;
}

/* Without it everything is fetched piece by piece, so a failure here is not one. */
static void extend_front(struct engine *engine)
{
    struct nx_buffer *front = &engine->opened.front;
    uint64_t wanted = wanted_front(engine);
    if (!engine->transport || front->len == 0 || wanted <= front->len || wanted > FRONT_MAX)
        return;
    struct nx_transfer transfer = { .offset = front->len,
                                    .length = wanted - front->len,
                                    .priority = NX_PRIORITY_DEMAND };
    front->max = FRONT_MAX;
    if (nx_transport_fetch(engine->transport, &transfer, NULL) == 0)
        nx_buffer_add(front, transfer.http.body.data, transfer.http.body.len, NULL);
    nx_http_request_release(&transfer.http);
}

/* A machine whose state cannot be had boots all the same: the launcher decides. */
static int write_state(struct engine *engine, struct nx_error *err)
{
    const struct nx_state_sources sources = state_sources(engine);
    struct nx_error why = NX_ERROR_INIT;
    if (!engine->resume || nx_state_write(&sources, engine->config->state_fd, &why) == 0)
        return 0;
    if (why.code == NX_ERR_FORMAT) {
        nx_report_text(&engine->report, NX_MSG_NO_STATE, "%s", why.msg);
        engine->resume = false;
        return 0;
    }
    if (err)
        *err = why;
    return -1;
}

static int set_recorder(struct engine *engine, struct nx_error *err)
{
    if (engine->config->record_fd < 0)
        return 0;
    if (!engine->fuse) /* an export reads everything, and then the guest's reads are not seen */
        return nx_fail(
            err, NX_ERR_SYSTEM,
            "what a machine uses can be recorded only where images can be mounted (FUSE)");
    if (nx_recorder_new(engine->opened.head->manifest, &engine->report, &engine->recorder, err) < 0)
        return -1;
    nx_images_set_recorder(engine->images, engine->recorder);
    return 0;
}

static int open_images(struct engine *engine, struct nx_error *err)
{
    struct nx_opened *opened = &engine->opened;
    struct nx_stats *stats = &engine->report.stats;
    const struct nx_manifest *manifest = opened->head->manifest;
    engine->resume =
        engine->how == NX_GO_RESUME && engine->config->state_fd >= 0 && manifest->suspended;
    extend_front(engine);
    if (opened->front.len && nx_blobs_set_front(engine->blobs, opened->front.data,
                                                opened->front.len, opened->front_cached, err) < 0)
        return -1;
    if (write_state(engine, err) < 0)
        return -1;
    nx_buffer_release(&opened->front);
    nx_report_set(&engine->report, &stats->total_bytes, manifest->chunks.size);
    nx_report_set_images(&engine->report, manifest->n_images);
    if (nx_chunkmap_new(manifest, &engine->map, err) < 0)
        return -1;
    nx_blobs_set_map(engine->blobs, engine->map);
    if (nx_images_new(manifest, engine->blobs, &engine->report, &engine->images, err) < 0)
        return -1;
    nx_images_set_map(engine->images, engine->map);
    if (engine->config->complete || wants_boot_set(engine))
        nx_images_set_generous(engine->images);
    if (nx_images_open_roots(engine->images, err) < 0 || set_recorder(engine, err) < 0)
        return -1;
    set_flag(engine, &engine->mapped);
    return 0;
}

/* What it lacks is fetched when it is read. */
static void want_boot_set(struct engine *engine)
{
    const struct nx_manifest *m = engine->opened.head->manifest;
    if (!wants_boot_set(engine))
        return;
    if (engine->resume) {
        nx_report_add(&engine->report, &engine->report.stats.boot_bytes, m->device_state.size);
        nx_report_add(&engine->report, &engine->report.stats.boot_have, m->device_state.size);
    }
    nx_bootset_want(nx_images_tree(engine->images),
                    engine->cache ? UINT64_MAX : NX_BLOBS_UNCACHED_MAX / 4 * 3, &engine->report,
                    NULL);
}

/* Offline, what is not in the cache does not come: the user should know before the guest complains, or stands still. */
static bool may_lack(const struct engine *engine)
{
    return engine->config->offline && !engine->config->path;
}

/* Where a training run has seen what the start reads; true if something was told. */
static bool tell_what_start_lacks(struct engine *engine)
{
    const struct nx_manifest *m = engine->opened.head->manifest;
    const struct nx_stats *stats = &engine->report.stats;
    char lacks[32], all[32];
    if (!may_lack(engine) || !m->boot_chunks || m->suspended != engine->resume)
        return false;
    if (nx_bootset_want(nx_images_tree(engine->images), UINT64_MAX, &engine->report, NULL) < 0)
        nx_report_text(&engine->report, NX_MSG_NOTICE,
                       "%s: not even its whole index is in the cache, and --offline forbids to "
                       "fetch it: run nxfetch pull first",
                       engine->name);
    else if (stats->boot_have < stats->boot_bytes)
        nx_report_text(&engine->report, NX_MSG_NOTICE,
                       "%s: of the %s that its start reads, %s are not in the cache, and --offline "
                       "forbids to fetch them: run nxfetch pull first",
                       engine->name, nx_human_bytes(stats->boot_bytes, all),
                       nx_human_bytes(stats->boot_bytes - stats->boot_have, lacks));
    else
        return false;
    return true;
}

static bool is_over(void *opaque)
{
    struct engine *engine = opaque;
    pthread_mutex_lock(&engine->lock);
    bool over = engine->quit;
    pthread_mutex_unlock(&engine->lock);
    return over;
}

static void tell_what_lacks(struct engine *engine)
{
    bool with_memory = engine->resume || engine->config->state_fd < 0; /* a mount shows it, too */
    if (may_lack(engine) && !engine->start_lacks &&
        nx_lacking_any(nx_images_tree(engine->images), with_memory, is_over, engine))
        nx_report_text(
            &engine->report, NX_MSG_NOTICE,
            "%s: not all of it is in the cache, and --offline forbids to fetch the rest: "
            "run nxfetch pull first",
            engine->name);
}

static int check_room(struct engine *engine, struct nx_error *err)
{
    const struct nx_manifest *manifest = engine->opened.head->manifest;
    uint64_t limit = engine->config->cache_limit;
    if (!engine->cache)
        return nx_fail(err, NX_ERR_SYSTEM, "there is no cache to keep the package in");
    uint64_t size = manifest->chunks.size + manifest->index.size + manifest->device_state.size;
    if (limit && size > limit - limit / 8)
        return nx_fail(err, NX_ERR_SYSTEM,
                       "the cache may hold %llu MiB, too few for the package's %llu MiB: raise its "
                       "limit",
                       (unsigned long long)limit >> 20, (unsigned long long)size >> 20);
    return 0;
}

/* That of a machine which boots now is kept for a later start. */
static int keep_state(struct engine *engine, struct nx_error *err)
{
    const struct nx_state_sources sources = state_sources(engine);
    return sources.manifest->suspended ? nx_state_keep(&sources, err) : 0;
}

static int pull(struct engine *engine, uint64_t request_max, uint64_t window, struct nx_error *err)
{
    struct nx_pull_options options = { .tree = nx_images_tree(engine->images),
                                       .cache = engine->cache,
                                       .report = &engine->report,
                                       .check = engine->config->pull,
                                       .memory_first = engine->resume,
                                       .request_max = request_max,
                                       .window = window };
    if (check_room(engine, err) < 0 || nx_pull(&options, err) < 0 || keep_state(engine, err) < 0)
        return -1;
    if (nx_cache_flush(engine->cache, err) < 0)
        return -1;
    nx_report_send_stats(&engine->report);
    nx_report_send(&engine->report, NX_MSG_DONE, NULL, 0);
    return 0;
}

/* While the machine runs: nothing here is a reason to end it.  Not before, so that what is
 * fetched until then is only what the start needs.
 */
static void work_in_background(struct engine *engine)
{
    const struct nx_manifest *manifest = engine->opened.head->manifest;
    struct nx_error err = NX_ERROR_INIT;
    if (wait_for(engine, &engine->started, NULL) < 0)
        return;
    if (engine->recorder)
        nx_recorder_start(engine->recorder);
    tell_what_lacks(engine);
    if (nx_blobs_wait_below(engine->blobs, NX_COMPLETE_WINDOW, NULL) < 0) /* the boot set */
        return;
    for (unsigned i = 0; manifest->index.size <= SMALL_INDEX && i < manifest->n_images; i++)
        if (nx_tree_prefetch(nx_images_tree(engine->images), i, NULL) < 0)
            return;
    if (!engine->config->complete || !engine->transport || !engine->cache)
        return;
    if (pull(engine, NX_COMPLETE_REQUEST, NX_COMPLETE_WINDOW, &err) < 0 &&
        err.code != NX_ERR_CANCELLED)
        nx_report_text(&engine->report, NX_MSG_NOTICE, "the package is not fetched completely: %s",
                       err.msg);
}

static int serve(struct engine *engine, struct nx_error *err)
{
    const struct nx_manifest *m = engine->opened.head->manifest;
    if (engine->config->no_fuse_fetch_all &&
        nx_export(engine->images, engine->resume, engine->config->export_dir, &engine->report,
                  err) < 0)
        return -1;
    if (engine->transport)
        nx_transport_set_patient(engine->transport);
    if (wants_boot_set(engine))
        nx_blobs_set_boot_end(engine->blobs, m->chunks.offset + m->boot_chunks);
    if (engine->fuse)
        nx_fuse_show(engine->fuse, m, engine->images);
    engine->start_lacks = tell_what_start_lacks(engine);
    want_boot_set(engine);
    nx_report_send_stats(&engine->report);
    nx_report_send(&engine->report, NX_MSG_READY, NULL, 0);
    work_in_background(engine);
    return 0;
}

static int run_session(struct engine *engine, struct nx_error *err)
{
    struct nx_opening opening = { .config = engine->config,
                                  .parts = engine->config->path ? &engine->package : NULL,
                                  .name = engine->name,
                                  .transport = engine->transport,
                                  .cache = engine->cache,
                                  .report = &engine->report };
    if (nx_opening_run(&opening, &engine->opened, err) < 0 || send_head(engine, err) < 0 ||
        wait_for(engine, &engine->go, err) < 0 || open_images(engine, err) < 0)
        return -1;
    return engine->config->pull ? pull(engine, NX_PULL_REQUEST, NX_PULL_WINDOW, err)
                                : serve(engine, err);
}

static void *session_thread(void *opaque)
{
    struct engine *engine = opaque;
    struct nx_error err = NX_ERROR_INIT;
    int r = run_session(engine, &err);
    if (r < 0) {
        nx_report_send_stats(&engine->report);
        nx_report_send(&engine->report, NX_MSG_FAILED, &err, sizeof(err));
    }
    if (r < 0 || engine->config->pull)
        eventfd_write(engine->end_fd, 1);
    return NULL;
}

/* ---- the map --------------------------------------------------------------- */

static bool is_mapped(struct engine *engine)
{
    pthread_mutex_lock(&engine->lock);
    bool mapped = engine->mapped;
    pthread_mutex_unlock(&engine->lock);
    return mapped;
}

static void survey(struct engine *engine)
{
    if (!engine->survey.map)
        engine->survey =
            (struct nx_survey){ .tree = nx_images_tree(engine->images), .map = engine->map };
    nx_survey_step(&engine->survey, nx_now_ms() + SURVEY_MS);
}

static void survey_on(struct engine *engine)
{
    if (engine->watched && nx_now_ms() - engine->watched < WATCHED_MS && is_mapped(engine))
        survey(engine);
}

/* Before there are images, and without memory, the map is one of no images. */
static void send_map(struct engine *engine, unsigned cells)
{
    NX_AUTO_BUFFER struct nx_buffer payload = NX_BUFFER_INIT(NX_MAP_MESSAGE_MAX);
    static const uint8_t none[4];
    bool mapped = is_mapped(engine);
    engine->watched = nx_now_ms();
    if (mapped)
        survey(engine);
    bool made = mapped && nx_chunkmap_write(engine->map, cells, &payload, NULL) == 0;
    nx_report_send_stats(&engine->report); /* of the same moment, more or less */
    nx_report_send(&engine->report, NX_MSG_MAP, made ? payload.data : none,
                   made ? payload.len : sizeof none);
}

/* ---- the channel ----------------------------------------------------------- */

static void note_started(struct nx_report *report)
{
    nx_report_mark(report, &report->stats.qemu_started);
    pthread_mutex_lock(&report->lock);
    report->stats.bytes_before_qemu = report->stats.bytes;
    report->stats.requests_before_qemu = report->stats.requests;
    report->stats.index_bytes_before_qemu = report->stats.index_bytes;
    pthread_mutex_unlock(&report->lock);
}

static void take_token(struct engine *engine, struct nx_buffer *payload)
{
    struct nx_error err = NX_ERROR_INIT;
    if (engine->transport &&
        nx_transport_set_token(engine->transport, payload->data, payload->len, &err) < 0)
        nx_report_text(&engine->report, NX_MSG_NOTICE, "%s", err.msg);
    explicit_bzero(payload->data, payload->len);
}

/* False: the engine is to end. */
static bool handle_message(struct engine *engine)
{
    NX_AUTO_BUFFER struct nx_buffer payload = NX_BUFFER_INIT(NX_CHANNEL_MAX);
    int type;
    uint16_t cells;
    if (nx_channel_receive(engine->channel, NULL, &type, &payload, NULL) < 0)
        return false;
    switch (type) {
    case NX_MSG_GO:
        engine->how = payload.data[0];
        set_flag(engine, &engine->go);
        return true;
    case NX_MSG_STARTED:
        note_started(&engine->report);
        set_flag(engine, &engine->started);
        return true;
    case NX_MSG_ASK_MAP:
        memcpy(&cells, payload.data, sizeof cells);
        send_map(engine, cells);
        return true;
    case NX_MSG_TOKEN:
        take_token(engine, &payload);
        return true;
    default: /* QUIT, or the launcher has gone */
        return false;
    }
}

static void run_channel(struct engine *engine)
{
    struct pollfd pfds[] = { { .fd = engine->channel, .events = POLLIN },
                             { .fd = engine->end_fd, .events = POLLIN } };
    for (int64_t due = nx_now_ms() + TICK_MS;;) {
        int64_t left = due - nx_now_ms();
        int r = poll(pfds, 2, left > 0 ? (int)left : 0);
        if (r > 0 && pfds[0].revents && !handle_message(engine))
            return;
        if (r > 0 && pfds[1].revents)
            return;
        if (nx_now_ms() >= due) {
            nx_report_send_stats(&engine->report);
            survey_on(engine);
            due = nx_now_ms() + TICK_MS;
        }
    }
}

/* ---- beginning and end ----------------------------------------------------- */

static void set_name(struct engine *engine)
{
    if (engine->config->path)
        snprintf(engine->name, sizeof(engine->name), "%s", engine->config->path);
    else
        nx_http_display_url(engine->config->urls[0], engine->name);
}

static void tell_of_cache(void *opaque, const char *line)
{
    struct engine *engine = opaque;
    nx_report_text(&engine->report, NX_MSG_NOTICE, "%s", line);
}

/* A cache that cannot be used is missed only by those who came for it. */
static int open_cache(struct engine *engine, struct nx_error *err)
{
    const struct nx_engine_config *config = engine->config;
    struct nx_error why = NX_ERROR_INIT;
    if (!config->cache_dir || (config->path && !config->pull))
        return 0; /* a local file is as near as the cache */
    const struct nx_cache_options options = { config->cache_dir, config->cache_limit, tell_of_cache,
                                              engine };
    if (nx_cache_open(&options, &engine->cache, &why) == 0)
        return 0;
    if (config->pull || config->offline) {
        *err = why;
        return -1;
    }
    nx_report_text(&engine->report, NX_MSG_NOTICE, "%s: going on without", why.msg);
    return 0;
}

static int open_source(struct engine *engine, struct nx_error *err)
{
    const struct nx_engine_config *config = engine->config;
    if (config->path || config->offline)
        return 0;
    unsigned tries = config->http.tries ? config->http.tries : config->pull ? TRIES_PULL : TRIES;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    return nx_transport_new(config->urls, config->n_urls, &config->http, tries, &engine->report,
                            &engine->transport, err);
}

static int set_up(struct engine *engine, struct nx_error *err)
{
    const struct nx_engine_config *config = engine->config;
    /* First, so that who looks into the mount gets an answer. */
    if (config->fuse_fd >= 0 &&
        nx_fuse_start(config->fuse_fd, &engine->report, &engine->fuse, err) < 0)
        return -1;
    if (open_source(engine, err) < 0 || open_cache(engine, err) < 0)
        return -1;
    struct nx_blobs_options options = { .parts = local_package(engine),
                                        .name = engine->name,
                                        .transport = engine->transport,
                                        .cache = engine->cache,
                                        .keep_local = config->pull,
                                        .count_kept = !config->no_fuse_fetch_all,
                                        .report = &engine->report };
    if (nx_blobs_new(&options, &engine->blobs, err) < 0)
        return -1;
    int rc = pthread_create(&engine->session, NULL, session_thread, engine);
    return rc == 0 ? 0 : nx_fail(err, NX_ERR_SYSTEM, "session thread: %s", strerror(rc));
}

/* From the sources of bytes to their readers, so that nobody waits for what comes no more. */
static void tear_down(struct engine *engine)
{
    alarm(END_SECONDS); /* a disk that does not answer must not keep us */
    set_flag(engine, &engine->quit);
    nx_transport_stop(engine->transport);
    nx_blobs_stop(engine->blobs);
    pthread_join(engine->session, NULL);
    nx_fuse_stop(engine->fuse);
    if (engine->recorder)
        nx_recorder_write(engine->recorder, engine->config->record_fd, NULL);
    nx_recorder_free(engine->recorder);
    nx_images_free(engine->images);
    nx_blobs_free(engine->blobs);
    nx_chunkmap_free(engine->map);
    nx_report_send_last_stats(&engine->report); /* before what a slow disk may keep us from */
    nx_cache_close(engine->cache);
    nx_transport_free(engine->transport);
    nx_opened_release(&engine->opened);
    nx_parts_release(&engine->package);
    nx_report_release(&engine->report);
}

/* Chunks are allocated in one thread and freed in another: glibc's arena for each thread would keep
 * tens of MiB of holes, and its growing threshold would keep large bodies too.
 */
static void limit_memory(void)
{
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 128 << 10);
    mallopt(M_TRIM_THRESHOLD, 1 << 20);
}

/* The launcher decides what Ctrl-C means, and its death is ours. */
static void detach_from_terminal(pid_t launcher)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN }, standard = { .sa_handler = SIG_DFL };
    sigaction(SIGINT, &ignore, NULL);
    sigaction(SIGHUP, &ignore, NULL);
    sigaction(SIGQUIT, &ignore, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGTERM, &standard, NULL);
    sigaction(SIGCHLD, &standard, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != launcher)
        _exit(1); /* it died before prctl() */
}

static void confine(struct engine *engine)
{
    struct nx_error err = NX_ERROR_INIT;
    if (nx_engine_confine(engine->config, &err) < 0)
        nx_report_text(&engine->report, NX_MSG_NOTICE,
                       "%s: so nxfetch is less confined than it should be", err.msg);
}

static int engine_main(const struct nx_engine_config *config, int channel)
{
    struct engine engine = { .config = config, .channel = channel, .package = NX_PARTS_INIT };
    struct nx_error err = NX_ERROR_INIT;
    pthread_mutex_init(&engine.lock, NULL);
    pthread_cond_init(&engine.cond, NULL);
    limit_memory();
    nx_report_init(&engine.report, channel);
    /* Before it may open no more: which volumes there are, if any, it does not know yet. */
    if (config->path)
        nx_parts_open(&engine.package, config->path, O_RDONLY, &err);
    confine(&engine);
    set_name(&engine);
    engine.end_fd = eventfd(0, EFD_CLOEXEC);
    if (err.code == NX_OK && engine.end_fd < 0)
        nx_fail_errno(&err, "engine");
    if (err.code != NX_OK || set_up(&engine, &err) < 0) {
        nx_report_send(&engine.report, NX_MSG_FAILED, &err, sizeof(err));
        return 1; /* what was set up ends with the process */
    }
    run_channel(&engine);
    tear_down(&engine);
    return 0;
}

int nx_engine_start(const struct nx_engine_config *config, struct nx_engine *ret_engine,
                    struct nx_error *err)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return nx_fail_errno(err, "engine: socket pair");
    pid_t launcher = getpid();
    pid_t pid = fork();
    if (pid < 0) {
        nx_fail_errno(err, "engine: fork");
        close(fds[0]);
        close(fds[1]);
        return -1;
    }
    if (pid == 0) {
        close(fds[0]);
        detach_from_terminal(launcher);
        if (config->after_fork)
            config->after_fork(config->opaque);
        /* Not exit(): what the launcher wanted done at its end is not ours to do. */
        _exit(engine_main(config, fds[1]));
    }
    close(fds[1]);
    *ret_engine = (struct nx_engine){ .pid = pid, .channel = fds[0] };
    return 0;
}

/* Read and forget until the engine closes its end: it may wait for us to take a message. */
static bool wait_for_end(int fd, int timeout_ms)
{
    int64_t due = nx_now_ms() + timeout_ms;
    for (;;) {
        int64_t left = due - nx_now_ms();
        struct pollfd pfd = { .fd = fd, .events = POLLIN };
        if (poll(&pfd, 1, left > 0 ? (int)left : 0) <= 0 && left <= 0)
            return false;
        char buf[4096];
        ssize_t n = pfd.revents ? recv(fd, buf, sizeof(buf), MSG_DONTWAIT) : -1;
        if (n == 0 || (n < 0 && pfd.revents && errno != EAGAIN && errno != EINTR))
            return true;
    }
}

void nx_engine_stop(struct nx_engine *engine, int timeout_ms)
{
    if (engine->pid <= 0)
        return;
    nx_channel_send(engine->channel, NX_MSG_QUIT, NULL, 0, NULL);
    if (!wait_for_end(engine->channel, timeout_ms))
        kill(engine->pid, SIGKILL);
    close(engine->channel);
    while (waitpid(engine->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    *engine = (struct nx_engine){ .pid = 0, .channel = -1 };
}
