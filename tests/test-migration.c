/* SPDX-License-Identifier: MIT */
/* Splitting QEMU's migration stream: what goes where, and what is refused, by name. */
#include "formats/migration.h"

#include <stdbool.h>

#include "tests/support/main.h"
#include "tests/support/stream.h"

#define MEMORY (64 * 4096)

struct run {
    const struct nx_buffer *stream;
    size_t at, step; /* bytes handed out at a time */
    uint8_t memory[MEMORY];
    unsigned pages, zeros;
    struct nx_buffer state;
    struct nx_migration_info info;
};

static int take(void *opaque, void *buf, size_t len, size_t *ret_n, struct nx_error *err)
{
    struct run *run = opaque;
    size_t n = run->stream->len - run->at;
    n = n < len ? n : len;
    n = n < run->step ? n : run->step;
    memcpy(buf, run->stream->data + run->at, n);
    run->at += n;
    *ret_n = n;
    return 0;
}

static int put_page(void *opaque, uint64_t offset, const void *data, uint64_t at,
                    struct nx_error *err)
{
    struct run *run = opaque;
    ck_assert_uint_eq(offset % 4096, 0);
    ck_assert_uint_le(offset + 4096, MEMORY);
    if (data)
        memcpy(run->memory + offset, data, 4096);
    else
        memset(run->memory + offset, 0, 4096);
    if (data && at == NX_MIGRATION_FILLED)
        ck_assert_mem_eq(data, (const uint8_t *)data + 1, 4095);
    else if (data)
        ck_assert_mem_eq(run->stream->data + at, data, 4096);
    run->pages++;
    run->zeros += data == NULL;
    return 0;
}

static int put_state(void *opaque, const void *data, size_t len, struct nx_error *err)
{
    struct run *run = opaque;
    return nx_buffer_add(&run->state, data, len, err);
}

static int split(struct run *run, const struct nx_buffer *stream, size_t step, struct nx_error *err)
{
    *run = (struct run){ .stream = stream, .step = step, .state = NX_BUFFER_INIT(1 << 24) };
    const struct nx_migration_ops ops = { take, put_page, put_state, run };
    return nx_migration_split(&ops, "test", &run->info, err);
}

static const struct stream_block blocks[] = {
    { "pc.ram", MEMORY },
    { "0000:00:02.0/vga.vram", 8 * 4096 },
    { "/rom@etc/acpi/tables", 2 * 4096 },
};

/* A page that is recognized again. */
static const uint8_t *page(unsigned seed)
{
    static uint8_t bytes[4096];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 31 + seed * 7 + 1);
    return bytes;
}

/* A whole stream in full, and what must be left of it. */
static void build(struct nx_buffer *all, struct nx_buffer *rest)
{
    for (int part = 0; part < 2; part++) {
        struct nx_buffer *b = part ? rest : all;
        bool whole = !part;
        stream_head(b, "pc-i440fx-7.2");
        stream_ram(b, blocks, 3);
        stream_section(b, 2, 2, NULL, 0);
        if (whole) {
            stream_page(b, "pc.ram", 0, page(1));
            stream_page(b, NULL, 4096, page(2));
            stream_fill(b, NULL, 2 * 4096, 0);
            stream_fill(b, NULL, 3 * 4096, 0x5a);
        }
        stream_page(b, "0000:00:02.0/vga.vram", 0, page(9));
        stream_fill(b, NULL, 4096, 0);
        stream_end_records(b);
        stream_footer(b, 2);
        /* The next part goes on in the same block. */
        stream_section(b, 2, 2, NULL, 0);
        stream_fill(b, NULL, 2 * 4096, 3);
        if (whole) {
            stream_page(b, "pc.ram", 4096, page(3)); /* again: this one counts */
            stream_page(b, NULL, MEMORY - 4096, page(4));
        }
        stream_end_records(b);
        stream_footer(b, 2);
        stream_section(b, 3, 2, NULL, 0);
        if (whole) {
            stream_fill(b, NULL, 0, 0); /* zero now */
            stream_page(b, NULL, 5 * 4096, page(5));
        }
        stream_page(b, "/rom@etc/acpi/tables", 0, page(6));
        stream_end_records(b);
        stream_footer(b, 2);
        stream_tail(b);
    }
}

START_TEST(splits)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_BUFFER struct nx_buffer all = NX_BUFFER_INIT(1 << 24);
    NX_AUTO_BUFFER struct nx_buffer rest = NX_BUFFER_INIT(1 << 24);
    struct run *run = calloc(1, sizeof *run);
    build(&all, &rest);
    /* Whole, in small pieces, and byte for byte. */
    const size_t steps[] = { 1 << 24, 4097, 13, 1 };
    for (size_t i = 0; i < 4; i++) {
        nx_assert_ok(split(run, &all, steps[i], &err), err);
        ck_assert_str_eq(run->info.machine, "pc-i440fx-7.2");
        ck_assert_uint_eq(run->info.memory, MEMORY);
        ck_assert_uint_eq(run->info.pages, 8);
        ck_assert_uint_eq(run->info.state, rest.len);
        ck_assert_uint_eq(run->zeros, 2);
        ck_assert_uint_eq(run->state.len, rest.len);
        ck_assert_mem_eq(run->state.data, rest.data, rest.len);
        uint8_t zero[4096] = { 0 }, fill[4096];
        memset(fill, 0x5a, sizeof fill);
        ck_assert_mem_eq(run->memory, zero, 4096);
        ck_assert_mem_eq(run->memory + 4096, page(3), 4096);
        ck_assert_mem_eq(run->memory + 3 * 4096, fill, 4096);
        ck_assert_mem_eq(run->memory + 5 * 4096, page(5), 4096);
        ck_assert_mem_eq(run->memory + MEMORY - 4096, page(4), 4096);
        nx_buffer_release(&run->state);
    }
    free(run);
}
END_TEST

/* Cut anywhere, it is truncated, or damaged; never taken for whole. */
START_TEST(truncated_anywhere)
{
    NX_AUTO_BUFFER struct nx_buffer all = NX_BUFFER_INIT(1 << 24);
    NX_AUTO_BUFFER struct nx_buffer rest = NX_BUFFER_INIT(1 << 24);
    struct run *run = calloc(1, sizeof *run);
    build(&all, &rest);
    size_t whole = all.len;
    for (size_t len = 0; len < whole; len += len < 600 || whole - len < 200 ? 1 : 61) {
        struct nx_error err = NX_ERROR_INIT;
        all.len = len;
        nx_assert_fails(split(run, &all, 1 << 20, &err), err, "truncated");
        nx_buffer_release(&run->state);
    }
    free(run);
}
END_TEST

/* ---- refused ---- */

static void bad_magic(struct nx_buffer *b)
{
    stream_be(b, 8, 0x5145564e00000003);
}

static void version_2(struct nx_buffer *b)
{
    stream_be(b, 8, 0x5145564d00000002);
}

static void no_configuration(struct nx_buffer *b)
{
    stream_be(b, 8, 0x5145564d00000003);
    stream_section(b, 1, 2, "ram", 4);
}

static void subsection(struct nx_buffer *b, const char *name)
{
    stream_head(b, "pc-q35-7.2");
    stream_be(b, 1, 5);
    stream_text(b, name);
    stream_be(b, 4, 1);
}

static void ignore_shared(struct nx_buffer *b)
{
    subsection(b, "configuration/capabilities");
    stream_be(b, 4, 1);
    stream_text(b, "x-ignore-shared");
}

static void mapped_ram(struct nx_buffer *b)
{
    subsection(b, "configuration/capabilities");
    stream_be(b, 4, 1);
    stream_text(b, "mapped-ram");
}

static void large_pages(struct nx_buffer *b)
{
    subsection(b, "configuration/target-page-bits");
    stream_be(b, 4, 14);
}

static void unknown_subsection(struct nx_buffer *b)
{
    subsection(b, "configuration/weather");
}

static void with_blocks(struct nx_buffer *b, const char *first, const char *second)
{
    const struct stream_block list[] = { { first, MEMORY }, { second, MEMORY } };
    stream_head(b, "pc-q35-7.2");
    stream_ram(b, list, second ? 2 : 1);
}

static void numa(struct nx_buffer *b)
{
    with_blocks(b, "ram-node0", "ram-node1");
}

static void dimm(struct nx_buffer *b)
{
    with_blocks(b, "pc.ram", "memdimm0");
}

static void object_memory(struct nx_buffer *b)
{
    with_blocks(b, "/objects/mem0", NULL);
}

static void other_machine(struct nx_buffer *b)
{
    with_blocks(b, "mach-virt.ram", NULL);
}

static void twice(struct nx_buffer *b)
{
    with_blocks(b, "pc.ram", "pc.ram");
}

static void odd_size(struct nx_buffer *b)
{
    const struct stream_block list[] = { { "pc.ram", 4096 + 512 }, { "x", 4096 - 512 } };
    stream_head(b, "pc-q35-7.2");
    stream_ram(b, list, 2);
}

static void wrong_sum(struct nx_buffer *b)
{
    stream_head(b, "pc-q35-7.2");
    stream_section(b, 1, 2, "ram", 4);
    stream_be(b, 8, 4096 | 0x04);
    stream_text(b, "pc.ram");
    stream_be(b, 8, 8192);
}

static void name_with_escape(struct nx_buffer *b)
{
    stream_head(b, "pc-q35-7.2");
    stream_section(b, 1, 2, "ram", 4);
    stream_be(b, 8, 4096 | 0x04);
    stream_text(b, "pc\033[2J");
    stream_be(b, 8, 4096);
}

static void ram_version(struct nx_buffer *b)
{
    stream_head(b, "pc-q35-7.2");
    stream_section(b, 1, 2, "ram", 5);
}

static void other_first(struct nx_buffer *b)
{
    stream_head(b, "pc-q35-7.2");
    stream_section(b, 1, 2, "block", 1);
}

static void device_before_memory(struct nx_buffer *b)
{
    stream_head(b, "pc-q35-7.2");
    stream_section(b, 4, 3, "virtio-mem-early", 1);
}

static void command(struct nx_buffer *b)
{
    stream_head(b, "pc-q35-7.2");
    stream_be(b, 1, 8);
    stream_be(b, 4, 0);
}

static void no_blocks(struct nx_buffer *b)
{
    stream_head(b, "pc-q35-7.2");
    stream_section(b, 1, 2, "ram", 4);
    stream_end_records(b);
    stream_footer(b, 2);
}

static void second_ram(struct nx_buffer *b)
{
    with_blocks(b, "pc.ram", NULL);
    stream_section(b, 1, 3, "ram", 4);
}

static void part_of_another(struct nx_buffer *b)
{
    with_blocks(b, "pc.ram", NULL);
    stream_section(b, 2, 3, NULL, 0);
}

static void part(struct nx_buffer *b, uint64_t word, const char *block)
{
    with_blocks(b, "pc.ram", NULL);
    stream_section(b, 2, 2, NULL, 0);
    stream_be(b, 8, word);
    if (block)
        stream_text(b, block);
}

static void xbzrle(struct nx_buffer *b)
{
    part(b, 0x40, "pc.ram");
}
static void compressed(struct nx_buffer *b)
{
    part(b, 0x100, "pc.ram");
}
static void multifd(struct nx_buffer *b)
{
    part(b, 0x200, NULL);
}
static void rdma(struct nx_buffer *b)
{
    part(b, 0x80, NULL);
}
static void unknown_record(struct nx_buffer *b)
{
    part(b, 0x400, NULL);
}
static void unknown_block(struct nx_buffer *b)
{
    part(b, 0x08, "pc.rom");
}
static void no_block_yet(struct nx_buffer *b)
{
    part(b, 0x28, NULL);
}
static void behind_the_end(struct nx_buffer *b)
{
    part(b, MEMORY | 0x08, "pc.ram");
}
static void far_behind(struct nx_buffer *b)
{
    part(b, UINT64_C(0xfffffffffffff008), "pc.ram");
}
static void blocks_again(struct nx_buffer *b)
{
    part(b, 4096 | 0x04, NULL);
}

static void wrong_footer(struct nx_buffer *b)
{
    with_blocks(b, "pc.ram", NULL);
    stream_section(b, 3, 2, NULL, 0);
    stream_end_records(b);
    stream_footer(b, 9);
}

static void early_end(struct nx_buffer *b)
{
    with_blocks(b, "pc.ram", NULL);
    stream_be(b, 1, 0);
}

static void unknown_section(struct nx_buffer *b)
{
    with_blocks(b, "pc.ram", NULL);
    stream_be(b, 1, 0x33);
}

static const struct {
    void (*build)(struct nx_buffer *b);
    const char *says;
} refusals[] = {
    { bad_magic, "does not open with QEMU's mark" },
    { version_2, "version of the stream other than 3" },
    { no_configuration, "does not name its machine type" },
    { ignore_shared, "migration capability x-ignore-shared" },
    { mapped_ram, "migration capability mapped-ram" },
    { large_pages, "pages are not of 4 KiB" },
    { unknown_subsection, "configuration/weather is not known" },
    { numa, "in several parts (ram-node0)" },
    { dimm, "in several parts (memdimm0)" },
    { object_memory, "in several parts (/objects/mem0)" },
    { other_machine, "no main memory pc.ram" },
    { twice, "two blocks of memory of one name" },
    { odd_size, "no whole number of pages" },
    { wrong_sum, "do not make their sum" },
    { name_with_escape, "not printable" },
    { ram_version, "version of the section ram" },
    { other_first, "the section block stands before the end of the memory" },
    { device_before_memory, "the section virtio-mem-early stands before" },
    { command, "post-copy" },
    { no_blocks, "no list of memory blocks" },
    { second_ram, "a second section ram" },
    { part_of_another, "a part of a section that has not begun" },
    { xbzrle, "capability xbzrle" },
    { compressed, "capability compress" },
    { multifd, "capability multifd" },
    { rdma, "RDMA" },
    { unknown_record, "record of memory of unknown kind" },
    { unknown_block, "not in the list" },
    { no_block_yet, "not in the list" },
    { behind_the_end, "behind the end of its block" },
    { far_behind, "behind the end of its block" },
    { blocks_again, "a second list of memory blocks" },
    { wrong_footer, "does not end with its footer" },
    { early_end, "ends before its memory does" },
    { unknown_section, "section of unknown kind" },
};

START_TEST(refuses_by_name)
{
    struct run *run = calloc(1, sizeof *run);
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct nx_error err = NX_ERROR_INIT;
        NX_AUTO_BUFFER struct nx_buffer b = NX_BUFFER_INIT(1 << 20);
        refusals[i].build(&b);
        /* What comes behind must not matter. */
        for (int n = 0; n < 64; n++)
            stream_be(&b, 8, 0);
        nx_assert_fails(split(run, &b, 1 << 20, &err), err, refusals[i].says);
        ck_assert_msg(strncmp(err.msg, "test: ", 6) == 0, "%s", err.msg);
        nx_buffer_release(&run->state);
    }
    free(run);
}
END_TEST

NX_TEST_MAIN("migration", splits, truncated_anywhere, refuses_by_name)
