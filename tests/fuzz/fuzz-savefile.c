/* SPDX-License-Identifier: MIT */
/* libvirt's save file, and what decompresses its stream. */
#include "formats/savefile.h"

#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static uint8_t buf[65536];
    struct nx_error err;
    struct nx_savefile *save;
    if (fd < 0)
        fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (ftruncate(fd, 0) < 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        abort();
    nx_savefile_detect(fd);
    if (nx_savefile_open(fd, "fuzz", &save, &err) < 0)
        return 0;
    size_t n, rounds = 0;
    while (rounds++ < 64 && nx_savefile_read(save, buf, sizeof buf, &n, &err) == 0 && n > 0)
        ;
    nx_savefile_free(save);
    return 0;
}
