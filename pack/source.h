/* SPDX-License-Identifier: MIT */
/* The content of an author's disk image, in whatever format, as a guest would see it:
 * qemu-nbd opens it, read-only and with its format said, and libnbd reads it
 * with several requests in flight.  Extents tell what is zero without reading it.
 * Or something else that can be read in one go.
 *
 * One thread at a time.  Open sources while the process has one thread (see source.c).
 */
#ifndef NX_PACK_SOURCE_H
#define NX_PACK_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/error.h"
#include "formats/manifest.h"

struct nx_source;

/* path is absolute (so that QEMU takes it for nothing but a file's name); own_file: all that is the image's own, and not
 * its backing files', stands in that file, so that it may be read from there (hostmap.h).
 */
int nx_source_open(const char *path, const char *format, bool own_file,
                   struct nx_source **ret_source, struct nx_error *err);
void nx_source_free(struct nx_source *source); /* ends qemu-nbd and waits for it */

/* Another source, which is read by functions that are like these below, at offsets and by lengths that are multiples of
 * the image's chunk size, or end with it.
 */
struct nx_source_ops {
    int (*next_data)(void *opaque, uint64_t offset, struct nx_span *ret_run, struct nx_error *err);
    int (*read)(void *opaque, void *buf, size_t len, uint64_t offset, struct nx_error *err);
};
int nx_source_new(const struct nx_source_ops *ops, void *opaque, uint64_t size,
                  struct nx_source **ret_source, struct nx_error *err);

uint64_t nx_source_size(const struct nx_source *source);

/* The first run at or behind offset that is not known to be all zero; *ret_run has size 0 if there
 * is none up to the end.
 */
int nx_source_next_data(struct nx_source *source, uint64_t offset, struct nx_span *ret_run,
                        struct nx_error *err);

/* Begin to read len bytes, at most NX_SOURCE_READ_MAX, at offset.  done(opaque) is called once they
 * are in buf, by this call or by a later one of nx_source_wait() or nx_source_next_data() in that thread.
 */
#define NX_SOURCE_READ_MAX (32 * 1024 * 1024)
typedef void nx_source_done_fn(void *opaque);
int nx_source_start_read(struct nx_source *source, void *buf, size_t len, uint64_t offset,
                         nx_source_done_fn *done, void *opaque, struct nx_error *err);

unsigned nx_source_in_flight(const struct nx_source *source);

/* Wait until something happens on the connection; -1 if a read has failed. */
int nx_source_wait(struct nx_source *source, struct nx_error *err);

NX_DEFINE_AUTO(struct nx_source *, source, nx_source_free)
#define NX_AUTO_SOURCE NX_AUTO(source) /* nx_source_free() at the end of scope */

#endif
