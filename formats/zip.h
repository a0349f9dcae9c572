/* SPDX-License-Identifier: MIT */
/* Stored ZIP members, written front to back by libarchive, with the one thing that
 * libarchive does not tell: at which offset each member's bytes stand.  We count what it
 * writes, so no knowledge of ZIP's headers is needed here.
 */
#ifndef NX_FORMATS_ZIP_H
#define NX_FORMATS_ZIP_H

#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/error.h"

/* Takes the archive's bytes in order; 0, or -1 with err set. */
typedef int nx_zip_sink_fn(const void *data, size_t len, void *opaque, struct nx_error *err);

struct nx_zip_writer;

/* sink NULL: nothing is kept, only counted. */
int nx_zip_writer_new(nx_zip_sink_fn *sink, void *opaque, struct nx_zip_writer **ret_zip,
                      struct nx_error *err);
void nx_zip_writer_free(struct nx_zip_writer *zip);

/* Open a member of exactly size bytes; *ret_offset is where its first byte will stand.
 * Members carry no time and no owner, so the same members give the same archive.
 */
int nx_zip_begin(struct nx_zip_writer *zip, const char *name, uint64_t size, uint64_t *ret_offset,
                 struct nx_error *err);
int nx_zip_write(struct nx_zip_writer *zip, const void *data, size_t len, struct nx_error *err);
/* Close the member.  Fewer bytes than announced are allowed only when the sink is NULL:
 * *ret_overhead (may be NULL) then tells how many bytes the member costs beside its own.
 */
int nx_zip_end(struct nx_zip_writer *zip, uint64_t *ret_overhead, struct nx_error *err);

/* begin, write, end. */
int nx_zip_member(struct nx_zip_writer *zip, const char *name, const void *data, size_t len,
                  struct nx_error *err);

/* Bytes written so far. */
uint64_t nx_zip_position(const struct nx_zip_writer *zip);

/* Write the central directory. */
int nx_zip_finish(struct nx_zip_writer *zip, struct nx_error *err);

static inline void nx_auto_zip(struct nx_zip_writer **zip)
{
    nx_zip_writer_free(*zip);
}
#define NX_AUTO_ZIP NX_AUTO(zip)

/* Read members front to back from the first bytes of an archive, no directory needed.
 * Calls member() for each member that is complete in data, in order, until it returns
 * non-zero or the data ends.  The name and bytes are valid only during the call.
 * Members larger than max bytes end the walk like the end of the data.
 */
typedef int nx_zip_member_fn(const char *name, const void *data, size_t len, void *opaque,
                             struct nx_error *err);
int nx_zip_walk(const void *data, size_t len, size_t max, nx_zip_member_fn *member, void *opaque,
                struct nx_error *err);

#endif
