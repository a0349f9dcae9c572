#!/bin/bash
# SPDX-License-Identifier: MIT
# Where there is no room: the disk that takes the guest's writes is full (the guest is paused, its user told once, and it goes on when
# there is room); too few descriptors; standard output that is full, broken or closed.
. tests/lib/http.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
echo "accelerator: $ACCEL"
package tiny || die "packing"
publish "$PACKAGE"
start_nxserve "$WORK/www" || die "nxserve"
url=$URL_BASE/tiny.nxpk
new_cache

# ---- standard output ----

# output_fails COMMAND...: with a stdout that takes nothing it ends with status 1 and a line that says so
output_fails() {
    local status=0
    "$@" 2>"$WORK/said" || status=$?
    [ $status != 141 ] || return 0 # SIGPIPE
    same "status of $*" $status 1
    grep -qE '^nx[a-z]+: standard output: (No space left on device|Broken pipe|Bad file descriptor)$' "$WORK/said" || die "$*: $(cat "$WORK/said")"
}
mkfifo "$WORK/pipe"
for verb in "nxfetch info $url" "nxfetch info --json $url" 'nxfetch cache show' 'nxfetch cache show --json' 'nxfetch cache verify' \
    'nxfetch --help' 'nxfetch --version' "nxpack info $PACKAGE" "nxpack info --json $PACKAGE" "nxpack verify $PACKAGE" 'nxpack --help' \
    'nxserve config nginx' 'nxref --help'; do
    command=("$BUILD"/$verb)
    output_fails "${command[@]}" >/dev/full
    output_fails "${command[@]}" >&-
    exec 8<>"$WORK/pipe" 9>"$WORK/pipe" 8>&- # nobody reads any more
    output_fails "${command[@]}" >&9
    exec 9>&-
done
# Nothing that is opened may come to stand where messages are written to.
"$BUILD/nxfetch" --quiet mount --trust "$TRUST" "$url" /nonexistent <&- >&- 2>&- && die "mounted nowhere"
"$BUILD/nxfetch" pull "$url" <&- >&- 2>&- || die "pull without stdin, stdout and stderr: $?"
"$BUILD/nxfetch" cache verify >"$WORK/said" || die "the cache: $(cat "$WORK/said")"
! grep -q 'were not' "$WORK/said" || die "messages got into the cache: $(cat "$WORK/said")"
echo "output that fails: told"

# ---- descriptors ----

# With ever more of them: a clear end, until it runs.
for n in 4 6 7 8 9 10 11 13 14 20; do
    status=0
    (ulimit -n $n && exec timeout -k 5 60 "$BUILD/nxfetch" --accel "$ACCEL" --display none --no-complete --until 1 --trust "$TRUST" "$url") \
        >"$WORK/said" 2>&1 </dev/null || status=$?
    nothing_left
    [ $status != 1 ] || grep -qE '^nxfetch: .*(Too many open files|cannot start|connect)' "$WORK/said" || die "$n descriptors: $(cat "$WORK/said")"
    [ $status -le 1 ] || die "with $n descriptors: status $status: $(cat "$WORK/said")"
done
same "status with $n descriptors" $status 0
echo "too few descriptors: told"

# ---- a full disk for the overlay ----

[ "$(id -u)" = 0 ] || { echo "only root can make a small disk: the rest is left out"; exit 0; }
full_for() { # the times that its user was told
    grep -c 'disk that takes the machine.s writes is full' "$FETCH_LOG"
}
mkdir "$WORK/small"
mount -t tmpfs -o size=12M none "$WORK/small" || die "tmpfs"
trap 'umount -l "$WORK/small"; end_of_test' EXIT
XDG_CACHE_HOME=$WORK/small boot --no-cache --trust "$TRUST" "$url"
talk 60 'expect:nxpk-guest ready' run:'umount /data; mount -t ext4 -o rw /dev/vda2 /data && df -k /data | tail -n 1' >"$WORK/said"
"$BUILD/tools/guest-talk" -p "$FETCH_PID" "$SERIAL" 120 \
    run:'rm -f /data/file-*; dd if=/dev/urandom of=/data/new bs=1M count=16 2>/dev/null; sync; echo 3 >/proc/sys/vm/drop_caches; sha256sum </data/new; dd if=/dev/zero of=/data/new2 bs=1M count=1 2>/dev/null; sync && echo written' \
    >"$WORK/said" 2>&1 &
talking=$!
told 60 'is full: the machine is paused'
sleep 12 # two retries, and more of the engine's statistics than that
same "times that the user was told" "$(full_for)" 1
kill -0 $talking || die "the guest went on: $(cat "$WORK/said")"
mount -o remount,size=200M "$WORK/small"
wait $talking || die "the guest did not go on: $(cat "$WORK/said")"
grep -q '^written$' "$WORK/said" || die "the guest's writes failed: $(cat "$WORK/said")"
same "times that the user was told in the end" "$(full_for)" 1
kill -INT "$FETCH_PID"
fetch_ended 10
same "files on the small disk" "$(find "$WORK/small" -type f)" ''
umount "$WORK/small"
trap end_of_test EXIT
nothing_left
echo "a full disk: paused, told once, and went on"
