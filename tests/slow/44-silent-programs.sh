#!/bin/bash
# SPDX-License-Identifier: MIT
# Programs that never answer, each given up after a minute: a QEMU that never opens its monitor, one that is stopped while it
# loads a saved state, and a qemu-img.  While QEMU waits for the network it is not given up.
. tests/lib/http.sh
. tests/lib/relay.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
echo "accelerator: $ACCEL"
package tiny || die "packing"
publish "$PACKAGE"
start_nxserve "$WORK/www" || die "nxserve"
mkdir "$WORK/bin"
new_cache
old_path=$PATH

# silent PROGRAM TEXT
silent() {
    local start
    printf '#!/bin/sh\nexec sleep 1000\n' >"$WORK/bin/$1"
    chmod 755 "$WORK/bin/$1"
    PATH=$WORK/bin:$old_path boot --trust "$TRUST" "$URL_BASE/tiny.nxpk"
    start=$SECONDS
    fetch_ended 80
    at_most "seconds, at least" 55 $((SECONDS - start))
    same "status" "$FETCH_STATUS" 1
    tail -n 1 "$FETCH_LOG" | grep -qE "^nxfetch: $2\$" || die "$(cat "$FETCH_LOG")"
    nothing_left
    rm "$WORK/bin/$1"
    echo "$1: given up after $((SECONDS - start)) s"
}
silent qemu-system-x86_64 'QEMU does not answer since 60 s; -v -v shows how it is called'
silent qemu-img "overlay for the machine's writes: qemu-img: has not ended within 60 s"

# Its first sectors do not come for longer than that, and it starts all the same.
start_relay -r 2000000 -d 2 || die "the relay does not start"
new_cache
boot --trust "$TRUST" "$URL_BASE/tiny.nxpk"
until [ "$(part qemu)" ]; do sleep 0.01; done
relay_stop
sleep 75
kill -0 "$FETCH_PID" || die "it was given up: $(cat "$FETCH_LOG")"
relay_go
talk 120 'expect:nxpk-guest ready'
halt
echo "a network that is silent for 75 s: waited for"
