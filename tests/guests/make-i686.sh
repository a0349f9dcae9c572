#!/bin/bash
# SPDX-License-Identifier: MIT
# build/guests/i686: as the tiny guest, but with Debian's 32-bit kernel and busybox, on an i686 processor and an IDE disk.
. "$(dirname "$0")/common.sh"
bash $here/make-kernel.sh i386
make_once i686 $here/i686.xml "$guests/kernel-i386/key"
make_data "$new/data" 8 3
make_bios_disk "$guests/kernel-i386" "$new/data" "$new/disk.raw"
rm -r "$new/data"
sha256sum "$new/disk.raw" | cut -d ' ' -f 1 >"$new/sha256"
write_domain $here/i686.xml
made
