/* SPDX-License-Identifier: MIT */
/* Manifest, package head, signing in place: written, read back, and bent. */
#include "formats/package.h"

#include <fcntl.h>
#include <unistd.h>

#include "common/io.h"
#include "tests/support/main.h"

static const char domain_xml[] = "<domain/>\n";

static void fill_manifest(struct nx_manifest *m)
{
    memset(m, 0, sizeof *m);
    strcpy(m->name, "A <machine> & \"more\"");
    strcpy(m->created, "2026-11-21T01:02:03Z");
    strcpy(m->generator, "test");
    m->serial = 7;
    m->domain.size = sizeof domain_xml - 1;
    nx_digest_of(domain_xml, m->domain.size, &m->domain_digest);
    m->index.size = 84;
    m->chunks.size = 5000000000; /* the member needs ZIP64 */
    m->n_images = 1;
    struct nx_image *image = &m->images[0];
    strcpy(image->name, "disk0");
    image->size = 1 << 20;
    image->chunk_size = 65536;
    image->chunks = 1;
    image->root.size = 84;
}

static int append(const void *data, size_t len, void *opaque, struct nx_error *err)
{
    return nx_buffer_add(opaque, data, len, err);
}

/* The head, the index and the first bytes of chunks of a package, whole but for its chunks. */
static void build(const struct nx_key *key, struct nx_manifest *m, struct nx_buffer *out)
{
    struct nx_error err;
    NX_AUTO_ZIP struct nx_zip_writer *zip = NULL;
    static const char index[84];
    uint64_t offset;
    nx_assert_ok(nx_package_plan(m, &err), err);
    nx_assert_ok(nx_zip_writer_new(append, out, &zip, &err), err);
    nx_assert_ok(nx_package_write_head(zip, m, domain_xml, key, &err), err);
    nx_assert_ok(nx_zip_begin(zip, "index", m->index.size, &offset, &err), err);
    ck_assert_uint_eq(offset, m->index.offset);
    nx_assert_ok(nx_zip_write(zip, index, sizeof index, &err), err);
    nx_assert_ok(nx_zip_end(zip, NULL, &err), err);
    nx_assert_ok(nx_zip_begin(zip, "chunks", m->chunks.size, &offset, &err), err);
    ck_assert_uint_eq(offset, m->chunks.offset);
    ck_assert_mem_eq(out->data + m->domain.offset, domain_xml, m->domain.size);
}

START_TEST(head_is_read)
{
    struct nx_error err;
    NX_AUTO_KEY struct nx_key *key = NULL;
    nx_assert_ok(nx_key_generate(&key, &err), err);
    for (int with_key = 0; with_key < 2; with_key++) {
        struct nx_manifest m;
        fill_manifest(&m);
        NX_AUTO_BUFFER struct nx_buffer out = NX_BUFFER_INIT(1 << 20);
        build(with_key ? key : NULL, &m, &out);
        NX_AUTO_HEAD struct nx_head *head = NULL;
        size_t need = 0;
        nx_assert_ok(nx_head_parse(out.data, out.len, "x.nxpk", &head, &need, &err), err);
        ck_assert_ptr_nonnull(head);
        ck_assert(!with_key == !head->signer);
        ck_assert_str_eq(head->manifest->name, m.name);
        ck_assert_uint_eq(head->manifest->serial, 7);
        ck_assert_uint_eq(head->manifest->chunks.offset, m.chunks.offset);
        ck_assert_mem_eq(&head->manifest->images[0], &m.images[0], sizeof m.images[0]);
        ck_assert_mem_eq(head->domain_xml.data, domain_xml, sizeof domain_xml - 1);
    }
}
END_TEST

/* Whatever part of it is there, the answer is "more", never an error and never a head. */
START_TEST(every_prefix)
{
    struct nx_error err;
    struct nx_manifest m;
    fill_manifest(&m);
    NX_AUTO_KEY struct nx_key *key = NULL;
    nx_assert_ok(nx_key_generate(&key, &err), err);
    NX_AUTO_BUFFER struct nx_buffer out = NX_BUFFER_INIT(1 << 20);
    build(key, &m, &out);
    size_t end = m.domain.offset + m.domain.size;
    for (size_t len = 0; len < end; len++) {
        NX_AUTO_HEAD struct nx_head *head = NULL;
        size_t need = 0;
        nx_assert_ok(nx_head_parse(out.data, len, "x.nxpk", &head, &need, &err), err);
        ck_assert_ptr_null(head);
        ck_assert_uint_gt(need, len);
        ck_assert_uint_le(need, NX_HEAD_MAX);
    }
}
END_TEST

/* Every bit that matters is noticed: no flip in the signed part gives another head. */
START_TEST(every_byte_flipped)
{
    struct nx_error err;
    struct nx_manifest m;
    fill_manifest(&m);
    NX_AUTO_KEY struct nx_key *key = NULL;
    nx_assert_ok(nx_key_generate(&key, &err), err);
    NX_AUTO_BUFFER struct nx_buffer out = NX_BUFFER_INIT(1 << 20);
    build(key, &m, &out);
    NX_AUTO_HEAD struct nx_head *good = NULL;
    size_t need = 0;
    nx_assert_ok(nx_head_parse(out.data, out.len, "x.nxpk", &good, &need, &err), err);
    unsigned refused = 0;
    for (size_t at = 0; at < m.domain.offset + m.domain.size; at++) {
        out.data[at] ^= 0x21;
        NX_AUTO_HEAD struct nx_head *head = NULL;
        if (nx_head_parse(out.data, out.len, "x.nxpk", &head, &need, &err) < 0) {
            refused++;
            ck_assert_msg(strncmp(err.msg, "x.nxpk: ", 8) == 0, "%s", err.msg);
        } else if (!head) { /* for a reader who has all there is: a damaged member */
            refused++;
        } else { /* a byte of ZIP's headers that nobody needs */
            ck_assert(nx_digest_equal(&head->manifest_digest, &good->manifest_digest));
            ck_assert(nx_key_same_public(head->signer, key));
            ck_assert_mem_eq(head->domain_xml.data, domain_xml, sizeof domain_xml - 1);
        }
        out.data[at] ^= 0x21;
    }
    ck_assert_uint_gt(refused, 1000);
}
END_TEST

/* A manifest that the author's key signed may still be wrong: each limit has its message. */
START_TEST(bad_manifests)
{
    static const struct {
        const char *from, *to, *message;
    } cases[] = {
        { "version=\"1\"", "version=\"3\"", "version \"3\"; this nxpk reads versions 1 and 2" },
        { "version=\"1\"", "version=\"2\"", "version 2 without volumes" },
        { "<image ", "<volumes head=\"5000\" size=\"2097152\"/><image ", "volumes in version 1" },
        { "<image ", "<volumes head=\"0\" size=\"0\"/><image ", "volumes in version 1" },
        { "<manifest ", "<!DOCTYPE m><manifest ", "DOCTYPE is not allowed" },
        { "role=\"disk\"", "role=\"tape\"", "manifest.xml:11: " },
        { "role=\"disk\"", "role=\"memory\"", "1 memory images without a device state" },
        { "chunk-size=\"65536\"", "chunk-size=\"65535\"", "not a power of two" },
        { "chunk-size=\"65536\"", "chunk-size=\"8388608\"", "not a number up to 4194304" },
        { "chunk-size=\"65536\"", "chunk-size=\"2048\"", "not a power of two" },
        { "size=\"1048576\"", "size=\"0\"", "an image without a byte" },
        { "size=\"1048576\"", "size=\"99999999999999999\"", "not a number up to" },
        { "chunks=\"1\"", "chunks=\"17\"", "17 chunks in an image of 16" },
        { "chunks=\"1\"", "chunks=\"-1\"", "manifest.xml:11: " },
        { "<root offset=\"0\"", "<root offset=\"1\"", "its root page is not within the index" },
        { "</manifest>", "<image/></manifest>", "manifest.xml:" },
        { "<serial>7</serial>", "<serial>007</serial>", "manifest.xml:" },
        { "disk0", "../../x", "manifest.xml:" },
        { "</manifest>", "", "manifest.xml:" },
    };
    struct nx_error err;
    struct nx_manifest m;
    fill_manifest(&m);
    nx_assert_ok(nx_package_plan(&m, &err), err);
    NX_AUTO_BUFFER struct nx_buffer xml = NX_BUFFER_INIT(1 << 20);
    nx_assert_ok(nx_manifest_write(&m, &xml, &err), err);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        NX_AUTO_BUFFER struct nx_buffer bent = NX_BUFFER_INIT(1 << 20);
        char *at = memmem(xml.data, xml.len, cases[i].from, strlen(cases[i].from));
        ck_assert_msg(at, "no %s in the manifest", cases[i].from);
        size_t before = (size_t)(at - (char *)xml.data), skip = before + strlen(cases[i].from);
        nx_buffer_add(&bent, xml.data, before, &err);
        nx_buffer_add(&bent, cases[i].to, strlen(cases[i].to), &err);
        nx_buffer_add(&bent, xml.data + skip, xml.len - skip, &err);
        NX_AUTO_MANIFEST struct nx_manifest *parsed = NULL;
        nx_assert_fails(nx_manifest_parse(bent.data, bent.len, &parsed, &err), err,
                        cases[i].message);
    }
}
END_TEST

START_TEST(spans_in_order)
{
    struct nx_error err;
    struct nx_manifest m;
    fill_manifest(&m);
    nx_assert_ok(nx_package_plan(&m, &err), err);
    m.chunks.offset = m.index.offset + 10;
    NX_AUTO_BUFFER struct nx_buffer xml = NX_BUFFER_INIT(1 << 20);
    nx_assert_ok(nx_manifest_write(&m, &xml, &err), err);
    NX_AUTO_MANIFEST struct nx_manifest *parsed = NULL;
    nx_assert_fails(nx_manifest_parse(xml.data, xml.len, &parsed, &err), err,
                    "overlaps what stands before it");
}
END_TEST

/* The whole of a small package, in a temporary file. */
static int small_package(const struct nx_key *key)
{
    struct nx_error err;
    struct nx_manifest m;
    fill_manifest(&m);
    m.chunks.size = 4;
    nx_assert_ok(nx_package_plan(&m, &err), err);
    NX_AUTO_BUFFER struct nx_buffer out = NX_BUFFER_INIT(1 << 20);
    NX_AUTO_ZIP struct nx_zip_writer *zip = NULL;
    static const char index[84];
    nx_assert_ok(nx_zip_writer_new(append, &out, &zip, &err), err);
    nx_assert_ok(nx_package_write_head(zip, &m, domain_xml, key, &err), err);
    nx_assert_ok(nx_zip_member(zip, "index", index, sizeof index, &err), err);
    nx_assert_ok(nx_zip_member(zip, "chunks", "abcd", 4, &err), err);
    nx_assert_ok(nx_zip_finish(zip, &err), err);
    char path[] = "/tmp/nxpk-test-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    unlink(path);
    nx_assert_ok(nx_pwrite_full(fd, out.data, out.len, 0, path, &err), err);
    return fd;
}

static void assert_signed_by(int fd, const struct nx_key *key)
{
    struct nx_error err;
    NX_AUTO_HEAD struct nx_head *head = NULL;
    nx_assert_ok(nx_head_read(fd, "x.nxpk", &head, &err), err);
    ck_assert(!key == !head->signer);
    ck_assert(!key || nx_key_same_public(head->signer, key));
}

static int sign(int fd, const struct nx_key *key, struct nx_error *err)
{
    char name[] = "x.nxpk";
    struct nx_part file = { fd, name };
    struct nx_parts parts = { .files = &file, .count = 1 };
    return nx_package_sign(&parts, key, err);
}

START_TEST(sign_in_place)
{
    struct nx_error err;
    NX_AUTO_KEY struct nx_key *one = NULL;
    NX_AUTO_KEY struct nx_key *two = NULL;
    nx_assert_ok(nx_key_generate(&one, &err), err);
    nx_assert_ok(nx_key_generate(&two, &err), err);
    NX_AUTO_FD int fd = small_package(NULL);
    NX_AUTO_FD int reference = small_package(two);
    assert_signed_by(fd, NULL);
    nx_assert_ok(sign(fd, one, &err), err);
    assert_signed_by(fd, one);
    nx_assert_ok(sign(fd, two, &err), err);
    assert_signed_by(fd, two);
    /* Signed in place or at packing: the same bytes, directory and checksums included. */
    static uint8_t a[1 << 16], b[1 << 16];
    ssize_t len = pread(fd, a, sizeof a, 0);
    ck_assert_int_eq(len, pread(reference, b, sizeof b, 0));
    ck_assert_mem_eq(a, b, (size_t)len);
    nx_assert_ok(sign(fd, NULL, &err), err);
    assert_signed_by(fd, NULL);
}
END_TEST

/* Killed, or without power, at any byte of its writes, or with only some of its blocks written: signing again makes it whole. */
START_TEST(signing_cut_off)
{
    struct nx_error err;
    static uint8_t old[1 << 16], new[1 << 16], mixed[1 << 16];
    NX_AUTO_KEY struct nx_key *one = NULL;
    NX_AUTO_KEY struct nx_key *two = NULL;
    nx_assert_ok(nx_key_generate(&one, &err), err);
    nx_assert_ok(nx_key_generate(&two, &err), err);
    NX_AUTO_FD int fd = small_package(one);
    ssize_t len = pread(fd, old, sizeof old, 0);
    nx_assert_ok(sign(fd, two, &err), err);
    ck_assert_int_eq(pread(fd, new, sizeof new, 0), len);
    size_t changed = 0;
    for (size_t i = 0; i < (size_t)len; i++)
        changed += old[i] != new[i];
    ck_assert_uint_gt(changed, 64);
    for (size_t written = 0; written <= changed; written++) {
        size_t done = 0;
        for (size_t i = 0; i < (size_t)len; i++)
            mixed[i] = old[i] != new[i] && done++ < written ? new[i] : old[i];
        ck_assert_int_eq(pwrite(fd, mixed, (size_t)len, 0), len);
        nx_assert_ok(sign(fd, two, &err), err);
        ck_assert_int_eq(pread(fd, mixed, sizeof mixed, 0), len);
        ck_assert_mem_eq(mixed, new, (size_t)len);
    }
    for (unsigned blocks = 0; blocks < 1024; blocks++) {
        for (size_t i = 0; i < (size_t)len; i++)
            mixed[i] = blocks >> (i / 16 % 10) & 1 ? new[i] : old[i];
        ck_assert_int_eq(pwrite(fd, mixed, (size_t)len, 0), len);
        nx_assert_ok(sign(fd, two, &err), err);
        ck_assert_int_eq(pread(fd, mixed, sizeof mixed, 0), len);
        ck_assert_mem_eq(mixed, new, (size_t)len);
    }
}
END_TEST

/* What does not open as nxpack writes it is left alone. */
START_TEST(not_ours_to_sign)
{
    struct nx_error err;
    static uint8_t before[1 << 16], after[1 << 16];
    NX_AUTO_FD int fd = small_package(NULL);
    ssize_t len = pread(fd, before, sizeof before, 0);
    uint8_t *entry = memmem(before + 200, (size_t)len - 200, "PK\1\2", 4);
    ck_assert_ptr_nonnull(entry);
    entry[8] ^= 1; /* of the directory's first entry: its flags */
    ck_assert_int_eq(pwrite(fd, before, (size_t)len, 0), len);
    nx_assert_fails(sign(fd, NULL, &err), err, "ZIP directory is not as");
    ck_assert_int_eq(pread(fd, after, sizeof after, 0), len);
    ck_assert_mem_eq(before, after, (size_t)len);
}
END_TEST

START_TEST(truncated)
{
    struct nx_error err;
    NX_AUTO_FD int fd = small_package(NULL);
    NX_AUTO_HEAD struct nx_head *head = NULL;
    nx_assert_ok(nx_head_read(fd, "x.nxpk", &head, &err), err);
    uint64_t end = nx_manifest_end(head->manifest);
    NX_AUTO_HEAD struct nx_head *again = NULL;
    ck_assert_int_eq(ftruncate(fd, (off_t)end - 1), 0);
    nx_assert_fails(nx_head_read(fd, "x.nxpk", &again, &err), err, "x.nxpk: truncated: ");
    ck_assert_int_eq(ftruncate(fd, 100), 0);
    nx_assert_fails(nx_head_read(fd, "x.nxpk", &again, &err), err,
                    "ends within the package's head");
    ck_assert_int_eq(ftruncate(fd, 0), 0);
    nx_assert_fails(nx_head_read(fd, "x.nxpk", &again, &err), err, "truncated");
}
END_TEST

NX_TEST_MAIN("package", head_is_read, every_prefix, every_byte_flipped, bad_manifests,
             signing_cut_off, not_ours_to_sign, spans_in_order, sign_in_place, truncated)
