#!/bin/bash
# SPDX-License-Identifier: MIT
# Does a real QEMU take our command line?  Every machine in tests/data/domains is reduced and started
# (paused), asked over QMP what it is, and ended.
set -u
cd "$(dirname "$0")/.." || exit 1
ARGV=$BUILD/tools/machine-argv
command -v qemu-system-x86_64 >/dev/null || { echo 'no qemu-system-x86_64'; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/nxpk-cmdline.XXXXXX") || exit 1
pid=
stop() {
    [ -z "$pid" ] || kill "$pid" 2>/dev/null
    rm -rf "$work"
}
trap stop EXIT
failed=0 started=0

fail() {
    failed=$((failed + 1))
    echo "FAILED: $1"
}

# The images that the machine asks for, small and empty, with their overlays.
make_images() {
    local name kind mode size
    rm -f "$work"/*.img "$work"/*.qcow2 "$work/vars.fd"
    while read -r name kind mode; do
        case $kind in
        uefi) cp /usr/share/OVMF/OVMF_VARS_4M.fd "$work/vars.fd"; continue ;;
        floppy) size=1474560 ;;
        *) size=1M ;;
        esac
        truncate -s $size "$work/$name.img"
        [ "$mode" = ro ] ||
            qemu-img create -q -f qcow2 -F raw -b "$work/$name.img" "$work/$name.qcow2" || return 1
    done < <("$ARGV" -l "$1")
}

ask() {
    printf '{"execute":"qmp_capabilities"}\n{"execute":"%s"}\n' "$1" |
        socat -t 60 - "UNIX-CONNECT:$work/qmp,retry=100,interval=0.1"
}

for domain in tests/data/domains/*.xml; do
    name=$(basename "$domain" .xml)
    make_images "$domain" || { fail "$name: its images"; continue; }
    serial=()
    ! grep -q '<serial\|<console' "$domain" || serial=(-s "$work/serial")
    "$ARGV" "${serial[@]}" "$domain" "$work" "$work/qmp" >"$work/argv" 2>"$work/err" ||
        { fail "$name: $(cat "$work/err")"; continue; }
    mapfile -t argv <"$work/argv"
    "${argv[@]}" </dev/null >"$work/out" 2>"$work/err" &
    pid=$!
    # Its monitor listens early and answers when the machine is complete.
    until [ -S "$work/qmp" ] || ! kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
    ask query-status | grep -q '"status": "prelaunch"' || fail "$name: it is not waiting: $(cat "$work/err")"
    ask quit >/dev/null 2>&1
    wait "$pid" || fail "$name: QEMU ended with status $?: $(cat "$work/err")"
    pid=
    rm -f "$work/qmp"
    started=$((started + 1))
done
echo "$started machines started, $failed failed"
[ $failed = 0 ] && [ $started -gt 0 ]
