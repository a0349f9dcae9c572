/* SPDX-License-Identifier: MIT */
#include "formats/index.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#define MAGIC      "NXIX"
#define BITMAP_AT  8
#define BITMAP_LEN (NX_INDEX_FANOUT / 8)

unsigned nx_index_levels(uint64_t chunks)
{
    unsigned levels = 1;
    for (uint64_t reach = NX_INDEX_FANOUT; reach < chunks && levels < NX_INDEX_LEVELS_MAX; levels++)
        reach *= NX_INDEX_FANOUT;
    return levels;
}

unsigned nx_index_slot(uint64_t n, unsigned level)
{
    return (unsigned)(n >> (8 * level)) & (NX_INDEX_FANOUT - 1);
}

size_t nx_index_page_size(unsigned count)
{
    return NX_INDEX_HEADER + (size_t)count * NX_INDEX_ENTRY;
}

static bool bit(const uint8_t *page, unsigned slot)
{
    return page[BITMAP_AT + slot / 8] >> (slot % 8) & 1;
}

/* Children present before slot. */
static unsigned rank(const uint8_t *page, unsigned slot)
{
    unsigned count = 0;
    for (unsigned i = 0; i < slot / 8; i++)
        count += (unsigned)__builtin_popcount(page[BITMAP_AT + i]);
    return count +
           (unsigned)__builtin_popcount(page[BITMAP_AT + slot / 8] & ((1u << (slot % 8)) - 1));
}

static void read_entry(const uint8_t *page, unsigned position, struct nx_index_entry *ret_entry)
{
    struct nx_reader r = nx_reader(page + nx_index_page_size(position), NX_INDEX_ENTRY);
    uint64_t size = 0;
    nx_read_le(&r, 8, &ret_entry->offset);
    nx_read_le(&r, 4, &size);
    ret_entry->size = (uint32_t)size;
    memcpy(ret_entry->digest.bytes, r.at, NX_DIGEST_SIZE);
}

/* The header: everything that does not depend on which image this is. */
static int check_form(const uint8_t *page, size_t len, unsigned level, struct nx_error *err)
{
    struct nx_reader r = nx_reader(page, len);
    const uint8_t *magic = nx_read_bytes(&r, 4);
    uint64_t page_level, reserved, count;
    if (!magic || nx_read_le(&r, 1, &page_level) < 0 || nx_read_le(&r, 1, &reserved) < 0 ||
        nx_read_le(&r, 2, &count) < 0 || !nx_read_bytes(&r, BITMAP_LEN))
        return nx_fail(err, NX_ERR_FORMAT, "index page of %zu bytes is too short", len);
    if (memcmp(magic, MAGIC, 4) != 0)
        return nx_fail(err, NX_ERR_FORMAT, "no index page here");
    if (page_level != level)
        return nx_fail(err, NX_ERR_FORMAT,
                       "index page of level %" PRIu64 " in the place of level %u", page_level,
                       level);
    if (reserved != 0)
        return nx_fail(err, NX_ERR_FORMAT, "index page has a reserved byte set");
    unsigned present = 0;
    for (unsigned i = 0; i < BITMAP_LEN; i++)
        present += (unsigned)__builtin_popcount(page[BITMAP_AT + i]);
    if (count != present || len != nx_index_page_size(present))
        return nx_fail(err, NX_ERR_FORMAT,
                       "index page of %zu bytes says %" PRIu64 " children and marks %u", len, count,
                       present);
    return 0;
}

int nx_index_page_check(const void *page, size_t len, unsigned level, uint64_t first,
                        const struct nx_manifest *manifest, const struct nx_image *image,
                        struct nx_error *err)
{
    if (check_form(page, len, level, err) < 0)
        return -1;
    uint64_t chunks = nx_image_chunk_count(image);
    uint64_t room = level == 0 ? manifest->chunks.size : manifest->index.size;
    unsigned position = 0;
    for (unsigned slot = 0; slot < NX_INDEX_FANOUT; slot++) {
        if (!bit(page, slot))
            continue;
        uint64_t number = first + ((uint64_t)slot << (8 * level));
        if (number >= chunks)
            return nx_fail(err, NX_ERR_FORMAT,
                           "index page names chunk %" PRIu64 " of an image of %" PRIu64, number,
                           chunks);
        struct nx_index_entry entry;
        read_entry(page, position++, &entry);
        uint32_t most = level == 0 ? nx_image_chunk_bytes(image, number) : NX_INDEX_PAGE_MAX;
        if (entry.size == 0 || entry.size > most)
            return nx_fail(err, NX_ERR_FORMAT, "index entry of %" PRIu32 " bytes, at most %" PRIu32,
                           entry.size, most);
        if (entry.offset > room || entry.size > room - entry.offset)
            return nx_fail(err, NX_ERR_FORMAT,
                           "index entry points to %" PRIu32 " bytes at %" PRIu64
                           ", behind the end at %" PRIu64,
                           entry.size, entry.offset, room);
    }
    return 0;
}

bool nx_index_page_get(const void *page, unsigned slot, struct nx_index_entry *ret_entry)
{
    if (!bit(page, slot))
        return false;
    read_entry(page, rank(page, slot), ret_entry);
    return true;
}

unsigned nx_index_page_next(const void *page, unsigned slot)
{
    while (slot < NX_INDEX_FANOUT && !bit(page, slot))
        slot++;
    return slot;
}

void nx_index_bound_start(struct nx_index_bound *bound, uint64_t chunks_of_image)
{
    *bound = (struct nx_index_bound){ .bytes = NX_INDEX_HEADER,
                                      .levels = nx_index_levels(chunks_of_image) };
}

/* Each child costs its entry, and each that is a page its header. */
void nx_index_bound_add(struct nx_index_bound *bound, uint64_t first, uint64_t last)
{
    for (unsigned n = 0; n < bound->levels;
         n++, first /= NX_INDEX_FANOUT, last /= NX_INDEX_FANOUT) {
        if (first < bound->next[n])
            first = bound->next[n];
        if (first > last)
            break;
        uint64_t count = last - first + 1;
        bound->next[n] = last + 1;
        bound->bytes += count * (NX_INDEX_ENTRY + (n ? NX_INDEX_HEADER : 0));
        bound->chunks += n ? 0 : count;
    }
}

void nx_index_page_start(struct nx_index_page *page, unsigned level)
{
    page->level = level;
    page->count = 0;
    memset(page->present, 0, sizeof page->present);
}

void nx_index_page_set(struct nx_index_page *page, unsigned slot,
                       const struct nx_index_entry *entry)
{
    assert(slot < NX_INDEX_FANOUT);
    page->count += !page->present[slot];
    page->present[slot] = true;
    page->entries[slot] = *entry;
}

int nx_index_page_write(const struct nx_index_page *page, struct nx_buffer *buf,
                        struct nx_error *err)
{
    uint8_t bitmap[BITMAP_LEN] = { 0 };
    for (unsigned slot = 0; slot < NX_INDEX_FANOUT; slot++)
        if (page->present[slot])
            bitmap[slot / 8] |= (uint8_t)(1u << (slot % 8));
    /* Room for all of it first, so that the adds below cannot fail half-way. */
    if (nx_buffer_reserve(buf, nx_index_page_size(page->count), err) < 0)
        return -1;
    nx_buffer_add(buf, MAGIC, 4, err);
    nx_buffer_add_le(buf, 1, page->level, err);
    nx_buffer_add_le(buf, 1, 0, err);
    nx_buffer_add_le(buf, 2, page->count, err);
    nx_buffer_add(buf, bitmap, sizeof bitmap, err);
    for (unsigned slot = 0; slot < NX_INDEX_FANOUT; slot++) {
        if (!page->present[slot])
            continue;
        const struct nx_index_entry *entry = &page->entries[slot];
        nx_buffer_add_le(buf, 8, entry->offset, err);
        nx_buffer_add_le(buf, 4, entry->size, err);
        nx_buffer_add(buf, entry->digest.bytes, NX_DIGEST_SIZE, err);
    }
    return 0;
}
