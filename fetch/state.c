/* SPDX-License-Identifier: MIT */
#include "fetch/state.h"

#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "formats/devicestate.h"

bool nx_state_is_cached(const struct nx_state_sources *sources)
{
    return sources->cache && nx_cache_has(sources->cache, &sources->manifest->device_state_digest);
}

static int check(const struct nx_state_sources *sources, const void *data, struct nx_error *err)
{
    const struct nx_manifest *m = sources->manifest;
    struct nx_digest found;
    nx_digest_of(data, m->device_state.size, &found);
    if (nx_digest_equal(&found, &m->device_state_digest))
        return 0;
    return nx_fail(err, NX_ERR_FORMAT, "%s: its device state is damaged", sources->name);
}

/* NULL, and err says why, if it is not there or wrong. */
static struct nx_bytes *from_front(const struct nx_state_sources *sources, struct nx_error *err)
{
    const struct nx_span *span = &sources->manifest->device_state;
    if (span->offset > sources->front->len || span->size > sources->front->len - span->offset) {
        nx_fail(err, NX_ERR_NETWORK,
                "%s: its device state is not in the cache, and --offline forbids to fetch it: run "
                "nxfetch pull first",
                sources->name);
        return NULL;
    }
    const uint8_t *data = sources->front->data + span->offset;
    return check(sources, data, err) == 0 ? nx_bytes_copy(data, span->size) : NULL;
}

static struct nx_bytes *from_file(const struct nx_state_sources *sources, struct nx_error *err)
{
    const struct nx_span *span = &sources->manifest->device_state;
    NX_AUTO_BYTES struct nx_bytes *bytes = nx_bytes_new(span->size);
    if (!bytes) {
        nx_fail_errno(err, "%s: its device state", sources->name);
        return NULL;
    }
    if (nx_parts_read(sources->parts, bytes->data, span->size, span->offset, err) < 0 ||
        check(sources, bytes->data, err) < 0)
        return NULL;
    return NX_STEAL(bytes);
}

/* Ask each mirror once (each with the transport's tries). */
static struct nx_bytes *from_network(const struct nx_state_sources *sources,
                                     enum nx_priority priority, struct nx_error *err)
{
    const struct nx_span *span = &sources->manifest->device_state;
    struct nx_bytes *bytes = NULL;
    for (unsigned i = 0; !bytes && i < nx_transport_mirrors(sources->transport); i++) {
        struct nx_transfer transfer = { .offset = span->offset,
                                        .length = span->size,
                                        .priority = priority };
        int r = nx_transport_fetch(sources->transport, &transfer, err);
        if (r == 0 && check(sources, transfer.http.body.data, err) == 0)
            bytes = nx_bytes_copy(transfer.http.body.data, span->size);
        else if (r == 0)
            nx_transport_leave(sources->transport, transfer.mirror);
        nx_http_request_release(&transfer.http);
    }
    return bytes;
}

static struct nx_bytes *find(const struct nx_state_sources *sources, enum nx_priority priority,
                             struct nx_error *err)
{
    const struct nx_digest *digest = &sources->manifest->device_state_digest;
    struct nx_bytes *bytes = sources->cache ? nx_cache_get(sources->cache, digest) : NULL;
    if (bytes)
        return bytes;
    bytes = sources->parts ? from_file(sources, err) : from_front(sources, err);
    if (!bytes && sources->transport)
        bytes = from_network(sources, priority, err);
    if (bytes && sources->cache) /* that it cannot take it is said when it gets chunks */
        nx_cache_put(sources->cache, digest, bytes);
    return bytes;
}

int nx_state_keep(const struct nx_state_sources *sources, struct nx_error *err)
{
    NX_AUTO_BYTES struct nx_bytes *stored = find(sources, NX_PRIORITY_BACKGROUND, err);
    if (!stored)
        return -1;
    return nx_state_is_cached(sources)
               ? 0
               : nx_fail(err, NX_ERR_SYSTEM,
                         "%s: the cache does not take its device state, %zu bytes", sources->name,
                         stored->len);
}

static int to_file(const void *data, size_t len, void *opaque, struct nx_error *err)
{
    const int *out = opaque;
    return nx_write_full(*out, data, len, "device state", err);
}

int nx_state_write(const struct nx_state_sources *sources, int out, struct nx_error *err)
{
    NX_AUTO_BYTES struct nx_bytes *stored = find(sources, NX_PRIORITY_DEMAND, err);
    if (!stored)
        return -1;
    if (stored->len != sources->manifest->device_state.size)
        return nx_fail(err, NX_ERR_FORMAT, "%s: its device state has another size", sources->name);
    return nx_state_read(stored->data, stored->len, sources->manifest->device_state_raw, to_file,
                         &out, err);
}
