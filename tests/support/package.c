/* SPDX-License-Identifier: MIT */
#include "tests/support/package.h"

#include <inttypes.h>

#include "formats/chunk.h"
#include "formats/devicestate.h"
#include "formats/index.h"
#include "tests/support/main.h"

#define SECTION_MAX (256u << 20)

const char test_device_state[] = "what QEMU reads";
uint64_t test_package_boot;
bool test_package_bad_state;

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

static void add_leaf_chunks(const struct test_image *image, uint64_t first,
                            struct test_parts *parts, struct nx_index_page *page,
                            struct nx_hash *content, uint64_t *ret_chunks)
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
        struct nx_index_entry entry = place(&parts->chunks, stored, size);
        nx_index_page_set(page, slot, &entry);
        nx_digest_of(image->data + offset, len, &raw);
        nx_content_add(content, first + slot, &raw);
        ++*ret_chunks;
    }
}

/* The page of this level over the chunks from first on; false if it is empty. */
static bool add_page(const struct test_image *image, unsigned level, uint64_t first,
                     struct test_parts *parts, struct nx_hash *content, uint64_t *ret_chunks,
                     struct nx_index_entry *ret_entry)
{
    struct nx_index_page *page = calloc(1, sizeof(*page));
    nx_index_page_start(page, level);
    if (level == 0)
        add_leaf_chunks(image, first, parts, page, content, ret_chunks);
    for (unsigned slot = 0; level > 0 && slot < NX_INDEX_FANOUT; slot++) {
        uint64_t below = first + ((uint64_t)slot << (8 * level));
        struct nx_index_entry entry;
        if (below * image->chunk_size < image->size &&
            add_page(image, level - 1, below, parts, content, ret_chunks, &entry))
            nx_index_page_set(page, slot, &entry);
    }
    bool any = page->count > 0;
    *ret_entry = place_page(&parts->index, page);
    if (!any && first > 0)
        parts->index.len = ret_entry->offset;
    free(page);
    return any;
}

static void add_image(const struct test_image *image, struct test_parts *parts,
                      struct nx_image *ret)
{
    NX_AUTO_HASH struct nx_hash *content = nx_hash_new();
    struct nx_index_entry root;
    *ret = (struct nx_image){ .role = image->role,
                              .size = image->size,
                              .chunk_size = image->chunk_size };
    snprintf(ret->name, sizeof(ret->name), "%s", image->name);
    nx_content_start(content, image->size, image->chunk_size);
    unsigned levels = nx_index_levels(nx_image_chunk_count(ret));
    add_page(image, levels - 1, 0, parts, content, &ret->chunks, &root);
    nx_hash_finish(content, &ret->content);
    ret->root = (struct nx_span){ root.offset, root.size };
    ret->root_digest = root.digest;
}

static int append(const void *data, size_t len, void *opaque, struct nx_error *err)
{
    return nx_buffer_add(opaque, data, len, err);
}

/* The device state, compressed as nxpack does. */
static void add_state(struct test_parts *parts)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_STATE_WRITER struct nx_state_writer *writer = NULL;
    parts->manifest->device_state_raw = sizeof(test_device_state);
    if (test_package_bad_state) {
        must(nx_buffer_add(&parts->state, test_device_state, sizeof(test_device_state), &err),
             &err);
        return;
    }
    must(nx_state_writer_new(3, &writer, &err), &err);
    must(nx_state_writer_add(writer, test_device_state, sizeof(test_device_state), &err), &err);
    must(nx_state_writer_finish(writer, &parts->state, &parts->manifest->device_state_raw, &err),
         &err);
}

/* A machine with these disks, and with as much memory as was saved. */
static void add_domain(struct test_parts *parts)
{
    struct nx_error err = NX_ERROR_INIT;
    const struct nx_manifest *m = parts->manifest;
    uint64_t memory = UINT64_C(64) << 20;
    for (unsigned i = 0; i < m->n_images; i++)
        if (m->images[i].role == NX_IMAGE_MEMORY)
            memory = m->images[i].size;
    must(nx_buffer_printf(&parts->domain, &err,
                          "<domain type='qemu'><name>test</name><memory unit='b'>%" PRIu64
                          "</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='pc'>hvm</type>"
                          "</os><devices>\n",
                          memory),
         &err);
    for (unsigned i = 0; i < m->n_images; i++)
        if (m->images[i].role == NX_IMAGE_DISK)
            must(nx_buffer_printf(&parts->domain, &err,
                                  "<disk type='file' device='disk'><source image='%s'/>"
                                  "<target dev='vd%c' bus='virtio'/></disk>\n",
                                  m->images[i].name, 'a' + i),
                 &err);
    must(nx_buffer_printf(&parts->domain, &err, "</devices></domain>\n"), &err);
}

void test_parts_make(const struct test_image *images, unsigned n_images, struct test_parts *parts)
{
    *parts = (struct test_parts){ calloc(1, sizeof(*parts->manifest)),
                                  NX_BUFFER_INIT(NX_DOMAIN_MAX), NX_BUFFER_INIT(SECTION_MAX),
                                  NX_BUFFER_INIT(SECTION_MAX), NX_BUFFER_INIT(SECTION_MAX) };
    struct nx_manifest *m = parts->manifest;
    strcpy(m->name, "test");
    strcpy(m->created, "2026-11-21T01:02:03Z");
    strcpy(m->generator, "test");
    m->serial = 1;
    m->n_images = n_images;
    for (unsigned i = 0; i < n_images; i++) {
        add_image(&images[i], parts, &m->images[i]);
        m->suspended = m->suspended || images[i].role == NX_IMAGE_MEMORY;
    }
    if (m->suspended) /* memory goes only with a device state */
        add_state(parts);
    add_domain(parts);
    m->boot_index = test_package_boot ? parts->index.len : 0;
    m->boot_chunks = test_package_boot;
}

void test_parts_plan(struct test_parts *parts)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_manifest *m = parts->manifest;
    m->domain.size = parts->domain.len;
    m->device_state.size = parts->state.len;
    m->index.size = parts->index.len;
    m->chunks.size = parts->chunks.len;
    nx_digest_of(parts->domain.data, parts->domain.len, &m->domain_digest);
    nx_digest_of(parts->state.data, parts->state.len, &m->device_state_digest);
    must(nx_package_plan(m, &err), &err);
}

static void add_member(struct nx_zip_writer *zip, const char *name, const struct nx_buffer *body)
{
    struct nx_error err = NX_ERROR_INIT;
    must(nx_zip_member(zip, name, body->data, body->len, &err), &err);
}

void test_parts_write(const struct test_parts *parts, const struct nx_buffer *manifest_xml,
                      const struct nx_key *key, struct nx_buffer *out)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_ZIP struct nx_zip_writer *zip = NULL;
    uint8_t signature[NX_SIGNATURE_SIZE] = { 0 };
    char pem[NX_PUBLIC_PEM_SIZE + 1];
    memset(pem, '\n', sizeof(pem));
    if (key) {
        must(nx_key_sign(key, manifest_xml->data, manifest_xml->len, signature, &err), &err);
        must(nx_key_public_pem(key, pem, &err), &err);
    }
    must(nx_zip_writer_new(append, out, &zip, &err), &err);
    must(nx_zip_member(zip, "mimetype", NX_PACKAGE_TYPE, strlen(NX_PACKAGE_TYPE), &err), &err);
    add_member(zip, "manifest.xml", manifest_xml);
    must(nx_zip_member(zip, "manifest.sig", signature, NX_SIGNATURE_SIZE, &err), &err);
    must(nx_zip_member(zip, "signer.pem", pem, NX_PUBLIC_PEM_SIZE, &err), &err);
    add_member(zip, "domain.xml", &parts->domain);
    if (parts->manifest->suspended)
        add_member(zip, "device-state", &parts->state);
    add_member(zip, "index", &parts->index);
    add_member(zip, "chunks", &parts->chunks);
    must(nx_zip_finish(zip, &err), &err);
}

void test_parts_release(struct test_parts *parts)
{
    free(parts->manifest);
    nx_buffer_release(&parts->domain);
    nx_buffer_release(&parts->state);
    nx_buffer_release(&parts->index);
    nx_buffer_release(&parts->chunks);
}

void test_package_build(const struct test_image *images, unsigned n_images,
                        const struct nx_key *key, struct nx_buffer *out)
{
    struct nx_error err = NX_ERROR_INIT;
    struct test_parts parts;
    NX_AUTO_BUFFER struct nx_buffer xml = NX_BUFFER_INIT(NX_MANIFEST_MAX);
    test_parts_make(images, n_images, &parts);
    test_parts_plan(&parts);
    must(nx_manifest_write(parts.manifest, &xml, &err), &err);
    test_parts_write(&parts, &xml, key, out);
    ck_assert_mem_eq(out->data + parts.manifest->index.offset, parts.index.data, parts.index.len);
    test_parts_release(&parts);
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
