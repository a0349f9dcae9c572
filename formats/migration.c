/* SPDX-License-Identifier: MIT */
/* The stream goes through one window.  Each record is looked at whole, and then either kept (it is
 * device state) or dropped (it is a page of main memory).  QEMU's description of the stream is
 * docs/devel/migration.rst in its source; docs/memory.md says what of it matters here.
 */
#include "formats/migration.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "formats/chunk.h"

#define WINDOW           (256 * 1024)      /* bytes */
#define TAIL_MAX         (8 * 1024 * 1024) /* bytes of QEMU's own description at the stream's end */
#define BLOCKS_MAX       256
#define TEXT_MAX         256        /* a counted string and its NUL */
#define STREAM_MAGIC     0x5145564d /* "QEVM" */
#define STREAM_VERSION   3
#define RAM_VERSION      4
#define CAPABILITIES_MAX 64

enum section {
    SECTION_EOF = 0x00,
    SECTION_START = 0x01,
    SECTION_PART = 0x02,
    SECTION_END = 0x03,
    SECTION_FULL = 0x04,
    SECTION_SUBSECTION = 0x05,
    SECTION_DESCRIPTION = 0x06,
    SECTION_CONFIGURATION = 0x07,
    SECTION_COMMAND = 0x08,
    SECTION_FOOTER = 0x7e,
};

/* Of a record of the section "ram": the low bits of its address. */
enum ram_flag {
    RAM_FILL = 0x02,
    RAM_BLOCKS = 0x04,
    RAM_PAGE = 0x08,
    RAM_END = 0x10,
    RAM_CONTINUE = 0x20,
    RAM_XBZRLE = 0x40,
    RAM_HOOK = 0x80,
    RAM_COMPRESSED = 0x100,
    RAM_MULTIFD = 0x200,
};
#define RAM_FLAGS (NX_MIGRATION_PAGE - 1)

struct block {
    char name[TEXT_MAX];
    uint64_t size;
};

struct split {
    const struct nx_migration_ops *ops;
    const char *name;
    struct nx_migration_info *info;
    struct nx_error *err;

    uint8_t *window;
    size_t at, len;  /* the window's bytes at … len are still to come */
    uint64_t offset; /* of the byte at, in the stream */

    struct block blocks[BLOCKS_MAX];
    unsigned n_blocks;
    int main;    /* index of the main memory, or -1 */
    int current; /* the block that RAM_CONTINUE means; it outlives a section */
    uint32_t ram_id;

    uint8_t *tail; /* the last bytes of what was kept, at most 2 * TAIL_MAX */
    size_t tail_len;
};

/* ---- the window ---- */

static int damaged(struct split *s, const char *what)
{
    return nx_fail(s->err, NX_ERR_FORMAT,
                   "%s: the migration stream is damaged at its byte %" PRIu64 ": %s", s->name,
                   s->offset, what);
}

static int refuse(struct split *s, const char *what)
{
    return nx_fail(s->err, NX_ERR_FORMAT, "%s: byte %" PRIu64 " of the migration stream: %s",
                   s->name, s->offset, what);
}

/* Read more into the window; *ret_more is false at the stream's end. */
static int fill(struct split *s, bool *ret_more)
{
    size_t n = 0;
    memmove(s->window, s->window + s->at, s->len - s->at);
    s->len -= s->at;
    s->at = 0;
    if (s->ops->read(s->ops->opaque, s->window + s->len, WINDOW - s->len, &n, s->err) < 0)
        return -1;
    s->len += n;
    *ret_more = n > 0;
    return 0;
}

/* The next n bytes, which stay to come; NULL if the stream fails or ends before. */
static const uint8_t *peek(struct split *s, size_t n)
{
    bool more = true;
    while (s->len - s->at < n) {
        if (fill(s, &more) < 0)
            return NULL;
        if (!more) {
            nx_fail(s->err, NX_ERR_FORMAT,
                    "%s: truncated: the migration stream ends after %" PRIu64 " bytes", s->name,
                    s->offset + (s->len - s->at));
            return NULL;
        }
    }
    return s->window + s->at;
}

static void drop(struct split *s, size_t n)
{
    s->at += n;
    s->offset += n;
}

/* The end of what is kept is looked at when all is there (check_end()). */
static void note_tail(struct split *s, const uint8_t *data, size_t len)
{
    if (s->tail_len + len > 2 * TAIL_MAX) {
        size_t keep = s->tail_len < TAIL_MAX ? s->tail_len : TAIL_MAX;
        memmove(s->tail, s->tail + s->tail_len - keep, keep);
        s->tail_len = keep;
    }
    memcpy(s->tail + s->tail_len, data, len);
    s->tail_len += len;
}

/* The next n bytes, which were peeked at, are device state. */
static int keep(struct split *s, size_t n)
{
    const uint8_t *data = s->window + s->at;
    if (s->ops->state(s->ops->opaque, data, n, s->err) < 0)
        return -1;
    s->info->state += n;
    note_tail(s, data, n);
    drop(s, n);
    return 0;
}

static uint64_t number(const uint8_t *bytes, unsigned n)
{
    struct nx_reader r = nx_reader(bytes, n);
    uint64_t value = 0;
    (void)nx_read_be(&r, n, &value);
    return value;
}

/* Keep a number. */
static int keep_number(struct split *s, unsigned n, uint64_t *ret_value)
{
    const uint8_t *bytes = peek(s, n);
    if (!bytes)
        return -1;
    *ret_value = number(bytes, n);
    return keep(s, n);
}

/* A text of len bytes at bytes, which must be printable: it goes into messages and names. */
static int copy_text(struct split *s, const uint8_t *bytes, size_t len, char text[static TEXT_MAX])
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i] < 0x20 || bytes[i] > 0x7e)
            return damaged(s, "a name that is not printable");
    memcpy(text, bytes, len);
    text[len] = 0;
    return 0;
}

/* Keep a string with its length, a byte, in front. */
static int keep_text(struct split *s, char text[static TEXT_MAX])
{
    const uint8_t *bytes = peek(s, 1);
    size_t len = bytes ? bytes[0] : 0;
    if (!bytes || !(bytes = peek(s, 1 + len)) || copy_text(s, bytes + 1, len, text) < 0)
        return -1;
    return keep(s, 1 + len);
}

/* ---- the stream's head ---- */

static int read_magic(struct split *s)
{
    const uint8_t *bytes = peek(s, 8);
    if (!bytes)
        return -1;
    if (number(bytes, 4) != STREAM_MAGIC)
        return damaged(s, "it does not open with QEMU's mark");
    if (number(bytes + 4, 4) != STREAM_VERSION)
        return refuse(s, "a version of the stream other than 3 cannot be split");
    return keep(s, 8);
}

/* Capabilities that the loading QEMU must have, too: each changes the stream. */
static int read_capabilities(struct split *s)
{
    uint64_t count;
    char text[TEXT_MAX], what[TEXT_MAX + 80];
    if (keep_number(s, 4, &count) < 0)
        return -1;
    if (count > CAPABILITIES_MAX)
        return damaged(s, "too many capabilities");
    if (count == 0)
        return 0;
    if (keep_text(s, text) < 0)
        return -1;
    snprintf(what, sizeof what, "saved with the migration capability %s, which cannot be split",
             text);
    return refuse(s, what);
}

static int read_page_bits(struct split *s)
{
    uint64_t bits;
    if (keep_number(s, 4, &bits) < 0)
        return -1;
    return bits == 12 ? 0 : refuse(s, "the guest's pages are not of 4 KiB");
}

static int read_uuid(struct split *s)
{
    return peek(s, 16) ? keep(s, 16) : -1;
}

static int read_subsection(struct split *s)
{
    static const struct {
        const char *name;
        int (*read)(struct split *s);
    } known[] = {
        { "configuration/target-page-bits", read_page_bits },
        { "configuration/capabilities", read_capabilities },
        { "configuration/uuid", read_uuid },
    };
    char name[TEXT_MAX], what[TEXT_MAX + 40];
    uint64_t version;
    if (keep(s, 1) < 0 || keep_text(s, name) < 0 || keep_number(s, 4, &version) < 0)
        return -1;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(known[i].name, name) == 0 && version == 1)
            return known[i].read(s);
    snprintf(what, sizeof what, "its %s is not known", name);
    return refuse(s, what);
}

static int read_configuration(struct split *s)
{
    uint64_t len;
    const uint8_t *bytes = peek(s, 1);
    if (!bytes)
        return -1;
    if (bytes[0] != SECTION_CONFIGURATION)
        return refuse(s, "it does not name its machine type: its machine is too old to be split");
    if (keep(s, 1) < 0 || keep_number(s, 4, &len) < 0)
        return -1;
    if (len == 0 || len >= TEXT_MAX)
        return damaged(s, "the length of its machine type");
    bytes = peek(s, len);
    if (!bytes || copy_text(s, bytes, len, s->info->machine) < 0 || keep(s, len) < 0)
        return -1;
    while ((bytes = peek(s, 1)) && bytes[0] == SECTION_SUBSECTION)
        if (read_subsection(s) < 0)
            return -1;
    return bytes ? 0 : -1;
}

/* ---- the section "ram" ---- */

static int find_block(const struct split *s, const char *name)
{
    for (unsigned i = 0; i < s->n_blocks; i++)
        if (strcmp(s->blocks[i].name, name) == 0)
            return (int)i;
    return -1;
}

/* Names that libvirt and QEMU give to memory that is not the main one: NUMA cells, DIMMs, objects. */
static bool is_more_memory(const char *name)
{
    static const char *const prefixes[] = { "ram-node", "mem", "/objects/", "dimm", "nvdimm" };
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

static int read_block(struct split *s, uint64_t *left)
{
    char what[TEXT_MAX + 80];
    if (s->n_blocks == BLOCKS_MAX)
        return damaged(s, "more than 256 blocks of memory");
    struct block *block = &s->blocks[s->n_blocks];
    if (keep_text(s, block->name) < 0 || keep_number(s, 8, &block->size) < 0)
        return -1;
    if (find_block(s, block->name) >= 0)
        return damaged(s, "two blocks of memory of one name");
    if (block->size == 0 || block->size > *left || block->size > NX_MIGRATION_RAM_MAX)
        return damaged(s, "the sizes of the blocks of memory do not make their sum");
    if (is_more_memory(block->name)) {
        snprintf(what, sizeof what,
                 "the machine's memory is in several parts (%s): remove NUMA cells, memory modules "
                 "and memory backing from the domain",
                 block->name);
        return refuse(s, what);
    }
    *left -= block->size;
    s->n_blocks++;
    return 0;
}

static int read_blocks(struct split *s, uint64_t sum)
{
    if (s->n_blocks > 0)
        return damaged(s, "a second list of memory blocks");
    for (uint64_t left = sum; left > 0;)
        if (read_block(s, &left) < 0)
            return -1;
    s->main = find_block(s, NX_MIGRATION_BLOCK);
    if (s->main < 0)
        return refuse(s, "the machine has no main memory " NX_MIGRATION_BLOCK
                         ": it is not of type pc or q35, or has memory in several parts");
    s->info->memory = s->blocks[s->main].size;
    if (s->info->memory % NX_MIGRATION_PAGE)
        return damaged(s, "the main memory is no whole number of pages");
    return 0;
}

/* What the header of a page's record says. */
struct page {
    uint64_t address;
    unsigned flags;
    size_t header; /* bytes */
    int block;
};

static int read_page_header(struct split *s, uint64_t word, struct page *ret_page)
{
    *ret_page = (struct page){ .address = word & ~(uint64_t)RAM_FLAGS,
                               .flags = (unsigned)(word & RAM_FLAGS),
                               .header = 8,
                               .block = s->current };
    if (!(ret_page->flags & RAM_CONTINUE)) {
        char name[TEXT_MAX];
        const uint8_t *bytes = peek(s, 9);
        size_t len = bytes ? bytes[8] : 0;
        if (!bytes || !(bytes = peek(s, 9 + len)) || copy_text(s, bytes + 9, len, name) < 0)
            return -1;
        ret_page->header += 1 + len;
        ret_page->block = find_block(s, name);
    }
    if (ret_page->block < 0)
        return damaged(s, "a page of a block of memory that is not in the list");
    uint64_t size = s->blocks[ret_page->block].size;
    if (size < NX_MIGRATION_PAGE || ret_page->address > size - NX_MIGRATION_PAGE)
        return damaged(s, "a page behind the end of its block of memory");
    s->current = ret_page->block;
    return 0;
}

static int main_page(struct split *s, const struct page *page, const uint8_t *payload)
{
    uint8_t filled[NX_MIGRATION_PAGE];
    if (page->flags & RAM_FILL)
        memset(filled, payload[0], sizeof filled);
    const uint8_t *data = page->flags & RAM_FILL ? filled : payload;
    if (nx_is_zero(data, NX_MIGRATION_PAGE))
        data = NULL;
    s->info->pages++;
    uint64_t at = page->flags & RAM_FILL ? NX_MIGRATION_FILLED : s->offset + page->header;
    return s->ops->page(s->ops->opaque, page->address, data, at, s->err);
}

static int read_page(struct split *s, uint64_t word)
{
    struct page page;
    if (read_page_header(s, word, &page) < 0)
        return -1;
    size_t size = page.header + (page.flags & RAM_FILL ? 1 : NX_MIGRATION_PAGE);
    const uint8_t *bytes = peek(s, size);
    if (!bytes)
        return -1;
    if (page.block != s->main)
        return keep(s, size);
    if (main_page(s, &page, bytes + page.header) < 0)
        return -1;
    drop(s, size);
    return 0;
}

static int refuse_record(struct split *s, unsigned flags)
{
    if (flags & RAM_XBZRLE)
        return refuse(s, "saved with the migration capability xbzrle, which cannot be split");
    if (flags & RAM_COMPRESSED)
        return refuse(s, "saved with the migration capability compress, which cannot be split");
    if (flags & RAM_MULTIFD)
        return refuse(s, "saved with the migration capability multifd, which cannot be split");
    if (flags & RAM_HOOK)
        return refuse(s, "a stream of RDMA cannot be split");
    return damaged(s, "a record of memory of unknown kind");
}

/* One record; *ret_end: it was the last of its section. */
static int read_record(struct split *s, bool *ret_end)
{
    const uint8_t *bytes = peek(s, 8);
    if (!bytes)
        return -1;
    uint64_t word = number(bytes, 8);
    unsigned flags = (unsigned)(word & RAM_FLAGS);
    *ret_end = flags == RAM_END;
    switch (flags) {
    case RAM_END:
        return keep(s, 8);
    case RAM_BLOCKS:
        return keep(s, 8) < 0 ? -1 : read_blocks(s, word & ~(uint64_t)RAM_FLAGS);
    case RAM_PAGE:
    case RAM_PAGE | RAM_CONTINUE:
    case RAM_FILL:
    case RAM_FILL | RAM_CONTINUE:
        return read_page(s, word);
    default:
        return refuse_record(s, flags);
    }
}

static int read_records(struct split *s)
{
    for (bool end = false; !end;)
        if (read_record(s, &end) < 0)
            return -1;
    const uint8_t *footer = peek(s, 5);
    if (!footer)
        return -1;
    if (footer[0] != SECTION_FOOTER || number(footer + 1, 4) != s->ram_id)
        return damaged(s, "the section ram does not end with its footer");
    return keep(s, 5);
}

/* ---- sections ---- */

/* The header of a section that begins: "ram" must be the first, and is the only one with parts. */
static int read_start(struct split *s)
{
    uint64_t id, instance, version;
    char name[TEXT_MAX], what[TEXT_MAX + 80];
    if (keep(s, 1) < 0 || keep_number(s, 4, &id) < 0 || keep_text(s, name) < 0 ||
        keep_number(s, 4, &instance) < 0 || keep_number(s, 4, &version) < 0)
        return -1;
    if (strcmp(name, "ram") != 0) {
        snprintf(what, sizeof what,
                 "the section %s stands before the end of the memory, and cannot be split", name);
        return refuse(s, what);
    }
    if (s->n_blocks > 0)
        return damaged(s, "a second section ram");
    if (version != RAM_VERSION)
        return refuse(s, "a version of the section ram other than 4 cannot be split");
    s->ram_id = (uint32_t)id;
    if (read_records(s) < 0)
        return -1;
    return s->n_blocks > 0 ? 0 : damaged(s, "the section ram has no list of memory blocks");
}

static int read_part(struct split *s)
{
    uint64_t id;
    if (keep(s, 1) < 0 || keep_number(s, 4, &id) < 0)
        return -1;
    if (s->n_blocks == 0 || id != s->ram_id)
        return damaged(s, "a part of a section that has not begun");
    return read_records(s);
}

/* Sections up to the end of "ram". */
static int read_memory(struct split *s)
{
    for (;;) {
        const uint8_t *bytes = peek(s, 1);
        if (!bytes)
            return -1;
        uint8_t type = bytes[0];
        switch (type) {
        case SECTION_START:
        case SECTION_FULL:
            if (read_start(s) < 0)
                return -1;
            break;
        case SECTION_PART:
        case SECTION_END:
            if (read_part(s) < 0)
                return -1;
            break;
        case SECTION_COMMAND:
            return refuse(s, "it has commands, as of a post-copy migration, and cannot be split");
        case SECTION_EOF:
            return damaged(s, "it ends before its memory does");
        default:
            return damaged(s, "a section of unknown kind");
        }
        if (type == SECTION_END)
            return 0;
    }
}

/* What is left is device state, whatever it is. */
static int keep_rest(struct split *s)
{
    for (bool more = true;;) {
        if (s->at < s->len && keep(s, s->len - s->at) < 0)
            return -1;
        if (!more)
            return 0;
        if (fill(s, &more) < 0)
            return -1;
    }
}

/* A whole stream ends with QEMU's description of it: 0x00, 0x06, a length, and so many bytes of JSON. */
static int check_end(struct split *s)
{
    static const uint8_t head[] = { SECTION_EOF, SECTION_DESCRIPTION };
    for (size_t size = 6; size < s->tail_len && size < TAIL_MAX; size++) {
        const uint8_t *at = s->tail + s->tail_len - size;
        if (memcmp(at, head, 2) == 0 && number(at + 2, 4) == size - 6)
            return 0;
    }
    return nx_fail(s->err, NX_ERR_FORMAT,
                   "%s: truncated: the migration stream ends after %" PRIu64
                   " bytes without its description",
                   s->name, s->offset);
}

static int split(struct split *s)
{
    if (read_magic(s) < 0 || read_configuration(s) < 0 || read_memory(s) < 0 || keep_rest(s) < 0)
        return -1;
    return check_end(s);
}

int nx_migration_split(const struct nx_migration_ops *ops, const char *name,
                       struct nx_migration_info *ret_info, struct nx_error *err)
{
    *ret_info = (struct nx_migration_info){ 0 };
    struct split *s = calloc(1, sizeof *s);
    if (!s)
        return nx_fail_errno(err, "%s", name);
    *s = (struct split){
        .ops = ops, .name = name, .info = ret_info, .err = err, .main = -1, .current = -1
    };
    s->window = malloc(WINDOW);
    s->tail = malloc(2 * TAIL_MAX);
    int ret = s->window && s->tail ? split(s) : nx_fail_errno(err, "%s", name);
    free(s->window);
    free(s->tail);
    free(s);
    return ret;
}
