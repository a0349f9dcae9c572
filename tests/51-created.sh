#!/bin/bash
# SPDX-License-Identifier: MIT
# What nxpack create has made, once a system lies on its disk, is packed by its name and boots over HTTP: with UEFI, for an
# i686, and as an older machine.  Each guest says itself what it is.
. tests/lib/libvirt.sh
. tests/lib/http.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
trap 'status=$?; session_stop; (exit $status); end_of_test' EXIT
echo "accelerator: $ACCEL"
for name in tiny i686 uefi; do guest "$name" || exit; done
signing_key
session_start
nxpack() { as_author nxpack "$@"; }
mkdir "$SESSION/out" && cp "$KEY" "$SESSION/key.pem"
[ "$(id -u)" != 0 ] || chown nobody:nogroup "$SESSION"/{out,key.pem}

# created NAME GUEST OPTION...: a machine with the disk of one of ours, packed by its name
created() {
    local name=$1 disk
    disk=$(echo build/guests/"$2"/disk.*)
    shift 2
    nxpack create -q --json "$name" --memory 256M --disk 128M "$@" >"$WORK/told" 2>"$WORK/err" ||
        die "create $name $*: $(cat "$WORK/err" "$WORK/told")"
    qemu-img convert -O qcow2 "$disk" "$WORK/$name.qcow2" || die "qemu-img"
    as_author tee "$(jq -r .disk "$WORK/told")" <"$WORK/$name.qcow2" >/dev/null || die "the disk of $name"
    nxpack -q -c qemu:///session -k key.pem "$name" "out/$name.nxpk" 2>"$WORK/err" || die "packing $name: $(cat "$WORK/err")"
    publish "$SESSION/out/$name.nxpk"
}
created efi uefi --uefi --cpus 1
created narrow i686 --arch i686 --machine pc
created older tiny --machine pc-q35-6.2
start_nxserve "$WORK/www" || die "nxserve"

# boots NAME MACHINE KERNEL FIRMWARE PROCESSORS WIDE: as the guest sees them; WIDE of its processors have 64 bits
boots() {
    new_cache
    boot --trust "$TRUST" "$URL_BASE/$1.nxpk"
    talk 120 'expect:nxpk-guest ready' run:check-data 'run:cat /sys/class/dmi/id/product_version; uname -m' \
        'run:[ -d /sys/firmware/efi ] && echo UEFI || echo BIOS; grep -c ^processor /proc/cpuinfo; grep -cw lm /proc/cpuinfo || :' >"$WORK/said"
    grep -q '^check-data OK' "$WORK/said" || die "$1: check-data: $(cat "$WORK/said")"
    same "$1: machine, kernel, firmware, processors, with 64 bits" "$(tail -n 5 "$WORK/said" | xargs)" "$2 $3 $4 $5 $6"
    echo "$1: checked after $(boot_seconds) s"
    power_off
}
boots efi pc-q35-7.2 x86_64 UEFI 1 1
boots narrow pc-i440fx-7.2 i686 BIOS 2 0
boots older pc-q35-6.2 x86_64 BIOS 2 2
