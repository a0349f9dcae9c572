/* SPDX-License-Identifier: MIT */
/* alter PACKAGE OUT N: write PACKAGE to OUT, altered at a place of the N-th kind (tests/support/places.h), each kind in
 * another way, and say what was done.  Status 3: there are not so many kinds.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "formats/package.h"
#include "tests/support/places.h"

#define PACKAGE_MAX (1u << 30)

/* A place of the n-th kind: the middle one of those there are.  -1: none. */
static ssize_t find_kind(const struct places *places, size_t n)
{
    size_t kinds = 0;
    for (size_t i = 0; i < places->n; i++) {
        size_t first = 0, same = 0;
        while (places->all[first].what != places->all[i].what)
            first++;
        if (first < i || kinds++ < n)
            continue;
        for (size_t j = i; j < places->n; j++)
            same += places->all[j].what == places->all[i].what;
        for (size_t j = i, seen = 0; j < places->n; j++)
            if (places->all[j].what == places->all[i].what && seen++ == same / 2)
                return (ssize_t)j;
    }
    return -1;
}

static int write_altered(const char *path, const char *out_path, size_t n, struct nx_error *err)
{
    NX_AUTO_BUFFER struct nx_buffer package = NX_BUFFER_INIT(PACKAGE_MAX);
    NX_AUTO_BUFFER struct nx_buffer bent = NX_BUFFER_INIT(2 * PACKAGE_MAX - 1);
    NX_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    NX_AUTO_HEAD struct nx_head *head = NULL;
    struct places places;
    if (fd < 0)
        return nx_fail_errno(err, "%s", path);
    if (nx_head_read(fd, path, &head, err) < 0 ||
        nx_read_file(path, PACKAGE_MAX, &package, err) < 0)
        return -1;
    places_find(&package, head->manifest, &places);
    ssize_t i = find_kind(&places, n);
    if (i < 0)
        exit(3);
    enum alteration how = n % ALTERATIONS;
    while (!alter(&package, &places, (size_t)i, how, &bent))
        how = (how + 1) % ALTERATIONS;
    printf("%s at %zu, %zu bytes: %s\n", places.all[i].what, places.all[i].at, places.all[i].len,
           alteration_name(how));
    free(places.all);
    NX_AUTO_FD int out = open(out_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (out < 0)
        return nx_fail_errno(err, "%s", out_path);
    return nx_pwrite_full(out, bent.data, bent.len, 0, out_path, err);
}

int main(int argc, char **argv)
{
    struct nx_error err = NX_ERROR_INIT;
    if (argc != 4)
        return 2;
    if (write_altered(argv[1], argv[2], strtoul(argv[3], NULL, 10), &err) == 0)
        return 0;
    fprintf(stderr, "alter: %s\n", err.msg);
    return 1;
}
