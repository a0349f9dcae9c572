/* SPDX-License-Identifier: MIT */
/* Threads: no state of its own. */
#include "fetch/tree.h"

#include <inttypes.h>

#define SIBLINGS_MAX (64u << 10) /* bytes of leaves fetched with one that is missing */

/* A page on the way down. */
struct page {
    struct nx_bytes *bytes;
    unsigned level;
    uint64_t first; /* number of the first chunk below it */
};

static struct nx_blob page_blob(const struct nx_tree *tree, unsigned image,
                                const struct nx_index_entry *entry)
{
    return (struct nx_blob){ .offset = tree->manifest->index.offset + entry->offset,
                             .size = entry->size,
                             .page = true,
                             .image = image,
                             .digest = entry->digest };
}

static int get_page(const struct nx_tree *tree, unsigned image, const struct nx_blob *blob,
                    unsigned level, uint64_t first, struct page *ret_page, struct nx_error *err)
{
    NX_AUTO_BYTES struct nx_bytes *bytes = NULL;
    const struct nx_image *img = &tree->manifest->images[image];
    if (nx_blobs_get(tree->blobs, blob, &bytes, err) < 0)
        return -1;
    if (nx_index_page_check(bytes->data, bytes->len, level, first, tree->manifest, img, err) < 0)
        return nx_fail_while(err, "%s: image %s, index page at offset %" PRIu64,
                             nx_blobs_name(tree->blobs), img->name, blob->offset);
    *ret_page = (struct page){ NX_STEAL(bytes), level, first };
    return 0;
}

static struct nx_blob root_blob(const struct nx_tree *tree, unsigned image)
{
    const struct nx_image *img = &tree->manifest->images[image];
    return (struct nx_blob){ .offset = tree->manifest->index.offset + img->root.offset,
                             .size = (uint32_t)img->root.size,
                             .page = true,
                             .image = image,
                             .digest = img->root_digest };
}

static unsigned root_level(const struct nx_tree *tree, unsigned image)
{
    return nx_index_levels(nx_image_chunk_count(&tree->manifest->images[image])) - 1;
}

static int get_root(const struct nx_tree *tree, unsigned image, struct page *ret_page,
                    struct nx_error *err)
{
    struct nx_blob blob = root_blob(tree, image);
    return get_page(tree, image, &blob, root_level(tree, image), 0, ret_page, err);
}

int nx_tree_root(const struct nx_tree *tree, unsigned image, struct nx_error *err)
{
    struct page root;
    if (get_root(tree, image, &root, err) < 0)
        return -1;
    nx_bytes_unref(root.bytes);
    return 0;
}

/* Leaves that stand side by side are mostly wanted one after the other: with a missing one, fetch
 * those that follow it in the same range.
 */
static void want_siblings(const struct nx_tree *tree, unsigned image, const struct page *parent,
                          unsigned slot)
{
    struct nx_blob blobs[NX_INDEX_FANOUT];
    size_t count = 0;
    uint64_t end = 0, bytes = 0;
    for (; slot < NX_INDEX_FANOUT; slot = nx_index_page_next(parent->bytes->data, slot + 1)) {
        struct nx_index_entry entry;
        if (!nx_index_page_get(parent->bytes->data, slot, &entry))
            break;
        struct nx_blob blob = page_blob(tree, image, &entry);
        if ((count > 0 && blob.offset != end) || bytes + blob.size > SIBLINGS_MAX)
            break;
        end = blob.offset + blob.size;
        bytes += blob.size;
        blobs[count++] = blob;
        if (slot + 1 == NX_INDEX_FANOUT)
            break;
    }
    nx_blobs_want(tree->blobs, blobs, count, NX_PRIORITY_DEMAND, SIBLINGS_MAX);
}

/* The child at slot; its bytes are NULL if it is absent. */
static int get_child(const struct nx_tree *tree, unsigned image, const struct page *parent,
                     unsigned slot, struct page *ret_page, struct nx_error *err)
{
    struct nx_index_entry entry;
    if (!nx_index_page_get(parent->bytes->data, slot, &entry)) {
        *ret_page = (struct page){ 0 };
        return 0;
    }
    struct nx_blob blob = page_blob(tree, image, &entry);
    if (parent->level == 1 && !nx_blobs_has(tree->blobs, &blob))
        want_siblings(tree, image, parent, slot);
    uint64_t first = parent->first + ((uint64_t)slot << (8 * parent->level));
    return get_page(tree, image, &blob, parent->level - 1, first, ret_page, err);
}

int nx_tree_leaf(const struct nx_tree *tree, unsigned image, uint64_t n, struct nx_leaf *ret_leaf,
                 struct nx_error *err)
{
    struct page page;
    if (get_root(tree, image, &page, err) < 0)
        return -1;
    while (page.bytes && page.level > 0) {
        NX_AUTO_BYTES struct nx_bytes *parent_bytes = page.bytes;
        struct page parent = page;
        if (get_child(tree, image, &parent, nx_index_slot(n, parent.level), &page, err) < 0)
            return -1;
    }
    *ret_leaf = (struct nx_leaf){ page.bytes, n & ~UINT64_C(0xff) };
    return 0;
}

/* The first leaf below page with a chunk at or after n.  Recursion is bounded by NX_INDEX_LEVELS_MAX. */
static int find_leaf(const struct nx_tree *tree, unsigned image, const struct page *page,
                     uint64_t n, struct nx_leaf *ret_leaf, struct nx_error *err)
{
    unsigned shift = 8 * page->level;
    unsigned slot = n <= page->first ? 0 : (unsigned)((n - page->first) >> shift);
    *ret_leaf = (struct nx_leaf){ 0 };
    if (slot >= NX_INDEX_FANOUT)
        return 0;
    slot = nx_index_page_next(page->bytes->data, slot);
    if (page->level == 0) {
        if (slot < NX_INDEX_FANOUT)
            *ret_leaf = (struct nx_leaf){ nx_bytes_ref(page->bytes), page->first };
        return 0;
    }
    while (slot < NX_INDEX_FANOUT && !ret_leaf->page) {
        struct page child;
        if (get_child(tree, image, page, slot, &child, err) < 0)
            return -1;
        NX_AUTO_BYTES struct nx_bytes *child_bytes = child.bytes;
        if (find_leaf(tree, image, &child, n, ret_leaf, err) < 0)
            return -1;
        slot = slot + 1 < NX_INDEX_FANOUT ? nx_index_page_next(page->bytes->data, slot + 1)
                                          : NX_INDEX_FANOUT;
    }
    return 0;
}

int nx_tree_next_leaf(const struct nx_tree *tree, unsigned image, uint64_t n,
                      struct nx_leaf *ret_leaf, struct nx_error *err)
{
    struct page root;
    if (get_root(tree, image, &root, err) < 0)
        return -1;
    NX_AUTO_BYTES struct nx_bytes *root_bytes = root.bytes;
    return find_leaf(tree, image, &root, n, ret_leaf, err);
}

/* A page that is here and good; else its bytes are NULL. */
static struct page peek_page(const struct nx_tree *tree, unsigned image, const struct nx_blob *blob,
                             unsigned level, uint64_t first)
{
    NX_AUTO_BYTES struct nx_bytes *bytes = nx_blobs_peek(tree->blobs, blob);
    if (!bytes || nx_index_page_check(bytes->data, bytes->len, level, first, tree->manifest,
                                      &tree->manifest->images[image], NULL) < 0)
        return (struct page){ 0 };
    return (struct page){ NX_STEAL(bytes), level, first };
}

bool nx_tree_leaf_here(const struct nx_tree *tree, unsigned image, uint64_t n,
                       struct nx_leaf *ret_leaf, uint64_t *ret_end)
{
    struct nx_blob blob = root_blob(tree, image);
    struct page page = peek_page(tree, image, &blob, root_level(tree, image), 0);
    *ret_end = nx_image_chunk_count(&tree->manifest->images[image]);
    while (page.bytes && page.level > 0) {
        NX_AUTO_BYTES struct nx_bytes *parent = page.bytes;
        struct nx_index_entry entry;
        unsigned slot = nx_index_slot(n, page.level), shift = 8 * page.level;
        uint64_t first = page.first + ((uint64_t)slot << shift);
        *ret_end = first + (UINT64_C(1) << shift);
        *ret_leaf = (struct nx_leaf){ NULL, n };
        if (!nx_index_page_get(parent->data, slot, &entry))
            return true;
        blob = page_blob(tree, image, &entry);
        page = peek_page(tree, image, &blob, page.level - 1, first);
    }
    if (!page.bytes)
        return false;
    *ret_leaf = (struct nx_leaf){ page.bytes, page.first };
    *ret_end = page.first + NX_INDEX_FANOUT;
    return true;
}

static void want_children(const struct nx_tree *tree, unsigned image, const struct page *page)
{
    struct nx_blob blobs[NX_INDEX_FANOUT];
    size_t count = 0;
    for (unsigned slot = 0; slot < NX_INDEX_FANOUT; slot++) {
        struct nx_index_entry entry;
        if (nx_index_page_get(page->bytes->data, slot, &entry))
            blobs[count++] = page_blob(tree, image, &entry);
    }
    nx_blobs_want(tree->blobs, blobs, count, NX_PRIORITY_BACKGROUND, NX_BLOBS_REQUEST_MAX);
}

static int come_again(struct nx_error *err)
{
    return nx_fail(err, NX_ERR_FORMAT, "pages of the index come again and again");
}

static int prefetch_below(const struct nx_tree *tree, unsigned image, const struct page *page,
                          uint64_t *left, struct nx_error *err)
{
    if (page->level == 0)
        return 0;
    if (page->bytes->len > *left)
        return come_again(err);
    *left -= page->bytes->len;
    want_children(tree, image, page);
    for (unsigned slot = 0; page->level > 1 && slot < NX_INDEX_FANOUT; slot++) {
        struct page child;
        if (get_child(tree, image, page, slot, &child, err) < 0)
            return -1;
        NX_AUTO_BYTES struct nx_bytes *child_bytes = child.bytes;
        if (child.bytes && prefetch_below(tree, image, &child, left, err) < 0)
            return -1;
    }
    return 0;
}

int nx_tree_prefetch(const struct nx_tree *tree, unsigned image, struct nx_error *err)
{
    struct page root;
    if (get_root(tree, image, &root, err) < 0)
        return -1;
    NX_AUTO_BYTES struct nx_bytes *root_bytes = root.bytes;
    uint64_t left = tree->manifest->index.size;
    return prefetch_below(tree, image, &root, &left, err);
}

static struct nx_blob chunk_blob(const struct nx_tree *tree, unsigned image, uint64_t n,
                                 const struct nx_index_entry *entry)
{
    return (struct nx_blob){ .offset = tree->manifest->chunks.offset + entry->offset,
                             .size = entry->size,
                             .image = image,
                             .number = n,
                             .digest = entry->digest };
}

struct boot_walk {
    const struct nx_tree *tree;
    unsigned image;
    nx_chunk_fn *chunk;
    void *opaque;
    uint64_t *left; /* bytes of index that were not walked yet: a forged one leads in circles */
};

/* Have the children that the boot set needs come together: they stand side by side. */
static void want_boot_children(const struct boot_walk *w, const struct page *page, uint64_t limit)
{
    struct nx_blob blobs[NX_INDEX_FANOUT];
    struct nx_index_entry entry;
    size_t count = 0;
    for (unsigned slot = 0; slot < NX_INDEX_FANOUT; slot++)
        if (nx_index_page_get(page->bytes->data, slot, &entry) && entry.offset <= limit &&
            entry.size <= limit - entry.offset)
            blobs[count++] = page_blob(w->tree, w->image, &entry);
    nx_blobs_want(w->tree->blobs, blobs, count, NX_PRIORITY_DEMAND, NX_BLOBS_REQUEST_MAX);
}

/* Recursion is bounded by NX_INDEX_LEVELS_MAX. */
static int boot_below(struct boot_walk *w, const struct page *page, struct nx_error *err)
{
    const struct nx_tree *tree = w->tree;
    unsigned image = w->image;
    uint64_t limit = page->level ? tree->manifest->boot_index : tree->manifest->boot_chunks;
    if (page->bytes->len > *w->left)
        return come_again(err);
    *w->left -= page->bytes->len;
    if (page->level > 0)
        want_boot_children(w, page, limit);
    for (unsigned slot = nx_index_page_next(page->bytes->data, 0); slot < NX_INDEX_FANOUT;
         slot = slot + 1 < NX_INDEX_FANOUT ? nx_index_page_next(page->bytes->data, slot + 1)
                                           : NX_INDEX_FANOUT) {
        struct nx_index_entry entry;
        struct page child;
        nx_index_page_get(page->bytes->data, slot, &entry);
        if (entry.offset > limit || entry.size > limit - entry.offset)
            continue;
        if (page->level == 0) {
            struct nx_blob blob = chunk_blob(tree, image, page->first + slot, &entry);
            if (w->chunk(&blob, w->opaque, err) < 0)
                return -1;
            continue;
        }
        if (get_child(tree, image, page, slot, &child, err) < 0)
            return -1;
        NX_AUTO_BYTES struct nx_bytes *child_bytes = child.bytes;
        if (boot_below(w, &child, err) < 0)
            return -1;
    }
    return 0;
}

int nx_tree_boot(const struct nx_tree *tree, unsigned image, nx_chunk_fn *chunk, void *opaque,
                 uint64_t *left, struct nx_error *err)
{
    struct page root;
    if (get_root(tree, image, &root, err) < 0)
        return -1;
    NX_AUTO_BYTES struct nx_bytes *root_bytes = root.bytes;
    struct boot_walk w = { tree, image, chunk, opaque, left };
    return boot_below(&w, &root, err);
}

void nx_leaf_release(struct nx_leaf *leaf)
{
    nx_bytes_unref(leaf->page);
    leaf->page = NULL;
}

bool nx_leaf_chunk(const struct nx_tree *tree, const struct nx_leaf *leaf, unsigned image,
                   uint64_t n, struct nx_blob *ret_blob)
{
    struct nx_index_entry entry;
    if (!leaf->page || !nx_index_page_get(leaf->page->data, (unsigned)(n - leaf->first), &entry))
        return false;
    *ret_blob = chunk_blob(tree, image, n, &entry);
    return true;
}
