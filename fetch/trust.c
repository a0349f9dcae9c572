/* SPDX-License-Identifier: MIT */
#include "fetch/trust.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/interrupt.h"
#include "common/log.h"
#include "common/plain.h"
#include "fetch/dialog.h"

static void fingerprint_of(const struct nx_key *key, struct nx_digest *ret_digest)
{
    char hex[NX_DIGEST_HEX];
    nx_digest_parse(nx_key_fingerprint(key, hex), ret_digest, NULL);
}

int nx_trust_add(struct nx_trust_policy *policy, const char *text, struct nx_error *err)
{
    if (policy->n_signers == NX_TRUST_SIGNERS_MAX)
        return nx_fail(err, NX_ERR_USAGE, "at most %d signers", NX_TRUST_SIGNERS_MAX);
    struct nx_digest *signer = &policy->signers[policy->n_signers];
    if (nx_digest_parse(text, signer, NULL) < 0) {
        NX_AUTO_KEY struct nx_key *key = NULL;
        if (nx_key_read(text, NULL, NULL, &key, err) < 0)
            return -1;
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

/* ---- reasons to refuse ---- */

static int check_named(const struct nx_trust_policy *policy, const struct nx_location *location,
                       const struct nx_head *head, struct nx_error *err)
{
    char name[512], found[80];
    if (names_signer(policy, head->signer))
        return 0;
    return nx_fail(err, NX_ERR_TRUST, "%s: %s, which no --trust names",
                   nx_location_name(location, name), signed_by(head->signer, found));
}

static int check_expiry(const struct nx_trust_policy *policy, const struct nx_location *location,
                        const struct nx_head *head, const char *now, struct nx_error *err)
{
    char name[512], typed[512];
    const char *expires = head->manifest->expires;
    if (!expires[0] || strcmp(now, expires) <= 0 || policy->allow_older)
        return 0;
    return nx_fail(err, NX_ERR_TRUST,
                   "%s: expired at %s: its author wants it replaced by a newer version; to run it "
                   "all the same: nxfetch --allow-older %s",
                   nx_location_name(location, name), expires,
                   nx_location_typed(location->text, typed));
}

/* A file is the one that the user has chosen; a server may serve an old one for its holes. */
static int check_rollback(const struct nx_trust_policy *policy, const struct nx_truststore *store,
                          const struct nx_location *location, const struct nx_head *head,
                          struct nx_error *err)
{
    char name[512], typed[512], hex[NX_DIGEST_HEX];
    const struct nx_manifest *manifest = head->manifest;
    if (!head->signer || location->path || policy->allow_older)
        return 0;
    uint64_t seen =
        nx_truststore_serial(store, nx_key_fingerprint(head->signer, hex), manifest->name);
    if (manifest->serial >= seen)
        return 0;
    return nx_fail(err, NX_ERR_TRUST,
                   "%s: version %" PRIu64 " of '%s', but its signer's version %" PRIu64
                   " was run here before: the server offers an old one; to run it all the same: "
                   "nxfetch --allow-older %s",
                   nx_location_name(location, name), manifest->serial, manifest->name, seen,
                   nx_location_typed(location->text, typed));
}

static int check_url(const struct nx_truststore *store, const struct nx_location *location,
                     const struct nx_head *head, struct nx_error *err)
{
    char name[512], found[80], hex[NX_DIGEST_HEX];
    const char *before =
        location->path ? NULL : nx_truststore_url(store, nx_location_name(location, name));
    if (!before || (head->signer && strcmp(before, nx_key_fingerprint(head->signer, hex)) == 0))
        return 0;
    return nx_fail(
        err, NX_ERR_TRUST,
        "%s: ITS SIGNER HAS CHANGED: it is %s now, and was signed by %s when it ran here "
        "before.  Somebody may have replaced it.  If its author says that this is "
        "right: nxfetch trust remove %s",
        name, signed_by(head->signer, found), before, name);
}

static int refuse_unsigned(const struct nx_location *location, struct nx_error *err)
{
    char name[512], typed[512];
    return nx_fail(err, NX_ERR_TRUST,
                   "%s: not signed, so anybody may have made it; to run it all the same: nxfetch "
                   "--allow-unsigned %s",
                   nx_location_name(location, name), nx_location_typed(location->text, typed));
}

/* The user has the file that names these very bytes.  A reference from the web pins, but vouches for
 * nobody: who could forge one could forge both.
 */
static bool is_vouched_for(const struct nx_location *location, const struct nx_head *head)
{
    const struct nx_reference *reference = location->reference;
    return head->signer && reference && location->reference_is_local && reference->pinned;
}

static bool is_trusted(const struct nx_truststore *store, const struct nx_head *head)
{
    char hex[NX_DIGEST_HEX];
    struct nx_trusted ignored;
    return head->signer &&
           nx_truststore_signer(store, nx_key_fingerprint(head->signer, hex), &ignored);
}

enum nx_trust_verdict nx_trust_decide(const struct nx_trust_policy *policy,
                                      const struct nx_truststore *store,
                                      const struct nx_location *location,
                                      const struct nx_head *head, const char *now,
                                      struct nx_error *err)
{
    if (nx_trust_check_pins(location, head, err) < 0 ||
        (policy->n_signers && check_named(policy, location, head, err) < 0) ||
        check_expiry(policy, location, head, now, err) < 0)
        return NX_TRUST_NO;
    if (is_vouched_for(location, head))
        return NX_TRUST_YES;
    if (check_rollback(policy, store, location, head, err) < 0)
        return NX_TRUST_NO;
    if (policy->n_signers)
        return NX_TRUST_YES;
    if (check_url(store, location, head, err) < 0)
        return NX_TRUST_NO;
    if (is_trusted(store, head))
        return NX_TRUST_YES;
    /* Who has a file and would run it unsigned need not be asked who has signed it. */
    if (policy->allow_unsigned && (!head->signer || location->path))
        return NX_TRUST_YES;
    if (head->signer)
        return NX_TRUST_ASK;
    refuse_unsigned(location, err);
    return NX_TRUST_NO;
}

/* ---- asking ---- */

#define QUESTION "A signer that is not known here offers this machine:"

/* Bytes of a stranger's text on a terminal: what that folds could pass for another line of ours. */
#define SHOWN 64

/* The beginning of the first line, at most max bytes of it: as much as a question has room for. */
static const char *first_line(const char *text, size_t max, char line[static 512])
{
    size_t whole = strcspn(text, "\r\n"), len = whole < max ? whole : max;
    while (len < whole && len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
        len--; /* no character is cut in two */
    snprintf(line, 512, "%.*s%s", (int)len, text, len < whole ? "..." : "");
    return line;
}

/* The head's texts are a stranger's: nothing of them may move the cursor. */
static void print_plain(const char *label, const char *text)
{
    char plain[512];
    snprintf(plain, sizeof plain, "%s", text);
    fprintf(stderr, "  %-12s%s\n", label, nx_plain(plain));
}

/* The same in a window. */
static int ask_in_window(const struct nx_location *location, const struct nx_head *head,
                         const char *summary, bool *ret_always, struct nx_error *err)
{
    char name[512], about[512], hex[NX_DIGEST_HEX], lines[4096] = QUESTION;
    enum nx_window_answer answer;
    nx_windows_plain("", "", lines, sizeof lines);
    nx_windows_plain("Name:  ", head->manifest->name, lines, sizeof lines);
    if (first_line(head->manifest->description, 255, about)[0])
        nx_windows_plain("About:  ", about, lines, sizeof lines);
    nx_windows_plain("From:  ", nx_location_name(location, name), lines, sizeof lines);
    nx_windows_plain("Signer:  ", nx_key_fingerprint(head->signer, hex), lines, sizeof lines);
    nx_windows_plain("It gets:  ", summary, lines, sizeof lines);
    nx_windows_plain("", "", lines, sizeof lines);
    nx_windows_plain("", "Run it only if you trust who has given you its address.", lines,
                     sizeof lines);
    const struct nx_window_question question = { .title = "Run this machine?",
                                                 .text = lines,
                                                 .once = "Run it once",
                                                 .always = "Always trust this signer",
                                                 .no = "Do not run it" };
    if (nx_dialog_ask(&question, &answer, err) < 0)
        return -1;
    *ret_always = answer == NX_ANSWER_ALWAYS;
    return answer == NX_ANSWER_NO ? nx_fail(err, NX_ERR_CANCELLED, "%s: not trusted", name) : 0;
}

/* *ret_always: for good */
static int ask(const struct nx_location *location, const struct nx_head *head, const char *summary,
               bool *ret_always, struct nx_error *err)
{
    char name[512], text[512], hex[NX_DIGEST_HEX], line[16];
    if (nx_dialog_asks())
        return ask_in_window(location, head, summary, ret_always, err);
    fprintf(stderr, QUESTION "\n");
    print_plain("name", first_line(head->manifest->name, SHOWN, text));
    if (first_line(head->manifest->description, SHOWN, text)[0])
        print_plain("about", text);
    print_plain("from", nx_location_name(location, name));
    print_plain("signer", nx_key_fingerprint(head->signer, hex));
    print_plain("it gets", summary);
    fprintf(stderr, "Run it?  [o]nce, [a]lways what this signer has signed, or [N]ot: ");
    fflush(stderr);
    if (nx_interrupt_wait(STDIN_FILENO, err) < 0)
        return -1;
    ssize_t n = read(STDIN_FILENO, line, sizeof line);
    *ret_always = n > 0 && (line[0] == 'a' || line[0] == 'A');
    if (*ret_always || (n > 0 && strchr("oOyY", line[0])))
        return 0;
    return nx_fail(err, NX_ERR_CANCELLED, "%s: not trusted", name);
}

static int refuse_stranger(const struct nx_location *location, const struct nx_head *head,
                           struct nx_error *err)
{
    char name[512], typed[512], hex[NX_DIGEST_HEX];
    nx_key_fingerprint(head->signer, hex);
    return nx_fail(err, NX_ERR_TRUST,
                   "%s: signed by %s, who is not known here; to run it: nxfetch --trust %s %s; to "
                   "trust this signer for good: nxfetch trust add %s",
                   nx_location_name(location, name), hex, hex,
                   nx_location_typed(location->text, typed), hex);
}

static bool is_noted(const struct nx_truststore *store, const struct nx_location *location,
                     const struct nx_head *head)
{
    char name[512], hex[NX_DIGEST_HEX];
    const struct nx_manifest *manifest = head->manifest;
    nx_key_fingerprint(head->signer, hex);
    const char *signer = nx_truststore_url(store, nx_location_name(location, name));
    return location->path || (signer && strcmp(signer, hex) == 0 &&
                              nx_truststore_serial(store, hex, manifest->name) >= manifest->serial);
}

/* What has been allowed to run, for the next time. */
static int note(struct nx_truststore *store, const struct nx_location *location,
                const struct nx_head *head, bool always, struct nx_error *err)
{
    char name[512], hex[NX_DIGEST_HEX];
    const struct nx_manifest *manifest = head->manifest;
    const struct nx_trusted trusted = { .name = manifest->name };
    nx_key_fingerprint(head->signer, hex);
    if (!always && is_noted(store, location, head))
        return 0;
    if (nx_truststore_lock(store, err) < 0 ||
        (always && nx_truststore_add_signer(store, hex, &trusted, err) < 0))
        return -1;
    if (!location->path &&
        (nx_truststore_note_url(store, nx_location_name(location, name), hex, err) < 0 ||
         nx_truststore_note_serial(store, hex, manifest->name, manifest->serial, err) < 0))
        return -1;
    return nx_truststore_commit(store, err);
}

/* That it cannot be noted is no reason not to run. */
static void note_and_tell(struct nx_truststore *store, const struct nx_location *location,
                          const struct nx_head *head, bool always)
{
    struct nx_error err = NX_ERROR_INIT;
    char hex[NX_DIGEST_HEX];
    if (note(store, location, head, always, &err) < 0)
        nx_log(always ? NX_LOG_WARNING : NX_LOG_INFO, "%s: not noted for the next time", err.msg);
    else if (always)
        nx_log(NX_LOG_NOTICE,
               "%.16s…: this signer is trusted from now on; to take it back: nxfetch trust remove "
               "%.16s",
               nx_key_fingerprint(head->signer, hex), hex);
}

int nx_trust_settle(const struct nx_trust_policy *policy, const struct nx_location *location,
                    const struct nx_head *head, const char *summary, bool *ret_no_network,
                    struct nx_error *err)
{
    NX_AUTO_TRUSTSTORE struct nx_truststore store = NX_TRUSTSTORE_INIT;
    char name[512], hex[NX_DIGEST_HEX], now[NX_UTC_SIZE];
    bool always = false;
    *ret_no_network = false;
    if (nx_truststore_open(&store, err) < 0)
        return -1;
    switch (nx_trust_decide(policy, &store, location, head, nx_utc(time(NULL), now), err)) {
    case NX_TRUST_YES:
        break;
    case NX_TRUST_ASK:
        if (!nx_dialog_asks() && (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)))
            return refuse_stranger(location, head, err);
        if (ask(location, head, summary, &always, err) < 0)
            return -1;
        break;
    case NX_TRUST_NO:
        return -1;
    }
    if (!head->signer) {
        nx_log(NX_LOG_NOTICE, "%s: not signed", nx_location_name(location, name));
        return 0;
    }
    struct nx_trusted trusted;
    if (nx_truststore_signer(&store, nx_key_fingerprint(head->signer, hex), &trusted))
        *ret_no_network = trusted.no_network;
    note_and_tell(&store, location, head, always);
    return 0;
}
