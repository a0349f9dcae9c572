/* SPDX-License-Identifier: MIT */
#include "formats/volumes.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Volumes from head to end; both and the size are below 2^61, and the size is not 0. */
static uint64_t count_of(const struct nx_volumes *volumes)
{
    return (volumes->end - volumes->head + volumes->size - 1) / volumes->size;
}

int nx_volumes_check(struct nx_volumes *volumes, struct nx_error *err)
{
    if (volumes->size < NX_VOLUME_SIZE_MIN || volumes->size > NX_VOLUME_SIZE_MAX)
        return nx_fail(err, NX_ERR_FORMAT,
                       "volumes of %" PRIu64 " bytes: not from %" PRIu64 " to %" PRIu64,
                       volumes->size, NX_VOLUME_SIZE_MIN, NX_VOLUME_SIZE_MAX);
    if (volumes->head >= volumes->end)
        return nx_fail(err, NX_ERR_FORMAT,
                       "a head of %" PRIu64 " bytes leaves none of %" PRIu64 " for volumes",
                       volumes->head, volumes->end);
    uint64_t count = count_of(volumes);
    if (count > NX_VOLUMES_MAX)
        return nx_fail(err, NX_ERR_FORMAT,
                       "%" PRIu64 " volumes of %" PRIu64 " bytes: at most %d are possible, so they "
                       "must have %" PRIu64 " MiB or more",
                       count, volumes->size, NX_VOLUMES_MAX,
                       ((volumes->end + NX_VOLUME_TAIL) / NX_VOLUMES_MAX >> 20) + 1);
    volumes->count = (unsigned)count;
    return 0;
}

struct nx_volume_place nx_volumes_place(const struct nx_volumes *volumes, uint64_t offset)
{
    if (volumes->count == 0)
        return (struct nx_volume_place){ 0, offset, UINT64_MAX - offset };
    if (offset < volumes->head)
        return (struct nx_volume_place){ 0, offset, volumes->head - offset };
    uint64_t behind = offset - volumes->head, n = behind / volumes->size;
    if (n >= volumes->count - 1) { /* what stands behind the chunks, too */
        behind -= (volumes->count - 1) * volumes->size;
        return (struct nx_volume_place){ volumes->count, behind, UINT64_MAX - behind };
    }
    behind -= n * volumes->size;
    return (struct nx_volume_place){ (unsigned)n + 1, behind, volumes->size - behind };
}

void nx_volumes_bounds(const struct nx_volumes *volumes, unsigned file, uint64_t *ret_least,
                       uint64_t *ret_most)
{
    assert(file <= volumes->count);
    *ret_least = *ret_most = file ? volumes->size : volumes->head;
    if (file == volumes->count)
        *ret_least = volumes->end - volumes->head - (file - 1) * volumes->size;
}

void nx_volumes_plan(struct nx_volumes *volumes, uint64_t least, uint64_t chunks, uint64_t end)
{
    uint64_t room = volumes->size - NX_VOLUME_TAIL;
    /* The boot set then begins with a volume, and its first request asks for nothing of the head. */
    uint64_t head = chunks < room ? chunks : room;
    if (head < least)
        head = least;
    volumes->end = end;
    volumes->count = 0;
    volumes->head = 0;
    if (end <= room || head >= end)
        return;
    uint64_t last = (end - head - 1) % volumes->size + 1;
    if (last >
        room) /* the head takes some of the chunks, so that the last volume has none too many */
        head += last - room;
    volumes->head = head;
    uint64_t count = count_of(volumes);
    volumes->count = count > NX_VOLUMES_MAX ? NX_VOLUMES_MAX + 1 : (unsigned)count;
}

const char *nx_volume_suffix(unsigned file, char text[static NX_VOLUME_SUFFIX])
{
    assert(file <= NX_VOLUMES_MAX);
    text[0] = 0;
    if (file)
        snprintf(text, NX_VOLUME_SUFFIX, ".%03u", file % (NX_VOLUMES_MAX + 1));
    return text;
}

const char *nx_volumes_until(const struct nx_volumes *volumes, uint64_t offset, uint64_t n,
                             char text[static NX_VOLUME_UNTIL])
{
    text[0] = 0;
    if (n > nx_volumes_place(volumes, offset).left)
        snprintf(text, NX_VOLUME_UNTIL, " (up to volume %u)",
                 nx_volumes_place(volumes, offset + n - 1).file);
    return text;
}

char *nx_volume_path(const char *path, unsigned file)
{
    char suffix[NX_VOLUME_SUFFIX], *joined;
    return asprintf(&joined, "%s%s", path, nx_volume_suffix(file, suffix)) < 0 ? NULL : joined;
}
