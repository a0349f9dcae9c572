#!/bin/bash
# SPDX-License-Identifier: MIT
# Packing: the Debian disk, time and size against qemu-img's compressed qcow2; a suspended machine of 2 GiB (with QUICK=1 512 MiB)
# against zstd on its save file; and what a sparse disk of up to 1 TiB costs.
. tests/lib/guests.sh
. tests/bench/lib.sh
MEMORY_MAX=262144 # KiB
work=$(mktemp -d build/bench.XXXXXX) && trap 'rm -rf "$work"' EXIT

pack() { "$BUILD/nxpack" -q -k "$KEY" "$@" "$work/out.nxpk"; }

# peak_row WHAT OPTION...: of nxpack, in KiB; the children that it waits for count, each for itself
peak_row() {
    local what=$1 kib
    shift
    /usr/bin/env time -f '%M' -o "$work/rss" "$BUILD/nxpack" -q -k "$KEY" "$@" "$work/out.nxpk" >&2 || return
    kib=$(tail -n 1 "$work/rss")
    row "$what: peak memory, KiB" "$kib" $MEMORY_MAX "$(ratio "$kib" $MEMORY_MAX)" 1
}

# ---- the Debian disk ----
guest debian >&2 || exit
signing_key
disk=$(ls "$GUEST"/*.qcow2) domain=$GUEST/domain.xml

nxpack_disk() { seconds pack "$domain"; }
qemu_img() { seconds qemu-img convert -c -O qcow2 -o compression_type=zstd "$disk" "$work/out.qcow2"; }

pairs nxpack_disk qemu_img || exit
row 'packing the Debian disk: seconds' "$MEDIAN_A" "$MEDIAN_B" "$RATIO" 0.5
ours=$(stat -c %s "$work/out.nxpk") theirs=$(stat -c %s "$work/out.qcow2")
row 'packing the Debian disk: bytes' "$ours" "$theirs" "$(ratio "$ours" "$theirs")" 1
peak_row 'packing the Debian disk' "$domain" || exit

# ---- with memory ----
saved=debian-saved-2g memory='2 GiB of memory'
[ -z "${QUICK:-}" ] || saved=debian-saved memory='512 MiB of memory'
guest $saved >&2 || exit
save=$(packed_from) domain=$GUEST/domain.xml

# nxpack packs the disk as well: what is compared are bytes a second, and the time that the memory adds.
nxpack_memory() { seconds pack --no-train "$save"; }
only_disk() { seconds pack --no-memory "$domain"; }
added() {
    local with without
    with=$(nxpack_memory) && without=$(only_disk) && awk -v a="$with" -v b="$without" 'BEGIN { printf "%.2f\n", a - b }'
}
zstd_save() { seconds zstd -q -f -T2 -3 "$save" -o "$work/out.zst"; }
rate() { awk -v bytes="$1" -v s="$2" 'BEGIN { printf "%.0f\n", bytes / s / 1e6 }'; }
rate_memory() { rate "$input" "$(nxpack_memory)"; }
rate_zstd() { rate "$(stat -c %s "$save")" "$(zstd_save)"; }

pack --no-train "$save" 2>&1 >/dev/null | cat >&2
input=$("$BUILD/nxpack" info --json "$work/out.nxpk" | jq '[.images[] | select(.role == "disk") | .chunks * ."chunk-size"] | add')
input=$((input + $(stat -c %s "$save")))
pairs rate_memory rate_zstd || exit
row "packing $memory and its disk: MB/s" "$MEDIAN_A" "$MEDIAN_B" "$RATIO" +0.5
pairs added zstd_save || exit
row '  what the memory adds: seconds' "$MEDIAN_A" "$MEDIAN_B" "$RATIO" 2
peak_row "packing $memory and its disk" --no-train "$save" || exit

# ---- growth: with the memory ----
names=(debian-saved debian-saved-1g debian-saved-2g debian-saved-4g)
[ -z "${QUICK:-}" ] || names=()
for name in "${names[@]}"; do
    guest $name >&2 || exit
    save=$(packed_from) domain=$GUEST/domain.xml
    took=$(set -o pipefail; for ((i = 0; i < (RUNS > 3 ? 3 : RUNS); i++)); do added || exit; done | median) || exit
    row "packing $name: seconds that the memory adds" "$took" '' ''
    row '  ... bytes of the package, and of the save' "$(stat -c %s "$work/out.nxpk")" "$(stat -c %s "$save")" ''
    peak_row '  ...' --no-train "$save" || exit
done

# ---- growth: 16 MiB of data, evenly spread ----
for gib in 1 10 100 1024; do
    rm -f "$work/sparse.qcow2"
    qemu-img create -q -f qcow2 "$work/sparse.qcow2" ${gib}G >&2 || exit
    for i in {0..15}; do echo "write -q -P $((i + 1)) $((gib * 64 * i))M 1M"; done | qemu-io -f qcow2 "$work/sparse.qcow2" >&2 || exit
    sed "s|<source file='[^']*'/>|<source file='$PWD/$work/sparse.qcow2'/>|" build/guests/debian/domain.xml >"$work/sparse.xml"
    took=$(set -o pipefail; for ((i = 0; i < RUNS; i++)); do seconds pack "$work/sparse.xml" || exit; done | median) || exit
    row "packing $gib GiB, 16 MiB of it data: seconds" "$took" '' ''
    row '  ... bytes' "$(stat -c %s "$work/out.nxpk")" '' ''
    peak_row '  ...' "$work/sparse.xml" || exit
done
