#!/bin/bash
# SPDX-License-Identifier: MIT
# Debian to its login prompt (TCG): with nxfetch from nginx on this machine, cold and from a warm cache, against QEMU on
# the local qcow2 with the same hardware.
. tests/lib/http.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
. tests/bench/lib.sh
RUNS=${BOOT_RUNS:-3}
package debian >&2 || exit
publish "$PACKAGE"
start_nginx "$WORK/www" || exit
url=$URL_BASE/debian.nxpk
disk=$(ls "$GUEST"/*.qcow2)

to_login() {
    talk 240 'expect:nxpk-debian login:'
    boot_seconds
}

warm() {
    boot --trust "$TRUST" "$url"
    to_login
    halt
}

cold() {
    new_cache
    warm
}

# The command line that nxfetch would run, with the local qcow2 below the same overlay: what a user who has the image does.
local_qcow2() {
    BOOTS=$((BOOTS + 1))
    SERIAL=$WORK/serial-$BOOTS TRANSCRIPT=$WORK/guest-$BOOTS.log
    qemu-img create -q -f qcow2 -b "$disk" -F qcow2 "$WORK/overlay.qcow2"
    BOOT_START=$EPOCHREALTIME
    qemu-system-x86_64 -M pc-i440fx-7.2,accel=tcg -m "$memory" -smp "$cpus" -nodefaults -no-user-config -display none \
        -drive "if=none,id=d0,format=qcow2,file=$WORK/overlay.qcow2" -device virtio-blk-pci,drive=d0 \
        -netdev user,id=n0 -device virtio-net-pci,netdev=n0 \
        -chardev "socket,id=s0,path=$SERIAL,server=on,wait=off" -serial chardev:s0 >"$WORK/qemu.log" 2>&1 </dev/null &
    FETCH_PID=$!
    to_login
    kill -TERM "$FETCH_PID"
    wait "$FETCH_PID"
    FETCH_PID=
}

info=$("$BUILD/nxpack" info --json "$PACKAGE")
memory=$(jq -r '.machine.memory / 1048576 | floor' <<<"$info")M
cpus=$(jq -r .machine.cpus <<<"$info")

new_cache
pairs cold local_qcow2 || exit
row 'Debian to login, cold cache, nginx: seconds' "$MEDIAN_A" "$MEDIAN_B" "$RATIO"
new_cache
boot --trust "$TRUST" "$url" && to_login >/dev/null
fresh_stats
row '  bytes fetched at the prompt, of the package' "$(stat_of .bytes)" "$(stat -c %s "$PACKAGE")" \
    "$(awk -v a="$(stat_of .bytes)" -v b="$(stat -c %s "$PACKAGE")" 'BEGIN { printf "%.3f", a / b }')"
row '  requests' "$(stat_of .requests)" '' ''
halt
pairs warm local_qcow2 || exit
row 'Debian to login, warm cache: seconds' "$MEDIAN_A" "$MEDIAN_B" "$RATIO"
