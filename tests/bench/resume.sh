#!/bin/bash
# SPDX-License-Identifier: MIT
# A suspended Debian until its prompt answers (TCG), on an empty cache over a line of 100 Mbit/s with a round trip of
# 40 ms: against the same package in a local file with all that it needs in memory, and against the mere download of its save, compressed
# as well as it can be, over the same line.
. tests/lib/http.sh
. tests/lib/relay.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
. tests/bench/lib.sh
start_nginx "$WORK/www" >&2 || exit
server=$SERVER_PORT

answered() {
    "$BUILD/tools/guest-talk" -i 50 -o "$TRANSCRIPT" -p "$FETCH_PID" "$SERIAL" 60 'poke:# ' || return
    since "$BOOT_START"
    halt
}

slow() {
    new_cache
    boot --no-cold --trust "$TRUST" "$URL_BASE/$name.nxpk"
    answered
}

local_file() {
    boot --no-cold --trust "$TRUST" "$PACKAGE"
    answered
}

download() { seconds curl -sS -o /dev/null "$URL_BASE/$name.save.$kind"; }

names=(debian-saved debian-saved-1g debian-saved-2g debian-saved-4g) kinds=(xz zstd)
[ -z "${QUICK:-}" ] || names=(debian-saved) kinds=(xz)
for name in "${names[@]}"; do
    package $name >&2 || exit
    publish "$PACKAGE"
    SERVER_PORT=$server
    start_relay "${LINE_100M[@]}" || exit
    pairs slow local_file || exit
    row "$name to its answer: seconds" "$MEDIAN_A" "$MEDIAN_B" "$RATIO"
    added=$(awk -v a="$MEDIAN_A" -v b="$MEDIAN_B" 'BEGIN { printf "%.2f\n", a - b }')
    row '  seconds added, of 0.7' "$added" 0.7 "$(ratio "$added" 0.7)" 1
    case $name in
    debian-saved) small=$added ;;
    *) row "  seconds added with ${name##*-}, of those with 512 MiB" "$added" "$small" "$(ratio "$added" "$small")" 1.15 ;;
    esac
    new_cache
    boot --no-cold --trust "$TRUST" "$URL_BASE/$name.nxpk"
    "$BUILD/tools/guest-talk" -i 100 -o "$TRANSCRIPT" -p "$FETCH_PID" "$SERIAL" 60 'poke:# ' || exit
    fresh_stats
    bytes=$(stat_of .bytes) requests=$(stat_of .requests)
    halt
    row '  bytes then, and of the save' "$bytes" "$(stat -c %s "$GUEST"/*.save)" \
        "$(ratio "$bytes" "$(stat -c %s "$GUEST"/*.save)")"
    row '  requests' "$requests" '' ''
    [ $name = debian-saved ] || continue
    for kind in "${kinds[@]}"; do
        made=$(compressed_save $name $kind) || exit
        publish "$made"
        pairs slow download || exit
        row "  downloading its save, $kind: seconds" "$MEDIAN_A" "$MEDIAN_B" "$RATIO"
        row "  ... bytes" '' "$(stat -c %s "$made")" ''
    done
done
