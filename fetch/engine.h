/* SPDX-License-Identifier: MIT */
/* The engine: the process that handles all bytes from outside.  It fetches, verifies, caches
 * and serves a package's images through FUSE.  The launcher starts it, asks the user whether
 * to trust what it found, and tells it to go on.  It never executes programs, and opens no
 * files but the cache and the local package with its volumes.
 */
#ifndef NX_FETCH_ENGINE_H
#define NX_FETCH_ENGINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"
#include "common/http.h"
#include "formats/reference.h"

struct nx_engine_config {
    /* Where the package is: a local file, or URLs (mirrors) of which the first is asked first. */
    const char *path; /* NULL: urls */
    char *const *urls;
    unsigned n_urls;
    const struct nx_digest *pin; /* the manifest's digest must be this one, or NULL */

    struct nx_http_options http;
    const char *cache_dir; /* NULL: keep nothing between runs */
    uint64_t cache_limit;  /* bytes */
    bool offline;          /* never touch the network: what is not cached is an error */
    bool complete;         /* after GO, fetch the whole package into the cache in the background */
    bool pull;             /* after GO, only that: then DONE and end; no FUSE */
    int fuse_fd; /* an open /dev/fuse of a mount made by the launcher (mountpoint.h), or -1 */
    bool
        no_fuse_fetch_all; /* without FUSE: write the images as whole files below export_dir, then READY */
    const char *export_dir;
    int state_fd; /* an empty file for the device state, decompressed, if GO asks for it; or -1 */
    void (*after_fork)(
        void *opaque); /* what of the launcher's the engine has no use for; or NULL */
    void *opaque;
    int record_fd; /* an empty file for the record of what the guest touched (at QUIT); or -1 */
};

struct nx_engine {
    pid_t pid;
    int channel; /* the launcher's end (channel.h); poll it */
};

/* Fork the engine.  Call it while the process has one thread.  The config may go away after it. */
int nx_engine_start(const struct nx_engine_config *config, struct nx_engine *ret_engine,
                    struct nx_error *err);

/* Tell it to quit, wait for at most timeout_ms, then kill it.  Harmless when it is gone already. */
void nx_engine_stop(struct nx_engine *engine, int timeout_ms);

#endif
