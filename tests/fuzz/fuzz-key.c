/* SPDX-License-Identifier: MIT */
/* A key file from anywhere, public or private; and a signature over what follows it. */
#include "formats/key.h"

#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

/* A key that could be read has one text, which is read back as the same key. */
static void check_key(const struct nx_key *key)
{
    static const char said[] = "what was signed";
    struct nx_error err;
    char pem[NX_PUBLIC_PEM_SIZE + 1];
    uint8_t signature[NX_SIGNATURE_SIZE];
    NX_AUTO_KEY struct nx_key *again = NULL;
    if (nx_key_public_pem(key, pem, &err) < 0 ||
        nx_key_from_public_pem(pem, NX_PUBLIC_PEM_SIZE, &again, &err) < 0 ||
        !nx_key_same_public(key, again))
        abort();
    if (nx_key_is_private(key) &&
        nx_key_sign(key, said, sizeof said, signature, &err) == 0 /* halves that do not match? */)
        nx_key_verify(again, said, sizeof said, signature, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static char path[64];
    static struct nx_key *signer;
    struct nx_error err;
    NX_AUTO_KEY struct nx_key *file = NULL;
    NX_AUTO_KEY struct nx_key *member = NULL;
    if (fd < 0) {
        fd = memfd_create("fuzz", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (nx_key_generate(&signer, &err) < 0)
            abort();
    }
    if (ftruncate(fd, 0) < 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        abort();
    if (nx_key_read(path, NULL, NULL, &file, &err) == 0)
        check_key(file);
    if (nx_key_from_public_pem(data, size, &member, &err) == 0)
        check_key(member);
    if (size >= NX_SIGNATURE_SIZE &&
        nx_key_verify(signer, data + NX_SIGNATURE_SIZE, size - NX_SIGNATURE_SIZE, data, &err) == 0)
        abort(); /* a key that was made a moment ago has signed nothing */
    return 0;
}
