/* SPDX-License-Identifier: MIT */
#include "formats/key.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>
#include <sys/stat.h>

#include "common/io.h"

#define KEY_FILE_MAX 16384 /* bytes of a PEM file */

/* SubjectPublicKeyInfo of every Ed25519 key: these bytes, then the key's own (RFC 8410). */
static const uint8_t der_head[] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                    0x2b, 0x65, 0x70, 0x03, 0x21, 0x00 };
#define RAW_SIZE    32
#define DER_SIZE    (sizeof der_head + RAW_SIZE)
#define BASE64_SIZE 60
#define PEM_HEAD    "-----BEGIN PUBLIC KEY-----\n"
#define PEM_END     "\n-----END PUBLIC KEY-----\n"

struct nx_key {
    EVP_PKEY *pkey;
    bool is_private;
    uint8_t der[DER_SIZE]; /* of the public key */
};

static inline void nx_auto_bio(BIO **bio)
{
    BIO_free_all(*bio);
}

static int fail_openssl(struct nx_error *err, const char *what)
{
    char text[256] = "unknown error";
    unsigned long code = ERR_peek_last_error();
    if (code)
        ERR_error_string_n(code, text, sizeof text);
    ERR_clear_error();
    return nx_fail(err, NX_ERR_SYSTEM, "%s: %s", what, text);
}

/* OpenSSL has no one error for it.  errno was 0 before. */
static bool was_short_of_memory(void)
{
    return errno == ENOMEM;
}

/* Takes pkey over, even when it fails. */
static struct nx_key *wrap(EVP_PKEY *pkey, bool is_private, struct nx_error *err)
{
    struct nx_key *key = malloc(sizeof *key);
    if (!key) {
        nx_fail_errno(err, "key");
        EVP_PKEY_free(pkey);
        return NULL;
    }
    *key = (struct nx_key){ .pkey = pkey, .is_private = is_private };
    size_t size = RAW_SIZE;
    memcpy(key->der, der_head, sizeof der_head);
    if (EVP_PKEY_get_raw_public_key(pkey, key->der + sizeof der_head, &size) != 1) {
        fail_openssl(err, "key");
        nx_key_free(key);
        return NULL;
    }
    return key;
}

int nx_key_generate(struct nx_key **ret_key, struct nx_error *err)
{
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (!pkey)
        return fail_openssl(err, "making a key");
    struct nx_key *key = wrap(pkey, true, err);
    if (!key)
        return -1;
    *ret_key = key;
    return 0;
}

struct asking {
    nx_passphrase_fn *ask;
    void *opaque;
    const char *path;
    bool asked;
};

static int ask_passphrase(char *buf, int size, int writing, void *opaque)
{
    struct asking *asking = opaque;
    asking->asked = true;
    if (!asking->ask)
        return -1;
    return asking->ask(buf, (size_t)size, asking->path, asking->opaque);
}

/* Whatever key the PEM holds: private first, as a file may hold both. */
static EVP_PKEY *parse_pem(const void *pem, size_t len, struct asking *asking, bool *ret_private)
{
    NX_AUTO(bio) BIO *bio = BIO_new_mem_buf(pem, (int)len);
    if (!bio)
        return NULL;
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, ask_passphrase, asking);
    *ret_private = pkey != NULL;
    if (pkey || asking->asked)
        return pkey;
    ERR_clear_error();
    (void)BIO_reset(bio);
    return PEM_read_bio_PUBKEY(bio, NULL, ask_passphrase, asking);
}

int nx_key_read(const char *path, nx_passphrase_fn *passphrase, void *opaque,
                struct nx_key **ret_key, struct nx_error *err)
{
    NX_AUTO_BUFFER struct nx_buffer pem = NX_BUFFER_INIT(0);
    if (nx_read_file(path, KEY_FILE_MAX, &pem, err) < 0)
        return -1;
    struct asking asking = { passphrase, opaque, path, false };
    bool is_private;
    errno = 0;
    EVP_PKEY *pkey = parse_pem(pem.data, pem.len, &asking, &is_private);
    OPENSSL_cleanse(pem.data, pem.len);
    ERR_clear_error();
    if (!pkey && was_short_of_memory())
        return nx_fail_errno(err, "%s", path);
    if (!pkey && asking.asked)
        return nx_fail(err, NX_ERR_TRUST, "%s: %s", path,
                       passphrase ? "the passphrase is wrong"
                                  : "the key is encrypted and there is no one to ask");
    if (!pkey)
        return nx_fail(err, NX_ERR_FORMAT, "%s: not a PEM key (nxpack keygen makes one)", path);
    if (EVP_PKEY_get_id(pkey) != EVP_PKEY_ED25519) {
        const char *type = EVP_PKEY_get0_type_name(pkey);
        nx_fail(err, NX_ERR_FORMAT, "%s: a key of type %s, wanted Ed25519", path,
                type ? type : "unknown");
        EVP_PKEY_free(pkey);
        return -1;
    }
    struct nx_key *key = wrap(pkey, is_private, err);
    if (!key)
        return -1;
    *ret_key = key;
    return 0;
}

/* One key has one text: what follows, stands before it or is written otherwise would be signed by nobody.  So there
 * is nothing to parse: whatever is not that text is refused.
 */
int nx_key_from_public_pem(const void *pem, size_t len, struct nx_key **ret_key,
                           struct nx_error *err)
{
    const char *text = pem;
    uint8_t der[BASE64_SIZE]; /* one byte more than DER_SIZE is padding */
    if (len != NX_PUBLIC_PEM_SIZE || memcmp(text, PEM_HEAD, strlen(PEM_HEAD)) != 0 ||
        EVP_DecodeBlock(der, (const uint8_t *)text + strlen(PEM_HEAD), BASE64_SIZE) <
            (int)DER_SIZE ||
        memcmp(der, der_head, sizeof der_head) != 0)
        return nx_fail(err, NX_ERR_FORMAT, "not an Ed25519 public key in its plain PEM form");
    EVP_PKEY *pkey =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, der + sizeof der_head, RAW_SIZE);
    if (!pkey)
        return fail_openssl(err, "key");
    NX_AUTO_KEY struct nx_key *key = wrap(pkey, false, err);
    if (!key)
        return -1;
    char again[NX_PUBLIC_PEM_SIZE + 1];
    if (nx_key_public_pem(key, again, err) < 0)
        return -1;
    if (memcmp(again, pem, len) != 0)
        return nx_fail(err, NX_ERR_FORMAT, "not an Ed25519 public key in its plain PEM form");
    *ret_key = NX_STEAL(key);
    return 0;
}

static int refuse_existing(const char *path, struct nx_error *err)
{
    struct stat st;
    if (lstat(path, &st) == 0)
        return nx_fail(err, NX_ERR_SYSTEM, "%s: exists already; a key is never overwritten", path);
    if (errno != ENOENT)
        return nx_fail_errno(err, "%s", path);
    return 0;
}

int nx_key_write_private(const struct nx_key *key, const char *path, const char *passphrase,
                         struct nx_error *err)
{
    NX_AUTO(bio) BIO *bio = BIO_new(BIO_s_mem());
    if (!bio || PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, passphrase ? EVP_aes_256_cbc() : NULL,
                                              passphrase, passphrase ? (int)strlen(passphrase) : 0,
                                              NULL, NULL) != 1)
        return fail_openssl(err, path);
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    int ret = refuse_existing(path, err);
    if (ret == 0)
        ret = nx_write_file(path, 0600, data, (size_t)len, err);
    OPENSSL_cleanse(data, (size_t)len);
    return ret;
}

int nx_key_write_public(const struct nx_key *key, const char *path, struct nx_error *err)
{
    char pem[NX_PUBLIC_PEM_SIZE + 1];
    if (nx_key_public_pem(key, pem, err) < 0 || refuse_existing(path, err) < 0)
        return -1;
    return nx_write_file(path, 0644, pem, NX_PUBLIC_PEM_SIZE, err);
}

int nx_key_public_pem(const struct nx_key *key, char ret_pem[static NX_PUBLIC_PEM_SIZE + 1],
                      struct nx_error *err)
{
    char *at = stpcpy(ret_pem, PEM_HEAD);
    at += EVP_EncodeBlock((uint8_t *)at, key->der, DER_SIZE);
    strcpy(at, PEM_END);
    return 0;
}

const char *nx_key_fingerprint(const struct nx_key *key, char text[static NX_DIGEST_HEX])
{
    struct nx_digest digest;
    nx_digest_of(key->der, DER_SIZE, &digest);
    return nx_digest_hex(&digest, text);
}

bool nx_key_is_private(const struct nx_key *key)
{
    return key->is_private;
}

bool nx_key_same_public(const struct nx_key *a, const struct nx_key *b)
{
    return memcmp(a->der, b->der, DER_SIZE) == 0;
}

static inline void nx_auto_mdctx(EVP_MD_CTX **ctx)
{
    EVP_MD_CTX_free(*ctx);
}

int nx_key_sign(const struct nx_key *key, const void *data, size_t len,
                uint8_t ret_signature[static NX_SIGNATURE_SIZE], struct nx_error *err)
{
    if (!key->is_private)
        return nx_fail(err, NX_ERR_USAGE, "a public key cannot sign: give the private one");
    NX_AUTO(mdctx) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t size = NX_SIGNATURE_SIZE;
    if (!ctx || EVP_DigestSignInit(ctx, NULL, NULL, NULL, key->pkey) != 1 ||
        EVP_DigestSign(ctx, ret_signature, &size, data, len) != 1)
        return fail_openssl(err, "signing");
    return 0;
}

int nx_key_verify(const struct nx_key *key, const void *data, size_t len,
                  const uint8_t signature[static NX_SIGNATURE_SIZE], struct nx_error *err)
{
    NX_AUTO(mdctx) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!ctx || EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key->pkey) != 1)
        return fail_openssl(err, "verifying");
    errno = 0;
    int ok = EVP_DigestVerify(ctx, signature, NX_SIGNATURE_SIZE, data, len);
    ERR_clear_error();
    if (ok == 1)
        return 0;
    if (was_short_of_memory())
        return nx_fail_errno(err, "verifying");
    char fingerprint[NX_DIGEST_HEX];
    return nx_fail(err, NX_ERR_TRUST,
                   "the signature is wrong: it is not that of key %.16s… over this manifest",
                   nx_key_fingerprint(key, fingerprint));
}

void nx_key_free(struct nx_key *key)
{
    if (!key)
        return;
    EVP_PKEY_free(key->pkey);
    free(key);
}
