/* SPDX-License-Identifier: MIT */
#include "pack/source.h"

#include <inttypes.h>
#include <string.h>

#include "common/interrupt.h"
#include "pack/hostmap.h"
#include "pack/qemunbd.h"

/* One request for extents covers at most so much; qemu-nbd answers with as many as it likes. */
#define EXTENTS_LENGTH (UINT64_C(2) << 30)
#define EXTENTS_KEPT   1024

struct extent {
    uint64_t end;
    bool zero;
};

struct nx_source {
    const struct nx_source_ops *ops; /* NULL: it is the server's */
    void *opaque;

    struct nx_qemunbd server;
    struct nx_hostmap hostmap;
    uint64_t size;
    bool has_extents;

    /* What is known: extents follow each other from known_from on. */
    uint64_t known_from;
    struct extent known[EXTENTS_KEPT];
    size_t n_known;

    unsigned in_flight;
    bool failed; /* a read was answered with an error */
};

static struct nx_source *new_source(void)
{
    struct nx_source *source = calloc(1, sizeof *source);
    if (!source)
        return NULL;
    source->server = (struct nx_qemunbd)NX_QEMUNBD_INIT;
    source->hostmap = (struct nx_hostmap)NX_HOSTMAP_INIT;
    return source;
}

int nx_source_open(const char *path, const char *format, bool own_file,
                   struct nx_source **ret_source, struct nx_error *err)
{
    NX_AUTO_SOURCE struct nx_source *source = new_source();
    if (!source)
        return nx_fail_errno(err, "%s", path);
    if (nx_qemunbd_open(&source->server, path, format, false, err) < 0)
        return -1;
    struct nbd_handle *nbd = source->server.nbd;
    int64_t size = nbd_get_size(nbd);
    if (size < 0)
        return nx_qemunbd_fail(&source->server, err);
    source->size = (uint64_t)size;
    source->has_extents = nbd_can_meta_context(nbd, LIBNBD_CONTEXT_BASE_ALLOCATION) == 1;
    if (own_file)
        nx_hostmap_open(&source->hostmap, path, format);
    *ret_source = NX_STEAL(source);
    return 0;
}

int nx_source_new(const struct nx_source_ops *ops, void *opaque, uint64_t size,
                  struct nx_source **ret_source, struct nx_error *err)
{
    struct nx_source *source = new_source();
    if (!source)
        return nx_fail_errno(err, "source");
    source->ops = ops;
    source->opaque = opaque;
    source->size = size;
    *ret_source = source;
    return 0;
}

void nx_source_free(struct nx_source *source)
{
    if (!source)
        return;
    nx_qemunbd_release(&source->server);
    nx_hostmap_release(&source->hostmap);
    free(source);
}

uint64_t nx_source_size(const struct nx_source *source)
{
    return source->size;
}

static int take_extents(void *opaque, const char *context, uint64_t offset, uint32_t *entries,
                        size_t n_entries, int *error)
{
    struct nx_source *source = opaque;
    if (strcmp(context, LIBNBD_CONTEXT_BASE_ALLOCATION) != 0)
        return 0;
    uint64_t at = offset;
    source->known_from = offset;
    source->n_known = 0;
    for (size_t i = 0; i + 1 < n_entries && source->n_known < EXTENTS_KEPT; i += 2) {
        at += entries[i];
        bool zero = entries[i + 1] & LIBNBD_STATE_ZERO;
        source->known[source->n_known++] = (struct extent){ at, zero };
    }
    return 0;
}

/* Know the extent that offset lies in. */
static int ask_extents(struct nx_source *source, uint64_t offset, struct nx_error *err)
{
    uint64_t len = source->size - offset;
    if (len > EXTENTS_LENGTH)
        len = EXTENTS_LENGTH;
    source->n_known = 0;
    if (!source->has_extents) {
        source->known_from = offset;
        source->known[source->n_known++] = (struct extent){ offset + len, false };
        return 0;
    }
    nbd_extent_callback callback = { .callback = take_extents, .user_data = source };
    if (nbd_block_status(source->server.nbd, len, offset, callback, 0) < 0)
        return nx_qemunbd_fail(&source->server, err);
    if (source->n_known == 0 || source->known[0].end <= offset)
        return nx_fail(err, NX_ERR_SYSTEM, "%s: qemu-nbd told no extent at %" PRIu64,
                       source->server.path, offset);
    return 0;
}

/* The extent that offset (below the size) lies in, cut to the size. */
static int extent_at(struct nx_source *source, uint64_t offset, struct extent *ret_extent,
                     struct nx_error *err)
{
    if (source->n_known == 0 || offset < source->known_from ||
        offset >= source->known[source->n_known - 1].end) {
        if (ask_extents(source, offset, err) < 0)
            return -1;
    }
    size_t i = 0;
    while (source->known[i].end <= offset)
        i++;
    *ret_extent = source->known[i];
    if (ret_extent->end > source->size)
        ret_extent->end = source->size;
    return 0;
}

int nx_source_next_data(struct nx_source *source, uint64_t offset, struct nx_span *ret_run,
                        struct nx_error *err)
{
    struct nx_span run = { offset, 0 };
    if (source->ops)
        return nx_check_interrupt(err) < 0
                   ? -1
                   : source->ops->next_data(source->opaque, offset, ret_run, err);
    while (offset < source->size) {
        if (nx_check_interrupt(err) < 0)
            return -1;
        struct extent extent;
        if (extent_at(source, offset, &extent, err) < 0)
            return -1;
        if (!extent.zero) {
            run = (struct nx_span){ offset, extent.end - offset };
            break;
        }
        offset = extent.end;
    }
    *ret_run = run;
    return 0;
}

/* A read on its way. */
struct request {
    struct nx_source *source;
    nx_source_done_fn *done;
    void *opaque;
};

static int read_done(void *opaque, int *error)
{
    struct request *request = opaque;
    request->source->in_flight--;
    if (*error)
        request->source->failed = true;
    else
        request->done(request->opaque);
    return 1; /* libnbd may forget the command */
}

/* What needs no request: 1: done; 0: it does. */
static int read_at_once(struct nx_source *source, void *buf, size_t len, uint64_t offset,
                        struct nx_error *err)
{
    if (nx_check_interrupt(err) < 0)
        return -1;
    if (source->ops)
        return source->ops->read(source->opaque, buf, len, offset, err) < 0 ? -1 : 1;
    return nx_hostmap_read(&source->hostmap, buf, len, offset, source->server.path, err);
}

int nx_source_start_read(struct nx_source *source, void *buf, size_t len, uint64_t offset,
                         nx_source_done_fn *done, void *opaque, struct nx_error *err)
{
    int at_once = read_at_once(source, buf, len, offset, err);
    if (at_once < 0)
        return -1;
    if (at_once) {
        done(opaque);
        return 0;
    }
    struct request *request = malloc(sizeof *request);
    if (!request)
        return nx_fail_errno(err, "%s", source->server.path);
    *request = (struct request){ source, done, opaque };
    nbd_completion_callback callback = { .callback = read_done,
                                         .user_data = request,
                                         .free = free };
    source->in_flight++;
    if (nbd_aio_pread(source->server.nbd, buf, len, offset, callback, 0) < 0) {
        source->in_flight--; /* libnbd has freed request */
        return nx_qemunbd_fail(&source->server, err);
    }
    return 0;
}

unsigned nx_source_in_flight(const struct nx_source *source)
{
    return source->in_flight;
}

int nx_source_wait(struct nx_source *source, struct nx_error *err)
{
    if (nx_check_interrupt(err) < 0)
        return -1;
    if (nbd_poll(source->server.nbd, 500) < 0 || source->failed)
        return nx_qemunbd_fail(&source->server, err);
    return 0;
}
