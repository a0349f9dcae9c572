#!/bin/bash
# SPDX-License-Identifier: MIT
# Packages altered at a place of every kind, through the programs: nxpack verify and info, nxfetch mount from the file, and
# pull from nxserve.  Each refuses in one line or gives the right bytes.  test-altered does the same with far more
# places; this is about the programs, and about a real guest.
. tests/lib/http.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh

head -c 1500000 /dev/urandom >"$WORK/disk.raw"
yes 'a line of text' | head -c 1500000 >>"$WORK/disk.raw"
truncate -s 30M "$WORK/disk.raw"
sed "s|@DIR@|$WORK|" tests/guests/tiny.xml >"$WORK/domain.xml"
package tiny || die "the guest tiny"
"$BUILD/nxpack" -q -k "$KEY" "$WORK/domain.xml" "$WORK/small.nxpk" || die nxpack
bent=$WORK/www/bent.nxpk
start_nxserve "$WORK/www" || die nxserve
refused=0 right=0

# judged STATUS WHAT: a program that ended so has refused in one line on stderr, or done its work; nothing else.
judged() {
    case $1 in
    0) right=$((right + 1)) ;;
    1) refused=$((refused + 1))
       [ "$(grep -c '^nx[a-z]*: .*bent.nxpk' "$WORK/err")" = 1 ] || die "$2: not one line: $(cat "$WORK/err")" ;;
    *) die "$2: status $1: $(cat "$WORK/err")" ;;
    esac
}

# The disk of the package, mounted from the file, as far as it can be read, is DISK.
judge_mount() {
    local pid line status
    mkdir -p "$WORK/mnt"
    mkfifo "$WORK/fifo"
    timeout -k 5 60 "$BUILD/nxfetch" -q mount --trust "$TRUST" "$bent" "$WORK/mnt" >"$WORK/fifo" 2>"$WORK/err" </dev/null &
    pid=$!
    read -r line <"$WORK/fifo"
    if [ "$line" ]; then
        timeout 60 cmp "$WORK/mnt/disk0" "$2" >"$WORK/out" 2>&1
        [ $? != 1 ] || die "$1: a wrong byte: $(cat "$WORK/out")"
        kill -INT $pid
        wait $pid
        right=$((right + 1))
    else
        wait $pid
        status=$?
        [ $status != 0 ] || die "$1: mount ends with status 0"
        judged $status "$1: mount"
    fi
    rm "$WORK/fifo"
}

# all PACKAGE DISK STEP: each STEP-th kind of place
all() {
    local n what
    for ((n = 0; ; n += $3)); do
        what=$("$BUILD/tools/alter" "$1" "$bent" $n) || { [ $? = 3 ] && break; die alter; }
        "$BUILD/nxpack" verify "$bent" >/dev/null 2>"$WORK/err"
        status=$?
        [ $status != 0 ] || die "$what: verify does not notice"
        judged $status "$what: verify"
        timeout 20 "$BUILD/nxpack" info "$bent" >/dev/null 2>"$WORK/err"
        judged $? "$what: info"
        judge_mount "$what" "$2"
        timeout 60 "$BUILD/nxfetch" -q pull --cache-dir "$(mktemp -d "$WORK/cache.XXXX")" "$URL_BASE/bent.nxpk" >/dev/null 2>"$WORK/err"
        judged $? "$what: pull"
    done
    [ $n -gt 50 ] || die "only $n kinds of places"
}
all "$WORK/small.nxpk" "$WORK/disk.raw" 1
all "$PACKAGE" "$GUEST/disk.raw" 7
nothing_left
[ $refused -gt 150 ] && [ $right -gt 50 ] || die "$refused refused, $right right"
echo "$refused refused, $right right"
