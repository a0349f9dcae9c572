/* SPDX-License-Identifier: MIT */
/* A bearer token (RFC 6750) from the user's own command, run by the shell: what it prints is the token.  It runs beside
 * whatever else the caller waits for, in one thread; its stderr is ours, so that it can tell the user something.
 */
#ifndef NX_COMMON_BEARER_H
#define NX_COMMON_BEARER_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/buffer.h"
#include "common/error.h"

#define NX_TOKEN_MAX      (16u << 10) /* bytes */
#define NX_BEARER_SECONDS 60          /* so long the command may take */
#define NX_BEARER_PAUSE   5           /* seconds between the beginnings of two runs, at least */

struct nx_bearer {
    const char *command;     /* what the shell is given */
    bool wanted;             /* a token is to be had */
    int64_t next;            /* ms: not before; 0: at once */
    int64_t due;             /* ms: a run that has not ended then is killed */
    pid_t pid;               /* of the run; 0: there is none */
    int out;                 /* what it prints */
    struct nx_buffer output; /* wiped before it is released */
};
#define NX_BEARER_INIT                                                   \
    {                                                                    \
        .out = -1, .output = NX_BUFFER_INIT(NX_TOKEN_MAX + 2 /* \r\n */) \
    }

/* Have a token fetched, as soon as may be. */
void nx_bearer_want(struct nx_bearer *bearer);

/* What to poll for, and how long at most (ms; -1: for ever), until nx_bearer_step() is to be called again. */
struct pollfd nx_bearer_pollfd(const struct nx_bearer *bearer);
int nx_bearer_timeout(const struct nx_bearer *bearer);

/* Go on without waiting.  1: output has a token; 0: not yet; -1: the run has failed, err says why, and the next is made
 * after a pause.
 */
int nx_bearer_step(struct nx_bearer *bearer, struct nx_error *err);

/* One run, waited for; interrupt.h's signals end it.  0 and a token in output, or -1. */
int nx_bearer_run(struct nx_bearer *bearer, struct nx_error *err);

/* Forget the output, for it is a secret. */
void nx_bearer_wipe(struct nx_bearer *bearer);

/* Kill a run, and forget its output. */
void nx_bearer_release(struct nx_bearer *bearer);

#endif
