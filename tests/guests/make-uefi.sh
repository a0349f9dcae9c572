#!/bin/bash
# SPDX-License-Identifier: MIT
# build/guests/uefi: a q35 machine whose firmware (OVMF) starts systemd-boot from the EFI partition of a GPT
# disk (disk.qcow2, on virtio-scsi), and that the same kernel as the tiny guest's.
. "$(dirname "$0")/common.sh"
bash $here/make-kernel.sh amd64
make_once uefi $here/uefi.xml "$guests/kernel-amd64/key"
kernel=$guests/kernel-amd64
disk=$new/disk.raw

truncate -s 40M "$new/esp"
mkfs.vfat -F 32 -s 1 -n NXPK-ESP -i 6e78706b -h 2048 --invariant "$new/esp" >/dev/null
printf 'timeout 0\ndefault nxpk.conf\n' >"$new/loader.conf"
printf 'title nxpk\nlinux /vmlinuz\ninitrd /initrd.img\noptions console=ttyS0 quiet\n' >"$new/nxpk.conf"
mmd -i "$new/esp" ::/EFI ::/EFI/BOOT ::/loader ::/loader/entries
mcopy -i "$new/esp" /usr/lib/systemd/boot/efi/systemd-bootx64.efi ::/EFI/BOOT/BOOTX64.EFI
mcopy -i "$new/esp" "$new/loader.conf" ::/loader/
mcopy -i "$new/esp" "$new/nxpk.conf" ::/loader/entries/
mcopy -i "$new/esp" "$kernel/vmlinuz" "$kernel/initrd.img" ::/

make_data "$new/data" 8 4
make_filesystem "$new/data.part" 12 nxpk-data "$new/data"
truncate -s 64M "$disk"
printf 'label: gpt\nlabel-id: 6E78706B-0000-4000-8000-000000000001\nstart=1MiB, size=40MiB, type=U, name=esp\nstart=41MiB, size=12MiB, type=L, name=data\n' |
    sfdisk -q "$disk"
put "$new/esp" "$disk" 1
put "$new/data.part" "$disk" 41
sha256sum "$disk" | cut -d ' ' -f 1 >"$new/sha256"
qemu-img convert -f raw -O qcow2 "$disk" "$new/disk.qcow2"
rm -r "$new/data" "$new/esp" "$new/data.part" "$new/loader.conf" "$new/nxpk.conf" "$disk"
write_domain $here/uefi.xml
made
