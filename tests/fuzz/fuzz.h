/* SPDX-License-Identifier: MIT */
/* A fuzz target: a file tests/fuzz/fuzz-X.c with this function, which aborts when what it tests is wrong (run.sh). */
#ifndef NX_TESTS_FUZZ_H
#define NX_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
