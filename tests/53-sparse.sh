#!/bin/bash
# SPDX-License-Identifier: MIT
# A 1 TiB disk with a few MiB on it: packing takes time by its data, opening it over HTTP takes two requests and
# 64 KiB of index at most, and what is at its far end is read right.
. tests/lib/http.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh

signing_key
disk=$WORK/disk.raw
truncate -s 1T "$disk" 2>/dev/null || { echo "this file system has no files of 1 TiB"; exit 77; }
# A partition table's place, some strewn pieces, and the very end; none compresses.  Then 4 KiB in each of 3,000 places
# far apart, so that the index has 3,000 leaves and is several times what a start may fetch of it.
last=$(((1 << 20) - 1))
for mebibyte in 0 1 1000 70000 500001 999999 $last; do
    head -c 1M /dev/urandom | dd of="$disk" bs=1M seek="$mebibyte" conv=notrunc iflag=fullblock status=none
done
head -c 4096 /dev/urandom >"$WORK/piece"
for ((n = 0; n < 3000; n++)); do
    dd if="$WORK/piece" of="$disk" bs=4k seek=$((2000000 + n * 80000)) conv=notrunc status=none
done
sed "s|@DIR@|$WORK|; s|nxpk-tiny|nxpk-sparse|" tests/guests/tiny.xml >"$WORK/domain.xml"

start=$SECONDS
timeout 120 "$BUILD/nxpack" -k "$KEY" "$WORK/domain.xml" "$WORK/www/sparse.nxpk" 2>"$WORK/nxpack.log" || die "packing"
took=$((SECONDS - start)) size=$(stat -c %s "$WORK/www/sparse.nxpk")
echo "packed 1 TiB in $took s to $size bytes"
at_most "seconds to pack 7 MiB of data" $took 60
at_most "bytes of a package with 7 MiB of data" "$size" $((9 << 20))

index=$(unzip -Z "$WORK/www/sparse.nxpk" index | awk '/ index$/ { print $4 }')
[ "$index" -gt $((3 * 65536)) ] || die "the index has only $index bytes: this test would show nothing"
start_nxserve "$WORK/www" || die "nxserve"
new_cache
STATS=$WORK/stats.json
mount_package "$URL_BASE/sparse.nxpk" --trust "$TRUST" --stats "$STATS"
same "size of the disk" "$(stat -c %s "$IMAGE")" $((1 << 40))
for mebibyte in 0 2 1000 333333 999999 $last; do
    cmp -s <(dd if="$IMAGE" bs=1M skip="$mebibyte" count=1 status=none) \
        <(dd if="$disk" bs=1M skip="$mebibyte" count=1 status=none) || die "MiB $mebibyte reads differently"
done
# Somebody looks at the map: its table is bounded, as is all that the engine has.
"$BUILD/nxfetch" status --json | jq '.[0].images.disk0' >"$WORK/status" || die "status"
same "chunks that share a place in the map" "$(jq .map.unit "$WORK/status")" 16
same "places in the map" "$(jq '[.map.units[]] | add' "$WORK/status")" $((1 << 20))
jq -e '.map.units | .empty > 1000000 and .read + .awaited >= 4 and .cached + .ahead + .absent > 2900' "$WORK/status" >/dev/null || die "the map: $(jq -c .map.units "$WORK/status")"
at_most "KiB of memory of the engine, with the map" "$(awk '/^VmRSS/ { print $2 }' "/proc/$(part nxfetch)/status")" 65536
halt
# Counted when the disk stood there to be read, and nobody had read of it.
requests=$(stat_of .requests_before_qemu) index=$(stat_of .index_bytes_before_qemu)
[ "$requests" -gt 0 ] || die "no request was counted"
at_most "requests to open it" "$requests" 2
at_most "bytes of index to open it" "$index" 65536
echo "opened with $requests requests, $index bytes of index"
echo "mount: far pieces and holes read right"
