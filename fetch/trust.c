/* SPDX-License-Identifier: MIT */
#include "fetch/trust.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

static void fingerprint_of(const struct nx_key *key, struct nx_digest *ret_digest)
{
    char hex[NX_DIGEST_HEX];
    nx_digest_parse(nx_key_fingerprint(key, hex), ret_digest, NULL);
}

int nx_trust_add(struct nx_trust_policy *policy, const char *text, struct nx_error *err)
{
    if (policy->n_signers == NX_TRUST_SIGNERS_MAX)
        return nx_fail(err, NX_ERR_USAGE, "--trust: at most %d signers", NX_TRUST_SIGNERS_MAX);
    struct nx_digest *signer = &policy->signers[policy->n_signers];
    if (nx_digest_parse(text, signer, NULL) < 0) {
        NX_AUTO_KEY struct nx_key *key = NULL;
        if (nx_key_read(text, NULL, NULL, &key, err) < 0)
            return nx_fail_while(err, "--trust");
        fingerprint_of(key, signer);
    }
    policy->n_signers++;
    return 0;
}

static bool names_signer(const struct nx_trust_policy *policy, const struct nx_key *signer)
{
    struct nx_digest fingerprint;
    if (!signer)
        return false;
    fingerprint_of(signer, &fingerprint);
    for (unsigned i = 0; i < policy->n_signers; i++)
        if (nx_digest_equal(&policy->signers[i], &fingerprint))
            return true;
    return false;
}

/* "signed by 3fa4…" or "not signed", for messages. */
static const char *signed_by(const struct nx_key *signer, char text[static 80])
{
    char hex[NX_DIGEST_HEX];
    if (signer)
        snprintf(text, 80, "signed by %s", nx_key_fingerprint(signer, hex));
    else
        snprintf(text, 80, "not signed");
    return text;
}

int nx_trust_check_pins(const struct nx_location *location, const struct nx_head *head,
                        struct nx_error *err)
{
    const struct nx_reference *reference = location->reference;
    if (!reference)
        return 0;
    char name[512], found[80], pinned[NX_DIGEST_HEX];
    if (reference->signer &&
        (!head->signer || !nx_key_same_public(head->signer, reference->signer)))
        return nx_fail(err, NX_ERR_TRUST, "%s: %s, but the reference names the signer %s",
                       nx_location_name(location, name), signed_by(head->signer, found),
                       nx_key_fingerprint(reference->signer, pinned));
    if (reference->pinned && !nx_digest_equal(&head->manifest_digest, &reference->manifest_digest))
        return nx_fail(err, NX_ERR_TRUST,
                       "%s: not the package that the reference was made for; ask its author for a "
                       "new reference",
                       nx_location_name(location, name));
    return 0;
}

static enum nx_trust_verdict refuse_unnamed(const struct nx_location *location,
                                            const struct nx_head *head, struct nx_error *err)
{
    char name[512], found[80];
    nx_fail(err, NX_ERR_TRUST, "%s: %s, which no --trust names", nx_location_name(location, name),
            signed_by(head->signer, found));
    return NX_TRUST_NO;
}

static enum nx_trust_verdict refuse_unsigned(const struct nx_location *location,
                                             struct nx_error *err)
{
    char name[512];
    nx_fail(err, NX_ERR_TRUST,
            "%s: not signed, so anybody may have made it; to run it all the same: nxfetch "
            "--allow-unsigned %s",
            nx_location_name(location, name), location->text);
    return NX_TRUST_NO;
}

enum nx_trust_verdict nx_trust_decide(const struct nx_trust_policy *policy,
                                      const struct nx_location *location,
                                      const struct nx_head *head, struct nx_error *err)
{
    const struct nx_reference *reference = location->reference;
    if (nx_trust_check_pins(location, head, err) < 0)
        return NX_TRUST_NO;
    if (policy->n_signers)
        return names_signer(policy, head->signer) ? NX_TRUST_YES
                                                  : refuse_unnamed(location, head, err);
    if (location->path)
        return NX_TRUST_YES;
    /* A reference from the web pins, but vouches for nobody: who could forge one could forge both. */
    if (reference && location->reference_is_local && (reference->pinned || reference->signer))
        return NX_TRUST_YES;
    if (head->signer)
        return NX_TRUST_ASK;
    return policy->allow_unsigned ? NX_TRUST_YES : refuse_unsigned(location, err);
}

/* The head's texts are a stranger's: nothing of them may move the cursor. */
static void print_plain(const char *label, const char *text)
{
    fprintf(stderr, "  %-12s", label);
    for (; *text; text++)
        fputc((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text, stderr);
    fputc('\n', stderr);
}

static int ask(const struct nx_location *location, const struct nx_head *head, const char *summary,
               struct nx_error *err)
{
    char name[512], hex[NX_DIGEST_HEX], line[16];
    fprintf(stderr, "A signer that is not known here offers this machine:\n");
    print_plain("name", head->manifest->name);
    print_plain("from", nx_location_name(location, name));
    print_plain("signer", nx_key_fingerprint(head->signer, hex));
    print_plain("it gets", summary);
    fprintf(stderr, "Run it? [y/N] ");
    fflush(stderr);
    /* read(2), as stdio would retry after Ctrl-C's EINTR. */
    ssize_t n = read(STDIN_FILENO, line, sizeof line);
    if (n < 0 && errno == EINTR)
        return nx_fail(err, NX_ERR_CANCELLED, "interrupted");
    if (n > 0 && (line[0] == 'y' || line[0] == 'Y'))
        return 0;
    return nx_fail(err, NX_ERR_CANCELLED, "%s: not trusted", name);
}

int nx_trust_settle(const struct nx_trust_policy *policy, const struct nx_location *location,
                    const struct nx_head *head, const char *summary, struct nx_error *err)
{
    char name[512], hex[NX_DIGEST_HEX];
    nx_location_name(location, name);
    switch (nx_trust_decide(policy, location, head, err)) {
    case NX_TRUST_YES:
        if (!head->signer)
            nx_log(NX_LOG_NOTICE, "%s: not signed", name);
        return 0;
    case NX_TRUST_ASK:
        if (isatty(STDIN_FILENO) && isatty(STDERR_FILENO))
            return ask(location, head, summary, err);
        nx_key_fingerprint(head->signer, hex);
        return nx_fail(err, NX_ERR_TRUST,
                       "%s: signed by %s, who is not known here; to run it: nxfetch --trust %s %s",
                       name, hex, hex, location->text);
    case NX_TRUST_NO:
        break;
    }
    return -1;
}
