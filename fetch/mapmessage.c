/* SPDX-License-Identifier: MIT */
#include "fetch/mapmessage.h"

#include <string.h>

#define SHIFT_MAX 34 /* of a unit: the chunks of the largest image */

const char *nx_chunk_state_name(enum nx_chunk_state state)
{
    static const char *const names[NX_CHUNK_STATES] = { "empty", "absent", "cached",
                                                        "ahead", "read",   "awaited" };
    return names[state];
}

unsigned nx_map_cells(unsigned wanted, unsigned n_images)
{
    unsigned most = n_images ? NX_MAP_CELLS_ALL_MAX / n_images : NX_MAP_CELLS_MAX;
    if (most > NX_MAP_CELLS_MAX)
        most = NX_MAP_CELLS_MAX;
    return wanted < 1 ? 1 : wanted < most ? wanted : most;
}

/* ---- writing ---- */

int nx_map_write_header(struct nx_buffer *payload, unsigned n_images, struct nx_error *err)
{
    return nx_buffer_add_le(payload, 4, n_images, err);
}

int nx_map_write_image(struct nx_buffer *payload, const struct nx_map_image *image,
                       struct nx_error *err)
{
    if (nx_buffer_add_le(payload, 1, (uint64_t)__builtin_ctzll(image->unit), err) < 0)
        return -1;
    for (unsigned i = 0; i < NX_CHUNK_STATES; i++)
        if (nx_buffer_add_le(payload, 8, image->counts[i], err) < 0)
            return -1;
    return nx_buffer_add_le(payload, 8, image->looked, err) < 0 ||
                   nx_buffer_add_le(payload, 2, image->cells, err) < 0
               ? -1
               : 0;
}

int nx_map_write_run(struct nx_buffer *payload, const struct nx_map_run *run, struct nx_error *err)
{
    return nx_buffer_add_le(payload, 2, run->length, err) < 0
               ? -1
               : nx_buffer_add(payload, run->share + 1, NX_CHUNK_STATES - 1, err);
}

/* ---- reading ---- */

int nx_map_read_header(struct nx_reader *r, unsigned *ret_n_images)
{
    uint64_t n;
    if (nx_read_le(r, 4, &n) < 0 || n > NX_IMAGES_MAX)
        return -1;
    *ret_n_images = (unsigned)n;
    return 0;
}

int nx_map_read_image(struct nx_reader *r, struct nx_map_image *ret_image)
{
    struct nx_map_image image = { 0 };
    uint64_t shift, cells;
    if (nx_read_le(r, 1, &shift) < 0 || shift > SHIFT_MAX)
        return -1;
    for (unsigned i = 0; i < NX_CHUNK_STATES; i++)
        if (nx_read_le(r, 8, &image.counts[i]) < 0 || image.counts[i] > NX_IMAGE_SIZE_MAX)
            return -1;
    if (nx_read_le(r, 8, &image.looked) < 0 || image.looked > NX_IMAGE_SIZE_MAX ||
        nx_read_le(r, 2, &cells) < 0 || cells > NX_MAP_CELLS_MAX)
        return -1;
    image.unit = UINT64_C(1) << shift;
    image.cells = (unsigned)cells;
    *ret_image = image;
    return 0;
}

int nx_map_read_run(struct nx_reader *r, unsigned cells_left, struct nx_map_run *ret_run)
{
    struct nx_map_run run = { 0 };
    uint64_t length;
    unsigned sum = 0;
    if (nx_read_le(r, 2, &length) < 0 || length == 0 || length > cells_left)
        return -1;
    const uint8_t *share = nx_read_bytes(r, NX_CHUNK_STATES - 1);
    if (!share)
        return -1;
    memcpy(run.share + 1, share, NX_CHUNK_STATES - 1);
    for (unsigned i = 1; i < NX_CHUNK_STATES; i++)
        sum += run.share[i];
    if (sum > 255)
        return -1;
    run.share[NX_CHUNK_EMPTY] = (uint8_t)(255 - sum);
    run.length = (unsigned)length;
    *ret_run = run;
    return 0;
}

static int check_image(struct nx_reader *r)
{
    struct nx_map_image image;
    struct nx_map_run run;
    if (nx_map_read_image(r, &image) < 0)
        return -1;
    for (unsigned left = image.cells; left > 0; left -= run.length)
        if (nx_map_read_run(r, left, &run) < 0)
            return -1;
    return 0;
}

int nx_map_check(const struct nx_buffer *payload, struct nx_error *err)
{
    struct nx_reader r = nx_reader(payload->data, payload->len);
    unsigned n_images;
    int ret = nx_map_read_header(&r, &n_images);
    for (unsigned i = 0; ret == 0 && i < n_images; i++)
        ret = check_image(&r);
    if (ret < 0 || nx_reader_left(&r) != 0)
        return nx_fail(err, NX_ERR_FORMAT, "channel: a map that is none, of %zu bytes",
                       payload->len);
    return 0;
}
