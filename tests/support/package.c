/* SPDX-License-Identifier: MIT */
#include "tests/support/package.h"

#include "formats/chunk.h"
#include "formats/devicestate.h"
#include "formats/index.h"
#include "tests/support/main.h"

#define SECTION_MAX (256u << 20)

static const char domain_xml[] = "<domain type='test'/>\n";
const char test_device_state[] = "what QEMU reads";
uint64_t test_package_boot;
bool test_package_bad_state;

/* The two members that grow while images are added. */
struct sections {
    struct nx_buffer index;
    struct nx_buffer chunks;
};

static void must(int r, const struct nx_error *err)
{
    ck_assert_msg(r == 0, "building a package: %s", err->msg);
}

/* Append bytes to a section: the entry that names them. */
static struct nx_index_entry place(struct nx_buffer *section, const void *data, size_t len)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_index_entry entry = { .offset = section->len, .size = (uint32_t)len };
    nx_digest_of(data, len, &entry.digest);
    must(nx_buffer_add(section, data, len, &err), &err);
    return entry;
}

static struct nx_index_entry place_page(struct nx_buffer *index, const struct nx_index_page *page)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_BUFFER struct nx_buffer bytes = NX_BUFFER_INIT(NX_INDEX_PAGE_MAX);
    must(nx_index_page_write(page, &bytes, &err), &err);
    return place(index, bytes.data, bytes.len);
}

static void add_leaf_chunks(const struct test_image *image, uint64_t first, struct sections *s,
                            struct nx_index_page *page, struct nx_hash *content,
                            uint64_t *ret_chunks)
{
    NX_AUTO_COMPRESSOR struct nx_compressor *compressor = nx_compressor_new(NX_LEVEL_DEFAULT);
    NX_AUTO_FREE uint8_t *stored = malloc(image->chunk_size);
    for (unsigned slot = 0; slot < NX_INDEX_FANOUT; slot++) {
        uint64_t offset = (first + slot) * image->chunk_size;
        if (offset >= image->size)
            break;
        size_t size, len = image->size - offset;
        len = len < image->chunk_size ? len : image->chunk_size;
        if (nx_is_zero(image->data + offset, len))
            continue;
        struct nx_error err = NX_ERROR_INIT;
        struct nx_digest raw;
        must(nx_chunk_encode(compressor, image->data + offset, len, stored, &size, &err), &err);
        struct nx_index_entry entry = place(&s->chunks, stored, size);
        nx_index_page_set(page, slot, &entry);
        nx_digest_of(image->data + offset, len, &raw);
        nx_content_add(content, first + slot, &raw);
        ++*ret_chunks;
    }
}

/* The page of this level over the chunks from first on; false if it is empty. */
static bool add_page(const struct test_image *image, unsigned level, uint64_t first,
                     struct sections *s, struct nx_hash *content, uint64_t *ret_chunks,
                     struct nx_index_entry *ret_entry)
{
    struct nx_index_page *page = calloc(1, sizeof(*page));
    nx_index_page_start(page, level);
    if (level == 0)
        add_leaf_chunks(image, first, s, page, content, ret_chunks);
    for (unsigned slot = 0; level > 0 && slot < NX_INDEX_FANOUT; slot++) {
        uint64_t below = first + ((uint64_t)slot << (8 * level));
        struct nx_index_entry entry;
        if (below * image->chunk_size < image->size &&
            add_page(image, level - 1, below, s, content, ret_chunks, &entry))
            nx_index_page_set(page, slot, &entry);
    }
    bool any = page->count > 0;
    *ret_entry = place_page(&s->index, page);
    if (!any && first > 0)
        s->index.len = ret_entry->offset;
    free(page);
    return any;
}

static void add_image(const struct test_image *image, struct sections *s, struct nx_image *ret)
{
    NX_AUTO_HASH struct nx_hash *content = nx_hash_new();
    struct nx_index_entry root;
    *ret = (struct nx_image){ .role = image->role,
                              .size = image->size,
                              .chunk_size = image->chunk_size };
    snprintf(ret->name, sizeof(ret->name), "%s", image->name);
    nx_content_start(content, image->size, image->chunk_size);
    unsigned levels = nx_index_levels(nx_image_chunk_count(ret));
    add_page(image, levels - 1, 0, s, content, &ret->chunks, &root);
    nx_hash_finish(content, &ret->content);
    ret->root = (struct nx_span){ root.offset, root.size };
    ret->root_digest = root.digest;
}

static int append(const void *data, size_t len, void *opaque, struct nx_error *err)
{
    return nx_buffer_add(opaque, data, len, err);
}

static void write_package(const struct nx_manifest *manifest, const struct sections *s,
                          const struct nx_buffer *state, const struct nx_key *key,
                          struct nx_buffer *out)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_ZIP struct nx_zip_writer *zip = NULL;
    must(nx_zip_writer_new(append, out, &zip, &err), &err);
    must(nx_package_write_head(zip, manifest, domain_xml, key, &err), &err);
    if (manifest->suspended)
        must(nx_zip_member(zip, "device-state", state->data, state->len, &err), &err);
    must(nx_zip_member(zip, "index", s->index.data, s->index.len, &err), &err);
    ck_assert_uint_eq(nx_zip_position(zip) > manifest->index.offset, 1);
    must(nx_zip_member(zip, "chunks", s->chunks.data, s->chunks.len, &err), &err);
    must(nx_zip_finish(zip, &err), &err);
    ck_assert_mem_eq(out->data + manifest->index.offset, s->index.data, s->index.len);
    ck_assert_mem_eq(out->data + manifest->chunks.offset, s->chunks.data, s->chunks.len);
}

static struct nx_buffer stored_state(void)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_buffer stored = NX_BUFFER_INIT(4096);
    NX_AUTO_STATE_WRITER struct nx_state_writer *writer = NULL;
    uint64_t raw;
    if (test_package_bad_state) {
        must(nx_buffer_add(&stored, test_device_state, sizeof(test_device_state), &err), &err);
        return stored;
    }
    must(nx_state_writer_new(3, &writer, &err), &err);
    must(nx_state_writer_add(writer, test_device_state, sizeof(test_device_state), &err), &err);
    must(nx_state_writer_finish(writer, &stored, &raw, &err), &err);
    return stored;
}

void test_package_build(const struct test_image *images, unsigned n_images,
                        const struct nx_key *key, struct nx_buffer *out)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_manifest *m = calloc(1, sizeof(*m));
    struct sections s = { NX_BUFFER_INIT(SECTION_MAX), NX_BUFFER_INIT(SECTION_MAX) };
    NX_AUTO_BUFFER struct nx_buffer state = stored_state();
    strcpy(m->name, "test");
    strcpy(m->created, "2026-11-21T01:02:03Z");
    strcpy(m->generator, "test");
    m->serial = 1;
    m->domain.size = sizeof(domain_xml) - 1;
    nx_digest_of(domain_xml, m->domain.size, &m->domain_digest);
    m->n_images = n_images;
    for (unsigned i = 0; i < n_images; i++) {
        add_image(&images[i], &s, &m->images[i]);
        m->suspended = m->suspended || images[i].role == NX_IMAGE_MEMORY;
    }
    if (m->suspended) { /* memory goes only with a device state */
        m->device_state.size = state.len;
        m->device_state_raw = sizeof(test_device_state);
        nx_digest_of(state.data, state.len, &m->device_state_digest);
    }
    m->index.size = s.index.len;
    m->chunks.size = s.chunks.len;
    m->boot_index = test_package_boot ? s.index.len : 0;
    m->boot_chunks = test_package_boot;
    must(nx_package_plan(m, &err), &err);
    write_package(m, &s, &state, key, out);
    nx_buffer_release(&s.index);
    nx_buffer_release(&s.chunks);
    free(m);
}

uint8_t *test_image_bytes(size_t size, uint32_t chunk_size, unsigned seed)
{
    uint8_t *data = calloc(1, size);
    uint64_t state = seed * 2654435761u + 1;
    ck_assert_ptr_nonnull(data);
    for (size_t i = 0; i < size; i++) {
        size_t chunk = i / chunk_size;
        state = state * 6364136223846793005u + 1442695040888963407u;
        if (chunk % 3 == 1)
            data[i] = (uint8_t)(state >> 56);
        else if (chunk % 3 == 2)
            data[i] = (uint8_t)("a line of text "[i % 15] + chunk % 7);
    }
    return data;
}
