/* SPDX-License-Identifier: MIT */
/* The first step: a package's head, from a file, the web or the cache; verified in itself, and against the
 * reference's pin.  (Whom it is signed by is the launcher's question.)
 */
#ifndef NX_FETCH_OPENING_H
#define NX_FETCH_OPENING_H

#include "fetch/cache.h"
#include "fetch/engine.h"
#include "fetch/report.h"
#include "fetch/transport.h"
#include "formats/package.h"

/* Where to look. */
struct nx_opening {
    const struct nx_engine_config *config;
    struct nx_parts *parts;         /* the local package, open; or NULL: gets settled */
    const char *name;               /* for messages; on the web they name the mirror instead */
    struct nx_transport *transport; /* NULL: local, or offline */
    struct nx_cache *cache;         /* or NULL */
    struct nx_report *report;
};

/* What was found. */
struct nx_opened {
    struct nx_head *head;
    struct nx_buffer
        front;           /* the file's first bytes, which hold more than the head; empty if local */
    size_t front_cached; /* so many of these bytes have come from the cache */
    unsigned mirror;     /* that the head, or its answer, has come from */
    bool cut;            /* on the web: it has volumes */
    char name[512];      /* of what was opened, for messages */
};

/* A package that is cut into volumes is recognized by its first file's size, here or on the web; the transport knows of
 * them afterwards.
 *
 * On the web: one GET of NX_HEAD_FIRST bytes, mostly; when the cache has the head, one GET that asks whether it is still
 * the same.  A new head is put into the cache.  A mirror that has another package, or a damaged one, is told to the
 * user and left for the next.  Release *ret_opened in both cases.
 */
int nx_opening_run(const struct nx_opening *opening, struct nx_opened *ret_opened,
                   struct nx_error *err);
void nx_opened_release(struct nx_opened *opened);

#endif
