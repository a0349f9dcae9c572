/* SPDX-License-Identifier: MIT */
#include "fetch/opening.h"

#include <inttypes.h>
#include <string.h>

/* ---- the cache ------------------------------------------------------------- */

/* The head that the cache has for one of the URLs, and what was known of its file; false if there is none that can be
 * used.
 */
static bool open_cached(const struct nx_opening *opening, struct nx_opened *ret_opened,
                        struct nx_cache_head *ret_record)
{
    const struct nx_engine_config *config = opening->config;
    for (unsigned i = 0; opening->cache && i < config->n_urls; i++) {
        if (!nx_cache_get_head(opening->cache, config->urls[i], ret_record))
            continue;
        NX_AUTO_BYTES struct nx_bytes *bytes = nx_cache_get(opening->cache, &ret_record->bytes);
        NX_AUTO_HEAD struct nx_head *head = NULL;
        size_t need;
        if (!bytes || bytes->len > NX_HEAD_MAX ||
            nx_head_parse(bytes->data, bytes->len, opening->name, &head, &need, NULL) < 0 ||
            !head || nx_buffer_add(&ret_opened->front, bytes->data, bytes->len, NULL) < 0)
            continue;
        ret_opened->head = NX_STEAL(head);
        ret_opened->front_cached = bytes->len;
        return true;
    }
    return false;
}

/* What the web has said of the file. */
struct answer {
    uint64_t total;
    char etag[256];
};

/* Keep a head that has come from the web. */
static void keep_head(const struct nx_opening *opening, const struct nx_opened *opened,
                      const struct answer *answer)
{
    struct nx_cache_head record = { .manifest = opened->head->manifest_digest,
                                    .total = answer->total };
    if (!opening->cache)
        return;
    NX_AUTO_BYTES struct nx_bytes *bytes = nx_bytes_copy(opened->front.data, opened->front.len);
    if (!bytes)
        return;
    nx_digest_of(bytes->data, bytes->len, &record.bytes);
    memcpy(record.etag, answer->etag, sizeof(record.etag));
    nx_cache_put(opening->cache, &record.bytes, bytes);
    nx_cache_put_head(opening->cache, opening->config->urls[0], &record);
}

static void forget(struct nx_opened *opened)
{
    nx_head_free(NX_STEAL(opened->head));
    opened->front.len = 0;
    opened->front_cached = 0;
}

/* ---- the web --------------------------------------------------------------- */

/* Append the file's bytes from front.len up to end; fewer if it ends before. */
static int fetch_front(const struct nx_opening *opening, struct nx_opened *opened,
                       struct nx_buffer *front, size_t end, struct answer *answer,
                       struct nx_error *err)
{
    struct nx_transfer transfer = { .offset = front->len,
                                    .length = end - front->len,
                                    .may_be_short = true,
                                    .priority = NX_PRIORITY_DEMAND };
    int r = nx_transport_fetch(opening->transport, &transfer, err);
    if (r == 0)
        r = nx_buffer_add(front, transfer.http.body.data, transfer.http.body.len, err);
    if (r == 0) {
        answer->total = transfer.http.total;
        memcpy(answer->etag, transfer.http.etag, sizeof(answer->etag));
        opened->mirror = transfer.mirror;
        nx_http_display_url(nx_transport_url(opening->transport, transfer.mirror), opened->name);
    }
    nx_http_request_release(&transfer.http);
    return r;
}

/* Parse what front has, and fetch more of it until that is a head. */
static int parse_front(const struct nx_opening *opening, struct nx_opened *opened,
                       struct answer *answer, struct nx_error *err)
{
    for (;;) {
        size_t need = 0;
        if (nx_head_parse(opened->front.data, opened->front.len, opened->name, &opened->head, &need,
                          err) < 0)
            return -1;
        if (opened->head)
            return 0;
        if (need > answer->total && opened->front.len >= answer->total)
            return nx_fail(err, NX_ERR_FORMAT,
                           "%s: truncated: it ends within the package's head, after %" PRIu64
                           " bytes",
                           opened->name, answer->total);
        if (fetch_front(opening, opened, &opened->front, need, answer, err) < 0)
            return -1;
    }
}

/* Is the file's head still the cached one?  1: it is; 0: front has what is there now. */
static int revalidate(const struct nx_opening *opening, struct nx_opened *opened,
                      struct answer *answer, struct nx_error *err)
{
    const struct nx_span *domain = &opened->head->manifest->domain;
    NX_AUTO_BUFFER struct nx_buffer now = NX_BUFFER_INIT(NX_HEAD_MAX);
    if (fetch_front(opening, opened, &now, domain->offset + domain->size, answer, err) < 0)
        return -1;
    if (now.len > 0 && now.len <= opened->front.len &&
        memcmp(now.data, opened->front.data, now.len) == 0)
        return 1;
    forget(opened);
    return nx_buffer_add(&opened->front, now.data, now.len, err);
}

static int check_total(const struct nx_opening *opening, struct nx_opened *opened, uint64_t total,
                       struct nx_error *err)
{
    const struct nx_manifest *manifest = opened->head->manifest;
    uint64_t least = nx_manifest_least(manifest, total);
    if (total < least)
        return nx_fail(err, NX_ERR_FORMAT,
                       "%s: truncated: the file has %" PRIu64 " bytes of at least %" PRIu64
                       "; it must be copied to the server again",
                       opened->name, total, least);
    opened->cut = nx_manifest_is_cut(manifest, total);
    nx_report_set(opening->report, &opening->report->stats.package_bytes,
                  opened->cut ? nx_manifest_end(manifest) : total);
    return 0;
}

/* What a file of so many bytes was, which cannot be asked for now; 0: nobody has noted how many, and a package that was
 * made for volumes most likely stands in them.
 */
static bool is_cut(const struct nx_opened *opened, uint64_t total)
{
    const struct nx_manifest *manifest = opened->head->manifest;
    return total > 0 ? nx_manifest_is_cut(manifest, total) : manifest->volumes.count > 0;
}

static int open_web(const struct nx_opening *opening, struct nx_opened *opened,
                    struct nx_error *err)
{
    struct answer answer = { 0 };
    struct nx_cache_head known;
    if (open_cached(opening, opened, &known)) {
        struct nx_error why = NX_ERROR_INIT;
        int r = revalidate(opening, opened, &answer, &why);
        if (r < 0 && why.code == NX_ERR_NETWORK) {
            nx_report_text(opening->report, NX_MSG_NOTICE,
                           "%s: going on with the version in the cache", why.msg);
            opened->cut = is_cut(opened, known.total);
            return 0;
        }
        if (r < 0 && err)
            *err = why;
        if (r < 0 || (r > 0 && check_total(opening, opened, answer.total, err) < 0))
            return -1;
        if (r > 0 && answer.total != known.total)
            keep_head(opening, opened, &answer);
        if (r > 0)
            return 0;
    } else if (fetch_front(opening, opened, &opened->front, NX_HEAD_FIRST, &answer, err) < 0) {
        return -1;
    }
    if (parse_front(opening, opened, &answer, err) < 0 ||
        check_total(opening, opened, answer.total, err) < 0)
        return -1;
    keep_head(opening, opened, &answer);
    return 0;
}

/* ---- all together ---------------------------------------------------------- */

static int open_offline(const struct nx_opening *opening, struct nx_opened *opened,
                        struct nx_error *err)
{
    struct nx_cache_head known;
    if (open_cached(opening, opened, &known))
        return 0;
    return nx_fail(
        err, NX_ERR_NETWORK,
        "%s: not in the cache, and --offline forbids to fetch it: run nxfetch pull first",
        opened->name);
}

static int open_file(const struct nx_opening *opening, struct nx_opened *opened,
                     struct nx_error *err)
{
    if (nx_head_read(nx_parts_fd(opening->parts), opened->name, &opened->head, err) < 0 ||
        nx_parts_settle(opening->parts, opened->head->manifest, err) < 0)
        return -1;
    nx_report_mark(opening->report, &opening->report->stats.first_byte);
    nx_report_set(opening->report, &opening->report->stats.package_bytes, opening->parts->size);
    return 0;
}

static int check_pin(const struct nx_opening *opening, const struct nx_opened *opened,
                     struct nx_error *err)
{
    const struct nx_digest *pin = opening->config->pin;
    char want[NX_DIGEST_HEX], have[NX_DIGEST_HEX];
    if (!pin || nx_digest_equal(pin, &opened->head->manifest_digest))
        return 0;
    return nx_fail(err, NX_ERR_TRUST,
                   "%s: not the package that the reference names: its manifest is %.16s…, the "
                   "reference's %.16s…; ask the author for a new reference",
                   opened->name, nx_digest_hex(&opened->head->manifest_digest, have),
                   nx_digest_hex(pin, want));
}

/* One copy of the package. */
static int open_copy(const struct nx_opening *opening, struct nx_opened *opened,
                     struct nx_error *err)
{
    int (*open_it)(const struct nx_opening *, struct nx_opened *, struct nx_error *) =
        opening->parts       ? open_file
        : opening->transport ? open_web
                             : open_offline;
    return open_it(opening, opened, err) < 0 ? -1 : check_pin(opening, opened, err);
}

/* This mirror's copy is bad; another one's may be good. */
static void leave_mirror(const struct nx_opening *opening, struct nx_opened *opened,
                         const struct nx_error *why)
{
    nx_report_text(opening->report, NX_MSG_NOTICE, "%s: going on with another mirror", why->msg);
    nx_transport_leave(opening->transport, opened->mirror);
    forget(opened);
}

/* What it must find from now on. */
static int set_transport(const struct nx_opening *opening, const struct nx_opened *opened,
                         struct nx_error *err)
{
    const struct nx_manifest *manifest = opened->head->manifest;
    if (!opening->transport)
        return 0;
    if (opened->cut)
        return nx_transport_set_volumes(opening->transport, &manifest->volumes, err);
    nx_transport_set_minimum(opening->transport, nx_manifest_end(manifest));
    return 0;
}

int nx_opening_run(const struct nx_opening *opening, struct nx_opened *ret_opened,
                   struct nx_error *err)
{
    struct nx_error why = NX_ERROR_INIT;
    unsigned others = opening->transport ? nx_transport_mirrors(opening->transport) - 1 : 0;
    *ret_opened = (struct nx_opened){ .front = NX_BUFFER_INIT(NX_HEAD_MAX) };
    snprintf(ret_opened->name, sizeof(ret_opened->name), "%s", opening->name);
    while (open_copy(opening, ret_opened, &why) < 0) {
        bool bad_copy = why.code == NX_ERR_FORMAT || why.code == NX_ERR_TRUST;
        if (!bad_copy || others-- == 0)
            return nx_fail(err, why.code, "%s", why.msg);
        leave_mirror(opening, ret_opened, &why);
    }
    if (set_transport(opening, ret_opened, err) < 0)
        return -1;
    nx_report_mark(opening->report, &opening->report->stats.manifest_verified);
    return 0;
}

void nx_opened_release(struct nx_opened *opened)
{
    nx_head_free(opened->head);
    nx_buffer_release(&opened->front);
    opened->head = NULL;
}
