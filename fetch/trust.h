/* SPDX-License-Identifier: MIT */
/* Whether what a package's author signed may run here.
 *
 * A reference (.netx) that the user has vouches for the very package whose digest it pins; --trust names signers and then
 * insists on them; the trust store (truststore.h) knows those whom the user trusts for good.  Everybody else is a
 * stranger, wherever the package lies: the user is asked in a window or on a terminal, and where there is neither it is refused.
 *
 * Whoever signed: a package that has expired, an older one than the signer's last, or another signer's at a
 * URL that is known is refused.
 */
#ifndef NX_FETCH_TRUST_H
#define NX_FETCH_TRUST_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "fetch/location.h"
#include "fetch/truststore.h"
#include "formats/package.h"

#define NX_TRUST_SIGNERS_MAX 32

/* What the user said beforehand. */
struct nx_trust_policy {
    struct nx_digest signers[NX_TRUST_SIGNERS_MAX]; /* fingerprints (nx_key_fingerprint()) */
    unsigned n_signers;
    bool allow_unsigned;
    bool allow_older; /* than the newest that was seen, or than its author wants */
};

/* Add a signer: a PEM file with its public key, or its fingerprint in hexadecimal.  The caller says in what. */
int nx_trust_add(struct nx_trust_policy *policy, const char *text, struct nx_error *err);

enum nx_trust_verdict {
    NX_TRUST_YES,
    NX_TRUST_ASK, /* only the user can say */
    NX_TRUST_NO,
};

/* Decide about a verified head that was found at location, by what the store knows.  now as nx_utc() writes it.  For
 * NX_TRUST_NO err says why, and what would allow it.  location's pins must hold even where the policy would allow
 * it.
 */
enum nx_trust_verdict nx_trust_decide(const struct nx_trust_policy *policy,
                                      const struct nx_truststore *store,
                                      const struct nx_location *location,
                                      const struct nx_head *head, const char *now,
                                      struct nx_error *err);

/* The pins alone: for what runs nothing (info, pull).  0, or TRUST if they do not hold. */
int nx_trust_check_pins(const struct nx_location *location, const struct nx_head *head,
                        struct nx_error *err);

/* Decide by the user's store, and ask where need be, in a window (dialog.h) or on the terminal; summary is a line that tells what the
 * machine would get of this host.  What was seen is noted in the store.  0 if it may run, else TRUST, or CANCELLED if the
 * user said no.  *ret_no_network: the user lets nothing of this signer on the network.
 */
int nx_trust_settle(const struct nx_trust_policy *policy, const struct nx_location *location,
                    const struct nx_head *head, const char *summary, bool *ret_no_network,
                    struct nx_error *err);

#endif
