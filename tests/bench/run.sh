#!/bin/bash
# SPDX-License-Identifier: MIT
# All benchmarks, or those whose name contains $1, as rows of a table: ours, the peer's, and the ratio.
#   RUNS=5 BOOT_RUNS=3 tests/bench/run.sh [pack|boot|resume]
cd "$(dirname "$0")/../.." || exit
export BUILD=${BUILD:-build/gcc}
. tests/bench/lib.sh
echo "$(nproc) cores, $(awk -F': ' '/model name/ { print $2; exit }' /proc/cpuinfo), $(qemu-img --version | head -n 1), TCG"
row what ours peer ratio
row --- ---: ---: ---:
status=0
for bench in pack boot resume; do
    case $bench in *"${1:-}"*) bash "tests/bench/$bench.sh" 2>"build/bench-$bench.log" || {
        echo "bench: $bench failed: build/bench-$bench.log" >&2
        status=1
    } ;; esac
done
exit $status
