/* SPDX-License-Identifier: MIT */
#include "formats/key.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/io.h"
#include "tests/support/main.h"

static char dir[] = "/tmp/nxpk-key-XXXXXX";
static char private_path[64], public_path[64];

static void make_dir(void)
{
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(private_path, sizeof private_path, "%s/k.pem", dir);
    snprintf(public_path, sizeof public_path, "%s/k.pub.pem", dir);
}

static void remove_dir(void)
{
    unlink(private_path);
    unlink(public_path);
    rmdir(dir);
}

static int say(char *buf, size_t size, const char *path, void *opaque)
{
    return snprintf(buf, size, "%s", (const char *)opaque);
}

START_TEST(files)
{
    char guess[] = "guess", secret[] = "secret";
    struct nx_error err;
    make_dir();
    NX_AUTO_KEY struct nx_key *key = NULL;
    NX_AUTO_KEY struct nx_key *private = NULL;
    NX_AUTO_KEY struct nx_key *public = NULL;
    NX_AUTO_KEY struct nx_key *none = NULL;
    nx_assert_ok(nx_key_generate(&key, &err), err);
    nx_assert_ok(nx_key_write_private(key, private_path, secret, &err), err);
    nx_assert_ok(nx_key_write_public(key, public_path, &err), err);
    struct stat st;
    ck_assert_int_eq(stat(private_path, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0600);
    nx_assert_fails(nx_key_write_private(key, private_path, NULL, &err), err,
                    "exists already; a key is never overwritten");
    nx_assert_fails(nx_key_read(private_path, NULL, NULL, &none, &err), err,
                    "the key is encrypted and there is no one to ask");
    nx_assert_fails(nx_key_read(private_path, say, guess, &none, &err), err,
                    "the passphrase is wrong");
    nx_assert_ok(nx_key_read(private_path, say, secret, &private, &err), err);
    nx_assert_ok(nx_key_read(public_path, NULL, NULL, &public, &err), err);
    ck_assert(nx_key_is_private(private) && !nx_key_is_private(public));
    ck_assert(nx_key_same_public(private, public));
    remove_dir();
}
END_TEST

START_TEST(signatures)
{
    struct nx_error err;
    uint8_t signature[NX_SIGNATURE_SIZE];
    char pem[NX_PUBLIC_PEM_SIZE + 1];
    NX_AUTO_KEY struct nx_key *key = NULL;
    NX_AUTO_KEY struct nx_key *public = NULL;
    NX_AUTO_KEY struct nx_key *other = NULL;
    nx_assert_ok(nx_key_generate(&key, &err), err);
    nx_assert_ok(nx_key_generate(&other, &err), err);
    nx_assert_ok(nx_key_public_pem(key, pem, &err), err);
    nx_assert_ok(nx_key_from_public_pem(pem, NX_PUBLIC_PEM_SIZE, &public, &err), err);
    nx_assert_ok(nx_key_sign(key, "message", 7, signature, &err), err);
    nx_assert_ok(nx_key_verify(public, "message", 7, signature, &err), err);
    nx_assert_fails(nx_key_verify(public, "massage", 7, signature, &err), err,
                    "the signature is wrong");
    nx_assert_fails(nx_key_verify(other, "message", 7, signature, &err), err,
                    "the signature is wrong");
    ck_assert_int_eq(err.code, NX_ERR_TRUST);
    nx_assert_fails(nx_key_sign(public, "message", 7, signature, &err), err,
                    "a public key cannot sign");
}
END_TEST

START_TEST(not_keys)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        { "", "not a PEM key" },
        { "hello\n", "not a PEM key" },
        { "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "not a PEM key" },
        /* X25519, not Ed25519 */
        { "-----BEGIN PUBLIC KEY-----\n"
          "MCowBQYDK2VuAyEAhSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=\n"
          "-----END PUBLIC KEY-----\n",
          "a key of type X25519, wanted Ed25519" },
    };
    struct nx_error err;
    make_dir();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        NX_AUTO_KEY struct nx_key *key = NULL;
        nx_assert_ok(nx_write_file(public_path, 0644, cases[i].text, strlen(cases[i].text), &err),
                     err);
        nx_assert_fails(nx_key_read(public_path, NULL, NULL, &key, &err), err, cases[i].message);
        unlink(public_path);
    }
    NX_AUTO_KEY struct nx_key *key = NULL;
    nx_assert_fails(nx_key_read(public_path, NULL, NULL, &key, &err), err, "No such file");
    remove_dir();
}
END_TEST

NX_TEST_MAIN("key", files, signatures, not_keys)
