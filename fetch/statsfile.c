/* SPDX-License-Identifier: MIT */
#include "fetch/statsfile.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "common/io.h"
#include "common/json.h"

static json_t *number(uint64_t value)
{
    return json_integer((json_int_t)value);
}

/* A time that has not come is null. */
static json_t *seconds(double value)
{
    return value < 0 ? json_null() : json_real(value);
}

static json_t *image_json(const struct nx_image *image, const struct nx_image_stats *stats)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "size", number(image->size),
                     "chunks_fetched", number(stats->chunks_fetched), "cache_hits",
                     number(stats->cache_hits), "bytes", number(stats->bytes), "reads",
                     number(stats->reads), "read_bytes", number(stats->read_bytes), "waited",
                     json_real((double)stats->waited_ms / 1000));
}

static json_t *images_json(const struct nx_stats *stats, const struct nx_manifest *manifest)
{
    json_t *images = json_object();
    for (unsigned i = 0; manifest && i < manifest->n_images && i < stats->n_images; i++)
        json_object_set_new(images, manifest->images[i].name,
                            image_json(&manifest->images[i], &stats->images[i]));
    return images;
}

json_t *nx_stats_json(const char *url, const char *state, bool resumed,
                      const struct nx_stats *stats, const struct nx_manifest *manifest)
{
    const struct {
        const char *name;
        uint64_t value;
    } counters[] = {
        { "package_bytes", stats->package_bytes },
        { "bytes", stats->bytes },
        { "requests", stats->requests },
        { "retries", stats->retries },
        { "bytes_before_qemu", stats->bytes_before_qemu },
        { "requests_before_qemu", stats->requests_before_qemu },
        { "index_bytes_before_qemu", stats->index_bytes_before_qemu },
        { "chunks_fetched", stats->chunks_fetched },
        { "cache_hits", stats->cache_hits },
        { "index_bytes", stats->index_bytes },
        { "total_bytes", stats->total_bytes },
        { "have_bytes", stats->have_bytes },
        { "boot_bytes", stats->boot_bytes },
        { "boot_have", stats->boot_have },
        { "touched", stats->touched },
        { "waiting", stats->waiting },
    };
    json_t *all = json_pack("{s:o, s:s}", "url", nx_json_text(url), "state", state);
    if (!all)
        return NULL;
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
        json_object_set_new(all, counters[i].name, number(counters[i].value));
    json_object_set_new(all, "resumed", json_boolean(resumed));
    json_object_set_new(all, "images", images_json(stats, manifest));
    json_object_set_new(all, "times",
                        json_pack("{s:o, s:o, s:o}", "first_byte", seconds(stats->first_byte),
                                  "manifest_verified", seconds(stats->manifest_verified),
                                  "qemu_started", seconds(stats->qemu_started)));
    return all;
}

int nx_statsfile_write(const char *path, const char *url, const char *state, bool resumed,
                       const struct nx_stats *stats, const struct nx_manifest *manifest,
                       struct nx_error *err)
{
    json_t *all = nx_stats_json(url, state, resumed, stats, manifest);
    NX_AUTO_FREE char *text =
        !all ? NULL : json_dumps(all, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    json_decref(all);
    if (!text)
        return nx_fail(err, NX_ERR_SYSTEM, "%s: no memory", path);
    struct stat st;
    bool special = stat(path, &st) == 0 && !S_ISREG(st.st_mode); /* /dev/stderr, a pipe */
    NX_AUTO_FREE char *temp = NULL;
    if (!special && asprintf(&temp, "%s.%d.tmp", path, (int)getpid()) < 0) {
        temp = NULL;
        return nx_fail_errno(err, "%s", path);
    }
    const char *target = special ? path : temp;
    NX_AUTO_FILE FILE *file = fopen(target, "we");
    bool good = file && fprintf(file, "%s\n", text) >= 0 && fflush(file) == 0 &&
                (special || rename(temp, path) == 0);
    if (good)
        return 0;
    nx_fail_errno(err, "%s", path);
    if (file && !special)
        unlink(temp);
    return -1;
}
