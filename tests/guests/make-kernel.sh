#!/bin/bash
# SPDX-License-Identifier: MIT
# make-kernel.sh amd64|i386: build/guests/kernel-ARCH with Debian's kernel for virtual machines and an
# initramfs of busybox, a few drivers and tests/guests/init.  The packages come through an apt of our own, so
# that the host's architectures, lists and packages stay as they are.
script_args=("$@")
. "$(dirname "$0")/common.sh"
arch=${1:?amd64 or i386}
make_once "kernel-$arch" $here/init $here/guest-commands.sh
case $arch in
amd64) meta=linux-image-cloud-amd64 ;;
i386) meta=linux-image-686 ;;
esac
modules='virtio_pci virtio_blk virtio_scsi virtio_net virtio_console virtio_rng virtio_balloon ata_piix ahci
    sd_mod sr_mod isofs ext4 crc32c_generic button evdev e1000 e1000e'

work=$new/work
mkdir -p "$work"/{lists/partial,archives/partial,root}
: >"$work/status"
apt_ours() {
    "apt-$1" -q -o Dir::State="$work" -o Dir::State::status="$work/status" -o Dir::Cache="$work" \
        -o APT::Architecture="$arch" -o APT::Architectures="$arch" -o APT::Sandbox::User=root "${@:2}"
}
# An update that fails does not matter: what counts is whether the packages can be had.
download() {
    apt_ours get update >"$work/log" 2>&1 || true
    image=$(apt_ours cache depends "$meta" 2>/dev/null | sed -n 's/.*Depends: \(linux-image-.*\)/\1/p' | head -n 1)
    [ -n "$image" ] && (cd "$work" && apt_ours get download "$image" busybox-static) >>"$work/log" 2>&1 || { cat "$work/log" >&2; return 1; }
}
once_more download || fail "cannot download ${image:-$meta} and busybox-static for $arch"
for deb in "$work"/*.deb; do
    dpkg-deb -x "$deb" "$work/root"
done
root=$work/root
version=$(basename "$root"/lib/modules/*)

# The initramfs: the modules named above (those that this kernel has, with what they need) and no others.
initramfs=$work/initramfs bin=$work/initramfs/bin
mkdir -p "$initramfs"/{bin,dev,proc,sys,data,second,etc/acpi/PWRF,tmp,lib/modules}
cp "$root/bin/busybox" "$bin/busybox"
install -m 755 $here/init "$initramfs/init"
. $here/guest-commands.sh
printf '#!/bin/sh\npoweroff -f\n' >"$initramfs/etc/acpi/PWRF/00000080"
chmod 755 "$initramfs/etc/acpi/PWRF/00000080"
depmod -b "$root" "$version"
for module in $modules; do
    modprobe -d "$root" -S "$version" --show-depends "$module" 2>/dev/null || true
done | sed -n "s|^insmod $root/\([^ ]*\).*|\1|p" | sort -u >"$work/modules"
[ -s "$work/modules" ] || fail "$image has none of the modules"
(cd "$root" && cpio --quiet -pdm "$initramfs") <"$work/modules"
cp "$root/lib/modules/$version/"modules.{order,builtin,builtin.modinfo} "$initramfs/lib/modules/$version/"
depmod -b "$initramfs" "$version"
rm -f "$initramfs/lib/modules/$version/"*.bin
(cd "$initramfs" && find . | sort | cpio --quiet --reproducible -R 0:0 -H newc -o) | zstd -q -19 >"$new/initrd.img"
cp "$root/boot/vmlinuz-$version" "$new/vmlinuz"
echo "$version" >"$new/version"
rm -rf "$work"
made
