/* SPDX-License-Identifier: MIT */
/* Packages by an author who means harm: everything is rightly signed and every digest fits, but what they cover is
 * bent.  Each is refused with a sentence, by verify and by the engine, or read as the author has signed it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <zstd.h>

#include "fetch/channel.h"
#include "formats/index.h"
#include "tests/support/judge.h"
#include "tests/support/main.h"
#include "tests/support/origin.h"
#include "tests/support/places.h"

#define CHUNK 4096

/* Two leaves: 301 chunks, the last one short. */
#define DISK_SIZE   (300 * CHUNK + 1000)
#define DISK_CHUNKS 301
#define MEMORY_SIZE (1u << 20)

/* The disk's chunks with data, as children of its leaves: 1 noise (stored as it is), 2 and 7 text; 300 in the second leaf. */
enum { NOISE, TEXT, SEVEN };

static struct test_image images[] = {
    { "disk0", NX_IMAGE_DISK, CHUNK, NULL, DISK_SIZE },
    { "memory", NX_IMAGE_MEMORY, CHUNK, NULL, MEMORY_SIZE },
};
static struct nx_key *key;
static struct test_parts parts;
static struct nx_buffer xml = NX_BUFFER_INIT(8 << 20), package = NX_BUFFER_INIT(16 << 20);

static uint8_t *sparse_bytes(size_t size)
{
    NX_AUTO_FREE uint8_t *dense = test_image_bytes(3 * CHUNK, CHUNK, 1);
    uint8_t *data = calloc(1, size);
    memcpy(data + CHUNK, dense + CHUNK, 2 * CHUNK);
    memset(data + 7 * CHUNK, 'x', CHUNK);
    memset(data + size - 500, 'y', 500);
    return data;
}

static void setup(void)
{
    struct nx_error err = NX_ERROR_INIT;
    judge_setup();
    for (int i = 0; i < 2; i++)
        images[i].data = sparse_bytes(images[i].size);
    nx_assert_ok(nx_key_generate(&key, &err), err);
    test_parts_make(images, 2, &parts);
    memset(parts.manifest->description, 'd', 2000); /* see pad() */
}

static void teardown(void)
{
    judge_teardown();
    test_parts_release(&parts);
    nx_key_free(key);
    for (int i = 0; i < 2; i++)
        free((void *)images[i].data);
    nx_buffer_release(&xml);
    nx_buffer_release(&package);
}

static void write_xml(void)
{
    struct nx_error err = NX_ERROR_INIT;
    xml.len = 0;
    nx_assert_ok(nx_manifest_write(parts.manifest, &xml, &err), err);
}

/* Make the XML as long as it was by its description, so that all offsets stay right. */
static void pad(size_t wanted)
{
    static const char tag[] = "<description>";
    uint8_t *at = memmem(xml.data, xml.len, tag, strlen(tag));
    if (!at || xml.len > wanted + 1000 || wanted > xml.len + 1000)
        return;
    at += strlen(tag);
    size_t behind = xml.len - (size_t)(at - xml.data);
    ck_assert_int_eq(nx_buffer_reserve(&xml, 1000, NULL), 0);
    at = memmem(xml.data, xml.len, tag, strlen(tag));
    at += strlen(tag);
    if (xml.len < wanted) {
        size_t more = wanted - xml.len;
        memmove(at + more, at, behind);
        memset(at, 'd', more);
    } else {
        memmove(at, at + (xml.len - wanted), behind - (xml.len - wanted));
    }
    xml.len = wanted;
}

/* A package of the parts and xml.  Returns its path. */
static const char *publish(void)
{
    package.len = 0;
    test_parts_write(&parts, &xml, key, &package);
    return judge_file(&package);
}

/* ---- bending ---- */

static void put_le(uint8_t *to, size_t n, uint64_t value)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

static uint8_t *root_page(int image)
{
    return parts.index.data + parts.manifest->images[image].root.offset;
}

static uint8_t *entry(uint8_t *page, unsigned n)
{
    return page + NX_INDEX_HEADER + n * NX_INDEX_ENTRY;
}

static uint8_t *leaf_page(void)
{
    struct nx_index_entry child;
    nx_index_page_get(root_page(0), 0, &child);
    return parts.index.data + child.offset;
}

/* The digests of the disk's first leaf and of its root, for what they are now. */
static void seal(void)
{
    struct nx_index_entry child;
    struct nx_image *image = &parts.manifest->images[0];
    nx_index_page_get(root_page(0), 0, &child);
    nx_digest_of(leaf_page(), child.size, (struct nx_digest *)(entry(root_page(0), 0) + 12));
    nx_digest_of(root_page(0), image->root.size, &image->root_digest);
}

static void seal_root(void)
{
    struct nx_image *image = &parts.manifest->images[0];
    nx_digest_of(root_page(0), image->root.size, &image->root_digest);
}

/* These stored bytes are child n of the first leaf. */
static void put_chunk(unsigned n, const void *stored, size_t size)
{
    uint8_t *at = entry(leaf_page(), n);
    put_le(at, 8, parts.chunks.len);
    put_le(at + 8, 4, size);
    nx_digest_of(stored, size, (struct nx_digest *)(at + 12));
    ck_assert_int_eq(nx_buffer_add(&parts.chunks, stored, size, NULL), 0);
    seal();
}

static void entry_behind_end(void)
{
    put_le(entry(leaf_page(), NOISE), 8, parts.chunks.len - 10);
    seal();
}

static void entry_at_2_63(void)
{
    put_le(entry(leaf_page(), NOISE), 8, UINT64_C(1) << 63);
    seal();
}

static void entry_wraps(void)
{
    put_le(entry(leaf_page(), NOISE), 8, UINT64_MAX - 100);
    seal();
}

static void entry_empty(void)
{
    put_le(entry(leaf_page(), NOISE) + 8, 4, 0);
    seal();
}

static void entry_too_large(void)
{
    put_le(entry(leaf_page(), NOISE) + 8, 4, CHUNK + 1);
    seal();
}

static void entry_largest(void)
{
    put_le(entry(leaf_page(), NOISE) + 8, 4, UINT32_MAX);
    seal();
}

static void page_magic(void)
{
    leaf_page()[0] ^= 1;
    seal();
}

static void page_level(void)
{
    leaf_page()[4] = 1;
    seal();
}

static void page_reserved(void)
{
    leaf_page()[5] = 1;
    seal();
}

static void page_count(void)
{
    put_le(leaf_page() + 6, 2, 0xffff);
    seal();
}

static void page_bitmap(void)
{
    leaf_page()[8 + 31] |= 0x80;
    seal();
}

static void child_behind_image(void)
{
    root_page(0)[8] = 0x05; /* children 0 and 2 instead of 0 and 1 */
    seal();
}

static void page_larger_than_any(void)
{
    put_le(entry(root_page(0), 0) + 8, 4, NX_INDEX_PAGE_MAX + 1);
    seal_root();
}

/* The root is its own child: no digest can fit. */
static void cycle(void)
{
    const struct nx_image *image = &parts.manifest->images[0];
    put_le(entry(root_page(0), 0), 8, image->root.offset);
    put_le(entry(root_page(0), 0) + 8, 4, image->root.size);
    memcpy(entry(root_page(0), 0) + 12, image->root_digest.bytes, NX_DIGEST_SIZE);
    seal_root();
}

/* A page of level 1 below one of level 1: a tree that goes on downwards. */
static void deeper(void)
{
    uint64_t at = parts.index.len;
    size_t size = parts.manifest->images[0].root.size;
    NX_AUTO_FREE uint8_t *copy = malloc(size);
    memcpy(copy, root_page(0), size);
    ck_assert_int_eq(nx_buffer_add(&parts.index, copy, size, NULL), 0);
    put_le(entry(root_page(0), 0), 8, at);
    put_le(entry(root_page(0), 0) + 8, 4, size);
    nx_digest_of(copy, size, (struct nx_digest *)(entry(root_page(0), 0) + 12));
    seal_root();
}

/* One leaf twice: the chunks 256 + 1, 2, 7 are there, the last one is not. */
static void leaf_twice(void)
{
    memcpy(entry(root_page(0), 1), entry(root_page(0), 0), NX_INDEX_ENTRY);
    seal_root();
}

/* The page of another image, of the right level and form. */
static void foreign_leaf(void)
{
    const struct nx_image *memory = &parts.manifest->images[1];
    put_le(entry(root_page(0), 0), 8, memory->root.offset);
    put_le(entry(root_page(0), 0) + 8, 4, memory->root.size);
    memcpy(entry(root_page(0), 0) + 12, memory->root_digest.bytes, NX_DIGEST_SIZE);
    seal_root();
}

/* ---- zstd ---- */

/* len zeros in a frame, of at most 8 KiB; flags as ZSTD_CCtx_setParameter() takes them. */
static size_t zeros_frame(size_t len, int with_size, int window_log, uint8_t out[static 8192])
{
    NX_AUTO_FREE uint8_t *zeros = calloc(1, len);
    ZSTD_CCtx *ctx = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(ctx, ZSTD_c_contentSizeFlag, with_size);
    if (window_log)
        ZSTD_CCtx_setParameter(ctx, ZSTD_c_windowLog, window_log);
    ZSTD_inBuffer in = { zeros, len, 0 };
    ZSTD_outBuffer to = { out, 8192, 0 };
    ck_assert_ptr_nonnull(zeros);
    if (with_size)
        ZSTD_CCtx_setPledgedSrcSize(ctx, len);
    ck_assert_uint_eq(ZSTD_compressStream2(ctx, &to, &in, ZSTD_e_end), 0);
    ZSTD_freeCCtx(ctx);
    return to.pos;
}

static uint8_t frame[8192 + 4096];

static void frame_hides_size(void)
{
    put_chunk(SEVEN, frame, zeros_frame(CHUNK, 0, 0, frame));
}

static void frame_bomb(void)
{
    put_chunk(SEVEN, frame, zeros_frame(64 << 20, 1, 0, frame));
}

/* 64 MiB behind a header that says 4096: a byte of flags, one of window, four of content size. */
static void frame_lies(void)
{
    size_t size = zeros_frame(64 << 20, 1, 0, frame);
    ck_assert_uint_eq(frame[4] >> 6, 2);
    put_le(frame + (frame[4] & 0x20 ? 5 : 6), 4, CHUNK);
    put_chunk(SEVEN, frame, size);
}

static void frame_of_2_63(void)
{
    size_t size = zeros_frame(CHUNK, 1, 0, frame), rest = 5 + 2; /* flags, two bytes of size */
    uint8_t huge[8192];
    memcpy(huge, frame, 4);
    huge[4] = frame[4] | 0xc0;
    put_le(huge + 5, 8, UINT64_C(1) << 63);
    memcpy(huge + 13, frame + rest, size - rest);
    put_chunk(SEVEN, huge, size - rest + 13);
}

static void frame_too_short(void)
{
    put_chunk(SEVEN, frame, zeros_frame(CHUNK - 1, 1, 0, frame));
}

static void frame_cut(void)
{
    put_chunk(SEVEN, frame, zeros_frame(CHUNK, 1, 0, frame) - 1);
}

static void two_frames(void)
{
    size_t size = zeros_frame(CHUNK, 1, 0, frame);
    memcpy(frame + size, frame, size);
    put_chunk(SEVEN, frame, 2 * size);
}

static void skippable_frame(void)
{
    uint8_t skipped[8192] = { 0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 'n', 'x', 'p', 'k' };
    size_t size = zeros_frame(CHUNK, 1, 0, frame);
    memcpy(skipped + 12, frame, size);
    put_chunk(SEVEN, skipped, 12 + size);
}

static void frame_with_dictionary(void)
{
    size_t size = zeros_frame(CHUNK, 1, 0, frame);
    memmove(frame + 6, frame + 5, size - 5);
    frame[4] |= 1;
    frame[5] = 77;
    put_chunk(SEVEN, frame, size + 1);
}

static void set_state(const void *stored, size_t size, uint64_t raw)
{
    parts.state.len = 0;
    ck_assert_int_eq(nx_buffer_add(&parts.state, stored, size, NULL), 0);
    parts.manifest->device_state_raw = raw;
}

static void state_bomb(void)
{
    set_state(frame, zeros_frame(64 << 20, 1, 0, frame), 100);
}

static void state_hidden_bomb(void)
{
    set_state(frame, zeros_frame(64 << 20, 0, 0, frame), 100);
}

static void state_shorter(void)
{
    set_state(frame, zeros_frame(100, 1, 0, frame), 101);
}

static void state_window(void)
{
    size_t size = zeros_frame(64 << 20, 0, 21, frame);
    frame[5] = (31 - 10) << 3; /* 2 GiB */
    set_state(frame, size, 64 << 20);
}

static void state_twice(void)
{
    size_t size = zeros_frame(100, 1, 0, frame);
    memcpy(frame + size, frame, size);
    set_state(frame, 2 * size, 200);
}

static void state_is_not_there(void)
{
    set_state("", 0, 100);
}

/* ---- domain.xml ---- */

static void replace_in(struct nx_buffer *buf, const char *from, const char *to)
{
    NX_AUTO_BUFFER struct nx_buffer out = NX_BUFFER_INIT(buf->max);
    uint8_t *at = memmem(buf->data, buf->len, from, strlen(from));
    ck_assert_msg(at, "there is no %s", from);
    size_t before = (size_t)(at - buf->data), behind = before + strlen(from);
    nx_buffer_add(&out, buf->data, before, NULL);
    nx_buffer_add(&out, to, strlen(to), NULL);
    nx_buffer_add(&out, buf->data + behind, buf->len - behind, NULL);
    struct nx_buffer old = *buf;
    *buf = out;
    out = old;
}

static void more_memory(void)
{
    replace_in(&parts.domain, "1048576", "2097152");
}

static void missing_image(void)
{
    replace_in(&parts.domain, "'disk0'", "'disk9'");
}

static void domain_with_path(void)
{
    replace_in(&parts.domain, "<source image='disk0'/>", "<source file='/etc/shadow'/>");
}

static void domain_is_empty(void)
{
    parts.domain.len = 0;
}

static void domain_is_noise(void)
{
    parts.domain.len = 0;
    nx_buffer_add(&parts.domain, images[0].data + CHUNK, CHUNK, NULL);
}

/* ---- the manifest, planned ---- */

static void more_chunks(void)
{
    parts.manifest->images[0].chunks++;
}

static void other_content(void)
{
    parts.manifest->images[0].content.bytes[0] ^= 1;
}

static void other_root(void)
{
    parts.manifest->images[0].root_digest.bytes[0] ^= 1;
}

static void root_of_other_image(void)
{
    parts.manifest->images[0].root = parts.manifest->images[1].root;
    parts.manifest->images[0].root_digest = parts.manifest->images[1].root_digest;
}

static void image_twice(void)
{
    struct nx_manifest *m = parts.manifest;
    m->images[m->n_images++] = m->images[0];
}

static void image_of_64_tib(void)
{
    parts.manifest->images[0].size = NX_IMAGE_SIZE_MAX;
}

static void image_too_large(void)
{
    parts.manifest->images[0].size = NX_IMAGE_SIZE_MAX + 1;
}

static void index_over_chunks(void)
{
    parts.manifest->index.size = parts.manifest->chunks.offset - parts.manifest->index.offset + 1;
}

static void chunks_over_index(void)
{
    parts.manifest->chunks.offset = parts.manifest->index.offset;
}

static void state_over_index(void)
{
    parts.manifest->device_state = parts.manifest->index;
}

static void domain_over_manifest(void)
{
    parts.manifest->domain.offset = 70;
}

static void chunks_behind_end(void)
{
    parts.manifest->chunks.size = UINT64_C(1) << 59;
}

static void all_behind_end(void)
{
    struct nx_manifest *m = parts.manifest;
    m->domain.offset += UINT64_C(1) << 40;
    m->device_state.offset += UINT64_C(1) << 40;
    m->index.offset += UINT64_C(1) << 40;
    m->chunks.offset += UINT64_C(1) << 40;
}

static void state_of_a_tib(void)
{
    parts.manifest->device_state_raw = UINT64_C(1) << 40;
}

static void boot_set_too_large(void)
{
    parts.manifest->boot_index = parts.manifest->index.size + 1;
}

static void boot_set_cuts_chunk(void)
{
    parts.manifest->boot_index = 100;
    parts.manifest->boot_chunks = 777;
}

/* ---- the table ---- */

/* It takes it, and what it reads is not what was packed. */
static const char other_bytes[] = "other bytes";

static const struct forgery {
    const char *name;
    void (*parts)(void);       /* before the places are planned, or NULL */
    void (*manifest)(void);    /* after it, or NULL */
    const char *verify, *read; /* what they say; NULL: they take it */
} forgeries[] = {
    { "entry behind the end", entry_behind_end, NULL, "behind the end at", "behind the end at" },
    { "entry at 2^63", entry_at_2_63, NULL, "behind the end at", "behind the end at" },
    { "entry that wraps", entry_wraps, NULL, "behind the end at", "behind the end at" },
    { "entry of 0 bytes", entry_empty, NULL, "entry of 0 bytes", "entry of 0 bytes" },
    { "entry too large", entry_too_large, NULL, "of 4097 bytes, at most 4096", "of 4097 bytes" },
    { "entry of 4 GiB", entry_largest, NULL, "of 4294967295 bytes", "of 4294967295 bytes" },
    { "page without magic", page_magic, NULL, "no index page here", "no index page here" },
    { "page of another level", page_level, NULL, "level 1 in the place of level 0",
      "level 1 in the place of level 0" },
    { "page with a reserved byte", page_reserved, NULL, "reserved", "reserved" },
    { "page of 65535 children", page_count, NULL, "says 65535 children", "says 65535 children" },
    { "page with another bitmap", page_bitmap, NULL, "children and marks", "children and marks" },
    { "chunk behind the image", child_behind_image, NULL, "chunk 512 of an image of 301",
      "chunk 512 of an image of 301" },
    { "page larger than any", page_larger_than_any, NULL, "of 11305 bytes, at most",
      "of 11305 bytes, at most" },
    { "cycle", cycle, NULL, "damaged", "" },
    { "deeper tree", deeper, NULL, "level 1 in the place of level 0",
      "level 1 in the place of level 0" },
    { "leaf twice", leaf_twice, NULL, "its manifest says", other_bytes },
    { "leaf of another image", foreign_leaf, NULL, "its manifest says", other_bytes },
    { "frame that hides its size", frame_hides_size, NULL, "not one zstd frame", "not one zstd" },
    { "frame of 64 MiB", frame_bomb, NULL, "not one zstd frame", "not one zstd frame" },
    { "frame of 64 MiB that says 4 KiB", frame_lies, NULL, "chunk 7, at offset", "" },
    { "frame that says 2^63", frame_of_2_63, NULL, "not one zstd frame", "not one zstd frame" },
    { "frame of less", frame_too_short, NULL, "not one zstd frame", "not one zstd frame" },
    { "frame that is cut", frame_cut, NULL, "or a part of it", "or a part of it" },
    { "two frames", two_frames, NULL, "bytes behind the zstd frame", "bytes behind" },
    { "skippable frame before", skippable_frame, NULL, "not one zstd frame", "not one zstd frame" },
    { "frame with a dictionary", frame_with_dictionary, NULL, "decompressing", "decompressing" },
    { "device state of 64 MiB", state_bomb, NULL, "device state", NULL },
    { "device state of hidden 64 MiB", state_hidden_bomb, NULL, "device state", NULL },
    { "device state of less", state_shorter, NULL, "device state", NULL },
    { "device state with a window of 2 GiB", state_window, NULL, "device state", NULL },
    { "device state of two frames", state_twice, NULL, "device state", NULL },
    { "device state of nothing", state_is_not_there, NULL, "device-state of 0 bytes",
      "device-state of 0 bytes" },
    { "device state of 1 TiB", NULL, state_of_a_tib, "not a number up to", "not a number up to" },
    { "domain with more memory", more_memory, NULL, "but 1048576 were saved", NULL },
    { "domain with a missing image", missing_image, NULL, "there is no image 'disk9'", NULL },
    { "domain with a path", domain_with_path, NULL, "domain.xml:2: ", NULL },
    { "domain that is empty", domain_is_empty, NULL, "domain.xml of 0 bytes", "domain.xml of 0" },
    { "domain that is no XML", domain_is_noise, NULL, "domain.xml", NULL },
    { "more chunks", NULL, more_chunks, "its manifest says", NULL },
    { "other content", NULL, other_content, "not the content", NULL },
    { "other root", NULL, other_root, "damaged", "" },
    { "root of another image", NULL, root_of_other_image, "level 0 in the place of level 1",
      "level 0 in the place of level 1" },
    { "image twice", NULL, image_twice, "two images are named disk0", "two images are named" },
    { "image of 64 TiB", NULL, image_of_64_tib, "in the place of level 4", "of level 4" },
    { "image of more", NULL, image_too_large, "not a number up to", "not a number up to" },
    { "index over chunks", NULL, index_over_chunks, "overlaps what stands",
      "overlaps what stands" },
    { "chunks over index", NULL, chunks_over_index, "overlaps what stands",
      "overlaps what stands" },
    { "device state over index", NULL, state_over_index, "index at", "overlaps what stands" },
    { "domain over manifest", NULL, domain_over_manifest, "domain.xml is damaged", "is damaged" },
    { "chunks behind the end", NULL, chunks_behind_end, "truncated", "truncated" },
    { "all behind the end", NULL, all_behind_end, "too far from the front", "too far from" },
    { "boot set too large", NULL, boot_set_too_large, "not a number up to", "not a number up to" },
    { "boot set that cuts a chunk", NULL, boot_set_cuts_chunk, NULL, NULL },
};

static void assert_says(const struct forgery *forgery, const char *who, int ret,
                        const struct nx_error *err, const char *wanted)
{
    if (!wanted)
        ck_assert_msg(ret == 0, "%s: %s refuses: %s", forgery->name, who, err->msg);
    else
        ck_assert_msg(ret < 0 && strstr(err->msg, wanted), "%s: %s %s \"%s\", should say \"%s\"",
                      forgery->name, who, ret < 0 ? "says" : "takes it", err->msg, wanted);
}

START_TEST(forged)
{
    const struct forgery *forgery = &forgeries[_i];
    struct nx_error err;
    if (forgery->parts)
        forgery->parts();
    test_parts_plan(&parts);
    write_xml();
    size_t planned = xml.len;
    if (forgery->manifest)
        forgery->manifest();
    write_xml();
    pad(planned);
    const char *path = publish();
    int ret = judge_verify(path, &err);
    assert_says(forgery, "verify", ret, &err, forgery->verify);
    struct nx_engine_config config = { .path = path };
    bool other = forgery->read == other_bytes;
    ret = judge_read(&config, images, other ? 0 : 2, &err);
    assert_says(forgery, "the engine", ret, &err, other ? NULL : forgery->read);
    struct origin *origin = origin_start(package.data, package.len);
    char *urls[] = { (char *)origin_url(origin) };
    struct nx_engine_config web = { .urls = urls, .n_urls = 1, .http = { .tries = 1 } };
    ret = judge_read(&web, images, other ? 0 : 2, &err);
    assert_says(forgery, "the engine, from the web,", ret, &err, other ? NULL : forgery->read);
    origin_stop(origin);
}
END_TEST

/* ---- what is odd, but right ---- */

/* Chunk 7 is the 4 KiB that begin in the middle of chunk 1's: ranges overlap, digests fit. */
START_TEST(overlapping_chunks)
{
    struct nx_error err;
    struct nx_digest raw;
    NX_AUTO_HASH struct nx_hash *content = nx_hash_new();
    uint8_t *disk = (uint8_t *)images[0].data;
    struct nx_index_entry noise;
    nx_index_page_get(leaf_page(), 1, &noise);
    ck_assert_uint_eq(noise.size, CHUNK);
    const uint8_t *stored = parts.chunks.data + noise.offset + 100;
    memcpy(disk + 7 * CHUNK, stored, CHUNK);
    put_le(entry(leaf_page(), SEVEN), 8, noise.offset + 100);
    put_le(entry(leaf_page(), SEVEN) + 8, 4, CHUNK);
    nx_digest_of(stored, CHUNK, (struct nx_digest *)(entry(leaf_page(), SEVEN) + 12));
    seal();
    nx_content_start(content, DISK_SIZE, CHUNK);
    static const unsigned there[] = { 1, 2, 7, 300 };
    for (size_t i = 0; i < sizeof(there) / sizeof(there[0]); i++) {
        nx_digest_of(disk + there[i] * CHUNK, there[i] == 300 ? 1000 : CHUNK, &raw);
        nx_content_add(content, there[i], &raw);
    }
    nx_hash_finish(content, &parts.manifest->images[0].content);
    test_parts_plan(&parts);
    write_xml();
    struct nx_engine_config config = { .path = publish() };
    nx_assert_ok(judge_verify(config.path, &err), err);
    nx_assert_ok(judge_read(&config, images, 2, &err), err);
}
END_TEST

/* ---- trees that unfold ---- */

/* A disk of 2^32 chunks, all the same one: every page's 256 children are one page.  The engine begins to fetch it all,
 * and ends when it is told to.
 */
START_TEST(unfolding_tree)
{
    struct nx_error err;
    struct nx_image *image = &parts.manifest->images[0];
    struct nx_index_entry child;
    nx_index_page_get(leaf_page(), 1, &child); /* the noise */
    for (unsigned level = 0; level < 4; level++) {
        struct nx_index_page *page = calloc(1, sizeof(*page));
        nx_index_page_start(page, level);
        for (unsigned slot = 0; slot < NX_INDEX_FANOUT; slot++)
            nx_index_page_set(page, slot, &child);
        child.offset = parts.index.len;
        child.size = NX_INDEX_PAGE_MAX;
        nx_assert_ok(nx_index_page_write(page, &parts.index, &err), err);
        nx_digest_of(parts.index.data + child.offset, child.size, &child.digest);
        free(page);
    }
    image->chunks = UINT64_C(1) << 32;
    image->size = image->chunks * CHUNK;
    image->root = (struct nx_span){ child.offset, child.size };
    image->root_digest = child.digest;
    test_parts_plan(&parts);
    write_xml();

    struct nx_engine engine;
    struct nx_engine_config config = { .path = publish(),
                                       .fuse_fd = -1,
                                       .state_fd = -1,
                                       .record_fd = -1,
                                       .no_fuse_fetch_all = true,
                                       .export_dir = "/nonexistent",
                                       .pull = true };
    NX_AUTO_BUFFER struct nx_buffer payload = NX_BUFFER_INIT(NX_CHANNEL_MAX);
    static const uint8_t how = NX_GO_COLD;
    alarm(60);
    nx_assert_ok(nx_engine_start(&config, &engine, &err), err);
    int type = 0;
    nx_assert_ok(nx_channel_receive(engine.channel, NULL, &type, &payload, &err), err);
    ck_assert_int_eq(type, NX_MSG_HEAD);
    nx_channel_send(engine.channel, NX_MSG_GO, &how, 1, NULL);
    while (type != NX_MSG_STATS) /* it is at work */
        nx_assert_ok(nx_channel_receive(engine.channel, NULL, &type, &payload, &err), err);
    nx_channel_send(engine.channel, NX_MSG_QUIT, NULL, 0, NULL);
    while (type != 0)
        nx_assert_ok(nx_channel_receive(engine.channel, NULL, &type, &payload, &err), err);
    nx_engine_stop(&engine, 5000);
    alarm(0);
}
END_TEST

/* ---- the manifest's XML ---- */

static unsigned taken, refused;

/* Sign the XML as it is: whatever it says, verify and the engine agree or refuse. */
static void judge_xml(size_t wanted, const char *what)
{
    struct nx_error why, err;
    pad(wanted);
    struct nx_engine_config config = { .path = publish() };
    int whole = judge_verify(config.path, &why);
    int readable = judge_read(&config, images, 0, &err);
    ck_assert_msg(whole < 0 || readable == 0, "%s: verify takes it, the engine says %s", what,
                  err.msg);
    taken += whole == 0;
    refused += whole < 0;
}

static void substitute(const struct nx_buffer *good, const struct place *place, const char *value)
{
    xml.len = 0;
    nx_buffer_add(&xml, good->data, place->at, NULL);
    nx_buffer_add(&xml, value, strlen(value), NULL);
    nx_buffer_add(&xml, good->data + place->at + place->len, good->len - place->at - place->len,
                  NULL);
}

START_TEST(every_element_and_attribute)
{
    static const char *const values[] = { "",
                                          "0",
                                          "-1",
                                          "4096",
                                          "1152921504606846975",
                                          "9223372036854775808",
                                          "18446744073709551616",
                                          "99999999999999999999999999999999",
                                          "x" };
    struct places places;
    struct nx_buffer good = NX_BUFFER_INIT(NX_MANIFEST_MAX);
    test_parts_plan(&parts);
    nx_manifest_write(parts.manifest, &good, NULL);
    places_find_xml(&good, &places);
    for (size_t i = 0; i < places.n; i++) {
        const struct place *place = &places.all[i];
        char what[128];
        snprintf(what, sizeof(what), "%.*s", (int)place->len, (char *)good.data + place->at);
        for (enum alteration how = 0; how < ALTERATIONS; how++)
            if (alter(&good, &places, i, how, &xml))
                judge_xml(good.len, what);
        bool is_value = strcmp(place->what, "value") == 0 || strcmp(place->what, "text") == 0;
        for (size_t v = 0; is_value && v < sizeof(values) / sizeof(values[0]); v++) {
            substitute(&good, place, values[v]);
            judge_xml(good.len, what);
        }
    }
    printf("%zu places of the manifest, re-signed: %u taken, %u refused\n", places.n, taken,
           refused);
    ck_assert_uint_gt(refused, 800);
    free(places.all);
    nx_buffer_release(&good);
}
END_TEST

static void repeat(struct nx_buffer *buf, const char *text, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        ck_assert_int_eq(nx_buffer_add(buf, text, strlen(text), NULL), 0);
}

#define MANIFEST "<manifest xmlns='urn:nxpk:manifest' version='1'>"

/* Manifests that would cost memory or time: front, n times the middle, end. */
static const struct {
    const char *front, *middle;
    unsigned n;
    const char *end, *says;
} floods[] = {
    { MANIFEST, "<image/>", 32000, "</manifest>", "manifest.xml:" },
    { MANIFEST, "<image/>", 500000, "</manifest>", "no whole manifest.xml" },
    { MANIFEST, "<a>", 80000, "", "manifest.xml" },
    { MANIFEST, "<image ", 30000, "", "manifest.xml" },
    { MANIFEST "<name>", "&amp;", 50000, "</name></manifest>", "manifest.xml" },
    { MANIFEST "<name>", "<![CDATA[x]]>", 20000, "</name></manifest>", "manifest.xml" },
    { MANIFEST, "<!-- -->", 30000, "</manifest>", "manifest.xml" },
    { MANIFEST, "<?x?>", 50000, "</manifest>", "manifest.xml" },
    { "<manifest xmlns='urn:nxpk:manifest' version='1' ", "xmlns:a='b' ", 20000, "/>",
      "manifest.xml" },
    { "<!DOCTYPE m [<!ENTITY a 'aaaaaaaaaa'>", "<!ENTITY b '&a;&a;&a;&a;'>", 1000, "]><m>&b;</m>",
      "DOCTYPE is not allowed" },
};

START_TEST(floods_of_elements)
{
    struct nx_error err;
    test_parts_plan(&parts);
    xml.len = 0;
    repeat(&xml, floods[_i].front, 1);
    repeat(&xml, floods[_i].middle, floods[_i].n);
    repeat(&xml, floods[_i].end, 1);
    struct nx_engine_config config = { .path = publish() };
    struct timespec start, end;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    nx_assert_fails(judge_verify(config.path, &err), err, floods[_i].says);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    nx_assert_fails(judge_read(&config, images, 0, &err), err, floods[_i].says);
    double took =
        (double)(end.tv_sec - start.tv_sec) + 1e-9 * (double)(end.tv_nsec - start.tv_nsec);
    ck_assert_msg(took < 3, "refused, but only after %.1f s of CPU time", took);
}
END_TEST

/* Many attributes, each with its own name: a parser that compares each with each would take long. */
START_TEST(flood_of_attributes)
{
    struct nx_error err;
    test_parts_plan(&parts);
    xml.len = 0;
    repeat(&xml, "<manifest xmlns='urn:nxpk:manifest' version='1'", 1);
    for (unsigned i = 0; i < 20000; i++)
        nx_buffer_printf(&xml, &err, " a%u=''", i);
    repeat(&xml, "/>", 1);
    struct nx_engine_config config = { .path = publish() };
    nx_assert_fails(judge_verify(config.path, &err), err, "manifest.xml");
    nx_assert_fails(judge_read(&config, images, 0, &err), err, "manifest.xml");
}
END_TEST

/* 65 images are one too many. */
START_TEST(too_many_images)
{
    struct nx_error err;
    struct nx_manifest *m = parts.manifest;
    test_parts_plan(&parts);
    while (m->n_images < NX_IMAGES_MAX) {
        m->images[m->n_images] = m->images[0];
        snprintf(m->images[m->n_images].name, sizeof(m->images[0].name), "disk%u", m->n_images);
        m->n_images++;
    }
    write_xml();
    replace_in(
        &xml, "</manifest>",
        "  <image name=\"last\" role=\"disk\" size=\"4096\" "
        "chunk-size=\"4096\" chunks=\"0\" content=\"0000000000000000000000000000000000000000"
        "000000000000000000000000\"><root offset=\"0\" size=\"40\" sha256=\"00000000000000000"
        "00000000000000000000000000000000000000000000000\"/></image></manifest>");
    nx_assert_fails(judge_verify(publish(), &err), err, "more than 64 images");
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("hostile");
    tcase_set_timeout(tcase, 200);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, forged, 0, sizeof(forgeries) / sizeof(forgeries[0]));
    tcase_add_test(tcase, overlapping_chunks);
    tcase_add_test(tcase, unfolding_tree);
    tcase_add_test(tcase, every_element_and_attribute);
    tcase_add_loop_test(tcase, floods_of_elements, 0, sizeof(floods) / sizeof(floods[0]));
    tcase_add_test(tcase, flood_of_attributes);
    tcase_add_test(tcase, too_many_images);
    return nx_test_run("hostile", tcase);
}
