/* SPDX-License-Identifier: MIT */
/* What a running nxfetch can be asked for, on a Unix socket of its own: $XDG_RUNTIME_DIR/nxpk/PID.sock, beside the folders of
 * the runs (instance.h).  A client sends one line of JSON, gets one, and the connection ends:
 *
 *     {"ask":"status","cells":1024}                 status.h; cells: of the map, for each image; without it there is no map
 *     {"ask":"screenshot","file":"/home/me/a.png"}  {"ok":true}, when the picture is there
 *     {"ask":"power","how":"off"}                   {"ok":true}; also "reset", and "stop", which ends nxfetch
 *
 * or {"error":"…"}.  Only processes of the same user are heard, and none that is more confined than we are (peers.h).  The launcher's; one thread; it never waits.
 */
#ifndef NX_FETCH_CONTROL_H
#define NX_FETCH_CONTROL_H

#include <jansson.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/error.h"

#define NX_CONTROL_LINE_MAX   8192 /* bytes of a request */
#define NX_CONTROL_ANSWER_MAX (4u << 20)
#define NX_CONTROL_CLIENTS    8 /* at a time; one more, and the oldest has to go */
#define NX_CONTROL_POLL_FDS   (1 + NX_CONTROL_CLIENTS)
#define NX_CONTROL_SUFFIX     ".sock"

enum nx_control_what {
    NX_ASK_STATUS,
    NX_ASK_SCREENSHOT,
    NX_ASK_POWER_OFF, /* as its power button does */
    NX_ASK_RESET,
    NX_ASK_STOP, /* end, as Ctrl-C does */
};

struct nx_control_request {
    enum nx_control_what what;
    unsigned cells;  /* of the status' map; 0: no map */
    char file[4096]; /* where the screenshot goes, absolute */
    uint64_t id;     /* for nx_control_answer() */
};

/* Parse a request's line; a USAGE error says what is wrong with it. */
int nx_control_parse(const char *line, size_t len, struct nx_control_request *ret_request,
                     struct nx_error *err);

struct nx_control;

/* Listen; what dead ones have left is removed first. */
int nx_control_new(struct nx_control **ret_control, struct nx_error *err);

/* Stop, and remove the socket. */
void nx_control_free(struct nx_control *control);

/* What to poll for; the caller passes the same array to nx_control_handle() afterwards. */
void nx_control_poll_fds(const struct nx_control *control,
                         struct pollfd fds[static NX_CONTROL_POLL_FDS]);
void nx_control_handle(struct nx_control *control,
                       const struct pollfd fds[static NX_CONTROL_POLL_FDS]);

/* In a process that was forked and has nothing to do with it: close its descriptors. */
void nx_control_forget(const struct nx_control *control);

/* The next request that nobody has taken yet; false if there is none. */
bool nx_control_take(struct nx_control *control, struct nx_control_request *ret_request);

/* Answer a request: a JSON object (stolen; NULL: there was no memory for it).  A client that has gone does not matter. */
void nx_control_answer(struct nx_control *control, uint64_t id, json_t *answer);
void nx_control_answer_result(struct nx_control *control, uint64_t id, int ret,
                              const struct nx_error *err);

NX_DEFINE_AUTO(struct nx_control *, control, nx_control_free)
#define NX_AUTO_CONTROL NX_AUTO(control)

#endif
