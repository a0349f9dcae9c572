/* SPDX-License-Identifier: MIT */
#include "fetch/session.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/interrupt.h"
#include "common/log.h"
#include "common/progress.h"
#include "fetch/dialog.h"
#include "fetch/mounted.h"
#include "fetch/statsfile.h"
#include "fetch/status.h"

#define ENGINE_STOP_MS 3000
#define LAST_MESSAGES  1000                      /* more than an honest engine has left to say */
#define FRAME_MS       20000                     /* for the rest of a message */
#define NOTICE_MAX     512                       /* bytes of a line from the engine */
#define FIRST_EXTRA    (2 + NX_CONTROL_POLL_FDS) /* what is polled for before what the caller wants */
#define POLL_MAX       (FIRST_EXTRA + NX_SESSION_POLL_MAX + 1)

/* ---- signals ---- */

static void our_signals(sigset_t *ret_set)
{
    sigemptyset(ret_set);
    sigaddset(ret_set, SIGINT);
    sigaddset(ret_set, SIGTERM);
    sigaddset(ret_set, SIGHUP);
}

static int open_signals(struct nx_session *session, struct nx_error *err)
{
    sigset_t set;
    our_signals(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    session->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (session->signal_fd < 0)
        return nx_fail_errno(err, "signals");
    return nx_check_interrupt(err); /* one may have come before they were blocked */
}

/* ---- statistics ---- */

static void write_stats(struct nx_session *session)
{
    struct nx_error err = NX_ERROR_INIT;
    if (!session->options->stats_file || session->stats_failed || !session->location)
        return;
    char name[512];
    if (nx_statsfile_write(session->options->stats_file, nx_location_name(session->location, name),
                           session->state, session->resumed, &session->stats,
                           session->head ? session->head->manifest : NULL, &err) < 0) {
        session->stats_failed = true;
        nx_log(NX_LOG_WARNING, "--stats: %s", err.msg);
    }
}

/* nx_channel_receive() has looked at what is in it, as at every payload here. */
static void take_stats(struct nx_session *session)
{
    struct nx_stats *stats = &session->stats;
    memcpy(stats, session->payload.data, sizeof *stats);
    nx_rate_note(&session->rate, nx_now_ms(), stats->bytes);
    if (session->draws_boot && stats->boot_bytes) {
        nx_progress_set_total(stats->boot_bytes);
        nx_progress_update(stats->boot_have);
    } else if (session->draws_have) {
        nx_progress_set_total(stats->total_bytes);
        nx_progress_update(stats->have_bytes);
    } else {
        nx_progress_update(stats->bytes);
    }
    write_stats(session);
}

/* Is there room for a message, so that sending it does not wait?  An engine that was taken over may read nothing. */
static bool engine_takes(const struct nx_session *session)
{
    struct pollfd pfd = { .fd = session->has_engine ? session->engine.channel : -1,
                          .events = POLLOUT };
    return poll(&pfd, 1, 0) > 0 && (pfd.revents & POLLOUT);
}

/* ---- who asks ---- */

/* The first of those who wait for a map gets it: the payload, or NULL.  The engine answers in the order of asking. */
static void answer_asked(struct nx_session *session, const struct nx_buffer *map)
{
    if (session->n_asked == 0)
        return;
    const struct nx_asked asked = session->asked[0];
    session->n_asked--;
    memmove(session->asked, session->asked + 1, session->n_asked * sizeof asked);
    nx_control_answer(session->control, asked.id, nx_status_json(session, map, asked.cells));
}

/* The engine knows the map; before there is one, and a head, nobody does. */
static void give_status(struct nx_session *session, const struct nx_control_request *request)
{
    uint16_t cells = (uint16_t)(request->cells ? request->cells : 1);
    if (!session->head || session->n_asked == NX_CONTROL_CLIENTS || !engine_takes(session) ||
        nx_channel_send(session->engine.channel, NX_MSG_ASK_MAP, &cells, sizeof cells, NULL) < 0) {
        nx_control_answer(session->control, request->id, nx_status_json(session, NULL, false));
        return;
    }
    session->asked[session->n_asked++] = (struct nx_asked){ request->id, request->cells > 0 };
}

static void take_request(struct nx_session *session, const struct nx_control_request *request)
{
    struct nx_error err = NX_ERROR_INIT;
    int ret = 0;
    if (request->what == NX_ASK_STATUS) {
        give_status(session, request);
        return;
    }
    if (request->what == NX_ASK_STOP)
        kill(getpid(), SIGTERM); /* taken in the next round, as if somebody else had sent it */
    else if (session->ask)
        ret = session->ask(session->ask_opaque, request, &err);
    else
        ret = nx_fail(&err, NX_ERR_USAGE, "no machine runs there");
    if (ret <= 0)
        nx_control_answer_result(session->control, request->id, ret, &err);
}

static void attend_control(struct nx_session *session,
                           const struct pollfd fds[static NX_CONTROL_POLL_FDS])
{
    struct nx_control_request request;
    nx_control_handle(session->control, fds);
    while (nx_control_take(session->control, &request))
        take_request(session, &request);
}

/* A machine that cannot be asked runs all the same. */
static void open_control(struct nx_session *session)
{
    struct nx_error err = NX_ERROR_INIT;
    if (nx_control_new(&session->control, &err) < 0)
        nx_log(NX_LOG_INFO, "nxfetch status will not find this one: %s", err.msg);
}

/* An engine that is taken over shall neither hear who asks us, nor write into the window with the progress. */
static void forget_ours(void *opaque)
{
    const struct nx_session *session = opaque;
    nx_control_forget(session->control);
    nx_dialog_forget();
}

/* ---- what the engine says ---- */

/* The payload as one printable line: it may carry a server's or an author's text. */
static void payload_line(const struct nx_session *session, struct nx_error *ret_line)
{
    size_t len = session->payload.len < NOTICE_MAX ? session->payload.len : NOTICE_MAX;
    nx_fail(ret_line, NX_OK, "%.*s", (int)len, len ? (const char *)session->payload.data : "");
}

/* Before there is a head nobody has been told of a machine, and if there will be none, one line says it all. */
static void show_outage(const struct nx_session *session, const char *label)
{
    struct nx_error line = NX_ERROR_INIT;
    payload_line(session, &line);
    const char *colon = line.msg[0] ? ": " : "";
    if (session->head)
        nx_dialog_tell("%s%s%s", label, colon, line.msg);
    else
        nx_log(NX_LOG_INFO, "%s%s%s", label, colon, line.msg);
}

static void show_held(struct nx_session *session)
{
    if (session->held.msg[0])
        nx_log(NX_LOG_NOTICE, "%s", session->held.msg);
    session->held.msg[0] = 0;
}

/* A pull fails by what it has just been noticed to lack: hold that back, lest it be said twice. */
static void take_notice(struct nx_session *session)
{
    show_held(session);
    payload_line(session, &session->held);
    if (session->use != NX_USE_PULL)
        show_held(session);
}

static int take_failure(struct nx_session *session, struct nx_error *err)
{
    struct nx_error failure;
    memcpy(&failure, session->payload.data, sizeof failure);
    if (strcmp(failure.msg, session->held.msg) != 0)
        show_held(session);
    return nx_fail(err, failure.code, "%s", failure.msg);
}

static int take_head(struct nx_session *session, struct nx_error *err)
{
    if (session->head)
        return nx_fail(err, NX_ERR_FORMAT, "the engine sent two heads");
    char name[512];
    return nx_channel_unpack_head(&session->payload, nx_location_name(session->location, name),
                                  &session->head, err);
}

static int take_message(struct nx_session *session, struct nx_error *err)
{
    int type;
    const struct nx_patience patience = { nx_now_ms() + FRAME_MS, session->signal_fd };
    struct nx_error why = NX_ERROR_INIT;
    if (nx_channel_receive(session->engine.channel, &patience, &type, &session->payload, &why) < 0)
        return nx_session_interrupted(session)
                   ? nx_fail(err, NX_ERR_CANCELLED, "interrupted")
                   : nx_fail(err, NX_ERR_SYSTEM, "the engine: %s", why.msg);
    switch (type) {
    case 0:
        return nx_fail(err, NX_ERR_SYSTEM, "the engine has ended unexpectedly");
    case NX_MSG_HEAD:
        return take_head(session, err);
    case NX_MSG_READY:
        session->ready = true;
        return 0;
    case NX_MSG_STATS:
        take_stats(session);
        return 0;
    case NX_MSG_NOTICE:
        take_notice(session);
        return 0;
    case NX_MSG_WAITING:
        session->waits = true;
        show_outage(session, "waiting for the network");
        return 0;
    case NX_MSG_TOKEN_WANTED:
        if (session->bearer.command)
            nx_bearer_want(&session->bearer);
        return 0;
    case NX_MSG_RESUMED:
        session->waits = false;
        show_outage(session, "the network answers again");
        return 0;
    case NX_MSG_MAP:
        answer_asked(session, &session->payload);
        return 0;
    case NX_MSG_NO_STATE:
        payload_line(session, &session->no_state);
        return 0;
    case NX_MSG_DONE:
        show_held(session);
        session->done = true;
        return 0;
    case NX_MSG_FAILED:
        return take_failure(session, err);
    default:
        return nx_fail(err, NX_ERR_FORMAT, "the engine sent a message of unknown type %d", type);
    }
}

/* The user's command is slow, or fails: the engine waits, and so may the machine, but neither ends for that.  It is said
 * once, and when it is over.
 */
static void make_token(struct nx_session *session)
{
    struct nx_bearer *bearer = &session->bearer;
    struct nx_error err = NX_ERROR_INIT;
    int ret = nx_bearer_step(bearer, &err);
    if (ret == 0)
        return;
    if (ret < 0)
        nx_log(session->no_token ? NX_LOG_INFO : NX_LOG_WARNING,
               "%s; it is tried again, for the server takes the token no more", err.msg);
    else if (session->no_token)
        nx_log(NX_LOG_NOTICE, "--bearer-command has made a token again");
    session->no_token = ret < 0;
    if (ret < 0)
        return;
    /* For the engine that may come after this one: becomes_reference(). */
    nx_login_set_token(session->options->web.http.login, bearer->output.data, bearer->output.len,
                       &err);
    if (engine_takes(session)) /* one that has gone is found out elsewhere */
        nx_channel_send(session->engine.channel, NX_MSG_TOKEN, bearer->output.data,
                        bearer->output.len, NULL);
    else
        nx_bearer_want(bearer);
    nx_bearer_wipe(bearer);
}

/* How long poll() may wait, when the caller would wait so long. */
static int until_token(const struct nx_session *session, int timeout_ms)
{
    int token_ms = nx_bearer_timeout(&session->bearer);
    return token_ms >= 0 && (timeout_ms < 0 || token_ms < timeout_ms) ? token_ms : timeout_ms;
}

/* As poll(), which fails for more entries than a process may have descriptors, even if they stand for none. */
static int poll_open(struct pollfd fds[static POLL_MAX], unsigned n, int timeout_ms)
{
    struct pollfd open[POLL_MAX];
    nfds_t n_open = 0;
    for (unsigned i = 0; i < n; i++)
        if (fds[i].fd >= 0)
            open[n_open++] = fds[i];
    int ret = poll(open, n_open, timeout_ms);
    for (unsigned i = n; ret >= 0 && i-- > 0;)
        fds[i].revents = fds[i].fd >= 0 ? open[--n_open].revents : 0;
    return ret;
}

int nx_session_poll(struct nx_session *session, struct pollfd *extra, unsigned n_extra,
                    int timeout_ms, struct nx_error *err)
{
    struct pollfd fds[POLL_MAX] = {
        { .fd = session->signal_fd, .events = POLLIN },
        { .fd = session->has_engine ? session->engine.channel : -1, .events = POLLIN },
    };
    nx_control_poll_fds(session->control, fds + 2);
    for (unsigned i = 0; i < n_extra; i++)
        fds[FIRST_EXTRA + i] = extra[i];
    fds[FIRST_EXTRA + n_extra] = nx_bearer_pollfd(&session->bearer);
    if (poll_open(fds, FIRST_EXTRA + n_extra + 1, until_token(session, timeout_ms)) < 0) {
        if (errno != EINTR)
            return nx_fail_errno(err, "poll");
        for (unsigned i = 0; i < n_extra; i++)
            extra[i].revents = 0;
        return 0;
    }
    for (unsigned i = 0; i < n_extra; i++)
        extra[i].revents = fds[FIRST_EXTRA + i].revents;
    attend_control(session, fds + 2);
    struct signalfd_siginfo info;
    if (fds[0].revents && read(session->signal_fd, &info, sizeof info) == sizeof info)
        return nx_fail(err, NX_ERR_CANCELLED, "interrupted");
    make_token(session);
    return fds[1].revents ? take_message(session, err) : 0;
}

bool nx_session_interrupted(const struct nx_session *session)
{
    struct pollfd fd = { .fd = session->signal_fd, .events = POLLIN };
    return poll(&fd, 1, 0) > 0;
}

void nx_session_set_state(struct nx_session *session, const char *state)
{
    session->state = state;
    write_stats(session);
}

int nx_session_tell(struct nx_session *session, enum nx_message type, struct nx_error *err)
{
    return nx_channel_send(session->engine.channel, type, NULL, 0, err);
}

/* ---- opening ---- */

/* What the engine may write to, for it opens no files itself. */
static int make_files(struct nx_session *session, struct nx_error *err)
{
    session->state_fd = memfd_create("nxpk-device-state", MFD_CLOEXEC);
    if (session->state_fd >= 0 && session->options->record_file)
        session->record_fd = memfd_create("nxpk-record", MFD_CLOEXEC);
    return session->state_fd < 0 || (session->options->record_file && session->record_fd < 0)
               ? nx_fail_errno(err, "file in memory")
               : 0;
}

/* Prepare for images as whole files, because of why. */
static int fall_back(struct nx_session *session, const struct nx_error *why, struct nx_error *err)
{
    nx_dialog_tell("%s; so the images are fetched whole first", why->msg);
    if (nx_instance_export_dir(&session->instance, &session->export_dir, err) < 0)
        return -1;
    session->images_dir = session->export_dir;
    return 0;
}

static int prepare_images(struct nx_session *session, const char *mount_dir, struct nx_error *err)
{
    struct nx_error why = NX_ERROR_INIT;
    const char *dir = mount_dir ? mount_dir : session->instance.images;
    const char *cache = session->location->path ? NULL : session->options->cache_dir;
    if (mount_dir && cache &&
        nx_would_hide(mount_dir, cache)) /* the engine would wait for itself */
        return nx_fail(err, NX_ERR_SYSTEM,
                       "%s: the cache, %s, stands in it and would be hidden: mount elsewhere, or "
                       "move the cache with --cache-dir",
                       mount_dir, cache);
    if (nx_mountpoint_usable(&why) < 0 ||
        nx_mountpoint_mount(dir, &session->mountpoint, &why) < 0) {
        if (!mount_dir)
            return fall_back(session, &why, err);
        *err = why;
        return -1;
    }
    session->images_dir = session->mountpoint.dir;
    return 0;
}

static int start_engine(struct nx_session *session, struct nx_error *err)
{
    const struct nx_options *options = session->options;
    const struct nx_location *location = session->location;
    const struct nx_reference *reference = location->reference;
    struct nx_engine_config config = {
        .path = location->path,
        .urls = location->urls,
        .n_urls = location->n_urls,
        .pin = reference && reference->pinned ? &reference->manifest_digest : NULL,
        .http = options->web.http,
        .cache_dir = options->cache_dir,
        .cache_limit = options->cache_limit,
        .offline = options->offline,
        .complete = session->use == NX_USE_IMAGES && !options->no_complete && !options->offline &&
                    !location->path && options->cache_dir,
        .pull = session->use == NX_USE_PULL,
        .fuse_fd = session->mountpoint.fd,
        .no_fuse_fetch_all = session->export_dir != NULL,
        .export_dir = session->export_dir,
        .state_fd = session->state_fd,
        .after_fork = forget_ours,
        .opaque = session,
        .record_fd = session->record_fd,
    };
    if (nx_engine_start(&config, &session->engine, err) < 0)
        return -1;
    session->has_engine = true;
    return 0;
}

static int wait_head(struct nx_session *session, struct nx_error *err)
{
    if (start_engine(session, err) < 0)
        return -1;
    while (!session->head)
        if (nx_session_poll(session, NULL, 0, -1, err) < 0)
            return -1;
    return 0;
}

/* Let signals interrupt a call that is not nx_session_poll()'s. */
static void allow_signals(bool allow)
{
    sigset_t set;
    our_signals(&set);
    sigprocmask(allow ? SIG_UNBLOCK : SIG_BLOCK, &set, NULL);
}

/* Not a package: perhaps its URL is a reference's, of an unusual name. */
static bool becomes_reference(struct nx_session *session)
{
    nx_engine_stop(&session->engine, ENGINE_STOP_MS);
    session->has_engine = false;
    allow_signals(true);
    bool found = !session->options->offline &&
                 nx_location_retry_as_reference(session->location, &session->options->web.http);
    allow_signals(false);
    return found;
}

int nx_session_open(struct nx_session *session, const struct nx_options *options,
                    enum nx_session_use use, const char *mount_dir, struct nx_error *err)
{
    session->options = options;
    session->use = use;
    session->bearer.command = options->web.login.bearer.command;
    session->state = "connecting";
    nx_buffer_init(&session->payload, NX_CHANNEL_MAX);
    session->stats.first_byte = session->stats.manifest_verified = -1;
    session->stats.qemu_started = -1;
    session->started_at = time(NULL);
    session->started_ms = nx_now_ms();
    nx_progress_start("connecting", 0);
    if (nx_location_resolve(options->location, &options->web.http, options->offline,
                            &session->location, err) < 0 ||
        open_signals(session, err) < 0)
        return -1;
    if (use != NX_USE_HEAD)
        open_control(session);
    write_stats(session);
    if (use == NX_USE_IMAGES && !mount_dir && nx_instance_open(&session->instance, err) < 0)
        return -1;
    if (use == NX_USE_IMAGES && !mount_dir && make_files(session, err) < 0)
        return -1;
    if (use == NX_USE_IMAGES && prepare_images(session, mount_dir, err) < 0)
        return -1;
    int ret = wait_head(session, err);
    if (ret < 0 && err->code == NX_ERR_FORMAT && becomes_reference(session)) {
        /* The first engine has answered FUSE's greeting, so the next one needs a mount of its own. */
        ret = nx_mountpoint_unmount(&session->mountpoint, err);
        if (ret == 0 && use == NX_USE_IMAGES)
            ret = prepare_images(session, mount_dir, err);
        if (ret == 0)
            ret = wait_head(session, err);
    }
    /* From here on the engine's death must end all reads, so it has to be the only one to hold this. */
    nx_mountpoint_close_fd(&session->mountpoint);
    nx_progress_end();
    return ret;
}

int nx_session_trust(struct nx_session *session, const char *summary, struct nx_error *err)
{
    return nx_trust_settle(&session->options->trust, session->location, session->head, summary,
                           &session->no_network, err);
}

int nx_session_go(struct nx_session *session, enum nx_go how, struct nx_error *err)
{
    uint8_t byte = (uint8_t)how;
    if (nx_channel_send(session->engine.channel, NX_MSG_GO, &byte, sizeof byte, err) < 0)
        return -1;
    session->draws_have = session->export_dir || session->use == NX_USE_PULL;
    session->draws_boot = !session->draws_have && how == NX_GO_RESUME;
    nx_progress_start(session->draws_have   ? "fetching"
                      : session->draws_boot ? "memory"
                                            : "starting",
                      0);
    while (session->use == NX_USE_IMAGES && !session->ready)
        if (nx_session_poll(session, NULL, 0, -1, err) < 0)
            return -1;
    return 0;
}

char *nx_session_image_path(const struct nx_session *session, const char *image)
{
    char *path;
    return asprintf(&path, "%s/%s", session->images_dir, image) < 0 ? NULL : path;
}

/* ---- closing ---- */

static int left_ms(int64_t due)
{
    int64_t left = due - nx_now_ms();
    return left > 0 ? (int)left : 0;
}

/* After QUIT the engine sends its last numbers and closes its end. */
static void take_last_stats(struct nx_session *session, int64_t due)
{
    struct nx_error ignored = NX_ERROR_INIT;
    int fd = session->engine.channel;
    const struct nx_patience patience = { due, -1 };
    if (nx_session_tell(session, NX_MSG_QUIT, &ignored) < 0)
        return;
    int type = -1;
    for (int n = 0; type != 0 && n < LAST_MESSAGES; n++) {
        if (nx_channel_receive(fd, &patience, &type, &session->payload, &ignored) < 0)
            return;
        if (type == NX_MSG_STATS)
            take_stats(session);
    }
}

void nx_session_stop_engine(struct nx_session *session)
{
    struct nx_error err = NX_ERROR_INIT;
    nx_progress_end();
    if (session->has_engine) {
        int64_t due = nx_now_ms() + ENGINE_STOP_MS;
        take_last_stats(session, due);
        while (session->n_asked)
            answer_asked(session, NULL);
        nx_engine_stop(&session->engine, left_ms(due));
        session->has_engine = false;
        nx_session_set_state(session, "ended");
    }
    if (nx_mountpoint_unmount(&session->mountpoint, &err) < 0)
        nx_log(NX_LOG_WARNING, "%s", err.msg);
}

void nx_session_close(struct nx_session *session)
{
    nx_session_stop_engine(session);
    nx_control_free(NX_STEAL(session->control));
    int *const fds[] = { &session->signal_fd, &session->state_fd, &session->record_fd };
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
    nx_instance_close(&session->instance); /* it needs a descriptor */
    nx_head_free(session->head);
    nx_location_free(session->location);
    free(session->export_dir);
    nx_buffer_release(&session->payload);
    nx_bearer_release(&session->bearer);
    session->head = NULL;
    session->location = NULL;
    session->export_dir = NULL;
}
