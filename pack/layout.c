/* SPDX-License-Identifier: MIT */
/* Sizes of pages depend on nothing but the number of their children, digests on the
 * children's offsets.  So: write the leaves, group pages upward, give every page its offset
 * from the root down, and then write the upper pages from the bottom up.
 */
#include "pack/layout.h"

#include <assert.h>
#include <string.h>

#define UPPER_MAX (UINT64_C(1) << 32) /* bytes of upper pages: those over 2^34 chunks or so */

/* A page of a tree.  Its children are a run of the pages of the level below. */
struct page {
    uint64_t number;             /* among its level's: that of its first chunk / 256^(level + 1) */
    struct nx_index_entry entry; /* its place in the index */
    size_t first_child;
    unsigned n_children;
    bool hot;
};

struct level {
    struct page *pages;
    size_t count, cap;
};

struct tree {
    struct level levels[NX_INDEX_LEVELS_MAX];
    unsigned n_levels;
};

struct making {
    struct nx_layout *layout;
    struct nx_spool *records;
    const struct nx_placement *placement;
    struct nx_manifest *manifest;
    struct tree trees[NX_IMAGES_MAX];
};

/* gcc 12 forgets that m->trees, which the levels lie in, keeps the pages. */
#ifndef __clang__
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#pragma GCC diagnostic ignored "-Wanalyzer-null-dereference"
#endif
static int make_room(struct level *level, struct nx_error *err)
{
    if (level->count < level->cap)
        return 0;
    size_t cap = level->cap ? 2 * level->cap : 64;
    struct page *pages = reallocarray(level->pages, cap, sizeof *pages);
    if (!pages)
        return nx_fail_errno(err, "index");
    level->pages = pages;
    level->cap = cap;
    return 0;
}

static struct page *add_page(struct level *level, uint64_t number, struct nx_error *err)
{
    if (make_room(level, err) < 0)
        return NULL;
    struct page *page = &level->pages[level->count++];
    *page = (struct page){ .number = number };
    return page;
}
#ifndef __clang__
#pragma GCC diagnostic pop
#endif

/* A lone leaf is a root and stands with them; others follow each other in their spool. */
static int add_leaf(struct making *m, unsigned image, uint64_t number,
                    const struct nx_index_page *leaf, struct nx_error *err)
{
    struct tree *tree = &m->trees[image];
    struct page *page = add_page(&tree->levels[0], number, err);
    if (!page)
        return -1;
    NX_AUTO_BUFFER struct nx_buffer bytes = NX_BUFFER_INIT(NX_INDEX_PAGE_MAX);
    if (nx_index_page_write(leaf, &bytes, err) < 0)
        return -1;
    bool lone = tree->n_levels == 1;
    struct nx_buffer *roots = &m->layout->hot_upper;
    page->hot = lone || (m->placement && nx_placement_has_leaf(m->placement, image, number));
    struct nx_spool *spool = page->hot ? &m->layout->hot_leaves : &m->layout->leaves;
    page->entry.size = (uint32_t)bytes.len;
    page->entry.offset = lone ? roots->len : spool->size;
    nx_digest_of(bytes.data, bytes.len, &page->entry.digest);
    page->n_children = leaf->count;
    return lone ? nx_buffer_add(roots, bytes.data, bytes.len, err)
                : nx_spool_add(spool, bytes.data, bytes.len, err);
}

/* The leaves over the image's records, which begin with number first of all. */
static int make_leaves(struct making *m, unsigned i_image, uint64_t first, struct nx_error *err)
{
    const struct nx_image *image = &m->manifest->images[i_image];
    struct nx_index_page leaf;
    nx_index_page_start(&leaf, 0);
    uint64_t number = 0;
    for (uint64_t i = 0; i < image->chunks; i++) {
        struct nx_store_record record;
        if (nx_store_record_read(m->records, first + i, &record, err) < 0 ||
            (m->placement && nx_placement_move(m->placement, &record.entry, err) < 0))
            return -1;
        uint64_t its_leaf = record.number / NX_INDEX_FANOUT;
        if (its_leaf != number && leaf.count) {
            if (add_leaf(m, i_image, number, &leaf, err) < 0)
                return -1;
            nx_index_page_start(&leaf, 0);
        }
        number = its_leaf;
        nx_index_page_set(&leaf, nx_index_slot(record.number, 0), &record.entry);
    }
    /* An empty image has a root nevertheless. */
    if (leaf.count || m->trees[i_image].n_levels == 1)
        return add_leaf(m, i_image, number, &leaf, err);
    return 0;
}

/* The pages of a level over those of the level below. */
static int group_level(struct tree *tree, unsigned n, bool all_hot, struct nx_error *err)
{
    bool is_root = n == tree->n_levels - 1;
    const struct level *below = &tree->levels[n - 1];
    struct level *level = &tree->levels[n];
    for (size_t i = 0; i < below->count; i++) {
        uint64_t number = below->pages[i].number / NX_INDEX_FANOUT;
        struct page *page = level->count ? &level->pages[level->count - 1] : NULL;
        if (!page || page->number != number) {
            page = add_page(level, number, err);
            if (!page)
                return -1;
            page->first_child = i;
            page->hot = all_hot || is_root;
        }
        page->n_children++;
        page->hot |= below->pages[i].hot;
    }
    if (!is_root || level->count > 0)
        return 0;
    struct page *empty = add_page(level, 0, err);
    if (!empty)
        return -1;
    empty->hot = true;
    return 0;
}

static int make_trees(struct making *m, struct nx_error *err)
{
    uint64_t first = 0;
    for (unsigned i = 0; i < m->manifest->n_images; i++) {
        const struct nx_image *image = &m->manifest->images[i];
        struct tree *tree = &m->trees[i];
        tree->n_levels = nx_index_levels(nx_image_chunk_count(image));
        if (make_leaves(m, i, first, err) < 0)
            return -1;
        for (unsigned n = 1; n < tree->n_levels; n++)
            if (group_level(tree, n, !m->placement, err) < 0)
                return -1;
        first += image->chunks;
    }
    return 0;
}

/* Offsets, from at on, for the upper pages that are hot, or not, depth after depth, all images in each.  Returns the
 * end.  Lone roots have theirs already.
 */
static uint64_t place_upper(struct making *m, bool hot, uint64_t at)
{
    for (unsigned depth = 0; depth + 1 < NX_INDEX_LEVELS_MAX; depth++) {
        for (unsigned i = 0; i < m->manifest->n_images; i++) {
            struct tree *tree = &m->trees[i];
            if (depth + 1 >= tree->n_levels) /* its leaves or below them */
                continue;
            struct level *level = &tree->levels[tree->n_levels - 1 - depth];
            for (size_t p = 0; p < level->count; p++) {
                struct page *page = &level->pages[p];
                if (page->hot != hot)
                    continue;
                page->entry.offset = at;
                page->entry.size = (uint32_t)nx_index_page_size(page->n_children);
                at += page->entry.size;
            }
        }
    }
    return at;
}

/* Leaves know their place in their spool, which is to begin at hot_base or base. */
static void place_leaves(struct making *m, uint64_t hot_base, uint64_t base)
{
    for (unsigned i = 0; i < m->manifest->n_images; i++) {
        if (m->trees[i].n_levels == 1)
            continue;
        struct level *leaves = &m->trees[i].levels[0];
        for (size_t p = 0; p < leaves->count; p++)
            leaves->pages[p].entry.offset += leaves->pages[p].hot ? hot_base : base;
    }
}

static int write_upper_page(struct making *m, const struct tree *tree, unsigned n,
                            struct page *page, uint64_t upper_base, struct nx_error *err)
{
    struct nx_index_page out;
    nx_index_page_start(&out, n);
    for (size_t i = 0; i < page->n_children; i++) {
        const struct page *child = &tree->levels[n - 1].pages[page->first_child + i];
        nx_index_page_set(&out, child->number % NX_INDEX_FANOUT, &child->entry);
    }
    NX_AUTO_BUFFER struct nx_buffer bytes = NX_BUFFER_INIT(NX_INDEX_PAGE_MAX);
    if (nx_index_page_write(&out, &bytes, err) < 0)
        return -1;
    assert(bytes.len == page->entry.size);
    nx_digest_of(bytes.data, bytes.len, &page->entry.digest);
    uint8_t *to = page->hot ? m->layout->hot_upper.data + page->entry.offset
                            : m->layout->upper.data + (page->entry.offset - upper_base);
    memcpy(to, bytes.data, bytes.len);
    return 0;
}

/* Children before parents, which hold their digests. */
static int write_upper(struct making *m, uint64_t upper_base, struct nx_error *err)
{
    for (unsigned i = 0; i < m->manifest->n_images; i++) {
        struct tree *tree = &m->trees[i];
        for (unsigned n = 1; n < tree->n_levels; n++)
            for (size_t p = 0; p < tree->levels[n].count; p++)
                if (write_upper_page(m, tree, n, &tree->levels[n].pages[p], upper_base, err) < 0)
                    return -1;
    }
    return 0;
}

static void name_roots(struct making *m)
{
    for (unsigned i = 0; i < m->manifest->n_images; i++) {
        const struct tree *tree = &m->trees[i];
        const struct page *root = &tree->levels[tree->n_levels - 1].pages[0];
        struct nx_image *image = &m->manifest->images[i];
        image->root = (struct nx_span){ root->entry.offset, root->entry.size };
        image->root_digest = root->entry.digest;
    }
}

/* Give buf exactly size bytes, to be written at random. */
static int set_size(struct nx_buffer *buf, uint64_t size, struct nx_error *err)
{
    if (nx_buffer_reserve(buf, size - buf->len, err) < 0)
        return nx_fail_while(err, "index");
    buf->len = size;
    return 0;
}

static int make(struct making *m, struct nx_error *err)
{
    struct nx_layout *layout = m->layout;
    if (make_trees(m, err) < 0)
        return -1;
    uint64_t hot_upper = place_upper(m, true, layout->hot_upper.len);
    uint64_t hot = hot_upper + layout->hot_leaves.size;
    uint64_t upper = place_upper(m, false, hot);
    place_leaves(m, hot_upper, upper);
    if (set_size(&layout->hot_upper, hot_upper, err) < 0 ||
        set_size(&layout->upper, upper - hot, err) < 0 || write_upper(m, hot, err) < 0)
        return -1;
    name_roots(m);
    m->manifest->index.size = upper + layout->leaves.size;
    m->manifest->boot_index = m->placement && nx_placement_hot_bytes(m->placement) ? hot : 0;
    return 0;
}

int nx_layout_make(struct nx_layout *layout, struct nx_spool *records,
                   const struct nx_placement *placement, struct nx_manifest *manifest,
                   const char *beside, struct nx_error *err)
{
    *layout = (struct nx_layout)NX_LAYOUT_INIT;
    nx_buffer_init(&layout->hot_upper, UPPER_MAX);
    nx_buffer_init(&layout->upper, UPPER_MAX);
    struct making *m = calloc(1, sizeof *m);
    if (!m)
        return nx_fail_errno(err, "index");
    m->layout = layout;
    m->records = records;
    m->placement = placement;
    m->manifest = manifest;
    int ret = nx_spool_open(&layout->hot_leaves, beside, err) < 0 ||
                      nx_spool_open(&layout->leaves, beside, err) < 0
                  ? -1
                  : make(m, err);
    for (unsigned i = 0; i < NX_IMAGES_MAX; i++)
        for (unsigned n = 0; n < NX_INDEX_LEVELS_MAX; n++)
            free(m->trees[i].levels[n].pages);
    free(m);
    if (ret < 0)
        nx_layout_release(layout);
    return ret;
}

void nx_layout_release(struct nx_layout *layout)
{
    nx_buffer_release(&layout->hot_upper);
    nx_spool_release(&layout->hot_leaves);
    nx_buffer_release(&layout->upper);
    nx_spool_release(&layout->leaves);
}

uint64_t nx_layout_size(const struct nx_layout *layout)
{
    return layout->hot_upper.len + layout->hot_leaves.size + layout->upper.len +
           layout->leaves.size;
}
