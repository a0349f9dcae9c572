#!/bin/bash
# SPDX-License-Identifier: MIT
# The host sleeps for 20 s (all processes stop, and go on) while a guest boots, resumes, reads, or a package is pulled; connections
# are still there when it wakes up, or broken: everything goes on, and every byte is right.  How the wall clock jumps: test-clock.
. tests/lib/http.sh
. tests/lib/relay.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
echo "accelerator: $ACCEL"
package tiny-saved || die "packing"
publish "$PACKAGE"
saved=$GUEST
package tiny || die "packing"
publish "$PACKAGE"
start_nxserve "$WORK/www" || die "nxserve"
start_relay -r 4000000 -d 5 || die "the relay does not start"

# sleeps [broken]: in which the connections break
sleeps() {
    local pids
    pids="$FETCH_PID $(cat "/proc/$FETCH_PID/task/$FETCH_PID/children")"
    kill -STOP $pids || die "it has ended: $(cat "$FETCH_LOG")"
    [ -z "${1:-}" ] || relay_cut
    sleep 20
    [ -z "${1:-}" ] || relay_go
    kill -CONT $pids
}

# fetched N: it has asked so often
fetched() {
    until jq -e ".requests >= $1" "$STATS" >/dev/null 2>&1; do
        kill -0 "$FETCH_PID" || die "it has ended: $(cat "$FETCH_LOG")"
        sleep 0.01
    done
}

for how in '' broken; do
    new_cache
    boot --trust "$TRUST" "$URL_BASE/tiny.nxpk"
    fetched 4
    sleeps $how
    talk 120 'expect:nxpk-guest ready'
    "$BUILD/tools/guest-talk" -p "$FETCH_PID" "$SERIAL" 120 run:check-disk >"$WORK/said" &
    talking=$!
    sleep 1
    sleeps $how
    wait $talking || die "the guest: $(cat "$WORK/said")"
    same "its disk" "$(cut -d ' ' -f 1 "$WORK/said")" "$(cat "$GUEST/sha256")"
    halt

    new_cache
    boot --no-cold --trust "$TRUST" "$URL_BASE/tiny-saved.nxpk"
    fetched 2
    sleeps $how
    talk 120 'poke:nxpk# ' 'run:sha256sum /tmp/nxpk/random' >"$WORK/said"
    cmp "$WORK/said" "$saved/notes/random" || die "its memory: $(cat "$WORK/said")"
    halt

    new_cache
    STATS=$WORK/pull.json FETCH_LOG=$WORK/pull.log
    "$BUILD/nxfetch" pull --stats "$STATS" "$URL_BASE/tiny.nxpk" >"$FETCH_LOG" 2>&1 &
    FETCH_PID=$!
    fetched 3
    sleeps $how
    fetch_ended 120
    same "status of pull: $(cat "$FETCH_LOG")" "$FETCH_STATUS" 0
    "$BUILD/nxfetch" cache verify >"$WORK/said" || die "the cache: $(cat "$WORK/said")"
    echo "a host that sleeps ${how:+(connections $how) }four times: all went on"
done
