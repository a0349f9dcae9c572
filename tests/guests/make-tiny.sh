#!/bin/bash
# SPDX-License-Identifier: MIT
# build/guests/tiny: a machine of type pc that boots from a 64 MiB virtio disk (disk.raw) to a prompt on its
# serial port in a few seconds, even where the processor is emulated.  Half of the disk is data that booting
# does not read; the guest's check-data does.
. "$(dirname "$0")/common.sh"
bash $here/make-kernel.sh amd64
make_once tiny $here/tiny.xml "$guests/kernel-amd64/key"
make_data "$new/data" 34 1
make_bios_disk "$guests/kernel-amd64" "$new/data" "$new/disk.raw"
rm -r "$new/data"
sha256sum "$new/disk.raw" | cut -d ' ' -f 1 >"$new/sha256"
write_domain $here/tiny.xml
made
