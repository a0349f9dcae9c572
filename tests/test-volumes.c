/* SPDX-License-Identifier: MIT */
/* A package that is cut: where its bytes are, what its manifest may say, and its files read, written and missing. */
#include "formats/volumes.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "formats/package.h"
#include "tests/support/main.h"

#define MIB NX_VOLUME_SIZE_MIN / 2

/* ---- arithmetic ---- */

START_TEST(places)
{
    static const struct {
        uint64_t offset;
        unsigned file;
        uint64_t within, left; /* left 0: all there is */
    } cases[] = {
        { 0, 0, 0, 1000 },
        { 999, 0, 999, 1 },
        { 1000, 1, 0, 2 * MIB },
        { 1000 + 2 * MIB - 1, 1, 2 * MIB - 1, 1 },
        { 1000 + 2 * MIB, 2, 0, 2 * MIB },
        { 1000 + 4 * MIB - 1, 2, 2 * MIB - 1, 1 },
        { 1000 + 4 * MIB, 3, 0, 0 },
        { 1000 + 4 * MIB + 4, 3, 4, 0 }, /* the end of the chunks */
        { 1000 + 6 * MIB + 9, 3, 2 * MIB + 9,
          0 }, /* far behind all: still the last file's to refuse */
        { UINT64_MAX, 3, UINT64_MAX - 1000 - 4 * MIB, 0 },
    };
    struct nx_error err;
    struct nx_volumes v = { .head = 1000, .size = 2 * MIB, .end = 1000 + 4 * MIB + 5 };
    nx_assert_ok(nx_volumes_check(&v, &err), err);
    ck_assert_uint_eq(v.count, 3);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nx_volume_place place = nx_volumes_place(&v, cases[i].offset);
        ck_assert_uint_eq(place.file, cases[i].file);
        ck_assert_uint_eq(place.offset, cases[i].within);
        ck_assert_uint_eq(place.left, cases[i].left ? cases[i].left : UINT64_MAX - place.offset);
    }
    char until[NX_VOLUME_UNTIL];
    ck_assert_str_eq(nx_volumes_until(&v, 10, 990, until), "");
    ck_assert_str_eq(nx_volumes_until(&v, 10, 991, until), " (up to volume 1)");
    ck_assert_str_eq(nx_volumes_until(&v, 10, 4 * MIB, until), " (up to volume 2)");
    ck_assert_str_eq(nx_volumes_until(&v, 1000 + 4 * MIB - 1, 2, until), " (up to volume 3)");
    ck_assert_str_eq(nx_volumes_until(&v, 1000 + 4 * MIB, 999, until), "");
    const struct nx_volumes one_file = { 0 };
    struct nx_volume_place place = nx_volumes_place(&one_file, 12345);
    ck_assert(place.file == 0 && place.offset == 12345 && place.left == UINT64_MAX - 12345);
}
END_TEST

/* Every byte is in the file where the one before it leads to. */
START_TEST(places_join)
{
    struct nx_error err;
    struct nx_volumes v = { .head = 70001, .size = 2 * MIB, .end = 70001 + 5 * MIB };
    nx_assert_ok(nx_volumes_check(&v, &err), err);
    uint64_t at = 0;
    for (unsigned file = 0; file <= v.count; file++) {
        uint64_t least, most;
        struct nx_volume_place first = nx_volumes_place(&v, at);
        ck_assert_uint_eq(first.file, file);
        ck_assert_uint_eq(first.offset, 0);
        nx_volumes_bounds(&v, file, &least, &most);
        ck_assert_uint_eq(most, file ? v.size : v.head);
        ck_assert(file == v.count ? least == MIB : least == most);
        at += least;
    }
    ck_assert_uint_eq(at, v.end);
}
END_TEST

/* Whatever a manifest says, it is a number of volumes that can be, or refused. */
START_TEST(bad_numbers)
{
    static const struct {
        uint64_t head, size, end;
        const char *message; /* NULL: good */
    } cases[] = {
        { 1000, 2 * MIB, 1001, NULL },
        { 1000, NX_VOLUME_SIZE_MAX, NX_PACKAGE_MAX, "1024 volumes of" },
        { 1000, 2 * MIB, 1000 + 999 * 2 * MIB, NULL },
        { 1000, 2 * MIB, 1001 + 999 * 2 * MIB,
          "1000 volumes of 2097152 bytes: at most 999 are possible, so they must have 3 MiB or "
          "more" },
        { 1000, 2 * MIB, 2 * NX_PACKAGE_MAX, " volumes of 2097152 bytes: at most 999" },
        { 1000, 0, 1001, "volumes of 0 bytes: not from 2097152" },
        { 1000, 1, NX_PACKAGE_MAX, "volumes of 1 bytes" },
        { 1000, 2 * MIB - 1, 10 * MIB, "volumes of 2097151 bytes" },
        { 1000, NX_VOLUME_SIZE_MAX + 1, NX_PACKAGE_MAX, "volumes of 1125899906842625 bytes" },
        { 1000, UINT64_MAX, NX_PACKAGE_MAX, "volumes of 18446744073709551615 bytes" },
        { 1000, 2 * MIB, 1000, "a head of 1000 bytes leaves none of 1000" },
        { 1000, 2 * MIB, 5, "a head of 1000 bytes leaves none of 5" },
        { UINT64_MAX, 2 * MIB, NX_PACKAGE_MAX, "leaves none of" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nx_error err = NX_ERROR_INIT;
        struct nx_volumes v = { cases[i].head, cases[i].size, cases[i].end, 0 };
        if (cases[i].message)
            nx_assert_fails(nx_volumes_check(&v, &err), err, cases[i].message);
        else
            nx_assert_ok(nx_volumes_check(&v, &err), err);
    }
    /* The size that is advised is one that does. */
    struct nx_error err;
    struct nx_volumes advised = { 1000, 3 * MIB, 1001 + 999 * 2 * MIB, 0 };
    nx_assert_ok(nx_volumes_check(&advised, &err), err);
}
END_TEST

START_TEST(suffixes)
{
    char text[NX_VOLUME_SUFFIX];
    ck_assert_str_eq(nx_volume_suffix(0, text), "");
    ck_assert_str_eq(nx_volume_suffix(1, text), ".001");
    ck_assert_str_eq(nx_volume_suffix(999, text), ".999");
    NX_AUTO_FREE char *path = nx_volume_path("a/b.nxpk", 42);
    ck_assert_str_eq(path, "a/b.nxpk.042");
}
END_TEST

/* ---- planning ---- */

static void assert_planned(uint64_t size, uint64_t least, uint64_t chunks, uint64_t end)
{
    struct nx_error err;
    struct nx_volumes v = { .size = size };
    nx_volumes_plan(&v, least, chunks, end);
    if (v.count == 0) {
        ck_assert_uint_eq(v.head, 0);
        ck_assert_uint_le(end + NX_VOLUME_TAIL, size);
        return;
    }
    unsigned count = v.count;
    nx_assert_ok(nx_volumes_check(&v, &err), err);
    ck_assert_uint_eq(v.count, count);
    ck_assert_uint_ge(v.head, least);
    ck_assert_uint_le(v.head, size);
    ck_assert_uint_lt(v.head, end);
    uint64_t last, most;
    nx_volumes_bounds(&v, v.count, &last, &most);
    ck_assert_msg(last >= 1 && last + NX_VOLUME_TAIL <= most,
                  "%" PRIu64 " bytes in the last volume, at most %" PRIu64, last, most);
    if (chunks + NX_VOLUME_TAIL <=
        size) { /* and so it does not hold more of the chunks than it must */
        ck_assert_uint_ge(v.head, chunks);
        ck_assert_uint_le(v.head, chunks + NX_VOLUME_TAIL);
    }
}

START_TEST(plans)
{
    static const uint64_t steps[] = { 0, 1, 2, 4095, 4096, 4097, 65536, MIB - 1, MIB };
    const size_t n = sizeof steps / sizeof *steps;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            for (uint64_t volumes = 1; volumes < 6; volumes++) {
                uint64_t chunks = 5000 + steps[i] * 3, end = volumes * 2 * MIB + steps[j];
                assert_planned(2 * MIB, 3000, chunks, end);
                assert_planned(2 * MIB, 3000, chunks, end - 4096 + 5000);
                if (chunks < end - steps[j])
                    assert_planned(2 * MIB, 3000, chunks, end - steps[j]);
            }
    assert_planned(NX_VOLUME_SIZE_MAX, 5000, 1 << 20, NX_PACKAGE_MAX / 2);
    /* One too many is left to the check. */
    struct nx_error err;
    struct nx_volumes v = { .size = 2 * MIB };
    nx_volumes_plan(&v, 3000, 5000, NX_PACKAGE_MAX);
    ck_assert_uint_eq(v.count, NX_VOLUMES_MAX + 1);
    nx_assert_fails(nx_volumes_check(&v, &err), err, "at most 999 are possible");
}
END_TEST

static const char domain_xml[] = "<domain/>\n";

static void fill_manifest(struct nx_manifest *m, uint64_t index, uint64_t chunks)
{
    memset(m, 0, sizeof *m);
    strcpy(m->name, "test");
    strcpy(m->created, "2026-11-21T01:02:03Z");
    strcpy(m->generator, "test");
    m->domain.size = sizeof domain_xml - 1;
    nx_digest_of(domain_xml, m->domain.size, &m->domain_digest);
    m->index.size = index;
    m->chunks.size = chunks;
    m->n_images = 1;
    struct nx_image *image = &m->images[0];
    strcpy(image->name, "disk0");
    image->size = NX_IMAGE_SIZE_MAX;
    image->chunk_size = 65536;
    image->root.size = 40;
    m->volumes.size = 2 * MIB;
}

/* A manifest names offsets that depend on its length, and the head's end, which depends on them: where these get one
 * digit more, too, they settle, and its reader finds the same.
 */
START_TEST(manifest_settles)
{
    static const uint64_t edges[] = { 10000, 100000, 1000000, 2 * MIB - 4096, 2 * MIB };
    for (size_t edge = 0; edge < sizeof edges / sizeof *edges; edge++)
        for (uint64_t off = 0; off < 5600; off += 7) {
            struct nx_error err;
            struct nx_manifest m;
            NX_AUTO_BUFFER struct nx_buffer xml = NX_BUFFER_INIT(NX_MANIFEST_MAX);
            NX_AUTO_MANIFEST struct nx_manifest *parsed = NULL;
            /* With both, the directory's room is at stake for many of these. */
            fill_manifest(&m, edges[edge] - 5500 + off, 4 * MIB - off / 2);
            nx_assert_ok(nx_package_plan(&m, &err), err);
            nx_assert_ok(nx_manifest_write(&m, &xml, &err), err);
            nx_assert_ok(nx_manifest_parse(xml.data, xml.len, &parsed, &err), err);
            ck_assert_uint_eq(parsed->volumes.head, m.volumes.head);
            ck_assert_uint_eq(parsed->volumes.count, m.volumes.count);
            ck_assert_uint_eq(parsed->volumes.end, nx_manifest_end(&m));
            uint64_t least, most;
            nx_volumes_bounds(&parsed->volumes, parsed->volumes.count, &least, &most);
            ck_assert_uint_le(least + NX_VOLUME_TAIL, most);
        }
}
END_TEST

START_TEST(whole_or_cut)
{
    struct nx_error err;
    struct nx_manifest m;
    fill_manifest(&m, 100, 5 * MIB);
    nx_assert_ok(nx_package_plan(&m, &err), err);
    uint64_t head = m.volumes.head, end = nx_manifest_end(&m);
    ck_assert(nx_manifest_is_cut(&m, head));
    ck_assert(!nx_manifest_is_cut(&m, head - 1) && !nx_manifest_is_cut(&m, end));
    ck_assert_uint_eq(nx_manifest_least(&m, head - 1), head);
    ck_assert_uint_eq(nx_manifest_least(&m, head), head);
    ck_assert_uint_eq(nx_manifest_least(&m, head + 1), end);
    ck_assert_uint_eq(nx_manifest_least(&m, end + 700), end);
    fill_manifest(&m, 100, MIB); /* no larger than a volume */
    nx_assert_ok(nx_package_plan(&m, &err), err);
    ck_assert(m.volumes.count == 0 && !nx_manifest_is_cut(&m, 0));
    ck_assert_uint_eq(nx_manifest_least(&m, 0), nx_manifest_end(&m));
}
END_TEST

/* Signed by the author, and wrong all the same. */
START_TEST(bad_manifests)
{
    static const struct {
        const char *volumes, *message;
    } cases[] = {
        { "head=\"1\" size=\"2097152\"", "a head of 1 bytes ends before domain.xml" },
        { "head=\"5242880000\" size=\"2097152\"", "leaves none of" },
        { "head=\"9000\" size=\"0\"", "volumes of 0 bytes" },
        { "head=\"9000\" size=\"4096\"", "volumes of 4096 bytes" },
        { "head=\"9000\" size=\"1152921504606846976\"", "not a number up to" },
        { "head=\"99999999999999999999\" size=\"2097152\"", "manifest.xml:" },
        { "head=\"-1\" size=\"2097152\"", "manifest.xml:" },
        { "head=\"9000\"", "manifest.xml:" },
        { "head=\"9000\" size=\"2097152\" count=\"3\"", "manifest.xml:" },
    };
    struct nx_error err;
    struct nx_manifest m;
    fill_manifest(&m, 100, 5 * MIB);
    nx_assert_ok(nx_package_plan(&m, &err), err);
    NX_AUTO_BUFFER struct nx_buffer xml = NX_BUFFER_INIT(NX_MANIFEST_MAX);
    nx_assert_ok(nx_manifest_write(&m, &xml, &err), err);
    const char *from = memmem(xml.data, xml.len, "<volumes ", 9);
    ck_assert_ptr_nonnull(from);
    const char *to = strstr(from, "/>");
    size_t before = (size_t)(from - (char *)xml.data) + 9, after = (size_t)(to - (char *)xml.data);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        NX_AUTO_BUFFER struct nx_buffer bent = NX_BUFFER_INIT(NX_MANIFEST_MAX);
        NX_AUTO_MANIFEST struct nx_manifest *parsed = NULL;
        nx_assert_ok(nx_buffer_add(&bent, xml.data, before, &err), err);
        nx_assert_ok(nx_buffer_add(&bent, cases[i].volumes, strlen(cases[i].volumes), &err), err);
        nx_assert_ok(nx_buffer_add(&bent, xml.data + after, xml.len - after, &err), err);
        nx_assert_fails(nx_manifest_parse(bent.data, bent.len, &parsed, &err), err,
                        cases[i].message);
        ck_assert_ptr_null(parsed);
    }
}
END_TEST

/* ---- files ---- */

static char dir[64], head_path[80];
static struct nx_manifest
    manifest; /* head 1000 bytes, two whole volumes, one of 100 bytes and the tail */
static uint8_t *whole;
static const uint64_t whole_size = 1000 + 4 * MIB + 140;

static void write_part(unsigned file, const void *data, size_t len)
{
    struct nx_error err;
    NX_AUTO_FREE char *path = nx_volume_path(head_path, file);
    NX_AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    nx_assert_ok(nx_write_full(fd, data, len, path, &err), err);
}

static void setup_files(void)
{
    strcpy(dir, "/tmp/nxpk-volumes-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(head_path, sizeof head_path, "%s/x.nxpk", dir);
    memset(&manifest, 0, sizeof manifest);
    manifest.chunks = (struct nx_span){ 900, whole_size - 40 - 900 };
    manifest.volumes =
        (struct nx_volumes){ .head = 1000, .size = 2 * MIB, .end = nx_manifest_end(&manifest) };
    ck_assert_int_eq(nx_volumes_check(&manifest.volumes, NULL), 0);
    whole = malloc(whole_size);
    for (uint64_t i = 0; i < whole_size; i++)
        whole[i] = (uint8_t)(i * 7 + (i >> 8));
    write_part(0, whole, 1000);
    write_part(1, whole + 1000, 2 * MIB);
    write_part(2, whole + 1000 + 2 * MIB, 2 * MIB);
    write_part(3, whole + 1000 + 4 * MIB, 140);
}

static void teardown_files(void)
{
    for (unsigned i = 0; i <= 5; i++) {
        NX_AUTO_FREE char *path = nx_volume_path(head_path, i);
        unlink(path);
    }
    ck_assert_int_eq(rmdir(dir), 0);
    free(whole);
}

static int settle(struct nx_parts *parts, struct nx_error *err)
{
    nx_assert_ok(nx_parts_open(parts, head_path, O_RDWR, err), *err);
    return nx_parts_settle(parts, &manifest, err);
}

START_TEST(parts_are_read)
{
    struct nx_error err;
    setup_files();
    write_part(4, "of an older package", 19);
    NX_AUTO_PARTS struct nx_parts parts = NX_PARTS_INIT;
    nx_assert_ok(settle(&parts, &err), err);
    ck_assert_uint_eq(parts.size, whole_size);
    ck_assert_uint_eq(parts.count, 4);
    static const struct {
        uint64_t offset;
        size_t n;
    } cases[] = {
        { 0, 1000 },
        { 999, 2 },
        { 1000, 2 * MIB },
        { 500, 3 * MIB },
        { 0, 1000 + 4 * MIB + 140 },
        { 1000 + 2 * MIB - 1, 2 },
        { 1000 + 4 * MIB - 1, 141 },
        { 7, 0 },
    };
    NX_AUTO_FREE uint8_t *got = malloc(whole_size);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nx_assert_ok(nx_parts_read(&parts, got, cases[i].n, cases[i].offset, &err), err);
        ck_assert_mem_eq(got, whole + cases[i].offset, cases[i].n);
    }
    nx_assert_fails(nx_parts_read(&parts, got, 2, whole_size - 1, &err), err,
                    "x.nxpk.003: ends at 140, wanted 2 bytes at offset 139");
    /* Over a border, written and read. */
    nx_assert_ok(nx_parts_write_through(&parts, "abcd", 4, 1000 + 2 * MIB - 2, &err), err);
    nx_assert_ok(nx_parts_read(&parts, got, 6, 1000 + 2 * MIB - 3, &err), err);
    ck_assert_mem_eq(got + 1, "abcd", 4);
    uint64_t within;
    const char *where = nx_parts_where(&parts, 1000 + 2 * MIB + 5, &within);
    ck_assert_msg(strstr(where, "/x.nxpk.002") && within == 5, "%s at %" PRIu64, where, within);
    nx_parts_release(&parts);
    teardown_files();
}
END_TEST

START_TEST(wrong_parts)
{
    static const struct {
        unsigned file;
        size_t len; /* 0: not there */
        const char *message;
    } cases[] = {
        { 1, 0, "x.nxpk.001: No such file or directory: volume 1 of the package's 3 must stand" },
        { 2, 0, "x.nxpk.002: No such file or directory: volume 2 of the package's 3 must stand" },
        { 3, 0, "x.nxpk.003: No such file or directory: volume 3 of the package's 3 must stand" },
        { 2, 2 * MIB - 1,
          "x.nxpk.002: truncated, or a volume of another package: 2097151 bytes of at least "
          "2097152" },
        { 2, 2 * MIB + 1,
          "x.nxpk.002: a volume of another package: 2097153 bytes, at most 2097152" },
        { 3, 99,
          "x.nxpk.003: truncated, or a volume of another package: 99 bytes of at least 100" },
        { 0, 999, "x.nxpk: truncated: 999 bytes of at least 1000" },
        { 0, 1001, "x.nxpk: truncated: 1001 bytes of at least 4195404" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nx_error err;
        setup_files();
        NX_AUTO_FREE char *path = nx_volume_path(head_path, cases[i].file);
        unlink(path);
        if (cases[i].len)
            write_part(cases[i].file, whole, cases[i].len);
        NX_AUTO_PARTS struct nx_parts parts = NX_PARTS_INIT;
        nx_assert_fails(settle(&parts, &err), err, cases[i].message);
        nx_parts_release(&parts);
        teardown_files();
    }
    struct nx_error err;
    NX_AUTO_PARTS struct nx_parts parts = NX_PARTS_INIT;
    nx_assert_fails(nx_parts_open(&parts, "/nowhere/x.nxpk", O_RDONLY, &err), err,
                    "/nowhere/x.nxpk: No such file");
}
END_TEST

/* In one file nothing beside it counts, not even what is called like a volume. */
START_TEST(whole_beside_volumes)
{
    struct nx_error err;
    setup_files();
    write_part(0, whole, whole_size);
    write_part(1, "x", 1);
    NX_AUTO_PARTS struct nx_parts parts = NX_PARTS_INIT;
    nx_assert_ok(settle(&parts, &err), err);
    ck_assert(parts.count == 1 && parts.volumes.count == 0 && parts.size == whole_size);
    NX_AUTO_FREE uint8_t *got = malloc(whole_size);
    nx_assert_ok(nx_parts_read(&parts, got, whole_size, 0, &err), err);
    ck_assert_mem_eq(got, whole, whole_size);
    nx_parts_release(&parts);
    teardown_files();
}
END_TEST

/* More files than a process may usually have open. */
START_TEST(many_parts)
{
    struct nx_error err;
    struct rlimit limit;
    setup_files();
    for (unsigned i = 4; i <= NX_VOLUMES_MAX; i++)
        write_part(i, "x", 1);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 256;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    NX_AUTO_PARTS struct nx_parts parts = NX_PARTS_INIT;
    nx_assert_ok(nx_parts_open(&parts, head_path, O_RDONLY, &err), err);
    if (limit.rlim_max > NX_VOLUMES_MAX + 50)
        ck_assert_uint_eq(parts.count, NX_VOLUMES_MAX + 1);
    nx_assert_ok(nx_parts_settle(&parts, &manifest, &err), err);
    ck_assert_uint_eq(parts.count, 4);
    nx_parts_release(&parts);
    for (unsigned i = 6; i <= NX_VOLUMES_MAX; i++) {
        NX_AUTO_FREE char *path = nx_volume_path(head_path, i);
        unlink(path);
    }
    teardown_files();
}
END_TEST

NX_TEST_MAIN("volumes", places, places_join, bad_numbers, suffixes, plans, manifest_settles,
             whole_or_cut, bad_manifests, parts_are_read, wrong_parts, whole_beside_volumes,
             many_parts)
