/* SPDX-License-Identifier: MIT */
#include "formats/package.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/io.h"

#define TAIL_MAX 65536 /* the central directory of our eight members is far smaller */

/* ---- reading the head ---- */

/* The four members at the front, as the walk finds them. */
struct front {
    int wanted, found; /* how many of them, from the first on */
    struct nx_head *head;
    char signer_pem[NX_PUBLIC_PEM_SIZE];
};

static const char *const front_names[] = { "mimetype", "manifest.xml", "manifest.sig",
                                           "signer.pem" };
enum { UP_TO_MANIFEST = 2, UP_TO_SIGNER = 4 };

static int take_fixed(const char *name, const void *data, size_t len, void *ret, size_t size,
                      struct nx_error *err)
{
    if (len != size)
        return nx_fail(err, NX_ERR_FORMAT, "%s has %zu bytes, must have %zu", name, len, size);
    memcpy(ret, data, size);
    return 0;
}

static int take_member(const char *name, const void *data, size_t len, void *opaque,
                       struct nx_error *err)
{
    struct front *front = opaque;
    if (strcmp(name, front_names[front->found]) != 0)
        return nx_fail(err, NX_ERR_FORMAT, "not an nxpk package: member %d is \"%.60s\", not %s",
                       front->found + 1, name, front_names[front->found]);
    int ret = 0;
    switch (front->found) {
    case 0:
        if (len != strlen(NX_PACKAGE_TYPE) || memcmp(data, NX_PACKAGE_TYPE, len) != 0)
            ret = nx_fail(err, NX_ERR_FORMAT,
                          "not an nxpk package: its mimetype is not " NX_PACKAGE_TYPE);
        break;
    case 1:
        ret = nx_buffer_add(&front->head->manifest_xml, data, len, err);
        break;
    case 2:
        ret = take_fixed(name, data, len, front->head->signature, NX_SIGNATURE_SIZE, err);
        break;
    default:
        ret = take_fixed(name, data, len, front->signer_pem, NX_PUBLIC_PEM_SIZE, err);
        break;
    }
    front->found++;
    return ret < 0 ? -1 : front->found == front->wanted;
}

static bool is_filled_with(const void *data, size_t len, char c)
{
    const char *p = data;
    for (size_t i = 0; i < len; i++)
        if (p[i] != c)
            return false;
    return true;
}

static int take_manifest(struct nx_head *head, struct nx_error *err)
{
    nx_digest_of(head->manifest_xml.data, head->manifest_xml.len, &head->manifest_digest);
    return nx_manifest_parse(head->manifest_xml.data, head->manifest_xml.len, &head->manifest, err);
}

/* Signature, then manifest: the bytes are parsed only if they are what the key signed. */
static int verify_front(struct nx_head *head, const char signer_pem[static NX_PUBLIC_PEM_SIZE],
                        struct nx_error *err)
{
    bool no_signature = is_filled_with(head->signature, NX_SIGNATURE_SIZE, 0);
    bool no_signer = is_filled_with(signer_pem, NX_PUBLIC_PEM_SIZE, '\n');
    if (no_signature != no_signer)
        return nx_fail(err, NX_ERR_TRUST,
                       "a signature without a signer's key, or a key without one");
    if (!no_signer) {
        if (nx_key_from_public_pem(signer_pem, NX_PUBLIC_PEM_SIZE, &head->signer, err) < 0)
            return nx_fail_while(err, "signer.pem");
        if (nx_key_verify(head->signer, head->manifest_xml.data, head->manifest_xml.len,
                          head->signature, err) < 0)
            return -1;
    }
    return take_manifest(head, err);
}

static int take_domain(struct nx_head *head, const void *domain, size_t len, struct nx_error *err)
{
    struct nx_digest digest;
    nx_digest_of(domain, len, &digest);
    if (len != head->manifest->domain.size ||
        !nx_digest_equal(&digest, &head->manifest->domain_digest))
        return nx_fail(err, NX_ERR_FORMAT,
                       "domain.xml is damaged: not the bytes that the manifest names");
    return nx_buffer_add(&head->domain_xml, domain, len, err);
}

static struct nx_head *head_new(struct nx_error *err)
{
    struct nx_head *head = calloc(1, sizeof *head);
    if (!head) {
        nx_fail_errno(err, "package head");
        return NULL;
    }
    nx_buffer_init(&head->manifest_xml, NX_MANIFEST_MAX);
    nx_buffer_init(&head->domain_xml, NX_DOMAIN_MAX);
    return head;
}

/* wanted: UP_TO_SIGNER, or UP_TO_MANIFEST, whoever has signed it, if anybody.
 * 1: *ret_head is set; 0: *ret_need more bytes are needed; -1: failed
 */
static int parse(const void *data, size_t len, int wanted, struct nx_head **ret_head,
                 size_t *ret_need, struct nx_error *err)
{
    NX_AUTO_HEAD struct nx_head *head = head_new(err);
    if (!head)
        return -1;
    struct front front = { .head = head, .wanted = wanted };
    if (len > 0 && memcmp(data, "PK\3\4", len < 4 ? len : 4) != 0)
        return nx_fail(err, NX_ERR_FORMAT, "not an nxpk package: it is no ZIP archive");
    if (nx_zip_walk(data, len, NX_MANIFEST_MAX, take_member, &front, err) < 0)
        return -1;
    if (front.found < wanted) {
        if (len >= NX_HEAD_MAX)
            return nx_fail(err, NX_ERR_FORMAT, "damaged: no whole %s in the first %zu bytes",
                           front_names[front.found], len);
        *ret_need = len < NX_HEAD_MAX / 4 ? len * 4 : NX_HEAD_MAX;
        if (*ret_need < NX_HEAD_FIRST)
            *ret_need = NX_HEAD_FIRST;
        return 0;
    }
    if (wanted == UP_TO_SIGNER ? verify_front(head, front.signer_pem, err) < 0
                               : take_manifest(head, err) < 0)
        return -1;
    const struct nx_span *domain = &head->manifest->domain;
    if (domain->offset + domain->size > NX_HEAD_MAX)
        return nx_fail(err, NX_ERR_FORMAT, "domain.xml at %" PRIu64 " is too far from the front",
                       domain->offset);
    if (domain->offset + domain->size > len) {
        *ret_need = domain->offset + domain->size;
        return 0;
    }
    if (take_domain(head, (const char *)data + domain->offset, domain->size, err) < 0)
        return -1;
    *ret_head = NX_STEAL(head);
    return 1;
}

int nx_head_parse(const void *data, size_t len, const char *name, struct nx_head **ret_head,
                  size_t *ret_need, struct nx_error *err)
{
    struct nx_head *head = NULL;
    int status = parse(data, len, UP_TO_SIGNER, &head, ret_need, err);
    if (status < 0)
        return nx_fail_while(err, "%s", name);
    *ret_head = head;
    return 0;
}

static int read_head(int fd, const char *name, int wanted, struct nx_head **ret_head,
                     struct nx_error *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return nx_fail_errno(err, "%s", name);
    uint64_t file_size = (uint64_t)st.st_size;
    size_t want = NX_HEAD_FIRST;
    NX_AUTO_BUFFER struct nx_buffer buf = NX_BUFFER_INIT(NX_HEAD_MAX);
    for (;;) {
        if (want > file_size)
            want = file_size;
        if (nx_buffer_reserve(&buf, want - buf.len, err) < 0 ||
            nx_pread_full(fd, buf.data + buf.len, want - buf.len, buf.len, name, err) < 0)
            return -1;
        buf.len = want;
        NX_AUTO_HEAD struct nx_head *head = NULL;
        size_t need = 0;
        if (parse(buf.data, buf.len, wanted, &head, &need, err) < 0)
            return nx_fail_while(err, "%s", name);
        uint64_t least = head ? nx_manifest_least(head->manifest, file_size) : 0;
        if (file_size < least)
            return nx_fail(err, NX_ERR_FORMAT,
                           "%s: truncated: %" PRIu64 " bytes of at least %" PRIu64, name, file_size,
                           least);
        if (head) {
            *ret_head = NX_STEAL(head);
            return 0;
        }
        if (want == file_size)
            return nx_fail(err, NX_ERR_FORMAT,
                           "%s: truncated or damaged: it ends within the package's head", name);
        want = need;
    }
}

int nx_head_read(int fd, const char *name, struct nx_head **ret_head, struct nx_error *err)
{
    return read_head(fd, name, UP_TO_SIGNER, ret_head, err);
}

int nx_head_from_parts(const struct nx_buffer *manifest_xml,
                       const uint8_t signature[static NX_SIGNATURE_SIZE],
                       const char signer_pem[static NX_PUBLIC_PEM_SIZE],
                       const struct nx_buffer *domain_xml, const char *name,
                       struct nx_head **ret_head, struct nx_error *err)
{
    NX_AUTO_HEAD struct nx_head *head = head_new(err);
    if (!head)
        return -1;
    memcpy(head->signature, signature, NX_SIGNATURE_SIZE);
    if (nx_buffer_add(&head->manifest_xml, manifest_xml->data, manifest_xml->len, err) < 0 ||
        verify_front(head, signer_pem, err) < 0 ||
        take_domain(head, domain_xml->data, domain_xml->len, err) < 0)
        return nx_fail_while(err, "%s", name);
    *ret_head = NX_STEAL(head);
    return 0;
}

void nx_head_free(struct nx_head *head)
{
    if (!head)
        return;
    nx_buffer_release(&head->manifest_xml);
    nx_buffer_release(&head->domain_xml);
    nx_key_free(head->signer);
    nx_manifest_free(head->manifest);
    free(head);
}

/* ---- writing ---- */

/* What signer.pem holds for this key, or for none. */
static int make_pem(const struct nx_key *key, char pem[static NX_PUBLIC_PEM_SIZE + 1],
                    struct nx_error *err)
{
    memset(pem, '\n', NX_PUBLIC_PEM_SIZE);
    pem[NX_PUBLIC_PEM_SIZE] = 0;
    return key ? nx_key_public_pem(key, pem, err) : 0;
}

/* What signer.pem and manifest.sig hold for a key over a manifest, or for none. */
static int make_signature(const struct nx_buffer *manifest_xml, const struct nx_key *key,
                          uint8_t signature[static NX_SIGNATURE_SIZE],
                          char pem[static NX_PUBLIC_PEM_SIZE + 1], struct nx_error *err)
{
    memset(signature, 0, NX_SIGNATURE_SIZE);
    if (key && nx_key_sign(key, manifest_xml->data, manifest_xml->len, signature, err) < 0)
        return -1;
    return make_pem(key, pem, err);
}

static int write_front(struct nx_zip_writer *zip, const struct nx_buffer *manifest_xml,
                       const uint8_t signature[static NX_SIGNATURE_SIZE],
                       const char pem[static NX_PUBLIC_PEM_SIZE], struct nx_error *err)
{
    if (nx_zip_member(zip, "mimetype", NX_PACKAGE_TYPE, strlen(NX_PACKAGE_TYPE), err) < 0 ||
        nx_zip_member(zip, "manifest.xml", manifest_xml->data, manifest_xml->len, err) < 0 ||
        nx_zip_member(zip, "manifest.sig", signature, NX_SIGNATURE_SIZE, err) < 0)
        return -1;
    return nx_zip_member(zip, "signer.pem", pem, NX_PUBLIC_PEM_SIZE, err);
}

/* Where the member's first byte will stand, and *position behind it. */
static int plan_member(const char *name, uint64_t size, uint64_t *position, uint64_t *ret_offset,
                       struct nx_error *err)
{
    NX_AUTO_ZIP struct nx_zip_writer *zip = NULL;
    uint64_t offset, overhead;
    if (nx_zip_writer_new(NULL, NULL, &zip, err) < 0 ||
        nx_zip_begin(zip, name, size, &offset, err) < 0 || nx_zip_end(zip, &overhead, err) < 0)
        return -1;
    *ret_offset = *position + offset;
    *position += overhead + size;
    return 0;
}

/* The offsets for a manifest of manifest_size bytes. */
static int plan_offsets(struct nx_manifest *m, size_t manifest_size, struct nx_error *err)
{
    uint64_t at = 0, ignored;
    if (plan_member("mimetype", strlen(NX_PACKAGE_TYPE), &at, &ignored, err) < 0 ||
        plan_member("manifest.xml", manifest_size, &at, &ignored, err) < 0 ||
        plan_member("manifest.sig", NX_SIGNATURE_SIZE, &at, &ignored, err) < 0 ||
        plan_member("signer.pem", NX_PUBLIC_PEM_SIZE, &at, &ignored, err) < 0 ||
        plan_member("domain.xml", m->domain.size, &at, &m->domain.offset, err) < 0 ||
        (m->suspended && plan_member("device-state", m->device_state.size, &at,
                                     &m->device_state.offset, err) < 0) ||
        plan_member("index", m->index.size, &at, &m->index.offset, err) < 0)
        return -1;
    return plan_member("chunks", m->chunks.size, &at, &m->chunks.offset, err);
}

/* least: a head that was planned before is not made smaller. */
static void plan_volumes(struct nx_manifest *m, uint64_t *least)
{
    if (m->volumes.size == 0)
        return;
    uint64_t domain_end = m->domain.offset + m->domain.size;
    nx_volumes_plan(&m->volumes, *least > domain_end ? *least : domain_end, m->chunks.offset,
                    nx_manifest_end(m));
    *least = m->volumes.head;
}

int nx_package_plan(struct nx_manifest *manifest, struct nx_error *err)
{
    uint64_t head = 0;
    /* Longer offsets make a longer manifest, which makes larger offsets: sizes only grow, so this ends. */
    for (size_t planned = 0;;) {
        NX_AUTO_BUFFER struct nx_buffer xml = NX_BUFFER_INIT(NX_MANIFEST_MAX);
        if (nx_manifest_write(manifest, &xml, err) < 0)
            return nx_fail_while(err, "manifest.xml");
        if (xml.len == planned)
            return 0;
        planned = xml.len;
        if (plan_offsets(manifest, planned, err) < 0)
            return -1;
        plan_volumes(manifest, &head);
    }
}

int nx_package_write_head(struct nx_zip_writer *zip, const struct nx_manifest *manifest,
                          const void *domain_xml, const struct nx_key *key, struct nx_error *err)
{
    NX_AUTO_BUFFER struct nx_buffer xml = NX_BUFFER_INIT(NX_MANIFEST_MAX);
    uint8_t signature[NX_SIGNATURE_SIZE];
    char pem[NX_PUBLIC_PEM_SIZE + 1];
    if (nx_manifest_write(manifest, &xml, err) < 0 ||
        make_signature(&xml, key, signature, pem, err) < 0 ||
        write_front(zip, &xml, signature, pem, err) < 0)
        return -1;
    return nx_zip_member(zip, "domain.xml", domain_xml, manifest->domain.size, err);
}

int nx_head_signer_pem(const struct nx_head *head, char ret_pem[static NX_PUBLIC_PEM_SIZE + 1],
                       struct nx_error *err)
{
    return make_pem(head->signer, ret_pem, err);
}

int nx_head_write_front(const struct nx_head *head, struct nx_zip_writer *zip, struct nx_error *err)
{
    char pem[NX_PUBLIC_PEM_SIZE + 1];
    if (make_pem(head->signer, pem, err) < 0)
        return -1;
    return write_front(zip, &head->manifest_xml, head->signature, pem, err);
}

/* ---- signing in place ---- */

static int append(const void *data, size_t len, void *opaque, struct nx_error *err)
{
    return nx_buffer_add(opaque, data, len, err);
}

/* An archive of the front members alone, as libarchive writes it: its first `front`
 * bytes open every package with this manifest and signature, and the entries of its central directory,
 * `entries` bytes behind them, open that package's directory.  What stands before the signature, and before its
 * checksum, is the same for all signatures: the `kept` bytes of both.
 */
struct small {
    struct nx_buffer archive;
    size_t front, entries;
    size_t front_kept, entries_kept;
};

static int write_small(const struct nx_buffer *manifest_xml,
                       const uint8_t signature[static NX_SIGNATURE_SIZE],
                       const char pem[static NX_PUBLIC_PEM_SIZE], struct small *ret_small,
                       struct nx_error *err)
{
    NX_AUTO_ZIP struct nx_zip_writer *empty = NULL;
    NX_AUTO_ZIP struct nx_zip_writer *zip = NULL;
    struct nx_buffer *archive = &ret_small->archive;
    nx_buffer_init(archive, NX_HEAD_MAX);
    /* The end record's size is that of an empty archive. */
    if (nx_zip_writer_new(NULL, NULL, &empty, err) < 0 || nx_zip_finish(empty, err) < 0 ||
        nx_zip_writer_new(append, archive, &zip, err) < 0 ||
        write_front(zip, manifest_xml, signature, pem, err) < 0)
        return -1;
    ret_small->front = archive->len;
    if (nx_zip_finish(zip, err) < 0)
        return -1;
    ret_small->entries = archive->len - ret_small->front - nx_zip_position(empty);
    return 0;
}

static size_t common_length(const uint8_t *a, const uint8_t *b, size_t len)
{
    size_t n = 0;
    while (n < len && a[n] == b[n])
        n++;
    return n;
}

/* Two signatures that have no bit in common show what all have in common. */
static int find_kept(const struct nx_buffer *manifest_xml, struct small *small,
                     struct nx_error *err)
{
    uint8_t signature[NX_SIGNATURE_SIZE];
    char pem[NX_PUBLIC_PEM_SIZE];
    struct small a = { 0 }, b = { 0 };
    memset(signature, 0, sizeof signature);
    memset(pem, '\n', sizeof pem);
    int ret = write_small(manifest_xml, signature, pem, &a, err);
    memset(signature, 0xff, sizeof signature);
    if (ret == 0)
        ret = write_small(manifest_xml, signature, pem, &b, err);
    if (ret == 0 && (a.front != b.front || a.front != small->front || a.entries != b.entries ||
                     a.entries != small->entries))
        ret = nx_fail(err, NX_ERR_SYSTEM, "libarchive wrote heads of different sizes");
    if (ret == 0) {
        small->front_kept = common_length(a.archive.data, b.archive.data, a.front);
        small->entries_kept =
            common_length(a.archive.data + a.front, b.archive.data + b.front, a.entries);
    }
    nx_buffer_release(&a.archive);
    nx_buffer_release(&b.archive);
    return ret;
}

/* Where in the file the directory's entries for the front members stand: they begin so. */
static int find_directory(const struct nx_parts *parts, const uint8_t *entries, size_t len,
                          uint64_t *ret_offset, struct nx_error *err)
{
    const char *name = parts->files[0].path;
    uint64_t size = parts->size;
    size_t tail_len = size < TAIL_MAX ? size : TAIL_MAX;
    NX_AUTO_FREE uint8_t *tail = malloc(tail_len);
    if (!tail)
        return nx_fail_errno(err, "%s", name);
    if (nx_parts_read(parts, tail, tail_len, size - tail_len, err) < 0)
        return -1;
    const uint8_t *found = memmem(tail, tail_len, entries, len);
    if (!found)
        return nx_fail(err, NX_ERR_FORMAT,
                       "%s: its ZIP directory is not as nxpack writes it: pack it anew to sign it",
                       name);
    *ret_offset = size - tail_len + (uint64_t)(found - tail);
    return 0;
}

/* Does the package open as libarchive would write it here, and the next member stand where it then would? */
static int check_front(const struct nx_parts *parts, const struct nx_manifest *manifest,
                       const struct small *small, struct nx_error *err)
{
    const char *name = parts->files[0].path;
    NX_AUTO_FREE uint8_t *have = malloc(small->front_kept);
    uint64_t at = small->front, domain;
    if (!have)
        return nx_fail_errno(err, "%s", name);
    if (plan_member("domain.xml", manifest->domain.size, &at, &domain, err) < 0 ||
        nx_parts_read(parts, have, small->front_kept, 0, err) < 0)
        return -1;
    if (memcmp(have, small->archive.data, small->front_kept) != 0 ||
        domain != manifest->domain.offset)
        return nx_fail(err, NX_ERR_FORMAT,
                       "%s: its head is not as nxpack writes it: pack it anew to sign it", name);
    return 0;
}

/* Write what stands behind the kept bytes of a part of small, which begins at offset. */
static int write_sealed(const struct nx_parts *parts, const uint8_t *part, size_t kept, size_t len,
                        uint64_t offset, struct nx_error *err)
{
    return nx_parts_write_through(parts, part + kept, len - kept, offset + kept, err);
}

static int seal(const struct nx_parts *parts, const struct nx_head *head, const struct nx_key *key,
                struct small *small, struct nx_error *err)
{
    const char *name = parts->files[0].path;
    uint8_t signature[NX_SIGNATURE_SIZE];
    char pem[NX_PUBLIC_PEM_SIZE + 1];
    uint64_t directory = 0;
    if (make_signature(&head->manifest_xml, key, signature, pem, err) < 0)
        return -1;
    if (write_small(&head->manifest_xml, signature, pem, small, err) < 0 ||
        find_kept(&head->manifest_xml, small, err) < 0)
        return nx_fail_while(err, "%s", name);
    const uint8_t *front = small->archive.data, *entries = front + small->front;
    if (check_front(parts, head->manifest, small, err) < 0 ||
        find_directory(parts, entries, small->entries_kept, &directory, err) < 0)
        return -1;
    /* The front first: it is what readers believe; the directory repeats its checksums for unzip. */
    if (write_sealed(parts, front, small->front_kept, small->front, 0, err) < 0)
        return -1;
    return write_sealed(parts, entries, small->entries_kept, small->entries, directory, err);
}

int nx_package_sign(struct nx_parts *parts, const struct nx_key *key, struct nx_error *err)
{
    NX_AUTO_HEAD struct nx_head *head = NULL;
    struct small small = { 0 };
    if (read_head(nx_parts_fd(parts), parts->files[0].path, UP_TO_MANIFEST, &head, err) < 0)
        return -1;
    assert(head);
    if (nx_parts_settle(parts, head->manifest, err) < 0)
        return -1;
    int ret = seal(parts, head, key, &small, err);
    nx_buffer_release(&small.archive);
    return ret;
}
