/* SPDX-License-Identifier: MIT */
#include "formats/savefile.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"

#define HEADER_SIZE    92
#define MAGIC          "LibvirtQemudSave"
#define MAGIC_PARTIAL  "LibvirtQemudPart"
#define MAGIC_SIZE     16
#define VERSION        2
#define VERSION_SPARSE 3 /* QEMU's mapped-ram: pages at fixed offsets, no stream */

/* libvirt's numbers for compression (its enum of save formats), and who undoes it. */
static const struct compression {
    uint32_t number;
    const char *name;
    int filter; /* libarchive's code */
    int (*support)(struct archive *);
} compressions[] = {
    { 0, "none", ARCHIVE_FILTER_NONE, NULL },
    { 1, "gzip", ARCHIVE_FILTER_GZIP, archive_read_support_filter_gzip },
    { 2, "bzip2", ARCHIVE_FILTER_BZIP2, archive_read_support_filter_bzip2 },
    { 3, "xz", ARCHIVE_FILTER_XZ, archive_read_support_filter_xz },
    { 4, "lzop", ARCHIVE_FILTER_LZOP, archive_read_support_filter_lzop },
    { 5, "zstd", ARCHIVE_FILTER_ZSTD, archive_read_support_filter_zstd },
};
#define NUMBER_SPARSE 6

struct nx_savefile {
    int fd;
    const char *name;
    struct nx_buffer xml;
    bool was_running;
    const struct compression *compression;
    uint64_t stream;
    struct archive *archive; /* NULL: not compressed */
};

struct header {
    uint32_t version, data_len, was_running, compression, cookie;
};

/* ---- the header ---- */

bool nx_savefile_detect(int fd)
{
    char magic[MAGIC_SIZE];
    return pread(fd, magic, sizeof magic, 0) == MAGIC_SIZE &&
           (memcmp(magic, MAGIC, MAGIC_SIZE) == 0 || memcmp(magic, MAGIC_PARTIAL, MAGIC_SIZE) == 0);
}

static int check_magic(const uint8_t *magic, const char *name, struct nx_error *err)
{
    if (memcmp(magic, MAGIC_PARTIAL, MAGIC_SIZE) == 0)
        return nx_fail(err, NX_ERR_FORMAT,
                       "%s: libvirt did not finish this save: save the machine again", name);
    if (memcmp(magic, MAGIC, MAGIC_SIZE) != 0)
        return nx_fail(err, NX_ERR_FORMAT,
                       "%s: not a save file of libvirt (virsh save, virsh managedsave)", name);
    return 0;
}

static uint32_t take_u32(struct nx_reader *r, bool big)
{
    uint64_t value = 0;
    (void)(big ? nx_read_be(r, 4, &value) : nx_read_le(r, 4, &value));
    return (uint32_t)value;
}

static bool is_version(uint32_t version)
{
    return version == VERSION || version == VERSION_SPARSE;
}

static int parse_header(const uint8_t *bytes, const char *name, struct header *ret_header,
                        struct nx_error *err)
{
    if (check_magic(bytes, name, err) < 0)
        return -1;
    struct nx_reader look = nx_reader(bytes + MAGIC_SIZE, 4);
    bool big = !is_version(take_u32(&look, false));
    struct nx_reader r = nx_reader(bytes + MAGIC_SIZE, HEADER_SIZE - MAGIC_SIZE);
    ret_header->version = take_u32(&r, big);
    ret_header->data_len = take_u32(&r, big);
    ret_header->was_running = take_u32(&r, big);
    ret_header->compression = take_u32(&r, big);
    ret_header->cookie = take_u32(&r, big);
    if (!is_version(ret_header->version))
        return nx_fail(err, NX_ERR_FORMAT,
                       "%s: a save file of an unknown version: this nxpack knows 2", name);
    if (ret_header->version == VERSION_SPARSE || ret_header->compression == NUMBER_SPARSE)
        return nx_fail(err, NX_ERR_FORMAT,
                       "%s: saved in libvirt's format \"sparse\", which holds no migration stream: "
                       "save it with virsh save --image-format raw, or set save_image_format in "
                       "qemu.conf",
                       name);
    return 0;
}

static const struct compression *find_compression(uint32_t number)
{
    for (size_t i = 0; i < sizeof compressions / sizeof compressions[0]; i++)
        if (compressions[i].number == number)
            return &compressions[i];
    return NULL;
}

/* The XML ends at its first NUL, before the cookie if there is one. */
static int read_xml(struct nx_savefile *save, const struct header *header, struct nx_error *err)
{
    if (header->data_len < 1 || header->data_len > NX_SAVEFILE_XML_MAX ||
        header->cookie >= header->data_len)
        return nx_fail(err, NX_ERR_FORMAT,
                       "%s: its header is damaged: %u bytes of XML, cookie at %u", save->name,
                       header->data_len, header->cookie);
    nx_buffer_init(&save->xml, NX_SAVEFILE_XML_MAX + 1);
    if (nx_buffer_reserve(&save->xml, header->data_len + 1, err) < 0 ||
        nx_pread_full(save->fd, save->xml.data, header->data_len, HEADER_SIZE, save->name, err) < 0)
        return -1;
    size_t max = header->cookie ? header->cookie : header->data_len;
    save->xml.len = strnlen((const char *)save->xml.data, max);
    save->xml.data[save->xml.len] = 0;
    return 0;
}

/* ---- the stream ---- */

static int fail_archive(const struct nx_savefile *save, struct nx_error *err)
{
    const char *text = archive_error_string(save->archive);
    bool no_memory = archive_errno(save->archive) == ENOMEM;
    return nx_fail(err, no_memory ? NX_ERR_SYSTEM : NX_ERR_FORMAT, "%s: its %s stream: %s",
                   save->name, save->compression->name, text ? text : "damaged");
}

static int open_compressed(struct nx_savefile *save, struct nx_error *err)
{
    struct archive_entry *entry;
    save->archive = archive_read_new();
    if (!save->archive)
        return nx_fail_errno(err, "%s", save->name);
    int support = save->compression->support(save->archive);
    /* A warning: libarchive runs a program for it. */
    if (support != ARCHIVE_OK && support != ARCHIVE_WARN)
        return fail_archive(save, err);
    if (archive_read_support_format_raw(save->archive) != ARCHIVE_OK ||
        archive_read_open_fd(save->archive, save->fd, 256 * 1024) != ARCHIVE_OK ||
        archive_read_next_header(save->archive, &entry) != ARCHIVE_OK) {
        fail_archive(save, err);
        return support == ARCHIVE_WARN
                   ? nx_fail_while(err, "the program %s is needed for it", save->compression->name)
                   : -1;
    }
    if (archive_filter_code(save->archive, 0) != save->compression->filter)
        return nx_fail(err, NX_ERR_FORMAT,
                       "%s: its header says that it is compressed by %s, but it is not", save->name,
                       save->compression->name);
    return 0;
}

static int open_stream(struct nx_savefile *save, const struct header *header, struct nx_error *err)
{
    save->compression = find_compression(header->compression);
    if (!save->compression)
        return nx_fail(err, NX_ERR_FORMAT, "%s: compressed in a way that is not known (number %u)",
                       save->name, header->compression);
    off_t start = (off_t)HEADER_SIZE + header->data_len;
    save->stream = (uint64_t)start;
    if (lseek(save->fd, start, SEEK_SET) != start)
        return nx_fail_errno(err, "%s", save->name);
    return save->compression->support ? open_compressed(save, err) : 0;
}

int nx_savefile_open(int fd, const char *name, struct nx_savefile **ret_save, struct nx_error *err)
{
    NX_AUTO_SAVEFILE struct nx_savefile *save = calloc(1, sizeof *save);
    uint8_t bytes[HEADER_SIZE];
    struct header header;
    if (!save)
        return nx_fail_errno(err, "%s", name);
    save->fd = fd;
    save->name = name;
    if (nx_pread_full(fd, bytes, sizeof bytes, 0, name, err) < 0 ||
        parse_header(bytes, name, &header, err) < 0 || read_xml(save, &header, err) < 0 ||
        open_stream(save, &header, err) < 0)
        return -1;
    save->was_running = header.was_running != 0;
    *ret_save = NX_STEAL(save);
    return 0;
}

void nx_savefile_free(struct nx_savefile *save)
{
    if (!save)
        return;
    if (save->archive)
        archive_read_free(save->archive);
    nx_buffer_release(&save->xml);
    free(save);
}

const struct nx_buffer *nx_savefile_xml(const struct nx_savefile *save)
{
    return &save->xml;
}

bool nx_savefile_was_running(const struct nx_savefile *save)
{
    return save->was_running;
}

const char *nx_savefile_compression(const struct nx_savefile *save)
{
    return save->compression->name;
}

uint64_t nx_savefile_stream(const struct nx_savefile *save)
{
    return save->archive ? 0 : save->stream;
}

int nx_savefile_read(struct nx_savefile *save, void *buf, size_t len, size_t *ret_n,
                     struct nx_error *err)
{
    ssize_t n;
    if (save->archive) {
        n = archive_read_data(save->archive, buf, len);
        if (n < 0)
            return fail_archive(save, err);
    } else {
        do
            n = read(save->fd, buf, len);
        while (n < 0 && errno == EINTR);
        if (n < 0)
            return nx_fail_errno(err, "%s", save->name);
    }
    *ret_n = (size_t)n;
    return 0;
}
