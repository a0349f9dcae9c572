#!/bin/bash
# SPDX-License-Identifier: MIT
# The network stops in the middle of a resume, and again later: the machine stands still, its user is told, and it goes on
# without a fault.  When it stops for good, Ctrl-C ends everything at once.  OUTAGE=60 for longer ones; 22 s are
# beyond the time after which a silent server is given up.
. tests/lib/http.sh
. tests/lib/relay.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
echo "accelerator: $ACCEL"
OUTAGE=${OUTAGE:-22}
start_nginx "$WORK/www" || exit
start_relay -r 2000000 -d 2 || die "the relay does not start"
package tiny-saved || die "packing"
publish "$PACKAGE"

# ---- in the middle of the resume ----

new_cache
boot --no-cold --trust "$TRUST" "$URL_BASE/tiny-saved.nxpk"
until grep -q '"requests": [2-9]' "$STATS" 2>/dev/null; do
    kill -0 "$FETCH_PID" || die "nxfetch has ended"
    sleep 0.01
done
outage "$OUTAGE" stop
talk 60 'poke:nxpk# ' >/dev/null
fresh_stats
same "resumed" "$(stat_of .resumed)" true
count=$(talk 30 'run:tail -n 1 /tmp/nxpk/count')

# ---- and while it runs: nothing of its random data is here yet ----

talk 200 'run:sha256sum /tmp/nxpk/random' >"$WORK/said" &
talking=$!
sleep 0.2
outage "$OUTAGE" stop
wait $talking || die "the guest did not go on"
cmp "$WORK/said" "$GUEST/notes/random" || die "its memory: $(cat "$WORK/said")"
grep -q 'the network answers again' "$FETCH_LOG" || die "the user was not told that it goes on: $(cat "$FETCH_LOG")"
[ "$(talk 30 'run:tail -n 1 /tmp/nxpk/count')" -gt "$count" ] || die "it does not count any more"

# ---- its disk, too ----

talk 300 'run:check-data' >"$WORK/said" &
talking=$!
sleep 0.3
outage "$OUTAGE" stop
wait $talking || die "the guest did not go on"
grep -q 'check-data OK' "$WORK/said" || die "its disk: $(cat "$WORK/said")"
talk 30 'run:! dmesg | grep -iE "i/o error|ext4-fs error|bus error|lockup|blocked for more|stall"' >"$WORK/said" ||
    die "the guest has noticed something: $(cat "$WORK/said")"
# Its clock has stood still with it.
up=$(talk 30 'run:cut -d . -f 1 /proc/uptime') was=$(cut -d . -f 1 <"$GUEST/notes/uptime")
at_most "seconds that the guest has lived since it was saved" $((up - was)) $(($(boot_seconds | cut -d . -f 1) - 3 * OUTAGE + 45))
halt

# ---- for good, while a page of memory is waited for ----

new_cache
boot --no-cold --trust "$TRUST" "$URL_BASE/tiny-saved.nxpk"
talk 60 'poke:nxpk# ' >/dev/null
relay_cut
"$BUILD/tools/guest-talk" -p "$FETCH_PID" "$SERIAL" 60 'run:sha256sum /tmp/nxpk/random' >/dev/null 2>&1 &
talking=$!
told 20 'waiting for the network'
start=$EPOCHREALTIME
halt
took=$(((${EPOCHREALTIME/./} - ${start/./}) / 1000))
echo "Ctrl-C with a dead network: $took ms"
at_most "milliseconds that Ctrl-C took" "$took" 15000
wait $talking
# The line dies without a word: nobody knows yet.
relay_go
new_cache
boot --no-cold --trust "$TRUST" "$URL_BASE/tiny-saved.nxpk"
talk 60 'poke:nxpk# ' >/dev/null
relay_stop
"$BUILD/tools/guest-talk" -p "$FETCH_PID" "$SERIAL" 60 'run:sha256sum /tmp/nxpk/random' >/dev/null 2>&1 &
talking=$!
sleep 1
start=$EPOCHREALTIME
halt
took=$(((${EPOCHREALTIME/./} - ${start/./}) / 1000))
echo "Ctrl-C with a silent network: $took ms"
at_most "milliseconds that Ctrl-C took" "$took" 15000
wait $talking

# ---- for good, when everything is here: nobody notices ----

start_relay || die "the relay does not start"
new_cache
COMPLETE=yes boot --no-cold --trust "$TRUST" "$URL_BASE/tiny-saved.nxpk"
talk 60 'poke:nxpk# ' >/dev/null
wait_for 100 "$FETCH_PID" jq -e '.total_bytes > 0 and .have_bytes == .total_bytes' "$STATS" >"$WORK/said" ||
    die "not everything was fetched: $(cat "$STATS")"
relay_cut
talk 200 'run:sha256sum /tmp/nxpk/random' >"$WORK/said"
cmp "$WORK/said" "$GUEST/notes/random" || die "its memory: $(cat "$WORK/said")"
talk 100 'run:check-disk' >"$WORK/said"
same "its disk" "$(cut -d " " -f 1 "$WORK/said")" "$(sha256sum "$GUEST/disk.raw" | cut -d " " -f 1)"
! grep 'waiting for the network' "$FETCH_LOG" || die "it waits, although everything was fetched"
halt
echo "all $(stat_of .total_bytes) bytes here: it does not need the network"
