#!/bin/bash
# SPDX-License-Identifier: MIT
# Every fuzz target, under ASan and UBSan: first over its corpus, in the tree, and then for some seconds of its own.
# Alone: it keeps all processors busy.
cd "$(dirname "$0")/.." || exit 1
command -v clang >/dev/null || { echo "no clang"; exit 77; }
SECONDS_EACH=4 exec sh tests/fuzz/run.sh
