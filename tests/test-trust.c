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

static void make_keys(void)
{
    struct nx_error err = NX_ERROR_INIT;
    nx_assert_ok(nx_key_generate(&keys[ALICE], &err), err);
    nx_assert_ok(nx_key_generate(&keys[MALLORY], &err), err);
}

static void free_keys(void)
{
    nx_key_free(keys[ALICE]);
    nx_key_free(keys[MALLORY]);
}

static enum nx_trust_verdict decide(enum place place, enum who signer, enum who pinned_signer,
                                    enum pin digest, enum who named, bool allow_unsigned,
                                    struct nx_error *err)
{
    struct nx_manifest manifest = { .name = "x" };
    struct nx_head head = { .signer = keys[signer], .manifest = &manifest };
    memset(&head.manifest_digest, 1, sizeof head.manifest_digest);
    char *url = (char *)"http://h/x.nxpk";
    struct nx_reference reference = {
        .urls = { url }, .n_urls = 1, .pinned = digest != NO_PIN, .signer = keys[pinned_signer]
    };
    memset(&reference.manifest_digest, digest == RIGHT_PIN ? 1 : 2,
           sizeof reference.manifest_digest);
    struct nx_location location = { .text = url };
    if (place == FILE_HERE) {
        location.path = (char *)"/x.nxpk";
    } else {
        location.urls = reference.urls;
        location.n_urls = 1;
    }
    if (place >= REFERENCE_HERE)
        location.reference = &reference;
    location.reference_is_local = place == REFERENCE_HERE;
    struct nx_trust_policy policy = { .allow_unsigned = allow_unsigned };
    char hex[NX_DIGEST_HEX];
    if (named != NOBODY)
        nx_assert_ok(nx_trust_add(&policy, nx_key_fingerprint(keys[named], hex), err), *err);
    return nx_trust_decide(&policy, &location, &head, err);
}

START_TEST(decisions)
{
    static const struct {
        enum place place;
        enum who signer, pinned_signer;
        enum pin digest;
        enum who named; /* by --trust */
        bool allow_unsigned;
        enum nx_trust_verdict verdict;
        const char *message; /* of a refusal */
    } cases[] = {
        /* A file is the user's own. */
        { FILE_HERE, NOBODY, 0, 0, NOBODY, false, NX_TRUST_YES, NULL },
        { FILE_HERE, MALLORY, 0, 0, NOBODY, false, NX_TRUST_YES, NULL },
        { FILE_HERE, MALLORY, 0, 0, ALICE, false, NX_TRUST_NO, "which no --trust names" },
        { FILE_HERE, NOBODY, 0, 0, ALICE, true, NX_TRUST_NO, "not signed, which no --trust names" },
        /* A bare URL is a stranger's. */
        { WEB, ALICE, 0, 0, NOBODY, false, NX_TRUST_ASK, NULL },
        { WEB, ALICE, 0, 0, NOBODY, true, NX_TRUST_ASK, NULL },
        { WEB, ALICE, 0, 0, ALICE, false, NX_TRUST_YES, NULL },
        { WEB, MALLORY, 0, 0, ALICE, false, NX_TRUST_NO, "which no --trust names" },
        { WEB, NOBODY, 0, 0, NOBODY, false, NX_TRUST_NO, "--allow-unsigned http://h/x.nxpk" },
        { WEB, NOBODY, 0, 0, NOBODY, true, NX_TRUST_YES, NULL },
        { WEB, NOBODY, 0, 0, ALICE, true, NX_TRUST_NO, "which no --trust names" },
        /* A reference that the user has pins. */
        { REFERENCE_HERE, ALICE, ALICE, RIGHT_PIN, NOBODY, false, NX_TRUST_YES, NULL },
        { REFERENCE_HERE, ALICE, ALICE, NO_PIN, NOBODY, false, NX_TRUST_YES, NULL },
        { REFERENCE_HERE, NOBODY, NOBODY, RIGHT_PIN, NOBODY, false, NX_TRUST_YES, NULL },
        { REFERENCE_HERE, MALLORY, ALICE, RIGHT_PIN, NOBODY, false, NX_TRUST_NO,
          "but the reference names the signer" },
        { REFERENCE_HERE, NOBODY, ALICE, NO_PIN, NOBODY, true, NX_TRUST_NO,
          "not signed, but the reference names the signer" },
        { REFERENCE_HERE, ALICE, ALICE, WRONG_PIN, NOBODY, false, NX_TRUST_NO,
          "not the package that the reference was made for" },
        { REFERENCE_HERE, MALLORY, ALICE, RIGHT_PIN, MALLORY, false, NX_TRUST_NO,
          "but the reference names the signer" },
        /* VMNetX's own references pin nothing. */
        { REFERENCE_HERE, ALICE, NOBODY, NO_PIN, NOBODY, false, NX_TRUST_ASK, NULL },
        { REFERENCE_HERE, NOBODY, NOBODY, NO_PIN, NOBODY, false, NX_TRUST_NO, "--allow-unsigned" },
        /* One from the web vouches for nobody, but its pins hold. */
        { REFERENCE_WEB, ALICE, ALICE, RIGHT_PIN, NOBODY, false, NX_TRUST_ASK, NULL },
        { REFERENCE_WEB, ALICE, ALICE, RIGHT_PIN, ALICE, false, NX_TRUST_YES, NULL },
        { REFERENCE_WEB, ALICE, ALICE, WRONG_PIN, ALICE, false, NX_TRUST_NO,
          "not the package that the reference was made for" },
    };
    make_keys();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nx_error err = NX_ERROR_INIT;
        enum nx_trust_verdict verdict =
            decide(cases[i].place, cases[i].signer, cases[i].pinned_signer, cases[i].digest,
                   cases[i].named, cases[i].allow_unsigned, &err);
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
    char *url = (char *)"http://h/x.nxpk";
    struct nx_location location = { .text = url, .urls = &url, .n_urls = 1 };
    const struct nx_trust_policy policy = { 0 };
    char hex[NX_DIGEST_HEX], command[256];
    snprintf(command, sizeof command, "nxfetch --trust %s http://h/x.nxpk",
             nx_key_fingerprint(keys[ALICE], hex));
    ck_assert_ptr_nonnull(freopen("/dev/null", "r", stdin));
    nx_assert_fails(nx_trust_settle(&policy, &location, &head, "", &err), err, command);
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
    nx_assert_fails(nx_trust_add(&policy, path, &err), err, "--trust: /tmp/nxpk-trust");
    while (policy.n_signers < NX_TRUST_SIGNERS_MAX)
        nx_assert_ok(nx_trust_add(&policy, hex, &err), err);
    nx_assert_fails(nx_trust_add(&policy, hex, &err), err, "at most 32 signers");
    free_keys();
}
END_TEST

NX_TEST_MAIN("trust", decisions, no_terminal, named_by_file)
