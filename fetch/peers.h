/* SPDX-License-Identifier: MIT */
/* The running nxfetch processes of this user, and asking one of them for something (control.h). */
#ifndef NX_FETCH_PEERS_H
#define NX_FETCH_PEERS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/cleanup.h"
#include "common/error.h"

/* Is the process at the other end of a connected Unix socket one of this user's? */
bool nx_peers_is_ours(int fd);

/* Is it confined (no_new_privs, seccomp) and we are not, or less?  An engine or a QEMU that was taken over is this user's process,
 * too, and may use Unix sockets; but it must not have from the launcher what it is denied.  True if that cannot be told.
 */
bool nx_peers_is_confined(int fd);

/* Remove the sockets that nobody listens on; dir_fd is the folder of all runs, locked (instance.h). */
void nx_peers_sweep(int dir_fd);

/* Send a request (stolen) and wait for its answer, a new reference, for timeout_ms at most.  SYSTEM error: it says no,
 * or nothing; CANCELLED: it has gone, or we were interrupted.
 */
int nx_peers_ask(pid_t pid, json_t *request, int timeout_ms, json_t **ret_answer,
                 struct nx_error *err);

/* The request of a status, with a map of so many cells (0: none). */
json_t *nx_peers_status_request(unsigned cells);

struct nx_peers {
    struct nx_peer {
        pid_t pid;
        json_t *status;      /* owned; NULL: why */
        struct nx_error why; /* it does not say it */
    } * items;               /* owned, by pid */
    size_t count;
};

/* All there are, each with its status without a map.  One that does not answer within a few seconds is there, too. */
int nx_peers_list(struct nx_peers *ret_peers, struct nx_error *err);
void nx_peers_release(struct nx_peers *peers);

/* The one that runs the machine of this name, or from this URL or file, or that has this pid; machine NULL: the only one there is.  An error
 * says which there are.
 */
int nx_peers_choose(const struct nx_peers *peers, const char *machine,
                    const struct nx_peer **ret_peer, struct nx_error *err);

/* A member of a peer's status that is a string, or "". */
const char *nx_peers_text(const struct nx_peer *peer, const char *member);

static inline void nx_auto_peers(struct nx_peers *peers)
{
    nx_peers_release(peers);
}
#define NX_AUTO_PEERS NX_AUTO(peers)

#endif
