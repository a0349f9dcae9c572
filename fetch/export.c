/* SPDX-License-Identifier: MIT */
/* Threads: one; nx_images_read() fetches the chunks of one step in parallel. */
#include "fetch/export.h"

#include <fcntl.h>

#include "common/io.h"

#define STEP_MAX (4u << 20) /* bytes of an image read at a time; no chunk is larger */

struct output {
    struct nx_images *images;
    struct nx_report *report;
    uint8_t *buf; /* STEP_MAX bytes */
    uint64_t chunks_done, chunks_total;

    unsigned image;
    int fd;
    const char *path;
};

static void show_progress(struct output *out, uint64_t chunks)
{
    uint64_t total = nx_images_tree(out->images)->manifest->chunks.size;
    out->chunks_done += chunks;
    double share = (double)out->chunks_done / (double)out->chunks_total;
    nx_report_set(out->report, &out->report->stats.have_bytes, (uint64_t)(share * (double)total));
}

static int write_range(struct output *out, uint64_t first, uint64_t count, struct nx_error *err)
{
    const struct nx_image *img = &nx_images_tree(out->images)->manifest->images[out->image];
    uint64_t offset = first * img->chunk_size;
    uint64_t len = count * img->chunk_size;
    if (len > img->size - offset)
        len = img->size - offset;
    if (nx_images_read(out->images, out->image, offset, out->buf, (size_t)len, err) < 0 ||
        nx_pwrite_full(out->fd, out->buf, (size_t)len, offset, out->path, err) < 0)
        return -1;
    show_progress(out, count);
    return 0;
}

/* Write the chunks of a leaf that are there, neighbours together. */
static int write_leaf(struct output *out, const struct nx_leaf *leaf, struct nx_error *err)
{
    const struct nx_tree *tree = nx_images_tree(out->images);
    uint64_t most = STEP_MAX / tree->manifest->images[out->image].chunk_size;
    uint64_t first = 0, count = 0;
    for (uint64_t n = leaf->first; n < leaf->first + NX_INDEX_FANOUT; n++) {
        struct nx_blob blob;
        bool there = nx_leaf_chunk(tree, leaf, out->image, n, &blob);
        if (count > 0 && (!there || count == most)) {
            if (write_range(out, first, count, err) < 0)
                return -1;
            count = 0;
        }
        if (there && count++ == 0)
            first = n;
    }
    return count > 0 ? write_range(out, first, count, err) : 0;
}

static int write_image(struct output *out, struct nx_error *err)
{
    const struct nx_tree *tree = nx_images_tree(out->images);
    if (ftruncate(out->fd, (off_t)tree->manifest->images[out->image].size) < 0)
        return nx_fail_errno(err, "%s", out->path);
    for (uint64_t n = 0;;) {
        NX_AUTO_LEAF struct nx_leaf leaf = { 0 };
        if (nx_tree_next_leaf(tree, out->image, n, &leaf, err) < 0)
            return -1;
        if (!leaf.page)
            return 0;
        if (write_leaf(out, &leaf, err) < 0)
            return -1;
        n = leaf.first + NX_INDEX_FANOUT;
    }
}

static int export_image(struct output *out, const char *dir, struct nx_error *err)
{
    NX_AUTO_FREE char *path = NULL;
    const char *name = nx_images_tree(out->images)->manifest->images[out->image].name;
    if (asprintf(&path, "%s/%s", dir, name) < 0)
        return nx_fail_errno(err, "%s", dir);
    NX_AUTO_FD int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return nx_fail_errno(err, "%s", path);
    out->fd = fd;
    out->path = path;
    return write_image(out, err);
}

int nx_export(struct nx_images *images, bool memory, const char *dir, struct nx_report *report,
              struct nx_error *err)
{
    const struct nx_manifest *manifest = nx_images_tree(images)->manifest;
    NX_AUTO_FREE uint8_t *buf = malloc(STEP_MAX);
    if (!buf)
        return nx_fail_errno(err, "%s", dir);
    struct output out = { .images = images, .report = report, .buf = buf };
    for (unsigned i = 0; i < manifest->n_images; i++)
        if (memory || manifest->images[i].role != NX_IMAGE_MEMORY)
            out.chunks_total += manifest->images[i].chunks;
    for (out.image = 0; out.image < manifest->n_images; out.image++)
        if ((memory || manifest->images[out.image].role != NX_IMAGE_MEMORY) &&
            export_image(&out, dir, err) < 0)
            return -1;
    return 0;
}
