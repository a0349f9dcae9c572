# SPDX-License-Identifier: MIT
# What the benchmarks share.  Sourced by bash with the tree's root as its working directory.
# Machines are noisy: commands are run in pairs, one of each in turn, and what counts is the median of the ratios.

RUNS=${RUNS:-5}

# seconds COMMAND...: wall-clock seconds of a command on stdout; its own output goes to stderr.
seconds() {
    local start=$EPOCHREALTIME
    "$@" >&2 || return
    awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.2f\n", b - a }'
}

# The median of the numbers on stdin.
median() { sort -n | awk '{ v[NR] = $1 } END { printf "%.2f\n", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

# pairs A B: run the functions A and B (each prints a figure) RUNS times in turn, after one run of each that does not
# count.  Sets MEDIAN_A, MEDIAN_B and RATIO, the median of A/B.
pairs() {
    local i a b as=() bs=() ratios=()
    "$1" >/dev/null && "$2" >/dev/null || return
    for ((i = 0; i < RUNS; i++)); do
        a=$("$1") && b=$("$2") || return
        as+=("$a") bs+=("$b")
        ratios+=("$(awk -v a="$a" -v b="$b" 'BEGIN { printf "%.3f", a / b }')")
    done
    MEDIAN_A=$(printf '%s\n' "${as[@]}" | median)
    MEDIAN_B=$(printf '%s\n' "${bs[@]}" | median)
    RATIO=$(printf '%s\n' "${ratios[@]}" | median)
}

# row WHAT OURS PEER RATIO
row() { printf '| %-46s | %10s | %10s | %6s |\n' "$@"; }
