/* SPDX-License-Identifier: MIT */
/* Ed25519 keys as PEM (PKCS #8 and SubjectPublicKeyInfo, RFC 8410) and what they sign. */
#ifndef NX_FORMATS_KEY_H
#define NX_FORMATS_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/error.h"
#include "formats/digest.h"

#define NX_SIGNATURE_SIZE  64
#define NX_PUBLIC_PEM_SIZE 113 /* every Ed25519 public key as PEM, last newline included */

/* A public key, perhaps with its private half.  Immutable, so any thread may use it. */
struct nx_key;

int nx_key_generate(struct nx_key **ret_key, struct nx_error *err);

/* Read a PEM file that holds a public or a private Ed25519 key.  A private key that is
 * encrypted is asked for on the terminal by passphrase(), which fills at most size bytes
 * and returns their number, or -1; NULL: encrypted keys are refused.
 */
typedef int nx_passphrase_fn(char *buf, size_t size, const char *path, void *opaque);
int nx_key_read(const char *path, nx_passphrase_fn *passphrase, void *opaque,
                struct nx_key **ret_key, struct nx_error *err);

/* The key of NX_PUBLIC_PEM_SIZE bytes as nx_key_public_pem() writes them. */
int nx_key_from_public_pem(const void *pem, size_t len, struct nx_key **ret_key,
                           struct nx_error *err);

/* Write the private key (mode 0600, encrypted with AES-256 if passphrase is not NULL) or the
 * public key (mode 0644), whole or not at all.  An existing file is refused, never replaced.
 */
int nx_key_write_private(const struct nx_key *key, const char *path, const char *passphrase,
                         struct nx_error *err);
int nx_key_write_public(const struct nx_key *key, const char *path, struct nx_error *err);

int nx_key_public_pem(const struct nx_key *key, char ret_pem[static NX_PUBLIC_PEM_SIZE + 1],
                      struct nx_error *err);

/* What people compare: the SHA-256 of the public key's DER SubjectPublicKeyInfo, in hexadecimal
 * (openssl pkey -pubin -in KEY.pub.pem -outform DER | sha256sum).  Returns text.
 */
const char *nx_key_fingerprint(const struct nx_key *key, char text[static NX_DIGEST_HEX]);

bool nx_key_is_private(const struct nx_key *key);
bool nx_key_same_public(const struct nx_key *a, const struct nx_key *b);

int nx_key_sign(const struct nx_key *key, const void *data, size_t len,
                uint8_t ret_signature[static NX_SIGNATURE_SIZE], struct nx_error *err);

/* 0 if signature is the key's over data; else NX_ERR_TRUST. */
int nx_key_verify(const struct nx_key *key, const void *data, size_t len,
                  const uint8_t signature[static NX_SIGNATURE_SIZE], struct nx_error *err);

void nx_key_free(struct nx_key *key);

static inline void nx_auto_key(struct nx_key **key)
{
    nx_key_free(*key);
}
#define NX_AUTO_KEY NX_AUTO(key)

#endif
