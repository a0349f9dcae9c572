#!/bin/bash
# SPDX-License-Identifier: MIT
# As tests/test-alloc.c and tests/71-without-memory.sh, at more places: every single allocation of our own, and 400 of the
# libraries' in each case.  Then the programs under AddressSanitizer: what fails leaks nothing.
set -u
cd "$(dirname "$0")/../.." || exit 1
BUILD=${BUILD:-build/gcc}
NX_ATTEMPTS=400 "$BUILD/test-alloc" || exit 1
NX_ATTEMPTS=0 NX_SCOPES=own bash tests/71-without-memory.sh || exit 1
NX_ATTEMPTS=400 NX_SCOPES=all bash tests/71-without-memory.sh || exit 1
asan=build/gcc-address-undefined
make -j"$(nproc)" --no-print-directory CC=gcc SANITIZE=address,undefined programs $asan/tools/make-save $asan/tools/failmalloc.so >/dev/null || exit 1
export ASAN_OPTIONS=verify_asan_link_order=0 LSAN_OPTIONS=suppressions=$PWD/tests/lsan.supp:print_suppressions=0
NX_ATTEMPTS=100 NX_SCOPES=own BUILD=$asan bash tests/71-without-memory.sh
