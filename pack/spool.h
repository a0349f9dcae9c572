/* SPDX-License-Identifier: MIT */
/* A temporary file without a name: written front to back, then read.  It stands in
 * the directory of the output, because what it holds is about as large.  Or a part of a file.
 */
#ifndef NX_PACK_SPOOL_H
#define NX_PACK_SPOOL_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct nx_spool {
    int fd;
    uint64_t base;   /* where in fd it begins */
    uint64_t size;   /* bytes added so far */
    uint8_t *buffer; /* owned: bytes not yet written */
    size_t pending;
    char *name; /* for messages */
};
#define NX_SPOOL_INIT \
    {                 \
        .fd = -1      \
    }

/* beside: the output's path, in whose directory the spool is made. */
int nx_spool_open(struct nx_spool *spool, const char *beside, struct nx_error *err);

/* The part of an open file that begins at base; name is the file's, for messages. */
int nx_spool_open_within(struct nx_spool *spool, int fd, uint64_t base, const char *name,
                         struct nx_error *err);

int nx_spool_add(struct nx_spool *spool, const void *data, size_t len, struct nx_error *err);

/* Write out what is pending. */
int nx_spool_flush(struct nx_spool *spool, struct nx_error *err);

/* Read what was added.  It writes out what is pending first. */
int nx_spool_read(struct nx_spool *spool, void *buf, size_t len, uint64_t offset,
                  struct nx_error *err);

/* The bytes before offset, and all before them in the file, are not needed any more: give their room back, where the
 * file system can.
 */
void nx_spool_discard(struct nx_spool *spool, uint64_t offset);

void nx_spool_release(struct nx_spool *spool);

#endif
