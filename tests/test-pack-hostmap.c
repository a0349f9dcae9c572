/* SPDX-License-Identifier: MIT */
/* What stands where in an image's file, by the real qemu-img: what is found there is what was written, and what is not
 * there is not found.
 */
#include "pack/hostmap.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support/main.h"

#define MIB (1 << 20)

static char folder[] = "/tmp/nxpk-hostmap.XXXXXX";
static char path[128];
static uint8_t bytes[4 * MIB];

static void make_folder(void)
{
    strcpy(folder + sizeof folder - 7, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/disk", folder);
}

static void remove_folder(void)
{
    unlink(path);
    char base[160];
    snprintf(base, sizeof base, "%s.base", path);
    unlink(base);
    rmdir(folder);
}

/* Run a shell's line. */
__attribute__((format(printf, 1, 2))) static void sh(const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    ck_assert_msg(system(line) == 0, "%s", line);
}

static int read_at(struct nx_hostmap *map, size_t len, uint64_t offset)
{
    struct nx_error err = NX_ERROR_INIT;
    memset(bytes, 0xee, sizeof bytes);
    return nx_hostmap_read(map, bytes, len, offset, path, &err);
}

static bool all(size_t from, size_t to, uint8_t value)
{
    while (from < to && bytes[from] == value)
        from++;
    return from == to;
}

/* Written backwards, so that it lies backwards in the file. */
START_TEST(test_qcow2)
{
    struct nx_hostmap map;
    make_folder();
    sh("qemu-img create -q -f qcow2 %s 64M && qemu-io -f qcow2 -c 'write -q -P 3 9M 1M' "
       "-c 'write -q -P 2 8M 1M' %s",
       path, path);
    nx_hostmap_open(&map, path, "qcow2");
    ck_assert_int_eq(read_at(&map, 3 * MIB, 7 * MIB + MIB / 2), 1);
    ck_assert(all(0, MIB / 2, 0));
    ck_assert(all(MIB / 2, 3 * MIB / 2, 2));
    ck_assert(all(3 * MIB / 2, 5 * MIB / 2, 3));
    ck_assert(all(5 * MIB / 2, 3 * MIB, 0));
    ck_assert_int_eq(read_at(&map, 10, 8 * MIB - 5), 1); /* backwards */
    ck_assert(all(0, 5, 0) && all(5, 10, 2));
    ck_assert_int_eq(read_at(&map, 10, 64 * MIB - 5), 0); /* behind the end */
    nx_hostmap_release(&map);
    remove_folder();
}
END_TEST

START_TEST(test_raw)
{
    struct nx_hostmap map;
    make_folder();
    sh("truncate -s 10M %s && qemu-io -f raw -c 'write -q -P 5 4M 1M' %s", path, path);
    nx_hostmap_open(&map, path, "raw");
    ck_assert_int_eq(read_at(&map, 3 * MIB, 3 * MIB), 1);
    ck_assert(all(0, MIB, 0) && all(MIB, 2 * MIB, 5) && all(2 * MIB, 3 * MIB, 0));
    nx_hostmap_release(&map);
    remove_folder();
}
END_TEST

/* Compressed clusters, and those of a backing file, stand nowhere as they are read. */
START_TEST(test_elsewhere)
{
    struct nx_hostmap map;
    make_folder();
    sh("qemu-img create -q -f qcow2 %s.base 16M && qemu-io -f qcow2 -c 'write -q -P 7 2M 1M' "
       "%s.base",
       path, path);
    sh("qemu-img create -q -f qcow2 -b %s.base -F qcow2 %s && "
       "qemu-io -f qcow2 -c 'write -q -c -P 4 1M 64k' -c 'write -q -P 6 4M 64k' %s",
       path, path, path);
    nx_hostmap_open(&map, path, "qcow2");
    ck_assert_int_eq(read_at(&map, 65536, MIB), 0);
    ck_assert_int_eq(read_at(&map, 65536, 2 * MIB), 0);
    ck_assert_int_eq(read_at(&map, 65536, 4 * MIB), 1);
    ck_assert(all(0, 65536, 6));
    nx_hostmap_release(&map);
    remove_folder();
}
END_TEST

/* What qemu-img cannot answer, or would answer at too great a length, is no error. */
START_TEST(test_nothing)
{
    struct nx_hostmap map;
    make_folder();
    nx_hostmap_open(&map, path, "qcow2");
    ck_assert_int_eq(read_at(&map, 1, 0), 0);
    nx_hostmap_release(&map);
    sh("qemu-img create -q -f qcow2 -o cluster_size=512 %s 64M && "
       "i=0; while [ $i -lt 30000 ]; do echo write -q $((i * 1024)) 512; i=$((i + 1)); done | "
       "qemu-io -f qcow2 --cache unsafe %s >/dev/null",
       path, path);
    nx_hostmap_open(&map, path, "qcow2");
    ck_assert_int_eq(read_at(&map, 512, 0), 0);
    nx_hostmap_release(&map);
    remove_folder();
}
END_TEST

NX_TEST_MAIN("pack-hostmap", test_qcow2, test_raw, test_elsewhere, test_nothing)
