#!/bin/bash
# SPDX-License-Identifier: MIT
# What the benchmarks measure with: the replay of a trace keeps its think times and its order, lets overlap what
# overlapped, and notices a wrong byte.
BUILD=${BUILD:-build/gcc}
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
die() { echo "FAILED: $*" >&2; exit 1; }
replay() { "$BUILD/tools/replay" "$@" >"$work/out" 2>"$work/err"; }
# told JQ-CONDITION
told() { jq -e "$1" "$work/out" >/dev/null || die "not $1: $(cat "$work/out")"; }

head -c 4M /dev/urandom >"$work/disk"
cp "$work/disk" "$work/wanted"

printf '%s\n' '# one after the other' '0 200000 0 4096' '1 200000 1048576 65536' '2 200000 0 0' >"$work/trace"
replay -c "$work/wanted" "$work/trace" "$work/disk" || die "a replay: $(cat "$work/err")"
told '.reads == 3 and .bytes == 69632 and .seconds >= 0.6 and .waited < .seconds - 0.59'

sed 's/ 200000 / 5000000 /' "$work/trace" >"$work/slow"
replay -t "$work/times" -x 250 "$work/slow" "$work/disk" || die "a replay with short think times"
told '.reads == 3 and .seconds >= 0.03 and .seconds < 14'
[ "$(cut -d ' ' -f 1,4,5 "$work/times")" = $'0 0 4096\n1 1048576 65536\n2 0 0' ] || die "times: $(cat "$work/times")"
awk '$2 < last + 10000 || $3 < 0 { exit 1 } { last = $2 }' "$work/times" || die "times: $(cat "$work/times")"

printf '%s\n' '0 3000000 0 4096' '0 3000000 8192 4096' '0 3000000 65536 4096' >"$work/trace"
replay "$work/trace" "$work/disk" || die "overlapping reads"
told '.seconds >= 3 and .seconds < 8.9'

printf 'x' | dd of="$work/wanted" bs=1 seek=8200 conv=notrunc status=none
cmp -s "$work/disk" "$work/wanted" && die "the byte was an x already"
! replay -c "$work/wanted" "$work/trace" "$work/disk" || die "a wrong byte is not noticed"
grep -q '4096 bytes at 8192: are wrong' "$work/err" || die "it says: $(cat "$work/err")"

refused() { # TRACE-LINE MESSAGE
    echo "$1" >"$work/trace"
    ! replay "$work/trace" "$work/disk" || die "taken: $1"
    grep -q "$2" "$work/err" || die "of \"$1\" it says: $(cat "$work/err")"
}
refused '0 0 4194304 4096' "is shorter than the trace's disk"
refused '1 0 0 4096' 'comes after one that is behind it'
refused '0 0 0' 'is not AFTER THINK OFFSET LENGTH'
refused '# nothing' 'there is no read in it'
echo "replay: think times, order, overlap, wrong bytes"
