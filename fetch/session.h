/* SPDX-License-Identifier: MIT */
/* The launcher's side of an engine: from a location to a verified head, and, once that is
 * trusted, to images that can be read.  What info, pull, mount and booting have in common.
 *
 * The launcher has one thread (but for verb_run.c's copy of UEFI variables) and one place where it waits, nx_session_poll(), for signals, the
 * engine, and what the caller adds.
 */
#ifndef NX_FETCH_SESSION_H
#define NX_FETCH_SESSION_H

#include <poll.h>
#include <stdbool.h>
#include <time.h>

#include "common/buffer.h"
#include "common/error.h"
#include "fetch/channel.h"
#include "fetch/control.h"
#include "fetch/engine.h"
#include "fetch/instance.h"
#include "fetch/location.h"
#include "fetch/mountpoint.h"
#include "fetch/options.h"
#include "fetch/rate.h"

#define NX_SESSION_POLL_MAX 8 /* descriptors that a caller may add */

enum nx_session_use {
    NX_USE_HEAD,   /* look at the head and go */
    NX_USE_PULL,   /* fill the cache */
    NX_USE_IMAGES, /* read the images */
};

struct nx_session {
    const struct nx_options *options;
    enum nx_session_use use;
    int signal_fd; /* SIGINT, SIGTERM, SIGHUP: blocked while the session is open */
    struct nx_location *location;
    struct nx_instance instance;
    struct nx_mountpoint mountpoint;
    char *export_dir;       /* without FUSE: the whole images; owned */
    const char *images_dir; /* where the images are or will be: NULL unless NX_USE_IMAGES */
    struct nx_engine engine;
    bool has_engine;
    struct nx_head *head; /* once nx_session_open() has returned */
    struct nx_stats stats;
    const char *state; /* for the statistics */
    bool stats_failed; /* their file cannot be written; the user was told */
    bool ready, done;
    bool waits;               /* a read waits for the network */
    bool resumed;             /* for the statistics */
    bool no_network;          /* the user lets none of this signer's machines on it */
    int state_fd;             /* a file in memory for the device state, or -1 */
    int record_fd;            /* a file in memory for the record, or -1 */
    struct nx_error no_state; /* why there is no device state; "" if there is one */
    bool draws_boot;          /* the progress line shows boot_have of boot_bytes */
    bool draws_have;          /* the progress line shows have_bytes of total_bytes */
    struct nx_bearer bearer;  /* what makes the engine's next token */
    bool no_token;            /* it has failed, and the user was told */
    struct nx_error held;     /* a notice that is not shown yet; "" if none */
    struct nx_buffer payload;

    struct nx_control *control; /* NULL: nobody can ask us anything */
    time_t started_at;
    int64_t started_ms;
    struct nx_rate rate;
    struct nx_asked {
        uint64_t id;
        bool cells;
    } asked[NX_CONTROL_CLIENTS]; /* who waits for a map */
    unsigned n_asked;
    /* What is asked of a machine; set by the verb that runs one.  0: done, -1: why not, 1: it will say so later, by
     * nx_control_answer_result().
     */
    int (*ask)(void *opaque, const struct nx_control_request *request, struct nx_error *err);
    void *ask_opaque;
};

/* Find location, start the engine and wait for a head that is verified (but not yet trusted).
 * mount_dir: where to mount; NULL: in a folder of our own.  Close the session in any case.
 */
int nx_session_open(struct nx_session *session, const struct nx_options *options,
                    enum nx_session_use use, const char *mount_dir, struct nx_error *err);

/* May it run?  Asks the user where need be, see nx_trust_settle(); sets no_network. */
int nx_session_trust(struct nx_session *session, const char *summary, struct nx_error *err);

/* Let the engine go on; NX_USE_IMAGES: wait until the images can be read, and, with NX_GO_RESUME, the
 * device state is in state_fd (or no_state says why not).
 */
int nx_session_go(struct nx_session *session, enum nx_go how, struct nx_error *err);

/* Wait, at most timeout_ms (-1: for ever), until something has happened, and do what the engine's
 * messages ask.  extra are the caller's own descriptors; their revents are set.  CANCELLED when a
 * signal came; other errors are the engine's, which then has ended.
 */
int nx_session_poll(struct nx_session *session, struct pollfd *extra, unsigned n_extra,
                    int timeout_ms, struct nx_error *err);

/* Has a signal come that nx_session_poll() has not seen? */
bool nx_session_interrupted(const struct nx_session *session);

/* Send the engine a message without payload. */
int nx_session_tell(struct nx_session *session, enum nx_message type, struct nx_error *err);

/* Note in the statistics how far we are: a literal. */
void nx_session_set_state(struct nx_session *session, const char *state);

/* Path of an image, to be freed; NULL without memory. */
char *nx_session_image_path(const struct nx_session *session, const char *image);

/* End the engine and unmount: no read waits for the network any more.  Part of closing. */
void nx_session_stop_engine(struct nx_session *session);

/* End everything and leave nothing behind. */
void nx_session_close(struct nx_session *session);

static inline void nx_auto_session(struct nx_session *session)
{
    nx_session_close(session);
}
#define NX_AUTO_SESSION NX_AUTO(session)
#define NX_SESSION_INIT                                                                 \
    {                                                                                   \
        .signal_fd = -1, .state_fd = -1, .record_fd = -1, .instance = NX_INSTANCE_INIT, \
        .mountpoint = NX_MOUNTPOINT_INIT, .bearer = NX_BEARER_INIT                      \
    }

#endif
