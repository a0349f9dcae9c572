#!/bin/bash
# SPDX-License-Identifier: MIT
# QEMU or the engine killed, hung, or refusing, with a machine that boots and with one that was resumed: nxfetch says what
# happened, with status 1, soon, and leaves nothing; and the guest never reads wrong bytes.
. tests/lib/http.sh
. tests/lib/relay.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
echo "accelerator: $ACCEL"
package tiny-saved || die "packing"
publish "$PACKAGE"
package tiny || die "packing"
publish "$PACKAGE"
start_nxserve "$WORK/www" || die "nxserve"
new_cache

# ends SECONDS STATUS TEXT: it has ended within the time, said so as its last line (or, for "", nothing but that it runs), and left nothing.
ends() {
    fetch_ended "$1"
    same "status" "$FETCH_STATUS" "$2"
    [ -z "$3" ] || tail -n 1 "$FETCH_LOG" | grep -qE "^nxfetch: $3\$" || die "it says $(tail -n 1 "$FETCH_LOG"), not $3"
    nothing_left
}

running() {
    boot --trust "$TRUST" "$URL_BASE/$1.nxpk"
    told 60 ' runs, '
}

# ---- killed, and hung ----

for machine in tiny tiny-saved; do
    for signal in 9 11; do
        running $machine
        kill -$signal "$(part qemu)"
        ends 5 1 "QEMU was killed by signal $signal"
        running $machine
        kill -$signal "$(part nxfetch)"
        ends 5 1 'the engine has ended unexpectedly'
    done
    running $machine
    kill -STOP "$(part qemu)"
    kill -INT "$FETCH_PID"
    ends 4 0 ''
    running $machine
    kill -STOP "$(part qemu)" "$(part nxfetch)"
    kill -TERM "$FETCH_PID"
    ends 7 0 ''
done
echo "killed and hung: told, and nothing left"

# ---- ended, as by its window, while it loads the state ----

start_relay -r 100000 || die "the relay does not start"
new_cache
# Without a boot set each page takes most of a second.
"$BUILD/nxpack" -q -k "$KEY" --name slow --no-train build/guests/tiny-saved/tiny-saved.save "$WORK/www/slow.nxpk" || die "packing"
boot --trust "$TRUST" "$URL_BASE/slow.nxpk"
loading() { tr '\0' ' ' <"/proc/$(part qemu-system)/cmdline" 2>/dev/null | grep -q ' -incoming '; } 2>/dev/null
wait_for 20 "$FETCH_PID" loading || die "no QEMU"
reads() { jq -e '.images.memory.reads > 0' "$STATS"; } >/dev/null 2>&1
wait_for 20 "$FETCH_PID" reads || die "it does not read its memory: $(cat "$STATS")" # so it has answered
kill -TERM "$(part qemu-system)"
ends 5 1 'QEMU was ended before the machine ran'
URL_BASE=http://127.0.0.1:$SERVER_PORT

# ---- what the guest reads when the engine goes: its disk, or nothing ----

new_cache
running tiny
talk 60 'expect:nxpk-guest ready'
"$BUILD/tools/guest-talk" -p "$FETCH_PID" "$SERIAL" 60 run:check-disk >"$WORK/said" 2>&1 &
talking=$!
wait_for 20 "$FETCH_PID" jq -e '.chunks_fetched > 100' "$STATS" >"$WORK/out" || die "it does not read its disk"
kill -KILL "$(part nxfetch)"
ends 5 1 'the engine has ended unexpectedly'
! wait $talking || die "it read its whole disk without an engine: $(cat "$WORK/said")"

# ---- refusing: its own words ----

mkdir "$WORK/bin"
# qemu LINE...: a QEMU of our own, in front of the real one.
qemu() {
    printf '%s\n' '#!/bin/sh' "$@" >"$WORK/bin/qemu-system-x86_64"
    chmod 755 "$WORK/bin/qemu-system-x86_64"
}
real=$(command -v qemu-system-x86_64)
PATH=$WORK/bin:$PATH
qemu "exec $real \"\$@\" -device nx-unknown"
boot --trust "$TRUST" "$PACKAGE"
ends 10 1 "QEMU has failed: -device nx-unknown: 'nx-unknown' is not a valid device model name"
qemu "exec $real -machine none -accel nx-unknown"
boot --trust "$TRUST" "$PACKAGE"
ends 10 1 'QEMU has failed: -accel nx-unknown: invalid accelerator nx-unknown'
qemu 'exit 3'
boot --trust "$TRUST" "$PACKAGE"
ends 10 1 'QEMU has failed: it does not say why'
qemu "kill -SEGV \$\$"
boot --trust "$TRUST" "$PACKAGE"
ends 10 1 'QEMU was killed by signal 11'
qemu "kill -SEGV \$\$"
boot --no-cold --trust "$TRUST" "$URL_BASE/tiny-saved.nxpk"
ends 10 1 'the machine cannot be resumed: QEMU does not take the saved state: it was killed by signal 11'
# One that says nothing, asked whether it can load the state, and then as the machine.
qemu 'exec sleep 1000'
for package in "$WORK/www/tiny-saved.nxpk" "$PACKAGE"; do
    boot --trust "$TRUST" "$package"
    until [ "$(part sleep)" ]; do
        kill -0 "$FETCH_PID" || die "it has ended: $(cat "$FETCH_LOG")"
        sleep 0.05
    done
    kill -INT "$FETCH_PID"
    ends 4 1 'interrupted'
done
echo "refusing: in QEMU's own words"

# ---- what a power cut leaves: the folder in memory has gone, that on the disk has not ----

rm "$WORK/bin/qemu-system-x86_64"
overlays=$XDG_CACHE_HOME/nxpk/overlays
mkdir -p "$overlays/run-gone00/images"
chmod 700 "$overlays"
touch "$overlays/run-gone00/"{lock,disk0.qcow2,images/disk0}
mkdir "$overlays/run-alive0" && touch "$overlays/run-alive0/"{lock,disk0.qcow2}
exec 9<"$overlays/run-alive0/lock" && flock 9
running tiny
same "overlays beside one that lives" "$(ls "$overlays")" run-alive0
flock -u 9
kill -INT "$FETCH_PID"
fetch_ended 10
running tiny
halt
[ ! -e "$overlays" ] || die "what a power cut left is still there: $(ls "$overlays")"
echo "overlays that a power cut left: removed"
