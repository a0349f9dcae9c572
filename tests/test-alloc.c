/* SPDX-License-Identifier: MIT */
/* Every parser and writer of formats/ while memory runs out: the Nth allocation fails, for every N until the work is done
 * without it (or a sample of them, where libraries allocate by the thousand), alone or with all after it.  Each time it is an error that says so, or the whole, right result; built
 * with SANITIZE=address, nothing leaks either.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/io.h"
#include "common/process.h"
#include "fetch/cmdline.h"
#include "formats/chunk.h"
#include "formats/devicestate.h"
#include "formats/domain.h"
#include "formats/index.h"
#include "formats/key.h"
#include "formats/machine.h"
#include "formats/migration.h"
#include "formats/package.h"
#include "formats/record.h"
#include "formats/reference.h"
#include "formats/savefile.h"
#include "tests/preload/failmalloc.c"
#include "tests/support/main.h"
#include "tests/support/package.h"
#include "tests/support/stream.h"

#define DOMAINS "tests/data/domains/"
#define SIZE    100000 /* bytes of content */

/* What formats/xml.c leaves libxml2 with; and libarchive 3.6's writer forgets its last filter after a failure. */
const char *__lsan_default_suppressions(void);
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void)
{
    return "leak:libxml2.so\nleak:libarchive.so\n";
}

/* ---- one attempt ---- */

static uint64_t fail_nth;
static bool fail_rest, has_failed;
static uint64_t most_counted; /* allocations in one part */

/* The value of expr, the one part of an attempt in which memory runs out. */
#define SHORT_OF_MEMORY(expr)                      \
    ({                                             \
        uint64_t counted;                          \
        failmalloc_arm(fail_nth, fail_rest);       \
        __typeof__(expr) value_ = (expr);          \
        has_failed |= failmalloc_disarm(&counted); \
        if (counted > most_counted)                \
            most_counted = counted;                \
        value_;                                    \
    })

/* Do it: what came of it is added to `result`, in any form that tells two results apart. */
typedef int attempt_fn(struct nx_buffer *result, struct nx_error *err);
static attempt_fn record;

static void add(struct nx_buffer *result, const void *data, size_t len)
{
    struct nx_error err = NX_ERROR_INIT;
    nx_assert_ok(nx_buffer_add(result, data, len, &err), err);
}

static void add_text(struct nx_buffer *result, const char *text)
{
    if (text)
        add(result, text, strlen(text));
    add(result, "|", 1);
}

/* What a struct may hold is not looked at by the callers of a failed function, but where it is a pointer, it was left
 * alone.
 */
#define UNTOUCHED(pointer) ck_assert_msg(!(pointer), "a result of what failed")

static void attempt_without(attempt_fn *attempt, uint64_t n, bool rest,
                            const struct nx_buffer *wanted)
{
    NX_AUTO_BUFFER struct nx_buffer got = NX_BUFFER_INIT(1 << 24);
    struct nx_error err = NX_ERROR_INIT;
    char nth[32];
    snprintf(nth, sizeof nth, "allocation %ju%s", (uintmax_t)n, rest ? "+" : "");
    fail_nth = n;
    fail_rest = rest;
    has_failed = false;
    if (attempt(&got, &err) < 0) {
        ck_assert_msg(has_failed, "%s: without a failure: %s", nth, err.msg);
        /* jansson cannot tell what it was */
        ck_assert_msg((err.code == NX_ERR_SYSTEM || attempt == record) && err.msg[0],
                      "%s: code %d, \"%s\"", nth, err.code, err.msg);
    } else {
        ck_assert_msg(got.len == wanted->len && memcmp(got.data, wanted->data, got.len) == 0,
                      "%s: another result:\n%.*s\nwanted:\n%.*s", nth, (int)got.len,
                      (char *)got.data, (int)wanted->len, (char *)wanted->data);
    }
}

/* Every allocation, or `most` of them evenly (0: every one), alone and with all after it, until one is not reached. */
static void attempt_without_each(attempt_fn *attempt, bool only_own, uint64_t most)
{
    NX_AUTO_BUFFER struct nx_buffer wanted = NX_BUFFER_INIT(1 << 24);
    struct nx_error err = NX_ERROR_INIT;
    failmalloc_count_own(only_own);
    fail_nth = UINT64_MAX;
    most_counted = 0;
    nx_assert_ok(attempt(&wanted, &err), err);
    uint64_t step = most ? most_counted / most + 1 : 1;
    for (int rest = 0; rest < 2; rest++) {
        has_failed = true;
        for (uint64_t n = 1; has_failed; n += step)
            attempt_without(attempt, n, rest, &wanted);
    }
}

/* Our own allocations first, then with the libraries'. */
static void check_attempts(attempt_fn *attempt, bool only_own)
{
    const char *text = getenv("NX_ATTEMPTS");
    uint64_t most = text ? strtoull(text, NULL, 10) : 50;
    attempt_without_each(attempt, true, 3 * most);
    if (!only_own)
        attempt_without_each(attempt, false, most);
}

/* ---- what is read ---- */

static struct nx_buffer package = NX_BUFFER_INIT(1 << 24);
static struct nx_head *head; /* of it */
static struct nx_key *key;
static char public_pem[NX_PUBLIC_PEM_SIZE + 1];
static uint8_t *content;
static struct nx_buffer domain_xml = NX_BUFFER_INIT(1 << 20), machine_xml = NX_BUFFER_INIT(1 << 20);

static void make_package(void)
{
    struct nx_error err = NX_ERROR_INIT;
    size_t need;
    content = test_image_bytes(SIZE, 4096, 1);
    nx_assert_ok(nx_key_generate(&key, &err), err);
    nx_assert_ok(nx_key_public_pem(key, public_pem, &err), err);
    struct test_image images[] = { { "disk0", NX_IMAGE_DISK, 4096, content, SIZE },
                                   { "memory", NX_IMAGE_MEMORY, 4096, content, 65536 } };
    test_package_build(images, 2, key, &package);
    nx_assert_ok(nx_head_parse(package.data, package.len, "p", &head, &need, &err), err);
}

static void read_domain(const char *path)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_DOMAIN struct nx_domain domain = { 0 };
    nx_buffer_release(&domain_xml);
    nx_buffer_release(&machine_xml);
    nx_assert_ok(nx_read_file(path, 1 << 20, &domain_xml, &err), err);
    nx_assert_ok(nx_domain_reduce(domain_xml.data, domain_xml.len, "d", &domain, &err), err);
    nx_buffer_init(&machine_xml, 1 << 20);
    add(&machine_xml, domain.xml.data, domain.xml.len);
}

static int file_of(const void *data, size_t len)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    ck_assert(write(fd, data, len) == (ssize_t)len && lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

/* ---- the attempts ---- */

static int manifest(struct nx_buffer *result, struct nx_error *err)
{
    NX_AUTO_MANIFEST struct nx_manifest *m = NULL;
    const struct nx_buffer *xml = &head->manifest_xml;
    if (SHORT_OF_MEMORY(nx_manifest_parse(xml->data, xml->len, &m, err)) < 0) {
        UNTOUCHED(m);
        return -1;
    }
    add(result, m, sizeof *m);
    return 0;
}

static int write_manifest(struct nx_buffer *result, struct nx_error *err)
{
    NX_AUTO_BUFFER struct nx_buffer xml = NX_BUFFER_INIT(1 << 20);
    if (SHORT_OF_MEMORY(nx_manifest_write(head->manifest, &xml, err)) < 0)
        return -1;
    add(result, xml.data, xml.len);
    return 0;
}

static void add_head(struct nx_buffer *result, const struct nx_head *h)
{
    add(result, h->manifest, sizeof *h->manifest);
    add(result, h->domain_xml.data, h->domain_xml.len);
    ck_assert(nx_key_same_public(h->signer, key));
}

static int parse_head(struct nx_buffer *result, struct nx_error *err)
{
    NX_AUTO_HEAD struct nx_head *h = NULL;
    size_t need = 0;
    if (SHORT_OF_MEMORY(nx_head_parse(package.data, package.len, "p", &h, &need, err)) < 0) {
        UNTOUCHED(h);
        return -1;
    }
    add_head(result, h);
    return 0;
}

static int read_head(struct nx_buffer *result, struct nx_error *err)
{
    NX_AUTO_FD int fd = file_of(package.data, package.len);
    NX_AUTO_HEAD struct nx_head *h = NULL;
    if (SHORT_OF_MEMORY(nx_head_read(fd, "p", &h, err)) < 0) {
        UNTOUCHED(h);
        return -1;
    }
    add_head(result, h);
    return 0;
}

static int head_from_parts(struct nx_buffer *result, struct nx_error *err)
{
    NX_AUTO_HEAD struct nx_head *h = NULL;
    if (SHORT_OF_MEMORY(nx_head_from_parts(&head->manifest_xml, head->signature, public_pem,
                                           &head->domain_xml, "p", &h, err)) < 0) {
        UNTOUCHED(h);
        return -1;
    }
    add_head(result, h);
    return 0;
}

static int append(const void *data, size_t len, void *opaque, struct nx_error *err)
{
    return nx_buffer_add(opaque, data, len, err);
}

static int pack(struct nx_buffer *out, struct nx_error *err)
{
    NX_AUTO_ZIP struct nx_zip_writer *zip = NULL;
    struct nx_manifest m = *head->manifest;
    if (nx_package_plan(&m, err) < 0 || nx_zip_writer_new(append, out, &zip, err) < 0 ||
        nx_package_write_head(zip, &m, head->domain_xml.data, key, err) < 0 ||
        nx_zip_member(zip, "device-state", content, m.device_state.size, err) < 0 ||
        nx_zip_member(zip, "index", content, m.index.size, err) < 0)
        return -1;
    return nx_zip_finish(zip, err);
}

static int write_package(struct nx_buffer *result, struct nx_error *err)
{
    NX_AUTO_BUFFER struct nx_buffer out = NX_BUFFER_INIT(1 << 20);
    if (SHORT_OF_MEMORY(pack(&out, err)) < 0)
        return -1;
    add(result, out.data, out.len);
    return 0;
}

static int open_parts(struct nx_buffer *result, struct nx_error *err)
{
    NX_AUTO_FD int fd = file_of(package.data, package.len);
    NX_AUTO_PARTS struct nx_parts parts = NX_PARTS_INIT;
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (SHORT_OF_MEMORY(nx_parts_open(&parts, path, O_RDONLY, err)) < 0) {
        ck_assert(parts.files == NULL && parts.count == 0);
        return -1;
    }
    nx_assert_ok(nx_parts_settle(&parts, head->manifest, err), *err);
    add(result, &parts.size, sizeof parts.size);
    return 0;
}

/* Signed in place, or as it was. */
static int sign_package(struct nx_buffer *result, struct nx_error *err)
{
    NX_AUTO_FD int fd = file_of(package.data, package.len);
    NX_AUTO_FREE uint8_t *bytes = malloc(package.len);
    static struct nx_key *other;
    if (!other)
        nx_assert_ok(nx_key_generate(&other, err), *err);
    char name[] = "p";
    struct nx_part file = { fd, name };
    struct nx_parts parts = { .files = &file, .count = 1 };
    int ret = SHORT_OF_MEMORY(nx_package_sign(&parts, other, err));
    ck_assert_int_eq(pread(fd, bytes, package.len, 0), (ssize_t)package.len);
    if (ret < 0)
        ck_assert_mem_eq(bytes, package.data, package.len);
    else
        add(result, bytes, package.len);
    return ret;
}

static int index_page(struct nx_buffer *result, struct nx_error *err)
{
    NX_AUTO_BUFFER struct nx_buffer out = NX_BUFFER_INIT(1 << 20);
    struct nx_index_page *page = calloc(1, sizeof *page);
    nx_index_page_start(page, 0);
    nx_index_page_set(page, 3, &(struct nx_index_entry){ .offset = 1, .size = 77 });
    int ret = SHORT_OF_MEMORY(nx_index_page_write(page, &out, err));
    free(page);
    if (ret < 0)
        return -1;
    const struct nx_image *image = &head->manifest->images[0];
    const uint8_t *root = package.data + head->manifest->index.offset + image->root.offset;
    add(result, out.data, out.len);
    return SHORT_OF_MEMORY(
        nx_index_page_check(root, image->root.size, 0, 0, head->manifest, image, err));
}

static int code_chunk(struct nx_buffer *result, struct nx_error *err)
{
    NX_AUTO_COMPRESSOR struct nx_compressor *c = nx_compressor_new(NX_LEVEL_DEFAULT);
    NX_AUTO_DECOMPRESSOR struct nx_decompressor *d = nx_decompressor_new();
    static const char text[4096] = "some text";
    uint8_t stored[sizeof text], back[sizeof text];
    struct nx_digest digest;
    size_t size;
    if (!c || !d)
        return nx_fail(err, NX_ERR_SYSTEM, "no memory");
    if (nx_chunk_encode(c, text, sizeof text, stored, &size, err) < 0)
        return -1;
    nx_digest_of(stored, size, &digest);
    if (nx_chunk_verify(stored, size, &digest, err) < 0 ||
        nx_chunk_decode(d, stored, size, back, sizeof back, err) < 0)
        return -1;
    return nx_buffer_add(result, back, sizeof back, err);
}

static int chunk(struct nx_buffer *result, struct nx_error *err)
{
    ck_assert_int_eq(nx_buffer_reserve(result, 8192, NULL), 0);
    return SHORT_OF_MEMORY(code_chunk(result, err));
}

static int hash(struct nx_buffer *result, struct nx_error *err)
{
    struct nx_digest digest;
    NX_AUTO_HASH struct nx_hash *h = SHORT_OF_MEMORY(nx_hash_new());
    if (!h)
        return nx_fail(err, NX_ERR_SYSTEM, "no memory");
    failmalloc_arm(1, true); /* what is left cannot fail */
    nx_hash_add(h, content, SIZE);
    nx_hash_finish(h, &digest);
    ck_assert(!failmalloc_disarm(NULL));
    add(result, &digest, sizeof digest);
    return 0;
}

static int public_key(struct nx_buffer *result, struct nx_error *err)
{
    NX_AUTO_KEY struct nx_key *k = NULL;
    if (SHORT_OF_MEMORY(nx_key_from_public_pem(public_pem, NX_PUBLIC_PEM_SIZE, &k, err)) < 0) {
        UNTOUCHED(k);
        return -1;
    }
    ck_assert(nx_key_same_public(k, key));
    add(result, "same", 4);
    return 0;
}

static int answer(char *buf, size_t size, const char *path, void *opaque)
{
    return snprintf(buf, size, "secret");
}

/* Keys written to files, with and without a passphrase, and read from them. */
static int read_key(struct nx_buffer *result, struct nx_error *err)
{
    static char path[] = "/tmp/nxpk-alloc.XXXXXX";
    if (strstr(path, "XXXXXX")) {
        NX_AUTO_FD int fd = mkstemp(path);
        ck_assert_int_ge(fd, 0);
    }
    ck_assert_int_eq(unlink(path), 0);
    NX_AUTO_KEY struct nx_key *k = NULL;
    int ret = SHORT_OF_MEMORY(nx_key_write_private(key, path, "secret", err));
    if (ret == 0)
        ret = SHORT_OF_MEMORY(nx_key_read(path, answer, NULL, &k, err));
    else
        ck_assert_int_lt(access(path, F_OK), 0);
    if (ret < 0) {
        UNTOUCHED(k);
        NX_AUTO_FD int fd = open(path, O_WRONLY | O_CREAT, 0600); /* for the next unlink() */
        return -1;
    }
    ck_assert(nx_key_is_private(k) && nx_key_same_public(k, key));
    add(result, "same", 4);
    return 0;
}

static int sign_and_verify(struct nx_buffer *result, struct nx_error *err)
{
    uint8_t signature[NX_SIGNATURE_SIZE];
    if (SHORT_OF_MEMORY(nx_key_sign(key, content, SIZE, signature, err)) < 0)
        return -1;
    add(result, signature, sizeof signature);
    return SHORT_OF_MEMORY(nx_key_verify(key, content, SIZE, signature, err));
}

static int reference(struct nx_buffer *result, struct nx_error *err)
{
    NX_AUTO_BUFFER struct nx_buffer xml = NX_BUFFER_INIT(NX_REFERENCE_MAX);
    NX_AUTO_REFERENCE struct nx_reference *r = NULL;
    struct nx_reference ours = { .urls = { (char *)"http://h/a?x=1&y=2", (char *)"https://m/a" },
                                 .n_urls = 2,
                                 .pinned = true,
                                 .signer = key };
    if (SHORT_OF_MEMORY(nx_reference_write(&ours, &xml, err)) < 0)
        return -1;
    add(result, xml.data, xml.len);
    if (SHORT_OF_MEMORY(nx_reference_parse(xml.data, xml.len, "r", &r, err)) < 0) {
        UNTOUCHED(r);
        return -1;
    }
    for (unsigned i = 0; i < r->n_urls; i++)
        add_text(result, r->urls[i]);
    ck_assert(r->pinned && r->signer && nx_key_same_public(r->signer, key));
    return 0;
}

static void add_disk(struct nx_buffer *result, const struct nx_domain_disk *disk)
{
    add_text(result, disk->image);
    add_text(result, disk->path);
    add_text(result, disk->format);
}

static int reduce(struct nx_buffer *result, struct nx_error *err)
{
    NX_AUTO_DOMAIN struct nx_domain d = { 0 };
    if (SHORT_OF_MEMORY(nx_domain_reduce(domain_xml.data, domain_xml.len, "d", &d, err)) < 0)
        return -1;
    add(result, d.xml.data, d.xml.len);
    add_text(result, d.name);
    add_text(result, d.title);
    add_text(result, d.description);
    for (size_t i = 0; i < d.n_disks; i++)
        add_disk(result, &d.disks[i]);
    if (d.nvram)
        add_disk(result, d.nvram);
    for (size_t i = 0; i < d.n_notes; i++)
        add_text(result, d.notes[i].message);
    return 0;
}

/* What QEMU would be told, as the sum of what was parsed. */
static int machine(struct nx_buffer *result, struct nx_error *err)
{
    NX_AUTO_MACHINE struct nx_machine *m = NULL;
    NX_AUTO_ARGS struct nx_args args = { 0 };
    struct nx_cmdline_options options = NX_CMDLINE_DEFAULTS;
    struct nx_cmdline_image images[NX_DOMAIN_MAX_DISKS];
    if (SHORT_OF_MEMORY(nx_machine_parse(machine_xml.data, machine_xml.len, "m", &m, err)) < 0) {
        UNTOUCHED(m);
        return -1;
    }
    for (size_t i = 0; i < m->n_disks; i++)
        if (m->disks[i].image)
            images[options.n_images++] = (struct nx_cmdline_image){
                .image = m->disks[i].image,
                .path = "path",
                .overlay = m->disks[i].readonly ? NULL : "overlay",
            };
    options.images = images;
    options.firmware_code = "code";
    options.firmware_vars = "vars";
    if (SHORT_OF_MEMORY(nx_cmdline_build(m, &options, &args, err)) < 0)
        return -1;
    for (size_t i = 0; i < args.argc; i++)
        add_text(result, args.argv[i]);
    return 0;
}

static int record(struct nx_buffer *result, struct nx_error *err)
{
    NX_AUTO_BUFFER struct nx_buffer json = NX_BUFFER_INIT(1 << 20);
    NX_AUTO_RECORD struct nx_record *written = NULL;
    NX_AUTO_RECORD struct nx_record *r = NULL;
    if (SHORT_OF_MEMORY(nx_record_new(head->manifest, &written, err)) < 0)
        return -1;
    for (uint32_t i = 0; i < 30; i++)
        if (SHORT_OF_MEMORY(
                nx_record_add(written, &(struct nx_touch){ i * 3, i % 2, i % 10 }, err)) < 0)
            return -1;
    if (SHORT_OF_MEMORY(nx_record_write(written, &json, err)) < 0)
        return -1;
    add(result, json.data, json.len);
    if (SHORT_OF_MEMORY(nx_record_parse(json.data, json.len, "r", &r, err)) < 0) {
        UNTOUCHED(r);
        return -1;
    }
    add(result, r->touches, r->count * sizeof *r->touches);
    return nx_record_check(r, head->manifest, "r", err);
}

static int sink(const void *data, size_t len, void *opaque, struct nx_error *err)
{
    return nx_buffer_add(opaque, data, len, err);
}

static int code_state(struct nx_buffer *stored, struct nx_buffer *back, struct nx_error *err)
{
    NX_AUTO_STATE_WRITER struct nx_state_writer *writer = NULL;
    uint64_t raw;
    if (nx_state_writer_new(3, &writer, err) < 0 ||
        nx_state_writer_add(writer, content, SIZE, err) < 0 ||
        nx_state_writer_finish(writer, stored, &raw, err) < 0)
        return -1;
    return nx_state_read(stored->data, stored->len, raw, sink, back, err);
}

static int device_state(struct nx_buffer *result, struct nx_error *err)
{
    NX_AUTO_BUFFER struct nx_buffer stored = NX_BUFFER_INIT(1 << 20);
    NX_AUTO_BUFFER struct nx_buffer back = NX_BUFFER_INIT(1 << 20);
    if (SHORT_OF_MEMORY(code_state(&stored, &back, err)) < 0)
        return -1;
    add(result, back.data, back.len);
    return 0;
}

/* ---- save files and streams ---- */

static struct nx_buffer migration_stream = NX_BUFFER_INIT(1 << 20);

static void make_stream(void)
{
    static const struct stream_block blocks[] = { { "pc.ram", 16 * 4096 }, { "vga", 8192 } };
    struct nx_buffer *b = &migration_stream;
    stream_head(b, "pc-i440fx-7.2");
    stream_ram(b, blocks, 2);
    stream_section(b, 3, 2, NULL, 0);
    stream_page(b, "pc.ram", 0, content);
    stream_page(b, NULL, 4096, content + 4096);
    stream_page(b, "vga", 0, content + 4096);
    stream_end_records(b);
    stream_footer(b, 2);
    stream_tail(b);
}

struct splitting {
    size_t at;
    struct nx_buffer *result;
};

static int take(void *opaque, void *buf, size_t len, size_t *ret_n, struct nx_error *err)
{
    struct splitting *s = opaque;
    size_t left = migration_stream.len - s->at;
    *ret_n = len < left ? len : left;
    memcpy(buf, migration_stream.data + s->at, *ret_n);
    s->at += *ret_n;
    return 0;
}

static int put_page(void *opaque, uint64_t offset, const void *data, uint64_t at,
                    struct nx_error *err)
{
    struct splitting *s = opaque;
    return data ? nx_buffer_add(s->result, data, 4096, err) : 0;
}

static int put_state(void *opaque, const void *data, size_t len, struct nx_error *err)
{
    struct splitting *s = opaque;
    return nx_buffer_add(s->result, data, len, err);
}

static int migration(struct nx_buffer *result, struct nx_error *err)
{
    struct splitting s = { .result = result };
    const struct nx_migration_ops ops = { take, put_page, put_state, &s };
    struct nx_migration_info info;
    return SHORT_OF_MEMORY(nx_migration_split(&ops, "s", &info, err));
}

static int save_fd = -1;

/* What libvirt writes, compressed by `program` (NULL: not at all), number `compression`. */
static void make_save(const char *program, uint32_t compression)
{
    static const char xml[] = "<domain type='qemu'><name>saved</name></domain>";
    const uint32_t numbers[5] = { 2, sizeof xml, 1, compression, 0 };
    uint8_t bytes[92] = "LibvirtQemudSave";
    memcpy(bytes + 16, numbers, sizeof numbers);
    if (save_fd >= 0)
        close(save_fd);
    save_fd = file_of(bytes, sizeof bytes);
    ck_assert(pwrite(save_fd, xml, sizeof xml, sizeof bytes) == sizeof xml);
    ck_assert(lseek(save_fd, 0, SEEK_END) == sizeof bytes + sizeof xml);
    char command[80];
    snprintf(command, sizeof command, "%s >>/proc/%d/fd/%d", program, (int)getpid(), save_fd);
    FILE *pipe = popen(command, "w");
    ck_assert(fwrite(content, 1, SIZE, pipe) == SIZE && pclose(pipe) == 0);
}

static int read_save(struct nx_buffer *result, struct nx_error *err)
{
    NX_AUTO_SAVEFILE struct nx_savefile *save = NULL;
    static uint8_t buf[SIZE + 1];
    if (SHORT_OF_MEMORY(nx_savefile_open(save_fd, "s", &save, err)) < 0) {
        UNTOUCHED(save);
        return -1;
    }
    add_text(result, (char *)nx_savefile_xml(save)->data);
    size_t n = 1;
    while (n > 0) {
        if (SHORT_OF_MEMORY(nx_savefile_read(save, buf, sizeof buf, &n, err)) < 0)
            return -1;
        add(result, buf, n);
    }
    return 0;
}

/* ---- the tests ---- */

static attempt_fn *const attempts[] = {
    manifest, write_manifest, parse_head, read_head,     head_from_parts, index_page,
    chunk,    hash,           public_key, read_key,      sign_and_verify, reference,
    record,   device_state,   migration,  write_package, sign_package,    open_parts,
};

/* It ends the process when it has no memory for a name: "Fatal Internal Error in libarchive: Out of memory". */
static bool uses_libarchive(attempt_fn *attempt)
{
    return attempt == parse_head || attempt == read_head || attempt == write_package ||
           attempt == sign_package;
}

START_TEST(formats)
{
    make_package();
    make_stream();
    check_attempts(attempts[_i], uses_libarchive(attempts[_i]));
}
END_TEST

static const char *const domains[] = {
    DOMAINS "pc-by-hand.xml",
    DOMAINS "q35-bare.xml",
    DOMAINS "q35-uefi-running.xml",
    DOMAINS "q35-desktop-running.xml",
};

START_TEST(author_domain)
{
    read_domain(domains[_i]);
    check_attempts(reduce, false);
}
END_TEST

START_TEST(package_domain)
{
    read_domain(domains[_i]);
    check_attempts(machine, false);
}
END_TEST

static const struct {
    const char *program;
    uint32_t number;
} saves[] = { { "cat", 0 }, { "gzip -1", 1 }, { "xz -1", 3 }, { "zstd -q", 5 } };

START_TEST(save_file)
{
    content = test_image_bytes(SIZE, 4096, 1);
    make_save(saves[_i].program, saves[_i].number);
    check_attempts(read_save, saves[_i].number != 0); /* libarchive 3.6 crashes */
}
END_TEST

#define COUNT(array) (int)(sizeof(array) / sizeof *(array))

int main(void)
{
    TCase *tcase = tcase_create("alloc");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, formats, 0, COUNT(attempts));
    tcase_add_loop_test(tcase, author_domain, 0, COUNT(domains));
    tcase_add_loop_test(tcase, package_domain, 0, COUNT(domains));
    tcase_add_loop_test(tcase, save_file, 0, COUNT(saves));
    return nx_test_run("alloc", tcase);
}
