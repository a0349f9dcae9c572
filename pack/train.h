/* SPDX-License-Identifier: MIT */
/* Training: run a package's machine once, see which chunks it touches, and lay those first, as
 * the boot set, so that a start is one sequential request.  The content stays: digests
 * of images, domain and device state do not change.
 */
#ifndef NX_PACK_TRAIN_H
#define NX_PACK_TRAIN_H

#include <stdbool.h>

#include "common/error.h"
#include "common/io.h"
#include "formats/key.h"
#include "formats/record.h"
#include "pack/screenshot.h"

#define NX_TRAIN_SECONDS_MAX 3600

/* Run the machine of the package in the file path, here and without a window, by nxfetch (the one beside our own program,
 * else PATH's), until it has settled or, if seconds is not 0, for that long.  It is a throw-away run: the package is
 * only read.  The record is checked against the package.  shot, if it is not NULL, gets a picture of the screen at the end
 * of the run; it must be empty.
 */
int nx_train_run(const char *path, unsigned seconds, struct nx_record **ret_record,
                 struct nx_screenshot *shot, struct nx_error *err);

/* Read a record that nxfetch --record has written, and check it against the package. */
int nx_train_read(const char *record_path, const char *package_path, struct nx_record **ret_record,
                  struct nx_error *err);

/* Write the package in the file path anew into out (open, empty), with the chunks of record in front.
 * key signs it; NULL: it is not signed.  volume_size: what it is to be cut into when it is committed (cut.h); 0: nothing.
 */
int nx_train_layout(const char *path, const struct nx_record *record, const struct nx_key *key,
                    uint64_t volume_size, struct nx_newfile *out, struct nx_error *err);

#endif
