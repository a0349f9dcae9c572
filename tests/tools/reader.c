/* SPDX-License-Identifier: MIT */
/* Read a file at random places for some time, and compare every byte with another one:
 *
 *     reader SECONDS SEED FILE WANTED
 *
 * Status 0 if all that was read is right; then it says how much that was, and how long the slowest read took.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"

#define READ_MAX (256u << 10)

static uint8_t got[READ_MAX], wanted[READ_MAX];

static int open_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        perror(path);
        exit(1);
    }
    return fd;
}

/* One read: its length, mostly of some pages, sometimes of many. */
static size_t read_once(int fd, int wanted_fd, uint64_t size, unsigned *seed)
{
    uint64_t at = ((uint64_t)rand_r(seed) << 31 | (uint64_t)rand_r(seed)) % size;
    size_t len = 1 + (size_t)rand_r(seed) % (rand_r(seed) % 8 ? 16384 : READ_MAX);
    if (len > size - at)
        len = (size_t)(size - at);
    ssize_t n = pread(fd, got, len, (off_t)at);
    if (n != (ssize_t)len) {
        fprintf(stderr, "%zu bytes at %" PRIu64 ": %s\n", len, at,
                n < 0 ? strerror(errno) : "too few");
        exit(1);
    }
    if (pread(wanted_fd, wanted, len, (off_t)at) != n || memcmp(got, wanted, len) != 0) {
        fprintf(stderr, "%zu bytes at %" PRIu64 " are wrong\n", len, at);
        exit(1);
    }
    return len;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fputs("reader SECONDS SEED FILE WANTED\n", stderr);
        return 2;
    }
    unsigned seed = (unsigned)strtoul(argv[2], NULL, 10);
    int fd = open_file(argv[3]), wanted_fd = open_file(argv[4]);
    struct stat st;
    fstat(wanted_fd, &st);
    uint64_t bytes = 0, reads = 0;
    int64_t slowest = 0, end = nx_now_ms() + strtoll(argv[1], NULL, 10) * 1000;
    for (int64_t start, now = nx_now_ms(); now < end; reads++) {
        start = now;
        bytes += read_once(fd, wanted_fd, (uint64_t)st.st_size, &seed);
        now = nx_now_ms();
        slowest = now - start > slowest ? now - start : slowest;
    }
    printf("%" PRIu64 " reads, %" PRIu64 " bytes, the slowest took %" PRId64 " ms\n", reads, bytes,
           slowest);
    return 0;
}
