#!/bin/bash
# SPDX-License-Identifier: MIT
# Packing the Debian disk: time and size against qemu-img's compressed qcow2.
. tests/lib/guests.sh
. tests/bench/lib.sh
guest debian >&2 || exit
signing_key
work=$(mktemp -d build/bench.XXXXXX) && trap 'rm -rf "$work"' EXIT
disk=$(ls "$GUEST"/*.qcow2)

nxpack() { seconds "$BUILD/nxpack" -q -k "$KEY" "$GUEST/domain.xml" "$work/out.nxpk"; }
qemu_img() { seconds qemu-img convert -c -O qcow2 -o compression_type=zstd "$disk" "$work/out.qcow2"; }

pairs nxpack qemu_img || exit
row 'packing the Debian disk: seconds' "$MEDIAN_A" "$MEDIAN_B" "$RATIO"
ours=$(stat -c %s "$work/out.nxpk") theirs=$(stat -c %s "$work/out.qcow2")
row 'packing the Debian disk: bytes' "$ours" "$theirs" "$(ratio "$ours" "$theirs")"
/usr/bin/env time -f '%M' -o "$work/rss" "$BUILD/nxpack" -q "$GUEST/domain.xml" "$work/out.nxpk" 2>/dev/null &&
    row 'nxpack: peak memory, KiB' "$(tail -n 1 "$work/rss")" '' ''
exit 0
