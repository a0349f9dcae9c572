/* SPDX-License-Identifier: MIT */
/* Passphrases from the terminal, without echo; never from stdin or the command line. */
#ifndef NX_PACK_PASSPHRASE_H
#define NX_PACK_PASSPHRASE_H

#include <stddef.h>

#include "common/error.h"

#define NX_PASSPHRASE_MAX 1024

/* Ask for the passphrase of path.  At most size bytes into buf; their number, or -1 (no
 * terminal, interrupted).  Fits nx_key_read().
 */
int nx_ask_passphrase(char *buf, size_t size, const char *path, void *opaque);

/* Ask for a new passphrase, twice; a NUL ends it. */
int nx_ask_new_passphrase(char ret_text[static NX_PASSPHRASE_MAX + 1], const char *path,
                          struct nx_error *err);

#endif
