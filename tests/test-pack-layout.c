/* SPDX-License-Identifier: MIT */
/* The store and the index that is laid out over it: what went in is found again by walking
 * the tree as a reader does, for images of all shapes.
 */
#include "pack/layout.h"

#include <sys/mman.h>

#include "tests/support/main.h"

static struct nx_manifest manifest;
static struct nx_store store;
static struct nx_layout layout;
static struct nx_index_bound bounds[NX_IMAGES_MAX];

/* Deterministic content for chunk number n of an image. */
static void add_chunk(struct nx_image *image, uint64_t n, uint64_t seed)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_digest content, digest;
    uint8_t stored[64];
    uint64_t what[2] = { n, seed };
    nx_digest_of(what, sizeof what, &content);
    memset(stored, (int)(n + seed), sizeof stored);
    memcpy(stored, what, sizeof what);
    uint32_t size = 20 + n % 40;
    nx_digest_of(stored, size, &digest);
    nx_assert_ok(nx_store_add(&store, n, &content, stored, size, &digest, &err), err);
    nx_index_bound_add(&bounds[image - manifest.images], n, n);
    image->chunks++;
}

static struct nx_image *add_image(uint64_t size, uint32_t chunk_size)
{
    struct nx_image *image = &manifest.images[manifest.n_images];
    snprintf(image->name, sizeof image->name, "disk%u", manifest.n_images++);
    image->size = size;
    image->chunk_size = chunk_size;
    nx_index_bound_start(&bounds[image - manifest.images], nx_image_chunk_count(image));
    return image;
}

static void start(void)
{
    struct nx_error err = NX_ERROR_INIT;
    memset(&manifest, 0, sizeof manifest);
    NX_AUTO_FD int fd = memfd_create("chunks", MFD_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    nx_assert_ok(nx_store_open(&store, fd, 1000, "/tmp/test-pack-layout", &err), err);
}

static void finish(void)
{
    nx_layout_release(&layout);
    nx_store_release(&store);
}

static uint64_t records(void)
{
    return store.records.size / sizeof(struct nx_store_record);
}

static uint64_t index_size(void)
{
    return layout.hot_upper.len + layout.hot_leaves.size + layout.upper.len + layout.leaves.size;
}

static void lay_out_by(const struct nx_placement *placement)
{
    struct nx_error err = NX_ERROR_INIT;
    nx_assert_ok(nx_layout_make(&layout, &store.records, placement, &manifest,
                                "/tmp/test-pack-layout", &err),
                 err);
    manifest.chunks.size = store.chunks.size;
    ck_assert_uint_eq(manifest.index.size, index_size());
    /* What was foretold of it, too. */
    uint64_t bound = 0;
    for (unsigned i = 0; i < manifest.n_images; i++) {
        bound += bounds[i].bytes;
        ck_assert_uint_eq(bounds[i].chunks, manifest.images[i].chunks);
    }
    ck_assert_uint_eq(index_size(), bound);
}

static void lay_out(void)
{
    lay_out_by(NULL);
    ck_assert_uint_eq(layout.upper.len + layout.hot_leaves.size, 0);
    ck_assert_uint_eq(manifest.boot_index, 0);
}

/* Bytes of the index member, a page, which lies within one of its four parts. */
static void read_index(uint64_t offset, uint8_t *buf, size_t len)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_spool *spools[] = { &layout.hot_leaves, &layout.leaves };
    const struct nx_buffer *buffers[] = { &layout.hot_upper, &layout.upper };
    ck_assert_uint_le(offset + len, manifest.index.size);
    for (int part = 0; part < 2; part++) {
        if (offset < buffers[part]->len) {
            memcpy(buf, buffers[part]->data + offset, len);
            return;
        }
        offset -= buffers[part]->len;
        if (offset < spools[part]->size) {
            nx_assert_ok(nx_spool_read(spools[part], buf, len, offset, &err), err);
            return;
        }
        offset -= spools[part]->size;
    }
    ck_abort_msg("no page there");
}

/* Walk a page; check that its chunks are records *next and following. */
static void walk(const struct nx_image *image, const struct nx_index_entry *entry, unsigned level,
                 uint64_t first, const struct nx_placement *placement, uint64_t *next)
{
    struct nx_error err = NX_ERROR_INIT;
    uint8_t page[NX_INDEX_PAGE_MAX];
    struct nx_digest digest;
    ck_assert_uint_le(entry->size, sizeof page);
    read_index(entry->offset, page, entry->size);
    nx_digest_of(page, entry->size, &digest);
    ck_assert(nx_digest_equal(&digest, &entry->digest));
    nx_assert_ok(nx_index_page_check(page, entry->size, level, first, &manifest, image, &err), err);
    for (unsigned slot = nx_index_page_next(page, 0); slot < NX_INDEX_FANOUT;
         slot = nx_index_page_next(page, slot + 1)) {
        struct nx_index_entry child;
        ck_assert(nx_index_page_get(page, slot, &child));
        uint64_t number = first + ((uint64_t)slot << (8 * level));
        if (level > 0) {
            walk(image, &child, level - 1, number, placement, next);
            continue;
        }
        struct nx_store_record record;
        nx_assert_ok(nx_store_record_read(&store.records, (*next)++, &record, &err), err);
        if (placement)
            nx_assert_ok(nx_placement_move(placement, &record.entry, &err), err);
        ck_assert_uint_eq(record.number, number);
        ck_assert_uint_eq(record.entry.offset, child.offset);
        ck_assert_uint_eq(record.entry.size, child.size);
        ck_assert(nx_digest_equal(&record.entry.digest, &child.digest));
    }
}

/* All images' trees lead to all records, and roots stand first. */
static void check_trees_by(const struct nx_placement *placement)
{
    uint64_t next = 0, roots = 0;
    for (unsigned i = 0; i < manifest.n_images; i++) {
        const struct nx_image *image = &manifest.images[i];
        const struct nx_index_entry root = { image->root.offset, (uint32_t)image->root.size,
                                             image->root_digest };
        walk(image, &root, nx_index_levels(nx_image_chunk_count(image)) - 1, 0, placement, &next);
        roots += image->root.size;
    }
    ck_assert_uint_eq(next, records());
    for (unsigned i = 0; i < manifest.n_images; i++)
        ck_assert_uint_le(manifest.images[i].root.offset + manifest.images[i].root.size, roots);
}

static void check_trees(void)
{
    check_trees_by(NULL);
}

/* Every mixture of depths and densities in one package. */
START_TEST(finds_all_again)
{
    start();
    struct nx_image *image = add_image(4096 * 5, 4096); /* one level */
    add_chunk(image, 0, 1);
    add_chunk(image, 4, 1);
    image = add_image(UINT64_C(1) << 40, 65536); /* three levels, sparse */
    for (uint64_t n = 0; n < UINT64_C(1) << 24; n += 99991)
        add_chunk(image, n, 2);
    add_chunk(image, (UINT64_C(1) << 24) - 1, 2);
    image = add_image(4096 * 3000, 4096); /* two levels, dense */
    for (uint64_t n = 0; n < 3000; n++)
        add_chunk(image, n, 3);
    image = add_image(NX_IMAGE_SIZE_MAX, NX_CHUNK_SIZE_MIN); /* five levels, one chunk */
    add_chunk(image, NX_IMAGE_SIZE_MAX / NX_CHUNK_SIZE_MIN - 1, 4);
    lay_out();
    check_trees();
    finish();
}
END_TEST

/* Runs that share chunks and pages count them once; holes in them are chunks that may be there. */
START_TEST(bound_of_runs)
{
    struct nx_index_bound runs, all;
    nx_index_bound_start(&runs, UINT64_C(1) << 24);
    nx_index_bound_start(&all, UINT64_C(1) << 24);
    nx_index_bound_add(&runs, 5, 300);
    nx_index_bound_add(&runs, 300, 300);
    nx_index_bound_add(&runs, 299, 70000);
    for (uint64_t n = 5; n <= 70000; n++)
        nx_index_bound_add(&all, n, n);
    ck_assert_uint_eq(runs.chunks, 70000 - 5 + 1);
    ck_assert_uint_eq(runs.bytes, all.bytes);
    ck_assert_uint_eq(runs.bytes, 69996 * NX_INDEX_ENTRY + 274 * nx_index_page_size(1) +
                                      2 * nx_index_page_size(1) + NX_INDEX_HEADER);
}
END_TEST

START_TEST(empty_images_have_roots)
{
    start();
    add_image(4096, 4096);
    add_image(UINT64_C(1) << 40, 65536);
    lay_out();
    check_trees();
    ck_assert_uint_eq(manifest.index.size, 2 * NX_INDEX_HEADER);
    ck_assert_uint_eq(manifest.chunks.size, 0);
    finish();
}
END_TEST

/* At 1 TiB everything above the leaves is far below what a start may cost (64 KiB). */
START_TEST(upper_pages_stand_in_front)
{
    start();
    struct nx_image *image = add_image(UINT64_C(1) << 40, 65536);
    for (uint64_t n = 0; n < 200; n++)
        add_chunk(image, n * 256 * 300, 5);
    lay_out();
    check_trees();
    ck_assert_uint_lt(layout.hot_upper.len, 65536 - 4 * 4096);
    ck_assert_uint_eq(layout.leaves.size, 200 * nx_index_page_size(1));
    finish();
}
END_TEST

START_TEST(equal_chunks_are_stored_once)
{
    struct nx_error err = NX_ERROR_INIT;
    start();
    struct nx_image *image = add_image(4096 * 20000, 4096);
    /* More than one transaction of the map's. */
    for (uint64_t n = 0; n < 20000; n++)
        add_chunk(image, n, 6);
    uint64_t once = store.chunks.size;
    struct nx_image *second = add_image(4096 * 20000, 4096);
    for (uint64_t n = 0; n < 20000; n++)
        add_chunk(second, n, 6);
    ck_assert_uint_eq(store.chunks.size, once);
    ck_assert_uint_eq(records(), 40000);
    for (uint64_t n = 0; n < 20000; n += 777) {
        struct nx_store_record a, b;
        nx_assert_ok(nx_store_record_read(&store.records, n, &a, &err), err);
        nx_assert_ok(nx_store_record_read(&store.records, 20000 + n, &b, &err), err);
        ck_assert_mem_eq(&a, &b, sizeof a);
    }
    lay_out();
    check_trees();
    finish();
}
END_TEST

/* ---- boot sets ---- */

static struct nx_placement *placement_of(const struct nx_touch *touches, size_t count)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_placement *placement;
    const struct nx_record record = { .touches = (struct nx_touch *)touches, .count = count };
    nx_assert_ok(nx_placement_new(&record, count, &placement, &err), err);
    uint64_t first = 0;
    for (unsigned i = 0; i < manifest.n_images; i++) {
        for (uint64_t n = 0; n < manifest.images[i].chunks; n++) {
            struct nx_store_record chunk;
            nx_assert_ok(nx_store_record_read(&store.records, first + n, &chunk, &err), err);
            nx_placement_note(placement, i, chunk.number, &chunk.entry);
        }
        first += manifest.images[i].chunks;
    }
    nx_assert_ok(nx_placement_settle(placement, "test", &err), err);
    return placement;
}

/* Where the stored bytes of record i are now. */
static struct nx_index_entry moved(const struct nx_placement *placement, uint64_t i)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_store_record record;
    nx_assert_ok(nx_store_record_read(&store.records, i, &record, &err), err);
    nx_assert_ok(nx_placement_move(placement, &record.entry, &err), err);
    return record.entry;
}

/* The boot set in the order of its use; a page that leads to it within boot_index, no other leaf. */
START_TEST(boot_set_stands_in_front)
{
    const struct nx_touch touches[] = {
        { 0, 1, 700 },  { 0, 0, 99991 * 7 }, { 1, 1, 3 }, { 2, 1, 700 }, /* again */
        { 3, 1, 2999 }, { 4, 0, 5 },                                     /* all zero */
    };
    start();
    struct nx_image *image = add_image(UINT64_C(1) << 40, 65536); /* three levels, sparse */
    for (uint64_t n = 0; n < UINT64_C(1) << 24; n += 99991)
        add_chunk(image, n, 2);
    uint64_t second = records();
    image = add_image(4096 * 3000, 4096);
    for (uint64_t n = 0; n < 3000; n++)
        add_chunk(image, n, 3);
    struct nx_placement *placement = placement_of(touches, 6);
    ck_assert_uint_eq(nx_placement_count(placement), 4);
    const uint64_t order[] = { second + 700, 7, second + 3, second + 2999 };
    uint64_t at = 0;
    for (size_t i = 0; i < 4; i++) {
        struct nx_index_entry entry = moved(placement, order[i]);
        ck_assert_uint_eq(entry.offset, at);
        at += entry.size;
    }
    ck_assert_uint_eq(nx_placement_hot_bytes(placement), at);
    /* All others follow in their old order without a gap. */
    for (uint64_t i = 0; i < records(); i++) {
        if (i == 7 || i == second + 700 || i == second + 3 || i == second + 2999)
            continue;
        struct nx_index_entry entry = moved(placement, i);
        ck_assert_uint_eq(entry.offset, at);
        at += entry.size;
    }
    ck_assert_uint_eq(at, store.chunks.size);
    lay_out_by(placement);
    check_trees_by(placement);
    ck_assert_uint_eq(manifest.boot_index, layout.hot_upper.len + layout.hot_leaves.size);
    /* Image 0: the leaves of chunk 5 and of chunk 699937; image 1: those of 3, 700 and 2999. */
    ck_assert_uint_eq(layout.hot_leaves.size, 2 * nx_index_page_size(1) +
                                                  2 * nx_index_page_size(256) +
                                                  nx_index_page_size(3000 % 256));
    /* Two roots, and two pages between image 0's root and its hot leaves: the others are not needed for a start. */
    ck_assert_uint_gt(layout.upper.len, 100 * nx_index_page_size(1));
    nx_placement_free(placement);
    finish();
}
END_TEST

START_TEST(equal_chunks_move_once)
{
    const struct nx_touch touches[] = { { 0, 1, 9 }, { 0, 0, 9 }, { 0, 0, 2 } };
    start();
    struct nx_image *first = add_image(4096 * 100, 4096);
    for (uint64_t n = 0; n < 100; n++)
        add_chunk(first, n, 6);
    struct nx_image *second = add_image(4096 * 100, 4096);
    for (uint64_t n = 0; n < 100; n++)
        add_chunk(second, n, 6);
    struct nx_placement *placement = placement_of(touches, 3);
    ck_assert_uint_eq(nx_placement_count(placement), 2);
    ck_assert_uint_eq(moved(placement, 9).offset, 0);
    ck_assert_uint_eq(moved(placement, 109).offset, 0);
    lay_out_by(placement);
    check_trees_by(placement);
    nx_placement_free(placement);
    finish();
}
END_TEST

START_TEST(no_touches_move_nothing)
{
    start();
    struct nx_image *image = add_image(4096 * 1000, 4096);
    for (uint64_t n = 0; n < 1000; n++)
        add_chunk(image, n, 6);
    struct nx_placement *placement = placement_of(NULL, 0);
    lay_out_by(placement);
    check_trees_by(placement);
    ck_assert_uint_eq(manifest.boot_index, 0);
    ck_assert_uint_eq(moved(placement, 0).offset, 0);
    nx_placement_free(placement);
    finish();
}
END_TEST

/* Packages of others may let chunks share bytes: those cannot be moved apart. */
START_TEST(overlaps_are_refused)
{
    struct nx_error err = NX_ERROR_INIT;
    const struct nx_touch touch = { 0, 0, 1 };
    const struct nx_record record = { .touches = (struct nx_touch *)&touch, .count = 1 };
    struct nx_placement *placement;
    nx_assert_ok(nx_placement_new(&record, 1, &placement, &err), err);
    struct nx_index_entry hot = { .offset = 100, .size = 50 };
    nx_placement_note(placement, 0, 1, &hot);
    nx_assert_ok(nx_placement_settle(placement, "test", &err), err);
    const struct {
        uint64_t offset;
        uint32_t size;
        bool good;
        uint64_t to;
    } cases[] = {
        { 0, 100, true, 50 },    { 0, 101, false, 0 }, { 100, 50, true, 0 },
        { 100, 49, false, 0 },   { 120, 5, false, 0 }, { 149, 10, false, 0 },
        { 150, 10, true, 150 },  { 99, 1, true, 149 }, { 100, 51, false, 0 },
        { 1000, 1, true, 1000 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct nx_index_entry entry = { .offset = cases[i].offset, .size = cases[i].size };
        if (cases[i].good) {
            nx_assert_ok(nx_placement_move(placement, &entry, &err), err);
            ck_assert_uint_eq(entry.offset, cases[i].to);
        } else {
            nx_assert_fails(nx_placement_move(placement, &entry, &err), err, "overlaps another");
        }
    }
    nx_placement_free(placement);
}
END_TEST

START_TEST(spool_gives_back)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_spool spool;
    nx_assert_ok(nx_spool_open(&spool, "/tmp/test-pack-spool", &err), err);
    static uint8_t data[1000000], back[1000000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 + i / 251);
    size_t at = 0;
    for (size_t len = 1; at + len < sizeof data; len = len * 3 / 2 + 1) {
        nx_assert_ok(nx_spool_add(&spool, data + at, len, &err), err);
        at += len;
        nx_assert_ok(nx_spool_read(&spool, back, len, at - len, &err), err);
        ck_assert_mem_eq(back, data + at - len, len);
    }
    ck_assert_uint_eq(spool.size, at);
    nx_assert_ok(nx_spool_read(&spool, back, at, 0, &err), err);
    ck_assert_mem_eq(back, data, at);
    nx_assert_fails(nx_spool_read(&spool, back, 1, at, &err), err, "ends at");
    nx_spool_release(&spool);
    nx_assert_fails(nx_spool_open(&spool, "/nonexistent/x", &err), err, "/nonexistent");
}
END_TEST

NX_TEST_MAIN("pack-layout", finds_all_again, bound_of_runs, empty_images_have_roots,
             upper_pages_stand_in_front, equal_chunks_are_stored_once, boot_set_stands_in_front,
             equal_chunks_move_once, no_touches_move_nothing, overlaps_are_refused,
             spool_gives_back)
