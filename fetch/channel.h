/* SPDX-License-Identifier: MIT */
/* What the engine process and the launcher say to each other over a Unix stream
 * socket pair: frames of a fixed header (type, payload length; host order, one machine) and
 * a payload of at most NX_CHANNEL_MAX bytes.  The end of the socket is the other's death.
 *
 *     engine -> launcher                        launcher -> engine
 *     HEAD      the verified head               GO       it is trusted: serve the images; a byte says how
 *     READY     the images can be read          STARTED  the guest runs, or the mount is in use
 *                                               MAP?     somebody looks: cells for each image, u16
 *     NO_STATE  why the device state cannot     QUIT     end in order
 *               be had, in spite of GO's NX_GO_RESUME; READY follows
 *     STATS     struct nx_stats
 *     MAP       what has become of the chunks, after MAP?: mapmessage.h
 *     NOTICE    a line for the user
 *     WAITING   a read waits for the network: the reason
 *     RESUMED   it goes on
 *     DONE      all that was asked for is in the cache
 *     FAILED    struct nx_error; the engine ends
 *     TOKEN_WANTED  a server takes the token no more; TOKEN follows,      TOKEN   for the login
 *               however long it takes
 */
#ifndef NX_FETCH_CHANNEL_H
#define NX_FETCH_CHANNEL_H

#include <stdint.h>

#include "common/buffer.h"
#include "common/error.h"
#include "formats/manifest.h"
#include "formats/package.h"

#define NX_CHANNEL_MAX (NX_HEAD_MAX + 4096)

enum nx_message {
    NX_MSG_HEAD = 1,
    NX_MSG_READY,
    NX_MSG_STATS,
    NX_MSG_NOTICE,
    NX_MSG_WAITING,
    NX_MSG_RESUMED,
    NX_MSG_DONE,
    NX_MSG_FAILED,
    NX_MSG_NO_STATE,
    NX_MSG_MAP,
    NX_MSG_TOKEN_WANTED,
    NX_MSG_GO = 64,
    NX_MSG_STARTED,
    NX_MSG_QUIT,
    NX_MSG_ASK_MAP,
    NX_MSG_TOKEN,
};

/* GO's one byte of payload. */
enum nx_go {
    NX_GO_COLD,   /* the images only */
    NX_GO_RESUME, /* READY not before the device state is in engine_config.state_fd */
};

/* Counters since the start of this nxfetch; times in seconds since then, negative if not yet. */
struct nx_image_stats {
    uint64_t reads;      /* read requests answered */
    uint64_t read_bytes; /* bytes handed out */
    uint64_t waited_ms; /* sum of the times that reads took for which something had to be fetched */
    uint64_t chunks_fetched; /* from the network or the local package */
    uint64_t cache_hits;     /* chunks found in the cache */
    uint64_t bytes;          /* stored bytes of chunks fetched */
};

struct nx_stats {
    uint64_t package_bytes; /* size of the package file, 0 until known */
    uint64_t bytes;    /* body bytes received from the network (or read from the local package) */
    uint64_t requests; /* requests made, retries included */
    uint64_t retries;
    uint64_t index_bytes; /* of bytes: index pages, whatever request brought them */
    uint64_t chunks_fetched, cache_hits;
    uint64_t total_bytes, have_bytes; /* of all chunks; how many of them are in the cache */
    uint64_t bytes_before_qemu, requests_before_qemu, index_bytes_before_qemu;
    double first_byte, manifest_verified, qemu_started;
    uint64_t boot_bytes,
        boot_have;    /* of the boot set (with the device state), stored; 0 if there is none */
    uint64_t touched; /* chunks that the guest has used, if that is recorded */
    uint64_t waiting; /* reads that wait for the network now */
    unsigned n_images;
    struct nx_image_stats images[NX_IMAGES_MAX];
};

/* Send one frame, whole.  NX_ERR_CANCELLED if the other side is gone.  Any thread, if
 * the caller holds a lock of its own around the calls of one direction.
 */
int nx_channel_send(int fd, enum nx_message type, const void *payload, size_t len,
                    struct nx_error *err);

/* How long the launcher waits for the rest of a frame: an engine that was taken over may send half of one, or a
 * byte now and then.
 */
struct nx_patience {
    int64_t due;   /* nx_now_ms() by which the frame must be there */
    int cancel_fd; /* readable: waiting ends, NX_ERR_CANCELLED; or -1 */
};

/* Receive one frame: waits for it, for ever if patience is NULL.  payload's max should be NX_CHANNEL_MAX; its old
 * content goes.  *ret_type is 0 when the other side has closed in order.  The launcher
 * reads from an engine that may have been taken over: lengths are checked, and
 * every type has its own check of the payload.
 */
int nx_channel_receive(int fd, const struct nx_patience *patience, int *ret_type,
                       struct nx_buffer *payload, struct nx_error *err);

/* HEAD's payload: the parts of a head, and back, everything verified once more. */
int nx_channel_pack_head(const struct nx_head *head, struct nx_buffer *payload,
                         struct nx_error *err);
int nx_channel_unpack_head(const struct nx_buffer *payload, const char *name,
                           struct nx_head **ret_head, struct nx_error *err);

#endif
