#!/bin/bash
# SPDX-License-Identifier: MIT
# How fast bytes go through nxfetch: `pull` over 100 Mbit/s against the link's rate, and without a link against curl;
# its memory meanwhile; and random and sequential reads of a disk in its cache against the same reads of a plain file.
. tests/lib/http.sh
. tests/lib/relay.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
. tests/bench/lib.sh
package debian >&2 || exit
raw=$(debian_raw) || exit
publish "$PACKAGE"
cat "$PACKAGE" "$raw" >/dev/null
size=$(stat -c %s "$PACKAGE")
start_nginx "$WORK/www" >&2 || exit
direct=$URL_BASE

# pull BASE: seconds, into an empty cache; its peak memory, of the larger of its two processes, is one more line in $WORK/rss, KiB.
pull() {
    new_cache
    export XDG_CACHE_HOME
    seconds /usr/bin/env time -f %M -a -o "$WORK/rss" "$BUILD/nxfetch" -q pull "$1/debian.nxpk" || die "pull"
    rm -rf "$XDG_CACHE_HOME"
}

over_link() { pull "$URL_BASE"; }
without_link() { pull "$direct"; }
curl_to_file() {
    rm -f "$WORK/curled" # or it waits for the old one's blocks to be freed
    seconds curl -sSf -o "$WORK/curled" "$direct/debian.nxpk"
}
# What pull does, too: what it says is on the disk survives a power cut.
curl_and_sync() {
    rm -f "$WORK/curled"
    seconds sh -c 'curl -sSf -o "$1" "$2" && sync "$1"' - "$WORK/curled" "$direct/debian.nxpk"
}
rate_of_link() { awk -v size="$size" 'BEGIN { printf "%.2f\n", size / 12500000 }'; }

pairs without_link curl_to_file || exit
row 'pull without a link: seconds, against curl -o' "$MEDIAN_A" "$MEDIAN_B" "$RATIO" 2
pairs without_link curl_and_sync || exit
row 'pull without a link: seconds, against curl -o and sync' "$MEDIAN_A" "$MEDIAN_B" "$RATIO"
peak=$(sort -n "$WORK/rss" | tail -n 1)
row 'nxfetch while it pulls: the highest peak memory, KiB' "$peak" 65536 "$(ratio "$peak" 65536)" 1

start_relay "${LINE_100M[@]}" || exit
taken=$(set -o pipefail; for ((n = 0; n < (RUNS > 3 ? 3 : RUNS); n++)); do over_link || exit; done | median) || exit
row 'pull over 100 Mbit/s: its rate, of the link'"'"'s' "$taken" "$(rate_of_link)" "$(ratio "$(rate_of_link)" "$taken")" +0.97

# ---- a disk in the cache ----

new_cache
export XDG_CACHE_HOME
"$BUILD/nxfetch" -q pull "$direct/debian.nxpk" || exit
mount_package "$direct/debian.nxpk" --trust "$TRUST" --no-complete

# read_by FIO-OPTION... FILE: MiB/s, of the disk's first 800 MiB, which hold its files.
read_by() {
    fio --name=r --readonly --filename="${*: -1}" --size=800M --ioengine=libaio --direct=1 --time_based --runtime="$seconds" \
        --randseed=4711 --output-format=json "${@:1:$#-1}" | jq '.jobs[0].read.bw / 1024'
}
seconds=$([ -n "${QUICK:-}" ] && echo 2 || echo 3)
plain() { read_by "${kind[@]}" "$raw"; }
mounted() { read_by "${kind[@]}" "$IMAGE"; }

kind=(--rw=randread --bs=4k --iodepth=16)
pairs mounted plain || exit
row 'warm random reads, 4 KiB, depth 16: MiB/s' "$MEDIAN_A" "$MEDIAN_B" "$RATIO" +0.5
kind=(--rw=read --bs=256k --iodepth=1)
pairs mounted plain || exit
row 'warm sequential reads, 256 KiB: MiB/s' "$MEDIAN_A" "$MEDIAN_B" "$RATIO" +0.5
engine=$(part nxfetch)
row 'nxfetch after that: peak memory, KiB' "$(awk '/VmHWM/ { print $2 }' "/proc/$engine/status")" 65536 \
    "$(ratio "$(awk '/VmHWM/ { print $2 }' "/proc/$engine/status")" 65536)" 1
halt
