/* SPDX-License-Identifier: MIT */
/* libvirt's save files: compressed in all its ways, of both byte orders, with and without cookie; and what is none. */
#include "formats/savefile.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/main.h"

#define XML "<domain type='qemu'><name>saved</name></domain>"

struct header {
    const char *magic;
    uint32_t version, data_len, was_running, compression, cookie;
    bool big;
};

static void put_u32(uint8_t *at, uint32_t value, bool big)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> 8 * (big ? 3 - i : i));
}

static int file_of(const struct header *h, const char *data, size_t len, const void *stream,
                   size_t stream_len)
{
    uint8_t bytes[92] = { 0 };
    int fd = memfd_create("save", MFD_CLOEXEC);
    memcpy(bytes, h->magic, 16);
    const uint32_t numbers[] = { h->version, h->data_len, h->was_running, h->compression,
                                 h->cookie };
    for (int i = 0; i < 5; i++)
        put_u32(bytes + 16 + 4 * i, numbers[i], h->big);
    ck_assert(write(fd, bytes, sizeof bytes) == sizeof bytes);
    ck_assert(write(fd, data, len) == (ssize_t)len);
    ck_assert(write(fd, stream, stream_len) == (ssize_t)stream_len);
    return fd;
}

static const struct {
    uint32_t number;
    const char *name;
    int (*add)(struct archive *);
} ways[] = {
    { 0, "none", NULL },
    { 1, "gzip", archive_write_add_filter_gzip },
    { 2, "bzip2", archive_write_add_filter_bzip2 },
    { 3, "xz", archive_write_add_filter_xz },
    { 4, "lzop", archive_write_add_filter_lzop },
    { 5, "zstd", archive_write_add_filter_zstd },
};

static uint8_t stream[300000], packed[400000];

/* The stream as one of the ways has it; 0 if libarchive cannot here. */
static size_t pack_stream(size_t way)
{
    size_t used = 0;
    if (!ways[way].add) {
        memcpy(packed, stream, sizeof stream);
        return sizeof stream;
    }
    struct archive *a = archive_write_new();
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_pathname(entry, "x");
    archive_write_set_format_raw(a);
    archive_write_set_bytes_in_last_block(a, 1);
    bool good = ways[way].add(a) >= ARCHIVE_WARN &&
                archive_write_open_memory(a, packed, sizeof packed, &used) == ARCHIVE_OK &&
                archive_write_header(a, entry) == ARCHIVE_OK &&
                archive_write_data(a, stream, sizeof stream) == (la_ssize_t)sizeof stream;
    good = archive_write_close(a) == ARCHIVE_OK && good;
    archive_entry_free(entry);
    archive_write_free(a);
    return good ? used : 0;
}

static void check_stream(struct nx_savefile *save)
{
    struct nx_error err = NX_ERROR_INIT;
    uint8_t buf[70001];
    size_t at = 0, n;
    do {
        nx_assert_ok(nx_savefile_read(save, buf, sizeof buf, &n, &err), err);
        ck_assert_uint_le(at + n, sizeof stream);
        ck_assert_mem_eq(buf, stream + at, n);
        at += n;
    } while (n);
    ck_assert_uint_eq(at, sizeof stream);
}

START_TEST(reads_all_kinds)
{
    for (size_t i = 0; i < sizeof stream; i++)
        stream[i] = (uint8_t)(i * i >> 7);
    for (size_t way = 0; way < sizeof ways / sizeof ways[0]; way++) {
        size_t len = pack_stream(way);
        ck_assert_msg(len > 0, "%s cannot be made here", ways[way].name);
        for (int variant = 0; variant < 4; variant++) {
            struct nx_error err = NX_ERROR_INIT;
            char data[1024] = XML;
            struct nx_savefile *save;
            memcpy(data + 800, "<cookie/>", 9);
            const struct header h = { "LibvirtQemudSave", 2,
                                      sizeof data,        variant & 1,
                                      ways[way].number,   variant & 2 ? 800 : 0,
                                      variant == 3 };
            int fd = file_of(&h, data, sizeof data, packed, len);
            ck_assert(nx_savefile_detect(fd));
            nx_assert_ok(nx_savefile_open(fd, "s", &save, &err), err);
            ck_assert_str_eq((char *)nx_savefile_xml(save)->data, XML);
            ck_assert_uint_eq(nx_savefile_xml(save)->len, strlen(XML));
            ck_assert_int_eq(nx_savefile_was_running(save), variant & 1);
            ck_assert_str_eq(nx_savefile_compression(save), ways[way].name);
            check_stream(save);
            nx_savefile_free(save);
            close(fd);
        }
    }
}
END_TEST

static const struct {
    struct header header;
    const char *says;
} bad[] = {
    { { "LibvirtQemudPart", 2, 64, 0, 0, 0, false }, "did not finish this save" },
    { { "LibvirtQemudsave", 2, 64, 0, 0, 0, false }, "not a save file of libvirt" },
    { { "LibvirtQemudSave", 1, 64, 0, 0, 0, false }, "unknown version" },
    { { "LibvirtQemudSave", 3, 64, 0, 0, 0, false }, "sparse" },
    { { "LibvirtQemudSave", 2, 64, 0, 6, 0, false }, "sparse" },
    { { "LibvirtQemudSave", 2, 64, 0, 7, 0, false }, "not known (number 7)" },
    { { "LibvirtQemudSave", 2, 0, 0, 0, 0, false }, "its header is damaged" },
    { { "LibvirtQemudSave", 2, 0x7fffffff, 0, 0, 0, false }, "its header is damaged" },
    { { "LibvirtQemudSave", 2, 64, 0, 0, 64, false }, "its header is damaged" },
    { { "LibvirtQemudSave", 2, 4096, 0, 0, 0, false }, "ends at" },
    { { "LibvirtQemudSave", 2, 64, 0, 1, 0, false }, "compressed by gzip, but it is not" },
    { { "LibvirtQemudSave", 2, 64, 0, 5, 0, false }, "compressed by zstd, but it is not" },
};

START_TEST(refuses_others)
{
    char data[64] = XML;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct nx_error err = NX_ERROR_INIT;
        struct nx_savefile *save;
        int fd = file_of(&bad[i].header, data, sizeof data, "QEVM and more", 13);
        nx_assert_fails(nx_savefile_open(fd, "s.save", &save, &err), err, bad[i].says);
        ck_assert_msg(strncmp(err.msg, "s.save: ", 8) == 0, "%s", err.msg);
        close(fd);
    }
    int fd = memfd_create("short", MFD_CLOEXEC);
    struct nx_error err = NX_ERROR_INIT;
    struct nx_savefile *save;
    ck_assert(write(fd, "LibvirtQemudSave", 16) == 16);
    nx_assert_fails(nx_savefile_open(fd, "s", &save, &err), err, "ends at 16");
    close(fd);
}
END_TEST

START_TEST(damaged_compression)
{
    size_t len = pack_stream(5);
    char data[64] = XML;
    const struct header h = { "LibvirtQemudSave", 2, sizeof data, 1, 5, 0, false };
    packed[len / 2] ^= 0xff;
    int fd = file_of(&h, data, sizeof data, packed, len);
    struct nx_error err = NX_ERROR_INIT;
    struct nx_savefile *save = NULL;
    uint8_t buf[4096];
    size_t n = 1;
    int r = nx_savefile_open(fd, "s", &save, &err);
    while (r == 0 && n > 0)
        r = nx_savefile_read(save, buf, sizeof buf, &n, &err);
    nx_assert_fails(r, err, "zstd");
    nx_savefile_free(save);
    close(fd);
}
END_TEST

NX_TEST_MAIN("savefile", reads_all_kinds, refuses_others, damaged_compression)
