#!/bin/bash
# SPDX-License-Identifier: MIT
# A package over 4 GiB (of holes): verify notices flips in the records that only such a ZIP archive has.
NX_SLOW=1 CK_RUN_CASE=zip64 exec "${BUILD:-build/gcc}/test-altered"
