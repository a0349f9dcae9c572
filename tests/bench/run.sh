#!/bin/bash
# SPDX-License-Identifier: MIT
# All benchmarks, or those whose name contains $1, as rows of a table: ours, the peer's, the ratio, and whether it is what
# was to be reached.  At most 40 minutes, with QUICK=1 5, once the guests are made (prepare.sh; 7 minutes more); QUICK leaves
# whole boots out, for the replay of one shows the same.
#   RUNS=5 BOOT_RUNS=3 tests/bench/run.sh [pack|boot|resume|trace|update|pull|growth|serve]
cd "$(dirname "$0")/../.." || exit
export BUILD=${BUILD:-build/gcc} QUICK=${QUICK:-}
sh tests/deps.sh tests/bench/debian-packages >&2 || exit
mkdir -p build/bench
table=build/bench/table
[ -n "${1:-}" ] || bash tests/bench/prepare.sh >build/bench-prepare.log 2>&1 || {
    echo "bench: the guests cannot be made: build/bench-prepare.log" >&2
    exit 1
}
prepared=$SECONDS
{
    echo "$(nproc) cores, $(awk -F': ' '/model name/ { print $2; exit }' /proc/cpuinfo), $(awk '/MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)," \
        "Linux $(uname -r), $(stat -f -c %T build), $(qemu-img --version | head -n 1), TCG"
    echo "| what | ours | peer | ratio | reached? |"
    echo "| --- | ---: | ---: | ---: | --- |"
} | tee $table
status=0
benches=(pack update pull growth serve trace resume)
[ -n "$QUICK" ] || benches+=(boot)
for bench in "${benches[@]}"; do
    case $bench in *"${1:-}"*) ;; *) continue ;; esac
    began=$SECONDS
    bash "tests/bench/$bench.sh" 2>"build/bench-$bench.log" | tee -a $table
    [ "${PIPESTATUS[0]}" = 0 ] || {
        echo "bench: $bench failed: build/bench-$bench.log" >&2
        status=1
    }
    echo "bench: $bench took $((SECONDS - began)) s" >&2
done
echo "$(grep -c '| reached (' $table) reached, $(grep -c '| NOT reached (' $table) not; $((SECONDS / 60)) min $((SECONDS % 60)) s, $prepared s of it until the guests were made"
exit $status
