#!/bin/bash
# SPDX-License-Identifier: MIT
# try.sh GUEST [SECONDS]: boot build/guests/GUEST directly under QEMU (no nxpk in the way; the disks are only
# read), show what it says on its serial port, and say how long it took.  This is how to tell whether a guest or
# nxfetch is to blame.  WAIT_FOR=TEXT to wait for another line.
. "$(dirname "$0")/common.sh"
guest=${1:?which guest} limit=${2:-180}
dir=$guests/$guest
[ -e "$dir/domain.xml" ] || fail "$dir is not there: make it with $here/make-$guest.sh"
text=$ready_text
machine='pc,accel=tcg' memory=128 qemu=qemu-system-x86_64 disks=()
drive="if=none,snapshot=on,format"
case $guest in
tiny) disks=(-drive "$drive=raw,id=d0,file=$dir/disk.raw" -device virtio-blk-pci,drive=d0) ;;
two) disks=(-drive "$drive=raw,id=d0,file=$dir/disk.raw" -device virtio-blk-pci,drive=d0,bootindex=1
            -drive "$drive=qcow2,id=d1,file=$dir/second.qcow2" -device ide-hd,drive=d1) ;;
i686) qemu=qemu-system-i386 disks=(-drive "$drive=raw,id=d0,file=$dir/disk.raw" -device ide-hd,drive=d0) ;;
uefi) machine='q35,accel=tcg' memory=256 disks=(
    -drive if=pflash,readonly=on,format=raw,file=/usr/share/OVMF/OVMF_CODE_4M.fd
    -drive if=pflash,snapshot=on,format=raw,file=/usr/share/OVMF/OVMF_VARS_4M.fd
    -drive "$drive=qcow2,id=d0,file=$dir/disk.qcow2" -device virtio-scsi-pci -device scsi-hd,drive=d0) ;;
debian) memory=512 text='login:' disks=(-drive "$drive=qcow2,id=d0,file=$dir/disk.qcow2" -device virtio-blk-pci,drive=d0) ;;
*) fail "what is $guest?" ;;
esac
text=${WAIT_FOR:-$text}

work=$(mktemp -d)
qemu_pid=
trap '[ -z "$qemu_pid" ] || kill "$qemu_pid" 2>/dev/null; rm -rf "$work"' EXIT
log=$work/serial.log
: >"$log"
start=$EPOCHREALTIME
"$qemu" -machine "$machine" -m "$memory" -nodefaults -display none -serial "file:$log" \
    -netdev user,id=n -device virtio-net-pci,netdev=n "${disks[@]}" 2>"$work/qemu.log" &
qemu_pid=$!
until grep -qaF "$text" "$log"; do
    kill -0 "$qemu_pid" 2>/dev/null || fail "QEMU ended: $(cat "$work/qemu.log"); the guest said: $(tail -c 2000 "$log")"
    ((${EPOCHREALTIME%.*} - ${start%.*} < limit)) || fail "no '$text' within $limit s; the guest said: $(tail -c 2000 "$log")"
    sleep 0.1
done
tr -d '\r' <"$log" | tail -n 5
awk -v a="$start" -v b="$EPOCHREALTIME" -v g="$guest" -v t="$text" 'BEGIN { printf "%s: \"%s\" after %.1f s\n", g, t, b - a }'
