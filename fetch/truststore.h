/* SPDX-License-Identifier: MIT */
/* What a user has decided about signers, and what was seen of them, from run to run: one JSON file,
 * $XDG_CONFIG_HOME/nxpk/trust.json.
 *
 *     signers    whom the user trusts: by "always" to the question, or by `nxfetch trust add`
 *     urls       who had signed the package at a URL when it was last allowed to run
 *     packages   the highest serial of each signer's packages that was allowed to run, by name
 *
 * A store is a copy in memory.  Processes may change the file at the same time: each change is made to what the file
 * holds then, under a lock.
 */
#ifndef NX_FETCH_TRUSTSTORE_H
#define NX_FETCH_TRUSTSTORE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/error.h"
#include "formats/digest.h"
#include "formats/manifest.h"

#define NX_TRUSTSTORE_MAX      (16u << 20) /* bytes of the file */
#define NX_TRUSTSTORE_SEEN_MAX 10000       /* URLs, and packages: the oldest are forgotten */

struct nx_truststore {
    char *path;   /* owned; NULL: there is no home, so nothing is known, nor kept */
    json_t *root; /* owned */
    int lock_fd;  /* while it is being changed, else -1 */
};
#define NX_TRUSTSTORE_INIT \
    {                      \
        NULL, NULL, -1     \
    }

/* Read the user's store.  A file that is not there is an empty store; one that cannot be understood is an error, for
 * what it said must not be forgotten.
 */
int nx_truststore_open(struct nx_truststore *store, struct nx_error *err);

/* Read it anew, and keep others from changing it until commit or release. */
int nx_truststore_lock(struct nx_truststore *store, struct nx_error *err);

/* Write what was changed since the lock, whole, and unlock. */
int nx_truststore_commit(struct nx_truststore *store, struct nx_error *err);

void nx_truststore_release(struct nx_truststore *store);

static inline void nx_auto_truststore(struct nx_truststore *store)
{
    nx_truststore_release(store);
}
#define NX_AUTO_TRUSTSTORE NX_AUTO(truststore)

/* A signer, by his key's fingerprint in hexadecimal. */
struct nx_trusted {
    const char *name;  /* as the user calls him; "" if he does not.  The store's */
    const char *since; /* when he was added.  The store's */
    bool no_network;   /* his machines run without network unless --network is given */
};
bool nx_truststore_signer(const struct nx_truststore *store, const char *fingerprint,
                          struct nx_trusted *ret_trusted);
/* since may be NULL: now. */
int nx_truststore_add_signer(struct nx_truststore *store, const char *fingerprint,
                             const struct nx_trusted *trusted, struct nx_error *err);
/* With all that was seen of him.  False: there is none. */
bool nx_truststore_remove_signer(struct nx_truststore *store, const char *fingerprint);

/* Who had signed what was at the URL; NULL if nothing is known.  The store's. */
const char *nx_truststore_url(const struct nx_truststore *store, const char *url);
int nx_truststore_note_url(struct nx_truststore *store, const char *url, const char *fingerprint,
                           struct nx_error *err);
bool nx_truststore_forget_url(struct nx_truststore *store, const char *url);

/* The highest serial of a signer's package of that name; 0 if none was seen. */
uint64_t nx_truststore_serial(const struct nx_truststore *store, const char *fingerprint,
                              const char *name);
/* Notes the higher one of both. */
int nx_truststore_note_serial(struct nx_truststore *store, const char *fingerprint,
                              const char *name, uint64_t serial, struct nx_error *err);

/* For who wants to see all of it: the objects, by fingerprint or URL.  The store's. */
json_t *nx_truststore_signers(const struct nx_truststore *store);
json_t *nx_truststore_urls(const struct nx_truststore *store);
json_t *nx_truststore_packages(const struct nx_truststore *store, const char *fingerprint);

#endif
