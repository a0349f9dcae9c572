/* SPDX-License-Identifier: MIT */
#include "formats/manifest.h"

#include <inttypes.h>
#include <string.h>

#include "common/embed.h"
#include "formats/index.h"
#include "formats/xml.h"

#define NAMESPACE "urn:nxpk:manifest"
#define FILE_NAME "manifest.xml"

NX_EMBED(manifest_rng, "formats/manifest.rng");

static const char *const role_names[] = {
    [NX_IMAGE_DISK] = "disk",
    [NX_IMAGE_MEMORY] = "memory",
    [NX_IMAGE_NVRAM] = "nvram",
};

const char *nx_image_role_name(enum nx_image_role role)
{
    return role_names[role];
}

/* ---- reading: the schema has said that the elements are there and what they look like ---- */

static int read_text(const xmlNode *parent, const char *name, char *ret_text, size_t size,
                     struct nx_error *err)
{
    const xmlNode *node = nx_xml_child(parent, name);
    NX_AUTO_FREE char *text = node ? nx_xml_text(node) : strdup("");
    if (!text)
        return nx_fail_errno(err, "<%s>", name);
    if (strlen(text) >= size)
        return nx_fail(err, NX_ERR_FORMAT, "<%s> is longer than %zu bytes", name, size - 1);
    strcpy(ret_text, text);
    return 0;
}

static int read_number(const xmlNode *parent, const char *name, uint64_t *ret_value,
                       struct nx_error *err)
{
    char text[32];
    if (read_text(parent, name, text, sizeof text, err) < 0)
        return -1;
    *ret_value = strtoull(text, NULL, 10); /* at most 19 digits */
    if (*ret_value >= NX_PACKAGE_MAX)
        return nx_fail(err, NX_ERR_FORMAT, "<%s>: %s is too large", name, text);
    return 0;
}

static int read_span(const xmlNode *node, struct nx_span *ret_span, struct nx_error *err)
{
    if (nx_xml_attr_u64(node, "offset", NX_PACKAGE_MAX, &ret_span->offset, err) < 0 ||
        nx_xml_attr_u64(node, "size", NX_PACKAGE_MAX, &ret_span->size, err) < 0)
        return -1;
    return 0;
}

static int read_digest(const xmlNode *node, const char *attr, struct nx_digest *ret_digest,
                       struct nx_error *err)
{
    NX_AUTO_FREE char *text = nx_xml_attr(node, attr);
    if (!text)
        return nx_fail_errno(err, "%s", attr);
    return nx_digest_parse(text, ret_digest, err);
}

static int read_image(const xmlNode *node, struct nx_image *image, struct nx_error *err)
{
    NX_AUTO_FREE char *name = nx_xml_attr(node, "name");
    NX_AUTO_FREE char *role = nx_xml_attr(node, "role");
    if (!name || !role)
        return nx_fail_errno(err, "<image>");
    snprintf(image->name, sizeof image->name, "%s", name);
    image->role = strcmp(role, "memory") == 0  ? NX_IMAGE_MEMORY
                  : strcmp(role, "nvram") == 0 ? NX_IMAGE_NVRAM
                                               : NX_IMAGE_DISK;
    uint64_t chunk_size;
    if (nx_xml_attr_u64(node, "size", NX_IMAGE_SIZE_MAX, &image->size, err) < 0 ||
        nx_xml_attr_u64(node, "chunk-size", NX_CHUNK_SIZE_MAX, &chunk_size, err) < 0 ||
        nx_xml_attr_u64(node, "chunks", NX_PACKAGE_MAX, &image->chunks, err) < 0)
        return -1;
    image->chunk_size = (uint32_t)chunk_size;
    const xmlNode *root = nx_xml_child(node, "root");
    if (read_digest(node, "content", &image->content, err) < 0 ||
        read_span(root, &image->root, err) < 0 ||
        read_digest(root, "sha256", &image->root_digest, err) < 0)
        return -1;
    return 0;
}

static int read_device_state(const xmlNode *node, struct nx_manifest *m, struct nx_error *err)
{
    m->suspended = true;
    if (read_span(node, &m->device_state, err) < 0 ||
        nx_xml_attr_u64(node, "raw-size", NX_DEVICE_STATE_MAX, &m->device_state_raw, err) < 0)
        return -1;
    return read_digest(node, "sha256", &m->device_state_digest, err);
}

static int read_boot(const xmlNode *node, struct nx_manifest *m, struct nx_error *err)
{
    if (nx_xml_attr_u64(node, "index", m->index.size, &m->boot_index, err) < 0)
        return -1;
    return nx_xml_attr_u64(node, "chunks", m->chunks.size, &m->boot_chunks, err);
}

static int read_volumes(const xmlNode *node, struct nx_manifest *m, struct nx_error *err)
{
    if (nx_xml_attr_u64(node, "head", NX_PACKAGE_MAX, &m->volumes.head, err) < 0)
        return -1;
    m->volumes.count = 1; /* or more: check_volumes() */
    return nx_xml_attr_u64(node, "size", NX_VOLUME_SIZE_MAX, &m->volumes.size, err);
}

static int read_all(const xmlNode *root, struct nx_manifest *m, struct nx_error *err)
{
    const xmlNode *domain = nx_xml_child(root, "domain");
    const xmlNode *state = nx_xml_child(root, "device-state");
    const xmlNode *boot = nx_xml_child(root, "boot");
    const xmlNode *volumes = nx_xml_child(root, "volumes");
    if (read_text(root, "name", m->name, sizeof m->name, err) < 0 ||
        read_text(root, "description", m->description, sizeof m->description, err) < 0 ||
        read_text(root, "created", m->created, sizeof m->created, err) < 0 ||
        read_text(root, "expires", m->expires, sizeof m->expires, err) < 0 ||
        read_text(root, "generator", m->generator, sizeof m->generator, err) < 0 ||
        read_number(root, "serial", &m->serial, err) < 0 ||
        read_span(domain, &m->domain, err) < 0 ||
        read_digest(domain, "sha256", &m->domain_digest, err) < 0 ||
        (state && read_device_state(state, m, err) < 0) ||
        read_span(nx_xml_child(root, "index"), &m->index, err) < 0 ||
        read_span(nx_xml_child(root, "chunks"), &m->chunks, err) < 0 ||
        (boot && read_boot(boot, m, err) < 0) || (volumes && read_volumes(volumes, m, err) < 0))
        return -1;
    for (const xmlNode *node = nx_xml_child(root, "image"); node;
         node = nx_xml_next(node, "image")) {
        if (m->n_images == NX_IMAGES_MAX)
            return nx_fail(err, NX_ERR_FORMAT, "more than %d images", NX_IMAGES_MAX);
        if (read_image(node, &m->images[m->n_images++], err) < 0)
            return -1;
    }
    return 0;
}

/* ---- what the schema cannot say ---- */

static int check_image(const struct nx_manifest *m, const struct nx_image *image,
                       struct nx_error *err)
{
    uint32_t c = image->chunk_size;
    if (c < NX_CHUNK_SIZE_MIN || c > NX_CHUNK_SIZE_MAX || (c & (c - 1)))
        return nx_fail(err, NX_ERR_FORMAT,
                       "chunk size %" PRIu32 " is not a power of two from %d to %d", c,
                       NX_CHUNK_SIZE_MIN, NX_CHUNK_SIZE_MAX);
    if (image->size == 0)
        return nx_fail(err, NX_ERR_FORMAT, "an image without a byte");
    if (image->chunks > nx_image_chunk_count(image))
        return nx_fail(err, NX_ERR_FORMAT, "%" PRIu64 " chunks in an image of %" PRIu64,
                       image->chunks, nx_image_chunk_count(image));
    if (image->root.size < NX_INDEX_HEADER || image->root.size > NX_INDEX_PAGE_MAX ||
        image->root.offset > m->index.size || image->root.size > m->index.size - image->root.offset)
        return nx_fail(err, NX_ERR_FORMAT, "its root page is not within the index");
    return 0;
}

static int check_images(const struct nx_manifest *m, struct nx_error *err)
{
    unsigned memories = 0;
    for (unsigned i = 0; i < m->n_images; i++) {
        const struct nx_image *image = &m->images[i];
        if (check_image(m, image, err) < 0)
            return nx_fail_while(err, "image %s", image->name);
        for (unsigned j = 0; j < i; j++)
            if (strcmp(image->name, m->images[j].name) == 0)
                return nx_fail(err, NX_ERR_FORMAT, "two images are named %s", image->name);
        memories += image->role == NX_IMAGE_MEMORY;
    }
    if (memories != m->suspended)
        return nx_fail(err, NX_ERR_FORMAT, "%u memory images %s a device state", memories,
                       m->suspended ? "with" : "without");
    return 0;
}

/* The members follow each other, and none is empty that must not be. */
static int check_spans(const struct nx_manifest *m, struct nx_error *err)
{
    const struct {
        const char *name;
        const struct nx_span *span;
        uint64_t most;
        bool here, may_be_empty;
    } members[] = {
        { "domain.xml", &m->domain, NX_DOMAIN_MAX, true, false },
        { "device-state", &m->device_state, NX_DEVICE_STATE_STORED_MAX, m->suspended, false },
        { "index", &m->index, NX_PACKAGE_MAX, true, false },
        { "chunks", &m->chunks, NX_PACKAGE_MAX, true, true },
    };
    uint64_t end = 0;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        if (!members[i].here)
            continue;
        const struct nx_span *span = members[i].span;
        if (span->size > members[i].most || (span->size == 0 && !members[i].may_be_empty))
            return nx_fail(err, NX_ERR_FORMAT, "%s of %" PRIu64 " bytes: that size cannot be",
                           members[i].name, span->size);
        if (span->offset <= end)
            return nx_fail(err, NX_ERR_FORMAT, "%s at %" PRIu64 " overlaps what stands before it",
                           members[i].name, span->offset);
        end = span->offset + span->size; /* both at most 2^60 */
    }
    return 0;
}

/* A reader that does not know volumes must not take the head for a package that was cut off: hence the version. */
static int check_volumes(struct nx_manifest *m, bool may_have, struct nx_error *err)
{
    if (m->volumes.count == 0)
        return may_have ? nx_fail(err, NX_ERR_FORMAT, "version 2 without volumes") : 0;
    if (!may_have)
        return nx_fail(err, NX_ERR_FORMAT, "volumes in version 1");
    m->volumes.end = nx_manifest_end(m);
    if (m->volumes.head < m->domain.offset + m->domain.size)
        return nx_fail(err, NX_ERR_FORMAT, "a head of %" PRIu64 " bytes ends before domain.xml",
                       m->volumes.head);
    return nx_volumes_check(&m->volumes, err);
}

static int check_version(const xmlDoc *doc, bool *ret_cut, struct nx_error *err)
{
    NX_AUTO_FREE char *version = nx_xml_attr(xmlDocGetRootElement(doc), "version");
    *ret_cut = version && strcmp(version, "2") == 0;
    if (version && strcmp(version, "1") != 0 && !*ret_cut)
        return nx_fail(
            err, NX_ERR_FORMAT,
            FILE_NAME
            ": format version \"%.20s\"; this nxpk reads versions 1 and 2: get a newer one",
            version);
    return nx_xml_end(0, FILE_NAME, err);
}

int nx_manifest_parse(const void *xml, size_t len, struct nx_manifest **ret_manifest,
                      struct nx_error *err)
{
    if (len > NX_MANIFEST_MAX)
        return nx_fail(err, NX_ERR_FORMAT, FILE_NAME ": larger than %d bytes", NX_MANIFEST_MAX);
    NX_AUTO_XMLDOC xmlDoc *doc = NULL;
    bool cut;
    if (nx_xml_parse(xml, len, FILE_NAME, &doc, err) < 0 || check_version(doc, &cut, err) < 0)
        return -1;
    if (nx_xml_validate(doc, manifest_rng, (size_t)(manifest_rng_end - manifest_rng), FILE_NAME,
                        err) < 0)
        return -1;
    NX_AUTO_MANIFEST struct nx_manifest *m = calloc(1, sizeof *m);
    if (!m)
        return nx_fail_errno(err, FILE_NAME);
    int ret = read_all(xmlDocGetRootElement(doc), m, err);
    if (nx_xml_end(ret, "reading", err) < 0 || check_spans(m, err) < 0 ||
        check_images(m, err) < 0 || check_volumes(m, cut, err) < 0)
        return nx_fail_while(err, FILE_NAME);
    *ret_manifest = NX_STEAL(m);
    return 0;
}

/* ---- writing ---- */

static int write_element(struct nx_buffer *buf, const char *name, const char *text,
                         struct nx_error *err)
{
    if (nx_buffer_printf(buf, err, "  <%s>", name) < 0 || nx_xml_escape(buf, text, err) < 0)
        return -1;
    return nx_buffer_printf(buf, err, "</%s>\n", name);
}

#define SPAN_FORMAT     "offset=\"%" PRIu64 "\" size=\"%" PRIu64 "\""
#define SPAN_ARGS(span) (span).offset, (span).size

static int write_image(struct nx_buffer *buf, const struct nx_image *image, struct nx_error *err)
{
    char content[NX_DIGEST_HEX], root[NX_DIGEST_HEX];
    return nx_buffer_printf(buf, err,
                            "  <image name=\"%s\" role=\"%s\" size=\"%" PRIu64
                            "\" chunk-size=\"%" PRIu32 "\" chunks=\"%" PRIu64
                            "\"\n         content=\"%s\">\n"
                            "    <root " SPAN_FORMAT " sha256=\"%s\"/>\n"
                            "  </image>\n",
                            image->name, role_names[image->role], image->size, image->chunk_size,
                            image->chunks, nx_digest_hex(&image->content, content),
                            SPAN_ARGS(image->root), nx_digest_hex(&image->root_digest, root));
}

static int write_members(struct nx_buffer *buf, const struct nx_manifest *m, struct nx_error *err)
{
    char hex[NX_DIGEST_HEX];
    if (nx_buffer_printf(buf, err, "  <domain " SPAN_FORMAT " sha256=\"%s\"/>\n",
                         SPAN_ARGS(m->domain), nx_digest_hex(&m->domain_digest, hex)) < 0)
        return -1;
    if (m->suspended && nx_buffer_printf(buf, err,
                                         "  <device-state " SPAN_FORMAT " raw-size=\"%" PRIu64
                                         "\" sha256=\"%s\"/>\n",
                                         SPAN_ARGS(m->device_state), m->device_state_raw,
                                         nx_digest_hex(&m->device_state_digest, hex)) < 0)
        return -1;
    if (nx_buffer_printf(buf, err, "  <index " SPAN_FORMAT "/>\n  <chunks " SPAN_FORMAT "/>\n",
                         SPAN_ARGS(m->index), SPAN_ARGS(m->chunks)) < 0)
        return -1;
    if ((m->boot_index || m->boot_chunks) &&
        nx_buffer_printf(buf, err, "  <boot index=\"%" PRIu64 "\" chunks=\"%" PRIu64 "\"/>\n",
                         m->boot_index, m->boot_chunks) < 0)
        return -1;
    if (m->volumes.count)
        return nx_buffer_printf(buf, err,
                                "  <volumes head=\"%" PRIu64 "\" size=\"%" PRIu64 "\"/>\n",
                                m->volumes.head, m->volumes.size);
    return 0;
}

int nx_manifest_write(const struct nx_manifest *m, struct nx_buffer *buf, struct nx_error *err)
{
    if (nx_buffer_printf(buf, err,
                         "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                         "<manifest xmlns=\"" NAMESPACE "\" version=\"%d\">\n",
                         m->volumes.count ? NX_MANIFEST_VERSION_CUT : NX_MANIFEST_VERSION) < 0 ||
        write_element(buf, "name", m->name, err) < 0 ||
        (m->description[0] && write_element(buf, "description", m->description, err) < 0) ||
        write_element(buf, "created", m->created, err) < 0 ||
        (m->expires[0] && write_element(buf, "expires", m->expires, err) < 0) ||
        write_element(buf, "generator", m->generator, err) < 0 ||
        nx_buffer_printf(buf, err, "  <serial>%" PRIu64 "</serial>\n", m->serial) < 0 ||
        write_members(buf, m, err) < 0)
        return -1;
    for (unsigned i = 0; i < m->n_images; i++)
        if (write_image(buf, &m->images[i], err) < 0)
            return -1;
    return nx_buffer_printf(buf, err, "</manifest>\n");
}

void nx_manifest_free(struct nx_manifest *manifest)
{
    free(manifest);
}

/* ---- questions ---- */

const struct nx_image *nx_manifest_image(const struct nx_manifest *manifest, const char *name)
{
    for (unsigned i = 0; i < manifest->n_images; i++)
        if (strcmp(manifest->images[i].name, name) == 0)
            return &manifest->images[i];
    return NULL;
}

uint64_t nx_image_chunk_count(const struct nx_image *image)
{
    return (image->size + image->chunk_size - 1) / image->chunk_size;
}

uint32_t nx_image_chunk_bytes(const struct nx_image *image, uint64_t n)
{
    uint64_t left = image->size - n * image->chunk_size;
    return left < image->chunk_size ? (uint32_t)left : image->chunk_size;
}

uint64_t nx_manifest_end(const struct nx_manifest *manifest)
{
    return manifest->chunks.offset + manifest->chunks.size;
}

bool nx_manifest_is_cut(const struct nx_manifest *manifest, uint64_t bytes)
{
    return manifest->volumes.count && bytes == manifest->volumes.head;
}

uint64_t nx_manifest_least(const struct nx_manifest *manifest, uint64_t bytes)
{
    return manifest->volumes.count && bytes <= manifest->volumes.head ? manifest->volumes.head
                                                                      : nx_manifest_end(manifest);
}

void nx_content_start(struct nx_hash *hash, uint64_t size, uint32_t chunk_size)
{
    nx_hash_add_le64(hash, size);
    nx_hash_add_le64(hash, chunk_size);
}

void nx_content_add(struct nx_hash *hash, uint64_t number, const struct nx_digest *raw)
{
    nx_hash_add_le64(hash, number);
    nx_hash_add(hash, raw->bytes, NX_DIGEST_SIZE);
}
