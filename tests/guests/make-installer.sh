#!/bin/bash
# SPDX-License-Identifier: MIT
# build/guests/installer/install.iso: a medium that installs the small guest by itself: it boots from the CD-ROM drive of a
# PC, writes the small guest's disk to the first virtio disk, and switches the machine off.
. "$(dirname "$0")/common.sh"
bash $here/make-tiny.sh
make_once installer "$guests/kernel-amd64/key" "$guests/tiny/key"
root=$new/root
mkdir -p "$root/isolinux" "$new/extra"
cat >"$new/extra/install" <<'END'
#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in virtio_pci virtio_blk; do modprobe -q $module; done
until [ -b /dev/vda ]; do usleep 50000; done
zcat /disk.gz >/dev/vda && sync && echo "installed"
poweroff -f
END
chmod 755 "$new/extra/install"
gzip -1 <"$guests/tiny/disk.raw" >"$new/extra/disk.gz" # in the initrd, for this kernel has no driver for the drive
(cd "$new/extra" && printf 'install\ndisk.gz\n' | cpio --quiet -R 0:0 -H newc -o) >"$new/extra.cpio"
cat "$new/extra.cpio" "$guests/kernel-amd64/initrd.img" >"$root/isolinux/initrd.img"
cp "$guests/kernel-amd64/vmlinuz" "$root/isolinux/"
cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$root/isolinux/"
cat >"$root/isolinux/isolinux.cfg" <<'END'
DEFAULT install
PROMPT 0
LABEL install
    KERNEL vmlinuz
    INITRD initrd.img
    APPEND console=ttyS0 quiet rdinit=/install
END
xorriso -as mkisofs -quiet -V NXPK-INSTALL -R -b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot \
    -boot-load-size 4 -boot-info-table -o "$new/install.iso" "$root" 2>/dev/null
rm -r "$root" "$new/extra" "$new/extra.cpio"
made
