/* SPDX-License-Identifier: MIT */
/* The member device-state: what migration.h left over, as one zstd frame (RFC 8878). */
#ifndef NX_FORMATS_DEVICESTATE_H
#define NX_FORMATS_DEVICESTATE_H

#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/error.h"

struct nx_state_writer;

/* Compress into memory as it comes.  level: of zstd. */
int nx_state_writer_new(int level, struct nx_state_writer **ret_writer, struct nx_error *err);
void nx_state_writer_free(struct nx_state_writer *writer);
int nx_state_writer_add(struct nx_state_writer *writer, const void *data, size_t len,
                        struct nx_error *err);
/* End the frame.  *ret_stored (the caller's to release) is the member, *ret_raw the number of bytes added. */
int nx_state_writer_finish(struct nx_state_writer *writer, struct nx_buffer *ret_stored,
                           uint64_t *ret_raw, struct nx_error *err);

NX_DEFINE_AUTO(struct nx_state_writer *, state_writer, nx_state_writer_free)
#define NX_AUTO_STATE_WRITER NX_AUTO(state_writer) /* nx_state_writer_free() at the end of scope */

/* Decompress verified bytes to sink, piece by piece.  FORMAT error unless they are exactly one frame of exactly raw
 * bytes; no more than these are ever handed out.
 */
typedef int nx_state_sink_fn(const void *data, size_t len, void *opaque, struct nx_error *err);
int nx_state_read(const void *stored, size_t size, uint64_t raw, nx_state_sink_fn *sink,
                  void *opaque, struct nx_error *err);

#endif
