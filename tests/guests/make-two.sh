#!/bin/bash
# SPDX-License-Identifier: MIT
# build/guests/two: as the tiny guest, with a second disk, second.qcow2 on the IDE bus, whose files the guest
# checks before it says that it is ready ("nxpk-second OK").
. "$(dirname "$0")/common.sh"
bash $here/make-kernel.sh amd64
make_once two $here/two.xml "$guests/kernel-amd64/key"
make_data "$new/data" 8 5
make_bios_disk "$guests/kernel-amd64" "$new/data" "$new/disk.raw" nxpk.second
make_data "$new/second" 2 2
make_filesystem "$new/second.raw" 16 nxpk-second "$new/second"
qemu-img convert -f raw -O qcow2 "$new/second.raw" "$new/second.qcow2"
sha256sum "$new/disk.raw" | cut -d ' ' -f 1 >"$new/sha256"
sha256sum "$new/second.raw" | cut -d ' ' -f 1 >"$new/second.sha256"
rm -r "$new/data" "$new/second" "$new/second.raw"
write_domain $here/two.xml
made
