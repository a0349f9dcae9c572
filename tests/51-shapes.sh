#!/bin/bash
# SPDX-License-Identifier: MIT
# Other shapes of machine boot over HTTP: UEFI on q35 with a virtio-scsi disk, and an i686 on pc with an IDE disk.
. tests/lib/http.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
echo "accelerator: $ACCEL"

for shape in uefi:x86_64 i686:i686; do
    name=${shape%:*}
    package "$name" || die "packing $name"
    publish "$PACKAGE"
done
start_nxserve "$WORK/www" || die "nxserve"
for shape in uefi:x86_64 i686:i686; do
    name=${shape%:*}
    new_cache
    boot --trust "$TRUST" "$URL_BASE/$name.nxpk"
    talk 120 'expect:nxpk-guest ready' run:'uname -m' run:check-data >"$WORK/said"
    grep -qx "${shape#*:}" "$WORK/said" || die "$name: the kernel is not for ${shape#*:}: $(cat "$WORK/said")"
    grep -q '^check-data OK' "$WORK/said" || die "$name: check-data: $(cat "$WORK/said")"
    echo "$name: checked after $(boot_seconds) s"
    power_off
done

# A guest knows how it was started.
boot --trust "$TRUST" "$URL_BASE/uefi.nxpk"
talk 120 'expect:nxpk-guest ready' run:'test -d /sys/firmware/efi'
halt

# The variables of the firmware were a copy for that run: Debian's own are as they were.
if dpkg-query -W ovmf >/dev/null 2>&1; then
    [ -z "$(dpkg --verify ovmf)" ] || die "OVMF's files were changed: $(dpkg --verify ovmf)"
fi

# Left to choose, nxfetch chooses what works here, and says so.
boot --accel auto --trust "$TRUST" "$URL_BASE/i686.nxpk"
talk 120 'expect:nxpk-guest ready'
halt
grep -qiE 'kvm|tcg' "$FETCH_LOG" || die "--accel auto does not say what it chose: $(cat "$FETCH_LOG")"
echo "--accel auto: $(grep -iE -m1 'kvm|tcg' "$FETCH_LOG")"
