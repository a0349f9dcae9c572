#!/bin/bash
# SPDX-License-Identifier: MIT
# build/guests/debian: a real Debian 12 (mmdebstrap; root's password is nxpk; a login prompt on the serial port)
# on a 2 GiB disk with ext4 and extlinux, as disk.qcow2, with the domain XML that libvirt makes of debian.xml.
# Needs root (chroot, loop mount) and about two minutes.
. "$(dirname "$0")/common.sh"
[ "$(id -u)" = 0 ] || fail "needs root: it makes a Debian system with mmdebstrap and mounts it"
make_once debian $here/debian.xml
root=$new/root disk=$new/disk.raw

# The mirror that this machine uses itself.
mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Codename: bookworm' 'Component: main' 2>/dev/null |
    sed -n '/debian\/*$/p' | head -n 1)
[ -n "$mirror" ] || fail "apt knows no mirror of bookworm: is it in its sources?"
# What people have on theirs beyond the minimum.
tools=man-db,less,openssh-client
cat >"$new/customize" <<'END'
#!/bin/sh
set -eu
echo root:nxpk | chroot "$1" chpasswd
echo nxpk-debian >"$1/etc/hostname"
echo '127.0.0.1 localhost nxpk-debian' >"$1/etc/hosts"
echo 'LABEL=nxpk-root / ext4 errors=remount-ro 0 1' >"$1/etc/fstab"
printf 'auto lo\niface lo inet loopback\nallow-hotplug eth0\niface eth0 inet dhcp\n' >"$1/etc/network/interfaces"
# As on a machine that was started before: a new one at each boot would give its journal another folder in another place.
rm -f "$1/var/lib/dbus/machine-id"
echo 6e78706b0000400080000000deb1a012 >"$1/etc/machine-id"
END
chmod 755 "$new/customize"
bootstrap() {
    rm -rf "$root"
    mmdebstrap --quiet --mode=root --variant=important --include="linux-image-cloud-amd64,systemd-sysv,dbus,$tools" \
        --customize-hook="$new/customize" bookworm "$root" "$mirror" >"$new/log" 2>&1 || { tail -n 20 "$new/log" >&2; return 1; }
}
once_more bootstrap || fail "mmdebstrap failed"

# One partition, made from the folder; extlinux wants to see it mounted.
mkdir -p "$root/boot/extlinux"
cat >"$root/boot/extlinux/extlinux.conf" <<END
DEFAULT debian
PROMPT 0
LABEL debian
    LINUX /$(cd "$root" && echo boot/vmlinuz-*)
    INITRD /$(cd "$root" && echo boot/initrd.img-*)
    APPEND root=LABEL=nxpk-root ro net.ifnames=0 console=tty0 console=ttyS0 quiet
END
truncate -s 2047M "$new/part"
# extlinux 6.04 reads ext4 without these.
mkfs.ext4 -q -F -L nxpk-root -O ^64bit,^metadata_csum -d "$root" "$new/part"
truncate -s 2G "$disk"
printf 'label: dos\nstart=1MiB, type=83, bootable\n' | sfdisk -q "$disk"
put "$new/part" "$disk" 1
rm -rf "$root" "$new/part" "$new/customize" "$new/log"
mkdir "$new/mnt"
mount -o loop,offset=1048576 "$disk" "$new/mnt"
trap 'umount "$new/mnt"' EXIT
extlinux --install "$new/mnt/boot/extlinux" 2>/dev/null
umount "$new/mnt"
trap - EXIT
rmdir "$new/mnt"
dd if=/usr/lib/EXTLINUX/mbr.bin of="$disk" conv=notrunc status=none
sha256sum "$disk" | cut -d ' ' -f 1 >"$new/sha256"
qemu-img convert -f raw -O qcow2 "$disk" "$new/disk.qcow2"
rm "$disk"

# The domain XML is libvirt's own: defined in a session of a user without rights, and dumped.
# Not below TMPDIR: a test's is its own, and this user could not enter it.
session=$(mktemp -d /tmp/nxpk-session.XXXXXX)
trap 'rm -rf "$session"' EXIT
sed "s|@DIR@|$guests/$name|g" $here/debian.xml >"$session/hand-written.xml"
chown -R nobody "$session"
in_session() {
    setpriv --reuid=nobody --regid=nogroup --clear-groups env -C "$session" HOME="$session" XDG_RUNTIME_DIR="$session" \
        XDG_CONFIG_HOME="$session" XDG_CACHE_HOME="$session" virsh -q -c qemu:///session "$@"
}
in_session define hand-written.xml
in_session dumpxml nxpk-debian >"$new/domain.xml"
kill "$(cat "$session/libvirt/libvirtd.pid")" || true
made
