/* SPDX-License-Identifier: MIT */
#include "tests/support/stream.h"

#include <stdlib.h>
#include <string.h>

static void add(struct nx_buffer *buf, const void *data, size_t n)
{
    if (nx_buffer_add(buf, data, n, NULL) < 0)
        abort(); /* libcheck is for tests; tools use this, too */
}

void stream_be(struct nx_buffer *buf, unsigned n, uint64_t value)
{
    for (unsigned i = n; i-- > 0;)
        add(buf, &(uint8_t){ (uint8_t)(value >> (8 * i)) }, 1);
}

void stream_text(struct nx_buffer *buf, const char *text)
{
    stream_be(buf, 1, strlen(text));
    add(buf, text, strlen(text));
}

void stream_head(struct nx_buffer *buf, const char *machine)
{
    add(buf, "QEVM", 4);
    stream_be(buf, 4, 3);
    stream_be(buf, 1, 7);
    stream_be(buf, 4, strlen(machine));
    add(buf, machine, strlen(machine));
}

void stream_section(struct nx_buffer *buf, unsigned type, uint32_t id, const char *name,
                    unsigned version)
{
    stream_be(buf, 1, type);
    stream_be(buf, 4, id);
    if (!name)
        return;
    stream_text(buf, name);
    stream_be(buf, 4, 0);
    stream_be(buf, 4, version);
}

void stream_footer(struct nx_buffer *buf, uint32_t id)
{
    stream_be(buf, 1, 0x7e);
    stream_be(buf, 4, id);
}

static void record(struct nx_buffer *buf, unsigned flags, const char *block, uint64_t address)
{
    stream_be(buf, 8, address | flags | (block ? 0 : 0x20));
    if (block)
        stream_text(buf, block);
}

void stream_page(struct nx_buffer *buf, const char *block, uint64_t address,
                 const uint8_t page[4096])
{
    record(buf, 0x08, block, address);
    add(buf, page, 4096);
}

void stream_fill(struct nx_buffer *buf, const char *block, uint64_t address, uint8_t byte)
{
    record(buf, 0x02, block, address);
    stream_be(buf, 1, byte);
}

void stream_end_records(struct nx_buffer *buf)
{
    stream_be(buf, 8, 0x10);
}

void stream_ram(struct nx_buffer *buf, const struct stream_block *blocks, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += blocks[i].size;
    stream_section(buf, 1, 2, "ram", 4);
    stream_be(buf, 8, sum | 0x04);
    for (size_t i = 0; i < n; i++) {
        stream_text(buf, blocks[i].name);
        stream_be(buf, 8, blocks[i].size);
    }
    stream_end_records(buf);
    stream_footer(buf, 2);
}

void stream_tail(struct nx_buffer *buf)
{
    static const char description[] = "{\"page_size\": 4096, \"devices\": []}";
    stream_section(buf, 4, 7, "cpu", 12);
    add(buf, "state of a processor", 20);
    stream_footer(buf, 7);
    stream_be(buf, 1, 0);
    stream_be(buf, 1, 6);
    stream_be(buf, 4, strlen(description));
    add(buf, description, strlen(description));
}
