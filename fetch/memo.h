/* SPDX-License-Identifier: MIT */
/* What was used a moment ago, in memory: bytes by digest, at most so many, the least
 * recently used leave first.  Any thread.
 */
#ifndef NX_FETCH_MEMO_H
#define NX_FETCH_MEMO_H

#include "fetch/bytes.h"
#include "formats/digest.h"

struct nx_memo;

int nx_memo_new(size_t max_bytes, struct nx_memo **ret_memo, struct nx_error *err);
void nx_memo_free(struct nx_memo *memo);

/* A new reference to the bytes of this digest, or NULL. */
struct nx_bytes *nx_memo_get(struct nx_memo *memo, const struct nx_digest *digest);

/* Keep a reference of its own, if there is memory for it. */
void nx_memo_put(struct nx_memo *memo, const struct nx_digest *digest, struct nx_bytes *bytes);

/* Keep so many bytes from now on. */
void nx_memo_set_max(struct nx_memo *memo, size_t max_bytes);

NX_DEFINE_AUTO(struct nx_memo *, memo, nx_memo_free)
#define NX_AUTO_MEMO NX_AUTO(memo)

#endif
