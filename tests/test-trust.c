/* SPDX-License-Identifier: MIT */
#include "fetch/trust.h"

#include <unistd.h>

#include "tests/support/main.h"

/* Where the package was found. */
enum place {
    FILE_HERE,
    WEB,
    REFERENCE_HERE, /* a .netx file of the user's */
    REFERENCE_WEB,
};

enum who {
    NOBODY,
    ALICE,
    MALLORY,
};

enum pin {
    NO_PIN,
    RIGHT_PIN,
    WRONG_PIN,
};

static struct nx_key *keys[3]; /* by enum who */

static char home[] = "/tmp/nxpk-home-XXXXXX"; /* with the user's store */

static void make_keys(void)
{
    struct nx_error err = NX_ERROR_INIT;
    ck_assert_ptr_nonnull(mkdtemp(home));
    setenv("XDG_CONFIG_HOME", home, 1);
    nx_assert_ok(nx_key_generate(&keys[ALICE], &err), err);
    nx_assert_ok(nx_key_generate(&keys[MALLORY], &err), err);
}

static void free_keys(void)
{
    static const char *const files[] = { "nxpk/trust.json", "nxpk/trust.json.lock", "nxpk", "" };
    char path[128];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", home, files[i]);
        remove(path);
    }
    nx_key_free(keys[ALICE]);
    nx_key_free(keys[MALLORY]);
}

/* What is known and said beforehand. */
enum {
    UNSIGNED = 1,   /* --allow-unsigned */
    OLDER = 2,      /* --allow-older */
    KNOWN = 4,      /* Alice is in the trust store */
    MET = 8,        /* the URL was Alice's */
    NEWER_RAN = 16, /* a newer version of hers has run */
    EXPIRED = 32,   /* the package */
};

struct scene {
    enum place place;
    enum who signer, pinned_signer;
    enum pin digest;
    enum who named; /* by --trust */
    unsigned flags;
};

#define URL "http://h/x.nxpk"

static void fill_store(struct nx_truststore *store, unsigned flags)
{
    struct nx_error err = NX_ERROR_INIT;
    char hex[NX_DIGEST_HEX];
    const struct nx_trusted trusted = { .name = "Alice" };
    nx_key_fingerprint(keys[ALICE], hex);
    nx_assert_ok(nx_truststore_open(store, &err), err);
    if (flags & KNOWN)
        nx_assert_ok(nx_truststore_add_signer(store, hex, &trusted, &err), err);
    if (flags & MET)
        nx_assert_ok(nx_truststore_note_url(store, URL, hex, &err), err);
    if (flags & NEWER_RAN)
        nx_assert_ok(nx_truststore_note_serial(store, hex, "x", 8, &err), err);
}

static enum nx_trust_verdict decide(const struct scene *scene, struct nx_error *err)
{
    NX_AUTO_TRUSTSTORE struct nx_truststore store = NX_TRUSTSTORE_INIT;
    struct nx_manifest manifest = { .name = "x", .serial = 7 };
    if (scene->flags & EXPIRED)
        strcpy(manifest.expires, "2026-11-20T23:59:59Z");
    struct nx_head head = { .signer = keys[scene->signer], .manifest = &manifest };
    memset(&head.manifest_digest, 1, sizeof head.manifest_digest);
    char *url = (char *)URL;
    struct nx_reference reference = { .urls = { url },
                                      .n_urls = 1,
                                      .pinned = scene->digest != NO_PIN,
                                      .signer = keys[scene->pinned_signer] };
    memset(&reference.manifest_digest, scene->digest == RIGHT_PIN ? 1 : 2,
           sizeof reference.manifest_digest);
    struct nx_location location = { .text = url };
    if (scene->place == FILE_HERE) {
        location.path = (char *)"/x.nxpk";
    } else {
        location.urls = reference.urls;
        location.n_urls = 1;
    }
    if (scene->place >= REFERENCE_HERE)
        location.reference = &reference;
    location.reference_is_local = scene->place == REFERENCE_HERE;
    struct nx_trust_policy policy = { .allow_unsigned = scene->flags & UNSIGNED,
                                      .allow_older = scene->flags & OLDER };
    char hex[NX_DIGEST_HEX];
    if (scene->named != NOBODY)
        nx_assert_ok(nx_trust_add(&policy, nx_key_fingerprint(keys[scene->named], hex), err), *err);
    fill_store(&store, scene->flags);
    return nx_trust_decide(&policy, &store, &location, &head, "2026-11-21T00:00:00Z", err);
}

START_TEST(decisions)
{
    static const struct {
        struct scene scene;
        enum nx_trust_verdict verdict;
        const char *message; /* of a refusal */
    } cases[] = {
        /* A file, or a bare URL, may be a stranger's. */
        { { FILE_HERE, NOBODY, 0, 0, NOBODY, 0 }, NX_TRUST_NO, "--allow-unsigned " URL },
        { { FILE_HERE, NOBODY, 0, 0, NOBODY, UNSIGNED }, NX_TRUST_YES, NULL },
        { { FILE_HERE, ALICE, 0, 0, NOBODY, 0 }, NX_TRUST_ASK, NULL },
        { { FILE_HERE, ALICE, 0, 0, NOBODY, UNSIGNED }, NX_TRUST_YES, NULL },
        { { FILE_HERE, ALICE, 0, 0, NOBODY, KNOWN }, NX_TRUST_YES, NULL },
        { { FILE_HERE, MALLORY, 0, 0, ALICE, 0 }, NX_TRUST_NO, "which no --trust names" },
        { { FILE_HERE, NOBODY, 0, 0, ALICE, UNSIGNED }, NX_TRUST_NO, "not signed, which no" },
        { { WEB, ALICE, 0, 0, NOBODY, 0 }, NX_TRUST_ASK, NULL },
        { { WEB, ALICE, 0, 0, NOBODY, UNSIGNED }, NX_TRUST_ASK, NULL },
        { { WEB, ALICE, 0, 0, ALICE, 0 }, NX_TRUST_YES, NULL },
        { { WEB, ALICE, 0, 0, NOBODY, KNOWN }, NX_TRUST_YES, NULL },
        { { WEB, MALLORY, 0, 0, NOBODY, KNOWN }, NX_TRUST_ASK, NULL },
        { { WEB, MALLORY, 0, 0, ALICE, 0 }, NX_TRUST_NO, "which no --trust names" },
        { { WEB, NOBODY, 0, 0, NOBODY, 0 }, NX_TRUST_NO, "--allow-unsigned " URL },
        { { WEB, NOBODY, 0, 0, NOBODY, UNSIGNED }, NX_TRUST_YES, NULL },
        { { WEB, NOBODY, 0, 0, ALICE, UNSIGNED }, NX_TRUST_NO, "which no --trust names" },
        /* A reference that the user has vouches for what it pins. */
        { { REFERENCE_HERE, ALICE, ALICE, RIGHT_PIN, NOBODY, 0 }, NX_TRUST_YES, NULL },
        { { REFERENCE_HERE, ALICE, NOBODY, RIGHT_PIN, NOBODY, 0 }, NX_TRUST_YES, NULL },
        { { REFERENCE_HERE, ALICE, ALICE, NO_PIN, NOBODY, 0 }, NX_TRUST_ASK, NULL },
        { { REFERENCE_HERE, NOBODY, NOBODY, RIGHT_PIN, NOBODY, 0 }, NX_TRUST_NO, "--allow-uns" },
        { { REFERENCE_HERE, MALLORY, ALICE, RIGHT_PIN, NOBODY, 0 },
          NX_TRUST_NO,
          "but the reference names the signer" },
        { { REFERENCE_HERE, NOBODY, ALICE, NO_PIN, NOBODY, UNSIGNED },
          NX_TRUST_NO,
          "not signed, but the reference names the signer" },
        { { REFERENCE_HERE, ALICE, ALICE, WRONG_PIN, NOBODY, 0 },
          NX_TRUST_NO,
          "not the package that the reference was made for" },
        { { REFERENCE_HERE, MALLORY, ALICE, RIGHT_PIN, MALLORY, 0 },
          NX_TRUST_NO,
          "but the reference names the signer" },
        { { REFERENCE_HERE, ALICE, ALICE, RIGHT_PIN, MALLORY, 0 },
          NX_TRUST_NO,
          "which no --trust names" },
        /* VMNetX's own references pin nothing. */
        { { REFERENCE_HERE, ALICE, NOBODY, NO_PIN, NOBODY, 0 }, NX_TRUST_ASK, NULL },
        /* One from the web vouches for nobody, but its pins hold. */
        { { REFERENCE_WEB, ALICE, ALICE, RIGHT_PIN, NOBODY, 0 }, NX_TRUST_ASK, NULL },
        { { REFERENCE_WEB, ALICE, ALICE, RIGHT_PIN, ALICE, 0 }, NX_TRUST_YES, NULL },
        { { REFERENCE_WEB, ALICE, ALICE, WRONG_PIN, ALICE, KNOWN },
          NX_TRUST_NO,
          "not the package that the reference was made for" },
        /* A URL keeps its signer. */
        { { WEB, ALICE, 0, 0, NOBODY, MET }, NX_TRUST_ASK, NULL },
        { { WEB, MALLORY, 0, 0, NOBODY, MET }, NX_TRUST_NO, "nxfetch trust remove " URL },
        { { WEB, NOBODY, 0, 0, NOBODY, MET | UNSIGNED }, NX_TRUST_NO, "ITS SIGNER HAS CHANGED" },
        { { WEB, MALLORY, 0, 0, MALLORY, MET }, NX_TRUST_YES, NULL },
        { { REFERENCE_HERE, MALLORY, 0, RIGHT_PIN, NOBODY, MET }, NX_TRUST_YES, NULL },
        { { FILE_HERE, MALLORY, 0, 0, NOBODY, MET }, NX_TRUST_ASK, NULL },
        /* No way back to an old version, but by a user who knows. */
        { { WEB, ALICE, 0, 0, NOBODY, KNOWN | NEWER_RAN },
          NX_TRUST_NO,
          "version 7 of 'x', but its signer's version 8 was run here before" },
        { { WEB, ALICE, 0, 0, ALICE, NEWER_RAN }, NX_TRUST_NO, "nxfetch --allow-older " URL },
        { { WEB, ALICE, 0, 0, ALICE, NEWER_RAN | OLDER }, NX_TRUST_YES, NULL },
        { { WEB, MALLORY, 0, 0, MALLORY, NEWER_RAN }, NX_TRUST_YES, NULL },
        { { REFERENCE_HERE, ALICE, ALICE, RIGHT_PIN, NOBODY, NEWER_RAN }, NX_TRUST_YES, NULL },
        { { FILE_HERE, ALICE, 0, 0, ALICE, NEWER_RAN }, NX_TRUST_YES, NULL },
        /* Nor to one that its author does not want to be run any more. */
        { { WEB, ALICE, 0, 0, ALICE, EXPIRED }, NX_TRUST_NO, "expired at 2026-11-20T23:59:59Z" },
        { { FILE_HERE, ALICE, 0, 0, NOBODY, KNOWN | EXPIRED }, NX_TRUST_NO, "--allow-older" },
        { { REFERENCE_HERE, ALICE, ALICE, RIGHT_PIN, NOBODY, EXPIRED }, NX_TRUST_NO, "expired" },
        { { WEB, ALICE, 0, 0, ALICE, EXPIRED | OLDER }, NX_TRUST_YES, NULL },
    };
    make_keys();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nx_error err = NX_ERROR_INIT;
        enum nx_trust_verdict verdict = decide(&cases[i].scene, &err);
        ck_assert_msg(verdict == cases[i].verdict, "case %zu: %d, not %d: %s", i, verdict,
                      cases[i].verdict, err.msg);
        if (!cases[i].message)
            continue;
        ck_assert_int_eq(err.code, NX_ERR_TRUST);
        ck_assert_msg(strstr(err.msg, cases[i].message), "case %zu: %s", i, err.msg);
    }
    free_keys();
}
END_TEST

/* Without a terminal a stranger is refused, with the very command that would allow it. */
START_TEST(no_terminal)
{
    struct nx_error err = NX_ERROR_INIT;
    make_keys();
    struct nx_manifest manifest = { .name = "x" };
    struct nx_head head = { .signer = keys[ALICE], .manifest = &manifest };
    char *url = (char *)URL;
    struct nx_location location = { .text = url, .urls = &url, .n_urls = 1 };
    const struct nx_trust_policy policy = { 0 };
    char hex[NX_DIGEST_HEX], command[256];
    bool no_network;
    snprintf(command, sizeof command, "nxfetch --trust %s " URL,
             nx_key_fingerprint(keys[ALICE], hex));
    ck_assert_ptr_nonnull(freopen("/dev/null", "r", stdin));
    nx_assert_fails(nx_trust_settle(&policy, &location, &head, "", &no_network, &err), err,
                    command);
    free_keys();
}
END_TEST

/* What has run is known the next time, and what is known of its signer is done. */
START_TEST(noted)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_TRUSTSTORE struct nx_truststore store = NX_TRUSTSTORE_INIT;
    make_keys();
    struct nx_manifest manifest = { .name = "x", .serial = 8 };
    struct nx_head head = { .signer = keys[ALICE], .manifest = &manifest };
    char *url = (char *)"http://user:secret@h/y.nxpk";
    struct nx_location location = { .text = url, .urls = &url, .n_urls = 1 };
    struct nx_trust_policy policy = { 0 };
    const struct nx_trusted trusted = { .name = "Alice", .no_network = true };
    char hex[NX_DIGEST_HEX];
    bool no_network;
    nx_key_fingerprint(keys[ALICE], hex);
    nx_assert_ok(nx_trust_add(&policy, hex, &err), err);
    nx_assert_ok(nx_trust_settle(&policy, &location, &head, "", &no_network, &err), err);
    ck_assert(!no_network);
    nx_assert_ok(nx_truststore_open(&store, &err), err);
    ck_assert_str_eq(nx_truststore_url(&store, "http://h/y.nxpk"), hex);
    ck_assert_uint_eq(nx_truststore_serial(&store, hex, "x"), 8);
    nx_assert_ok(nx_truststore_lock(&store, &err), err);
    nx_assert_ok(nx_truststore_add_signer(&store, hex, &trusted, &err), err);
    nx_assert_ok(nx_truststore_commit(&store, &err), err);
    manifest.serial = 7;
    nx_assert_fails(nx_trust_settle(&policy, &location, &head, "", &no_network, &err), err,
                    "version 8 was run here");
    policy = (struct nx_trust_policy){ .allow_older = true };
    nx_assert_ok(nx_trust_settle(&policy, &location, &head, "", &no_network, &err), err);
    ck_assert(no_network);
    free_keys();
}
END_TEST

START_TEST(named_by_file)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_trust_policy policy = { 0 };
    struct nx_digest fingerprint;
    char path[64], hex[NX_DIGEST_HEX];
    snprintf(path, sizeof path, "/tmp/nxpk-trust-%d.pub.pem", (int)getpid());
    make_keys();
    nx_assert_ok(nx_key_write_public(keys[ALICE], path, &err), err);
    nx_assert_ok(nx_trust_add(&policy, path, &err), err);
    unlink(path);
    nx_assert_ok(nx_digest_parse(nx_key_fingerprint(keys[ALICE], hex), &fingerprint, &err), err);
    ck_assert_uint_eq(policy.n_signers, 1);
    ck_assert(nx_digest_equal(&policy.signers[0], &fingerprint));
    nx_assert_fails(nx_trust_add(&policy, path, &err), err, "/tmp/nxpk-trust");
    while (policy.n_signers < NX_TRUST_SIGNERS_MAX)
        nx_assert_ok(nx_trust_add(&policy, hex, &err), err);
    nx_assert_fails(nx_trust_add(&policy, hex, &err), err, "at most 32 signers");
    free_keys();
}
END_TEST

NX_TEST_MAIN("trust", decisions, no_terminal, noted, named_by_file)
