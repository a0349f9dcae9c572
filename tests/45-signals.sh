#!/bin/bash
# SPDX-License-Identifier: MIT
# Ctrl-C, SIGTERM, the terminal's end, and Ctrl-C twice, wherever nxfetch may stand: it ends within 5 s (15 on a busy machine), with status 1 if the
# machine did not run yet, and leaves nothing: no process, mount, folder or file.
. tests/lib/http.sh
. tests/lib/relay.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
echo "accelerator: $ACCEL"
package tiny-saved || die "packing"
publish "$PACKAGE"
start_nxserve "$WORK/www" || die "nxserve"
direct=$URL_BASE/tiny-saved.nxpk
start_relay -r 40000 || die "the relay does not start"
crawling=$URL_BASE/uefi.nxpk
start_relay -r 2000000 -d 5 || die "the second relay does not start"
slow=$URL_BASE/tiny-saved.nxpk
start_relay -r 300000 -d 5 || die "the third relay does not start"
slower=$URL_BASE/tiny-saved.nxpk
count=0

# A machine whose UEFI variables do not compress.
{ head -c 100000 /usr/share/OVMF/OVMF_VARS_4M.fd && head -c 440672 /dev/urandom; } >"$WORK/vars.fd"
truncate -s 1M "$WORK/disk.raw"
sed -e "s|@DIR@|$WORK|" -e "s|</os>|<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader><nvram>$WORK/vars.fd</nvram></os>|" \
    tests/guests/tiny.xml >"$WORK/uefi.xml"
"$BUILD/nxpack" -q -k "$KEY" "$WORK/uefi.xml" "$WORK/www/uefi.nxpk" || die "packing the UEFI machine"

# until_said SECONDS FILE TEXT
until_said() {
    local deadline=$((SECONDS + $1))
    until grep -qa -- "$3" "$2" 2>/dev/null; do
        kill -0 "$FETCH_PID" 2>/dev/null && [ $SECONDS -lt $deadline ] || die "no \"$3\" in: $(cat "$2")"
        sleep 0.05
    done
}

# ---- the stages: each starts nxfetch, as FETCH_PID, and returns when it stands there ----

# start OPTION...: with its progress, to know how far it is
start() {
    rm -f "$WORK/progress" "$WORK/said.log"
    "$BUILD/nxfetch" --progress-fd 3 "$@" 3>"$WORK/progress" >"$WORK/said.log" 2>&1 </dev/null &
    FETCH_PID=$!
}

machine=(--accel "$ACCEL" --display none --no-complete --trust "$TRUST")

connecting() {
    relay_stop
    start "${machine[@]}" "$slow"
    until [ "$(part nxfetch)" ]; do sleep 0.05; done
}

pulling() {
    start pull "$slow"
    until_said 20 "$WORK/progress" '"done": *[1-9]'
}

resuming() {
    start "${machine[@]}" "$slower"
    until_said 60 "$WORK/progress" memory
}

exporting() {
    [ "$(id -u)" = 0 ] || return 1
    rm -f "$WORK/progress" "$WORK/said.log"
    unshare -m sh -c 'mount --bind /dev/null /dev/fuse && exec "$0" "$@"' "$BUILD/nxfetch" --progress-fd 3 "${machine[@]}" "$slow" \
        3>"$WORK/progress" >"$WORK/said.log" 2>&1 </dev/null &
    FETCH_PID=$!
    until_said 20 "$WORK/progress" fetching
    until [ "$(find "$XDG_CACHE_HOME/nxpk/overlays" -name 'disk*' -size +0 2>/dev/null)" ]; do sleep 0.05; done
}

# Its UEFI variables come through FUSE, slowly: the launcher itself reads them.
firmware() {
    start "${machine[@]}" "$crawling"
    until cat /proc/"$FETCH_PID"/task/*/wchan 2>/dev/null | grep -q request_wait_answer; do
        kill -0 "$FETCH_PID" || die "it does not read its variables: $(cat "$WORK/said.log")"
        sleep 0.05
    done
}

# asking: on a terminal of its own, with what is typed there from fd 8.
asking() {
    rm -f "$WORK/keys" "$WORK/said.log"
    mkfifo "$WORK/keys"
    exec 8<>"$WORK/keys"
    script -qefc "exec '$BUILD/nxfetch' --accel $ACCEL --display none --no-complete $direct" /dev/null \
        <"$WORK/keys" >"$WORK/said.log" 2>&1 &
    SCRIPT_PID=$!
    FETCH_PID=$SCRIPT_PID
    until_said 20 "$WORK/said.log" 'Run it?'
    FETCH_PID=$(cat "/proc/$SCRIPT_PID/task/$SCRIPT_PID/children")
    FETCH_PID=${FETCH_PID%% *}
}

running() {
    start "${machine[@]}" "$direct"
    until_said 60 "$WORK/said.log" ' runs, '
}

mounted() {
    [ -e "$WORK/mount" ] || mkdir "$WORK/mount" 2>/dev/null # a dead mount does not look as if it existed
    start mount --trust "$TRUST" "$slow" "$WORK/mount"
    until_said 60 "$WORK/said.log" '^mounted'
}

# ---- the ways to end it ----

# stopped STAGE STATUS SIGNAL...
stopped() {
    local stage=$1 status=$2 signal start took
    shift 2
    new_cache
    $stage
    start=$EPOCHREALTIME
    for signal; do
        kill -"$signal" "$FETCH_PID" 2>/dev/null
        [ $# = 1 ] || sleep 0.05
    done
    [ "$stage" != asking ] || FETCH_PID=$SCRIPT_PID # it ends with nxfetch, and with its status
    fetch_ended 5
    took=$(((${EPOCHREALTIME/./} - ${start/./}) / 1000))
    same "status of $stage after $*" "$FETCH_STATUS" "$status"
    [ "$status" = 0 ] || grep -qa 'nxfetch: .*interrupted' "$WORK/said.log" || die "$stage, $*: $(cat "$WORK/said.log")"
    nothing_left
    count=$((count + 1))
    [ $took -lt 1000 ] || echo "$stage, $*: $took ms"
    relay_go
}

for stage in connecting pulling resuming exporting firmware asking; do
    for signals in INT TERM HUP 'INT INT'; do
        stopped $stage 1 $signals
    done
done
for stage in running mounted; do
    for signals in INT TERM HUP 'INT INT'; do
        stopped $stage 0 $signals
    done
done
echo "$count times: all ended in order"

# The terminal itself: Ctrl-C typed there, and its window closed.
new_cache
asking
printf '\003' >&8
FETCH_PID=$SCRIPT_PID
fetch_ended 5
same "status after Ctrl-C at the question" "$FETCH_STATUS" 1
nothing_left
asking
kill -KILL "$SCRIPT_PID"
tail --pid="$FETCH_PID" -f /dev/null
FETCH_PID=
{ wait "$SCRIPT_PID"; } 2>/dev/null
nothing_left
echo "a terminal closed: ended in order"

# A mount that a killed nxfetch has left in a folder of the user's: the next one there takes its place.
new_cache
mounted
kill -KILL "$FETCH_PID"
{ wait "$FETCH_PID"; } 2>/dev/null
FETCH_PID=
grep -qF " $WORK/mount " /proc/self/mounts || die "this test should find a mount that was left"
mounted
head -c 1M "$WORK/mount/disk0" | cmp -n 1048576 - "$GUEST/disk.raw" || die "it shows another disk"
kill -INT "$FETCH_PID"
fetch_ended 5
nothing_left
echo "a mount that was left: replaced"
