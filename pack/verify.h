/* SPDX-License-Identifier: MIT */
/* Everything there is to check about a package in a local file, whoever signed it. */
#ifndef NX_PACK_VERIFY_H
#define NX_PACK_VERIFY_H

#include "pack/reader.h"

/* After nx_reading_open(): that the domain's images are there, and its memory as large as what was saved; the
 * device state; all images; and every byte of the file around them (zipcheck.h).  threads decode.
 */
int nx_verify(const struct nx_reading *reading, unsigned threads, struct nx_error *err);

#endif
