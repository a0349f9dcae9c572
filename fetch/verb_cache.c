/* SPDX-License-Identifier: MIT */
/* `nxfetch cache show|prune|clear|verify`. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/interrupt.h"
#include "common/io.h"
#include "common/json.h"
#include "common/log.h"
#include "common/progress.h"
#include "fetch/cache.h"
#include "fetch/verbs.h"

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

static int show(const struct nx_options *options, struct nx_cache *cache, struct nx_error *err)
{
    struct nx_cache_usage usage;
    if (nx_cache_show(cache, &usage, err) < 0)
        return -1;
    if (options->json)
        return nx_json_print(
            json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "dir", options->cache_dir, "bytes",
                      nx_json_number(usage.bytes), "limit", nx_json_number(usage.limit), "segments",
                      nx_json_number(usage.segments), "entries", nx_json_number(usage.entries),
                      "packages", nx_json_number(usage.heads)),
            err);
    char bytes[32], limit[32];
    printf("%s: %s of at most %s in %" PRIu64 " file%s; %" PRIu64 " piece%s, %" PRIu64
           " package%s known\n",
           options->cache_dir, nx_human_bytes(usage.bytes, bytes),
           nx_human_bytes(usage.limit, limit), usage.segments, plural(usage.segments),
           usage.entries, plural(usage.entries), usage.heads, plural(usage.heads));
    return nx_flush_stdout(err);
}

static int show_freed(const struct nx_options *options, uint64_t freed, struct nx_error *err)
{
    if (options->json)
        return nx_json_print(json_pack("{s:o}", "freed", nx_json_number(freed)), err);
    char text[32];
    printf("%s removed\n", nx_human_bytes(freed, text));
    return nx_flush_stdout(err);
}

static int draw_verify(uint64_t done, uint64_t total, void *opaque)
{
    (void)opaque;
    nx_progress_set_total(total);
    nx_progress_update(done);
    return nx_interrupted();
}

static int verify(const struct nx_options *options, struct nx_cache *cache, struct nx_error *err)
{
    struct nx_cache_verdict verdict;
    nx_progress_start("verifying", 0);
    int ret = nx_cache_verify(cache, draw_verify, NULL, &verdict, err);
    nx_progress_end();
    if (ret < 0)
        return -1;
    if (options->json)
        return nx_json_print(json_pack("{s:o, s:o, s:o}", "good", nx_json_number(verdict.good),
                                       "good_bytes", nx_json_number(verdict.good_bytes), "bad",
                                       nx_json_number(verdict.bad)),
                             err);
    char bytes[32];
    printf("%" PRIu64 " pieces (%s) are good", verdict.good,
           nx_human_bytes(verdict.good_bytes, bytes));
    if (verdict.bad)
        printf("; %" PRIu64 " were not, and will be fetched anew", verdict.bad);
    putchar('\n');
    return nx_flush_stdout(err);
}

static void tell(void *opaque, const char *line)
{
    (void)opaque;
    nx_log(NX_LOG_WARNING, "%s", line);
}

int nx_verb_cache(const struct nx_options *options, struct nx_error *err)
{
    NX_AUTO_CACHE struct nx_cache *cache = NULL;
    uint64_t freed = 0;
    const struct nx_cache_options cache_options = { options->cache_dir, options->cache_limit, tell,
                                                    NULL };
    if (nx_cache_open(&cache_options, &cache, err) < 0)
        return -1;
    switch (options->verb) {
    case NX_VERB_CACHE_PRUNE:
        return nx_cache_prune(cache, options->prune_to, &freed, err) < 0
                   ? -1
                   : show_freed(options, freed, err);
    case NX_VERB_CACHE_CLEAR:
        return nx_cache_clear(cache, &freed, err) < 0 ? -1 : show_freed(options, freed, err);
    case NX_VERB_CACHE_VERIFY:
        return verify(options, cache, err);
    default:
        return show(options, cache, err);
    }
}
