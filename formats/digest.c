/* SPDX-License-Identifier: MIT */
#include "formats/digest.h"

/* The functions before EVP: they need no memory, so hashing cannot fail. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

struct nx_hash {
    SHA256_CTX ctx;
};

void nx_digest_of(const void *data, size_t len, struct nx_digest *ret_digest)
{
    SHA256_CTX ctx;
    SHA256_Init(&ctx);
    SHA256_Update(&ctx, data, len);
    SHA256_Final(ret_digest->bytes, &ctx);
}

bool nx_digest_equal(const struct nx_digest *a, const struct nx_digest *b)
{
    return memcmp(a->bytes, b->bytes, NX_DIGEST_SIZE) == 0;
}

const char *nx_digest_hex(const struct nx_digest *digest, char text[static NX_DIGEST_HEX])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < NX_DIGEST_SIZE; i++) {
        text[2 * i] = digits[digest->bytes[i] >> 4];
        text[2 * i + 1] = digits[digest->bytes[i] & 15];
    }
    text[2 * NX_DIGEST_SIZE] = 0;
    return text;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int nx_digest_parse(const char *text, struct nx_digest *ret_digest, struct nx_error *err)
{
    struct nx_digest digest;
    if (strnlen(text, NX_DIGEST_HEX) != NX_DIGEST_HEX - 1)
        return nx_fail(err, NX_ERR_FORMAT, "\"%.80s\" is not a SHA-256 of 64 hexadecimal digits",
                       text);
    for (int i = 0; i < NX_DIGEST_SIZE; i++) {
        int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return nx_fail(err, NX_ERR_FORMAT,
                           "\"%.80s\" is not a SHA-256 of 64 hexadecimal digits", text);
        digest.bytes[i] = (uint8_t)(high << 4 | low);
    }
    *ret_digest = digest;
    return 0;
}

struct nx_hash *nx_hash_new(void)
{
    struct nx_hash *hash = malloc(sizeof *hash);
    if (hash)
        SHA256_Init(&hash->ctx);
    return hash;
}

void nx_hash_add(struct nx_hash *hash, const void *data, size_t len)
{
    SHA256_Update(&hash->ctx, data, len);
}

void nx_hash_add_le64(struct nx_hash *hash, uint64_t value)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++, value >>= 8)
        bytes[i] = (uint8_t)value;
    nx_hash_add(hash, bytes, sizeof bytes);
}

void nx_hash_finish(struct nx_hash *hash, struct nx_digest *ret_digest)
{
    SHA256_Final(ret_digest->bytes, &hash->ctx);
    SHA256_Init(&hash->ctx);
}

void nx_hash_free(struct nx_hash *hash)
{
    free(hash);
}
