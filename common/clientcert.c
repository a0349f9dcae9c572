/* SPDX-License-Identifier: MIT */
#include "common/clientcert.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/ask.h"
#include "common/io.h"

NX_DEFINE_AUTO(BIO *, bio, BIO_free)
NX_DEFINE_AUTO(X509 *, x509, X509_free)
NX_DEFINE_AUTO(EVP_PKEY *, pkey, EVP_PKEY_free)
NX_DEFINE_AUTO(PKCS12 *, pkcs12, PKCS12_free)

static void free_certificates(STACK_OF(X509) * list)
{
    sk_X509_pop_free(list, X509_free);
}
NX_DEFINE_AUTO(STACK_OF(X509) *, certificates, free_certificates)

/* Whence the passphrase is, and what became of it. */
struct passphrase {
    const char *pass_path; /* or NULL: the terminal */
    const char *key_path;
    bool wanted;
    bool had; /* one was given */
    struct nx_error err;
};

static int first_line(const char *path, char *buf, size_t size, struct nx_error *err)
{
    struct nx_buffer text = NX_BUFFER_INIT(0);
    int len = -1;
    if (nx_read_file(path, NX_SECRET_MAX, &text, err) == 0) {
        size_t n = strcspn((const char *)text.data, "\r\n");
        len = n <= size ? (int)n : nx_fail(err, NX_ERR_USAGE, "the passphrase is too long");
        if (len > 0)
            memcpy(buf, text.data, n);
        explicit_bzero(text.data, text.cap);
    }
    nx_buffer_release(&text);
    return len < 0 ? nx_fail_while(err, "--pass-file") : len;
}

/* Fits OpenSSL's pem_password_cb. */
static int give_passphrase(char *buf, int size, int writing, void *opaque)
{
    struct passphrase *pass = opaque;
    (void)writing;
    pass->wanted = true;
    int len;
    if (pass->pass_path) {
        len = first_line(pass->pass_path, buf, (size_t)size, &pass->err);
    } else {
        char question[1024];
        snprintf(question, sizeof question, "Passphrase of %s", pass->key_path);
        len = nx_ask_secret(question, buf, (size_t)size);
    }
    pass->had = len >= 0;
    return len;
}

/* Why a key could not be read. */
static int key_failure(const struct passphrase *pass, const char *option, struct nx_error *err)
{
    if (pass->err.code != NX_OK)
        return nx_fail(err, pass->err.code, "%s", pass->err.msg);
    if (pass->wanted && !pass->had)
        return nx_fail(err, NX_ERR_SYSTEM,
                       "%s: %s: its passphrase can only be given on a terminal, or by --pass-file",
                       option, pass->key_path);
    if (pass->wanted)
        return nx_fail(err, NX_ERR_SYSTEM, "%s: %s: not the passphrase of this key", option,
                       pass->key_path);
    return nx_fail(err, NX_ERR_FORMAT, "%s: %s: no private key in it (PEM)", option,
                   pass->key_path);
}

/* ---- to PEM ---- */

static int take_bio(BIO *bio, struct nx_buffer *ret_pem, struct nx_error *err)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    return nx_buffer_add(ret_pem, data, (size_t)len, err);
}

static int write_key(EVP_PKEY *key, struct nx_buffer *ret_key, struct nx_error *err)
{
    NX_AUTO(bio) BIO *bio = BIO_new(BIO_s_secmem());
    if (!bio || PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
        return nx_fail(err, NX_ERR_SYSTEM, "--key: no memory");
    return take_bio(bio, ret_key, err);
}

static int write_chain(X509 *first, STACK_OF(X509) * others, struct nx_buffer *ret_chain,
                       struct nx_error *err)
{
    NX_AUTO(bio) BIO *bio = BIO_new(BIO_s_mem());
    bool good = bio && PEM_write_bio_X509(bio, first) == 1;
    for (int i = 0; good && i < sk_X509_num(others); i++)
        good = PEM_write_bio_X509(bio, sk_X509_value(others, i)) == 1;
    return good ? take_bio(bio, ret_chain, err) : nx_fail(err, NX_ERR_SYSTEM, "--cert: no memory");
}

static int write_both(X509 *first, STACK_OF(X509) * others, EVP_PKEY *key,
                      const struct passphrase *pass, struct nx_buffer *ret_chain,
                      struct nx_buffer *ret_key, struct nx_error *err)
{
    if (X509_check_private_key(first, key) != 1)
        return nx_fail(err, NX_ERR_FORMAT, "--key: %s: belongs to another certificate",
                       pass->key_path);
    return write_chain(first, others, ret_chain, err) < 0 ? -1 : write_key(key, ret_key, err);
}

/* ---- from files ---- */

static int read_pem(const struct nx_buffer *cert, const struct nx_buffer *key_text,
                    const char *cert_path, struct passphrase *pass, struct nx_buffer *ret_chain,
                    struct nx_buffer *ret_key, struct nx_error *err)
{
    NX_AUTO(bio) BIO *cert_bio = BIO_new_mem_buf(cert->data, (int)cert->len);
    NX_AUTO(bio) BIO *key_bio = BIO_new_mem_buf(key_text->data, (int)key_text->len);
    NX_AUTO(certificates) STACK_OF(X509) *others = sk_X509_new_null();
    if (!cert_bio || !key_bio || !others)
        return nx_fail(err, NX_ERR_SYSTEM, "--cert: no memory");
    NX_AUTO(x509) X509 *first = PEM_read_bio_X509(cert_bio, NULL, NULL, NULL);
    if (!first)
        return nx_fail(err, NX_ERR_FORMAT, "--cert: %s: no certificate in it (PEM or PKCS #12)",
                       cert_path);
    for (X509 *more; (more = PEM_read_bio_X509(cert_bio, NULL, NULL, NULL));)
        if (sk_X509_push(others, more) <= 0) {
            X509_free(more);
            return nx_fail(err, NX_ERR_SYSTEM, "--cert: no memory");
        }
    NX_AUTO(pkey) EVP_PKEY *key = PEM_read_bio_PrivateKey(key_bio, NULL, give_passphrase, pass);
    if (!key)
        return key_failure(pass, pass->key_path == cert_path ? "--cert" : "--key", err);
    return write_both(first, others, key, pass, ret_chain, ret_key, err);
}

static int read_pkcs12(const struct nx_buffer *text, struct passphrase *pass,
                       struct nx_buffer *ret_chain, struct nx_buffer *ret_key, struct nx_error *err)
{
    const unsigned char *at = text->data;
    char secret[NX_SECRET_MAX + 1] = "";
    NX_AUTO(pkcs12) PKCS12 *bag = d2i_PKCS12(NULL, &at, (long)text->len);
    NX_AUTO(pkey) EVP_PKEY *key = NULL;
    NX_AUTO(x509) X509 *first = NULL;
    NX_AUTO(certificates) STACK_OF(X509) *others = NULL;
    if (!bag)
        return nx_fail(err, NX_ERR_FORMAT, "--cert: %s: no certificate in it (PEM or PKCS #12)",
                       pass->key_path);
    if (PKCS12_verify_mac(bag, "", 0) != 1 && PKCS12_verify_mac(bag, NULL, 0) != 1) {
        int len = give_passphrase(secret, NX_SECRET_MAX, 0, pass);
        secret[len > 0 ? len : 0] = 0;
    }
    int good = (!pass->wanted || pass->had) && PKCS12_parse(bag, secret, &key, &first, &others);
    explicit_bzero(secret, sizeof secret);
    if (!good || !key || !first)
        return key_failure(pass, "--cert", err);
    return write_both(first, others, key, pass, ret_chain, ret_key, err);
}

static int read_file(const char *option, const char *path, struct nx_buffer *ret_text,
                     struct nx_error *err)
{
    return nx_read_file(path, NX_CLIENTCERT_MAX, ret_text, err) < 0
               ? nx_fail_while(err, "%s", option)
               : 0;
}

static void wipe(struct nx_buffer *text)
{
    if (text->data)
        explicit_bzero(text->data, text->cap);
    nx_buffer_release(text);
}

int nx_clientcert_read(const char *cert_path, const char *key_path, const char *pass_path,
                       struct nx_buffer *ret_chain, struct nx_buffer *ret_key, struct nx_error *err)
{
    struct passphrase pass = { pass_path, key_path ? key_path : cert_path, false, false,
                               NX_ERROR_INIT };
    struct nx_buffer cert = NX_BUFFER_INIT(0), key = NX_BUFFER_INIT(0);
    int ret = read_file("--cert", cert_path, &cert, err);
    if (ret == 0 && key_path)
        ret = read_file("--key", key_path, &key, err);
    if (ret == 0 && cert.len > 0 && cert.data[0] == 0x30 && !key_path) /* DER's SEQUENCE */
        ret = read_pkcs12(&cert, &pass, ret_chain, ret_key, err);
    else if (ret == 0)
        ret = read_pem(&cert, key_path ? &key : &cert, cert_path, &pass, ret_chain, ret_key, err);
    ERR_clear_error();
    wipe(&cert);
    wipe(&key);
    return ret;
}
