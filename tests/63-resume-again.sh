#!/bin/bash
# SPDX-License-Identifier: MIT
# Twenty resumes of one package in a row, and four at once on one cache: all are right.  Then what must never happen:
# a machine that was switched off, or that starts anew, with the memory of before.
. tests/lib/http.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
echo "accelerator: $ACCEL"
start_nginx "$WORK/www" || exit
package tiny-saved || die "packing"
publish "$PACKAGE"
new_cache
was=$(cut -d . -f 1 <"$GUEST/notes/uptime")

# The machine at the serial port is at the saved state, some seconds later.
is_right() { # SOCKET PID
    "$BUILD/tools/guest-talk" -i 100 -p "$2" "$1" 60 'poke:nxpk# ' 'run:sha256sum /tmp/nxpk/random; cut -d . -f 1 /proc/uptime; [ ! -e /tmp/nxpk/mark ] && echo unmarked; echo >/tmp/nxpk/mark' >"$1.said" 2>"$1.err" || return 1
    { read -r random; read -r up; read -r mark; } <"$1.said"
    [ "$random" = "$(cat "$GUEST/notes/random")" ] && [ "$up" -ge "$was" ] && [ "$up" -lt $((was + 240)) ] && [ "$mark" = unmarked ]
}

start=$SECONDS fetched=()
for i in $(seq 20); do
    boot --no-cold --trust "$TRUST" "$URL_BASE/tiny-saved.nxpk"
    is_right "$SERIAL" "$FETCH_PID" || die "resume $i: $(cat "$SERIAL".said "$SERIAL".err)"
    sleep 0.3 # its statistics are no older
    fetched+=("$(stat_of .chunks_fetched)")
    halt
done
echo "20 resumes in $((SECONDS - start)) s, with ${fetched[*]} chunks fetched"
# One that stood still for a moment may touch a page more than those before it; most find all.
at_least "chunks fetched by the first" "${fetched[0]}" 300
at_least "resumes that fetched none" "$(printf '%s\n' "${fetched[@]:1}" | grep -cx 0)" 15

# Four at once, on an empty cache.
new_cache
pids=()
for i in 1 2 3 4; do
    boot --no-cold --trust "$TRUST" "$URL_BASE/tiny-saved.nxpk"
    pids+=("$FETCH_PID") sockets[i]=$SERIAL
done
for i in 1 2 3 4; do
    is_right "${sockets[i]}" "${pids[i - 1]}" || die "machine $i of four: $(cat "${sockets[i]}".said "${sockets[i]}".err)"
done
for FETCH_PID in "${pids[@]}"; do
    kill -INT "$FETCH_PID"
    fetch_ended 20
done
nothing_left
"$BUILD/nxfetch" cache verify >"$WORK/said" 2>&1 || die "the cache of four: $(cat "$WORK/said")"
echo "four at once: all right"

# Written to its disk, switched off, and started again: the saved memory meets the saved disk.
boot --no-cold --trust "$TRUST" "$URL_BASE/tiny-saved.nxpk"
talk 60 'poke:nxpk# ' run:'umount /data; mount -t ext4 -o rw /dev/vda2 /data && rm /data/file-0 && touch /data/changed && sync' >/dev/null
power_off
boot --no-cold --trust "$TRUST" "$URL_BASE/tiny-saved.nxpk"
is_right "$SERIAL" "$FETCH_PID" || die "resumed after it was off: $(cat "$SERIAL".said)"
talk 60 'run:check-data; ls /data' >"$WORK/said"
grep -q 'check-data OK' "$WORK/said" && ! grep -q changed "$WORK/said" || die "its disk: $(cat "$WORK/said")"

# Reset: it boots from its disk, as it is now.
talk 120 run:'umount /data; mount -t ext4 -o rw /dev/vda2 /data && touch /data/changed && sync' 'send:reboot -f' 'expect:nxpk-guest ready' 'poke:nxpk# ' \
    run:'cut -d . -f 1 /proc/uptime; [ -e /tmp/nxpk/random ] && echo old memory; ls /data/changed' >"$WORK/said"
! grep -q 'old memory' "$WORK/said" && grep -q /data/changed "$WORK/said" || die "after a reset: $(cat "$WORK/said")"
power_off
