/* SPDX-License-Identifier: MIT */
/* nxfetch's command line. */
#ifndef NX_FETCH_OPTIONS_H
#define NX_FETCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "common/weboptions.h"
#include "fetch/accel.h"
#include "fetch/trust.h"
#include "fetch/values.h"

#define NX_FORWARDS_MAX 64

enum nx_verb {
    NX_VERB_RUN, /* no verb was written: boot it */
    NX_VERB_INFO,
    NX_VERB_PULL,
    NX_VERB_MOUNT,
    NX_VERB_TRUST_LIST,
    NX_VERB_TRUST_SHOW,
    NX_VERB_TRUST_ADD,
    NX_VERB_TRUST_REMOVE,
    NX_VERB_TRUST_IMPORT,
    NX_VERB_CACHE_SHOW,
    NX_VERB_CACHE_PRUNE,
    NX_VERB_CACHE_CLEAR,
    NX_VERB_CACHE_VERIFY,
    NX_VERB_HELP,
    NX_VERB_VERSION,
};

/* Strings are argv's, but for cache_dir. */
struct nx_options {
    enum nx_verb verb;
    const char *location;
    const char *mount_dir;
    const char *signer; /* trust: a key's file, a fingerprint, or a URL */
    const char *name;   /* trust add: how the user calls him; NULL: not at all */
    uint64_t prune_to;  /* bytes */

    struct nx_serial serial; /* NX_SERIAL_NULL: not asked for */
    const char *display;     /* QEMU's -display, or NULL */
    char vnc[80];            /* QEMU's -vnc, or "" */
    enum nx_accel accel;
    bool keep_mac; /* its network cards keep their addresses when it boots */
    bool network;  /* even for a signer whom the user has trusted without */
    bool no_network;
    struct nx_forward forwards[NX_FORWARDS_MAX];
    unsigned n_forwards;
    uint64_t memory; /* bytes; 0: the machine's own */
    unsigned cpus;   /* 0: the machine's own */

    bool cold, no_cold;          /* how a suspended machine starts: it must boot, it must resume */
    const char *record_file;     /* what it touches goes there, or NULL */
    bool until_settled;          /* end when it has come to rest */
    unsigned until_seconds;      /* end so long after it began to run; 0: not */
    const char *screenshot_file; /* a picture of its screen at that end goes there, or NULL */

    bool offline;
    bool no_complete;
    const char *stats_file;
    struct nx_trust_policy trust;
    struct nx_web_options web; /* use its http, once that is settled */
    char *cache_dir;           /* owned; NULL: no cache */
    uint64_t cache_limit;

    bool json;
    int ready_fd; /* mount: told when the files can be read; -1: stdout */
    int progress_fd;
    unsigned verbose;
    bool quiet;
};

/* Parse argv; a USAGE error says what is wrong.  Release options in both cases. */
int nx_options_parse(int argc, char **argv, struct nx_options *ret_options, struct nx_error *err);

void nx_options_release(struct nx_options *options);

static inline void nx_auto_options(struct nx_options *options)
{
    nx_options_release(options);
}
#define NX_AUTO_OPTIONS NX_AUTO(options)

#endif
