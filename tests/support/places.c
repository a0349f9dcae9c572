/* SPDX-License-Identifier: MIT */
#include "tests/support/places.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "formats/index.h"

static void add(struct places *places, size_t at, size_t len, const char *what)
{
    if (len == 0)
        return;
    places->all = reallocarray(places->all, places->n + 1, sizeof(*places->all));
    assert(places->all);
    places->all[places->n++] = (struct place){ at, len, what };
}

static uint64_t le(const struct nx_buffer *package, size_t at, size_t n)
{
    uint64_t value = 0;
    struct nx_reader r = nx_reader(package->data + at, n);
    nx_read_le(&r, n, &value);
    return value;
}

/* ---- ZIP (APPNOTE 4.3) ---- */

struct field {
    size_t len;
    const char *what;
};

/* Fields that follow each other from at on; returns where they end. */
static size_t add_fields(struct places *places, size_t at, const struct field *fields, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        add(places, at, fields[i].len, fields[i].what);
        at += fields[i].len;
    }
    return at;
}
#define ADD_FIELDS(places, at, fields) \
    add_fields(places, at, fields, sizeof(fields) / sizeof(*(fields)))

/* The member whose local header stands at at: where the next record stands. */
static size_t add_member(struct places *places, const struct nx_buffer *package, size_t at)
{
    static const struct field descriptor[] = { { 4, "descriptor's signature" },
                                               { 4, "descriptor's CRC" },
                                               { 4, "descriptor's compressed size" },
                                               { 4, "descriptor's size" } };
    size_t size = le(package, at + 18, 4), name = le(package, at + 26, 2);
    size_t extra = le(package, at + 28, 2);
    const struct field header[] = {
        { 4, "local signature" },
        { 2, "local version" },
        { 2, "local flags" },
        { 2, "local method" },
        { 2, "local time" },
        { 2, "local date" },
        { 4, "local CRC" },
        { 4, "local compressed size" },
        { 4, "local size" },
        { 2, "local length of name" },
        { 2, "local length of extra" },
        { name, "local name" },
        { 5, "local extra: times" },
        { extra - 5, "local extra: owners" },
        { size, "data" },
    };
    size_t end = ADD_FIELDS(places, at, header);
    end = ADD_FIELDS(places, end, descriptor);
    add(places, at, end - at, "member");
    return end;
}

static size_t add_entry(struct places *places, const struct nx_buffer *package, size_t at)
{
    size_t name = le(package, at + 28, 2), extra = le(package, at + 30, 2);
    const struct field fields[] = {
        { 4, "directory signature" },
        { 2, "directory maker" },
        { 2, "directory version" },
        { 2, "directory flags" },
        { 2, "directory method" },
        { 2, "directory time" },
        { 2, "directory date" },
        { 4, "directory CRC" },
        { 4, "directory compressed size" },
        { 4, "directory size" },
        { 2, "directory length of name" },
        { 2, "directory length of extra" },
        { 2, "directory length of comment" },
        { 2, "directory disk" },
        { 2, "directory internal attributes" },
        { 4, "directory external attributes" },
        { 4, "directory offset" },
        { name, "directory name" },
        { extra, "directory extra" },
    };
    size_t end = ADD_FIELDS(places, at, fields);
    add(places, at, end - at, "directory entry");
    return end;
}

static void add_zip(struct places *places, const struct nx_buffer *package)
{
    static const struct field end_record[] = {
        { 4, "end signature" },           { 2, "end disk" },
        { 2, "end first disk" },          { 2, "end entries" },
        { 2, "end all entries" },         { 4, "end size of directory" },
        { 4, "end offset of directory" }, { 2, "end length of comment" },
    };
    size_t at = 0;
    while (le(package, at, 4) == 0x04034b50)
        at = add_member(places, package, at);
    size_t directory = at;
    while (le(package, at, 4) == 0x02014b50)
        at = add_entry(places, package, at);
    add(places, directory, at - directory, "directory");
    size_t end = ADD_FIELDS(places, at, end_record);
    assert(end == package->len);
}

/* ---- XML: every tag, name="value", and text ---- */

static void add_xml(struct places *places, const struct nx_buffer *package, size_t at, size_t len)
{
    const char *text = (const char *)package->data, *end = text + at + len;
    for (const char *tag = text + at; (tag = memchr(tag, '<', (size_t)(end - tag))); tag++) {
        const char *close = memchr(tag, '>', (size_t)(end - tag));
        assert(close);
        add(places, (size_t)(tag - text), (size_t)(close + 1 - tag), "tag");
        for (const char *p = tag; p < close; p++) {
            const char *quote =
                *p == '"' || *p == '\'' ? memchr(p + 1, *p, (size_t)(close - p)) : NULL;
            if (!quote)
                continue;
            const char *name = p;
            while (name[-1] != ' ')
                name--;
            add(places, (size_t)(name - text), (size_t)(quote + 1 - name), "attribute");
            add(places, (size_t)(p + 1 - text), (size_t)(quote - p - 1), "value");
            p = quote;
        }
        const char *next = memchr(close, '<', (size_t)(end - close));
        if (next)
            add(places, (size_t)(close + 1 - text), (size_t)(next - close - 1), "text");
    }
}

/* ---- index and chunks ---- */

struct tree {
    struct places *places;
    const uint8_t *bytes;
    const struct nx_manifest *m;
};

static void add_chunk(const struct tree *t, const struct nx_index_entry *entry)
{
    size_t at = t->m->chunks.offset + entry->offset;
    add(t->places, at, entry->size, "chunk");
    add(t->places, at, 4, "frame magic");
    add(t->places, at + 4, 1, "frame descriptor");
    add(t->places, at + 5, 4, "frame content size");
    add(t->places, at + 9, 3, "block header");
    add(t->places, at + 12, entry->size - 12, "blocks");
}

static void add_page(const struct tree *t, uint64_t offset, size_t len, unsigned level)
{
    static const struct field header[] = {
        { 4, "page magic" }, { 1, "page level" },   { 1, "page reserved" },
        { 2, "page count" }, { 32, "page bitmap" },
    };
    static const struct field fields[] = { { 8, "entry offset" },
                                           { 4, "entry size" },
                                           { 32, "entry digest" } };
    size_t at = t->m->index.offset + offset;
    const uint8_t *page = t->bytes + at;
    add(t->places, at, len, "page");
    size_t end = ADD_FIELDS(t->places, at, header);
    for (unsigned slot = nx_index_page_next(page, 0); slot < NX_INDEX_FANOUT;
         slot = nx_index_page_next(page, slot + 1)) {
        struct nx_index_entry entry;
        nx_index_page_get(page, slot, &entry);
        add(t->places, end, NX_INDEX_ENTRY, "entry");
        end = ADD_FIELDS(t->places, end, fields);
        if (level > 0)
            add_page(t, entry.offset, entry.size, level - 1);
        else
            add_chunk(t, &entry);
    }
    assert(end == at + len);
}

void places_find(const struct nx_buffer *package, const struct nx_manifest *m,
                 struct places *places)
{
    const struct tree tree = { places, package->data, m };
    *places = (struct places){ NULL, 0 };
    add_zip(places, package);
    for (size_t i = 0; i < places->n; i++) {
        struct place place = places->all[i];
        bool is_manifest = memcmp(package->data + place.at, "<?xml ", 6) == 0;
        bool is_xml =
            strcmp(place.what, "data") == 0 && (is_manifest || place.at == m->domain.offset);
        if (is_xml)
            add_xml(places, package, place.at, place.len);
    }
    if (m->suspended)
        add_chunk(&(struct tree){ places, package->data,
                                  &(struct nx_manifest){ .chunks = m->device_state } },
                  &(struct nx_index_entry){ 0, (uint32_t)m->device_state.size, { { 0 } } });
    for (unsigned i = 0; i < m->n_images; i++) {
        const struct nx_image *image = &m->images[i];
        add_page(&tree, image->root.offset, image->root.size,
                 nx_index_levels(nx_image_chunk_count(image)) - 1);
    }
}

void places_find_xml(const struct nx_buffer *text, struct places *places)
{
    *places = (struct places){ NULL, 0 };
    add_xml(places, text, 0, text->len);
}

/* ---- alterations ---- */

static const char *const names[ALTERATIONS] = {
    [ALTER_FLIP_FIRST] = "first byte flipped",
    [ALTER_FLIP_LAST] = "last byte flipped",
    [ALTER_ZERO] = "zero",
    [ALTER_ONES] = "all ones",
    [ALTER_CUT_BEFORE] = "cut before it",
    [ALTER_CUT_AFTER] = "cut after it",
    [ALTER_REMOVE] = "removed",
    [ALTER_DUPLICATE] = "twice",
    [ALTER_INSERT] = "zeros before it",
    [ALTER_SWAP] = "exchanged with the next",
    [ALTER_OVERLAP] = "overwritten by the next",
};

const char *alteration_name(enum alteration how)
{
    return names[how];
}

static void put(struct nx_buffer *out, const void *data, size_t len)
{
    if (nx_buffer_add(out, data, len, NULL) < 0)
        abort();
}

static const struct place *next_of_kind(const struct places *places, size_t i)
{
    const struct place *place = &places->all[i];
    for (size_t j = i + 1; j < places->n; j++)
        if (places->all[j].what == place->what && places->all[j].at >= place->at + place->len)
            return &places->all[j];
    return NULL;
}

/* What stands in the place afterwards: everything but cuts and exchanges. */
static void put_altered(const struct nx_buffer *package, const struct place *place,
                        const struct place *next, enum alteration how, struct nx_buffer *out)
{
    const uint8_t *bytes = package->data + place->at;
    NX_AUTO_FREE uint8_t *filled = malloc(place->len);
    assert(filled);
    memset(filled, how == ALTER_ONES ? 0xff : 0, place->len);
    if (how == ALTER_ZERO || how == ALTER_ONES || how == ALTER_INSERT)
        put(out, filled, place->len);
    if (how == ALTER_OVERLAP)
        put(out, package->data + next->at, next->len < place->len ? next->len : place->len);
    if (how == ALTER_OVERLAP && next->len < place->len)
        put(out, bytes + next->len, place->len - next->len);
    if (how == ALTER_FLIP_FIRST || how == ALTER_FLIP_LAST || how == ALTER_DUPLICATE ||
        how == ALTER_INSERT)
        put(out, bytes, place->len);
    if (how == ALTER_DUPLICATE)
        put(out, bytes, place->len);
    if (how == ALTER_FLIP_FIRST)
        out->data[place->at] ^= 0x01;
    if (how == ALTER_FLIP_LAST)
        out->data[out->len - 1] ^= 0x80;
}

bool alter(const struct nx_buffer *package, const struct places *places, size_t i,
           enum alteration how, struct nx_buffer *out)
{
    const struct place *place = &places->all[i], *next = next_of_kind(places, i);
    size_t end = place->at + place->len;
    out->len = 0;
    if ((how == ALTER_SWAP || how == ALTER_OVERLAP) && !next)
        return false;
    put(out, package->data, how == ALTER_CUT_AFTER ? end : place->at);
    if (how == ALTER_SWAP) {
        put(out, package->data + next->at, next->len);
        put(out, package->data + end, next->at - end);
        put(out, package->data + place->at, place->len);
        end = next->at + next->len;
    } else if (how != ALTER_CUT_BEFORE && how != ALTER_CUT_AFTER) {
        put_altered(package, place, next, how, out);
    }
    if (how != ALTER_CUT_BEFORE && how != ALTER_CUT_AFTER)
        put(out, package->data + end, package->len - end);
    return out->len != package->len || memcmp(out->data, package->data, out->len) != 0;
}
