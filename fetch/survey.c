/* SPDX-License-Identifier: MIT */
#include "fetch/survey.h"

#include "common/clock.h"

/* Nothing of these chunks is stored.  Each unit counts as looked at when its last chunk is. */
static void note_looked(struct nx_survey *survey, uint64_t first, uint64_t end)
{
    const struct nx_image *img = &survey->tree->manifest->images[survey->image];
    uint64_t unit = nx_chunkmap_unit(survey->map, survey->image);
    uint64_t count = nx_image_chunk_count(img);
    for (uint64_t at = first & ~(unit - 1); at < end && at < count; at += unit)
        if (at + unit <= end || end >= count)
            nx_chunkmap_mark(survey->map, survey->image, at, NX_MARK_LOOKED);
}

static bool is_here(const struct nx_survey *survey, const struct nx_blob *blob)
{
    struct nx_blobs *blobs = survey->tree->blobs;
    return nx_blobs_is_near(blobs, blob) || nx_blobs_has(blobs, blob);
}

static void look_at_leaf(struct nx_survey *survey, const struct nx_leaf *leaf, uint64_t end)
{
    const uint64_t unit = nx_chunkmap_unit(survey->map, survey->image);
    uint64_t count = nx_image_chunk_count(&survey->tree->manifest->images[survey->image]);
    for (uint64_t n = leaf->first; leaf->page && n < end && n < count; n++) {
        struct nx_blob blob;
        if (!nx_leaf_chunk(survey->tree, leaf, survey->image, n, &blob))
            continue;
        unsigned known = nx_chunkmap_marks(survey->map, survey->image, n);
        unsigned marks = NX_MARK_STORED;
        if (!(known & (NX_MARK_FETCHED | NX_MARK_READ | NX_MARK_KEPT)) && is_here(survey, &blob))
            marks |= NX_MARK_KEPT;
        nx_chunkmap_mark(survey->map, survey->image, n, marks);
        n |= unit - 1; /* one of a unit will do */
    }
    note_looked(survey, leaf->first, end);
}

static bool is_looked_at(const struct nx_survey *survey, uint64_t first, uint64_t end)
{
    return (nx_chunkmap_marks(survey->map, survey->image, first) & NX_MARK_LOOKED) &&
           (nx_chunkmap_marks(survey->map, survey->image, end - 1) & NX_MARK_LOOKED);
}

/* One leaf, or what has none. */
static void look_on(struct nx_survey *survey, uint64_t count)
{
    NX_AUTO_LEAF struct nx_leaf leaf = { 0 };
    uint64_t end = survey->next + NX_INDEX_FANOUT;
    if (is_looked_at(survey, survey->next, end < count ? end : count)) {
        survey->next = end;
        return;
    }
    if (nx_tree_leaf_here(survey->tree, survey->image, survey->next, &leaf, &end))
        look_at_leaf(survey, &leaf, end);
    else
        survey->lacks = true;
    survey->next = end;
}

static void begin_turn(struct nx_survey *survey)
{
    survey->image = 0;
    survey->next = 0;
    survey->lacks = false;
}

void nx_survey_step(struct nx_survey *survey, int64_t due)
{
    const struct nx_manifest *manifest = survey->tree->manifest;
    while (!survey->complete && nx_now_ms() < due) {
        uint64_t count = nx_image_chunk_count(&manifest->images[survey->image]);
        if (survey->next < count) {
            look_on(survey, count);
            continue;
        }
        survey->next = 0;
        if (++survey->image < manifest->n_images)
            continue;
        survey->complete = !survey->lacks;
        begin_turn(survey);
        return;
    }
}
