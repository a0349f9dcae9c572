# SPDX-License-Identifier: MIT
# For the make-*.sh scripts, which source it: where guests go, how one is made
# only once, and the parts that several of them share.  A guest is a folder
# build/guests/NAME with domain.xml (in the form of `virsh dumpxml`, with host
# paths in it, as people have it), its disks, and `key`, which says from which
# inputs it was made.  Nothing here needs root.
set -euo pipefail
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
here=tests/guests
script=$here/${0##*/}
guests=$PWD/build/guests
mkdir -p "$guests"

# The line that tests wait for: the guest is up.
ready_text='nxpk-guest ready'

fail() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# once_more COMMAND...: what fetches packages: a mirror may be in the middle of its update, and not half a minute later.
once_more() {
    "$@" && return
    sleep 30
    "$@"
}

# make_once NAME INPUT...: go on only if build/guests/NAME was not made from these
# very inputs (this file and the script are always among them); else the script
# ends here, successfully.  Two scripts that make the same thing wait for each
# other.  What follows fills the folder $new, and then calls made.
make_once() {
    name=$1 new=$guests/$1.new
    # flock -o: what we start must not hold the lock when we are gone.
    [ "${NXPK_GUEST_LOCKED:-}" = "$name" ] ||
        NXPK_GUEST_LOCKED=$name exec flock -o "$guests/.$name.lock" bash "$script" ${script_args[@]+"${script_args[@]}"}
    key=$(cat "$script" "$here/common.sh" "${@:2}" | sha256sum | cut -c 1-16)
    [ "$(cat "$guests/$name/key" 2>/dev/null)" != "$key" ] || exit 0
    rm -rf "$new"
    mkdir "$new"
}

# What is in $new is complete: give it its name.
made() {
    echo "$key" >"$new/key"
    rm -rf "${guests:?}/$name"
    mv "$new" "$guests/$name"
}

# incompressible BYTES SEED: the same random-looking bytes every time.
incompressible() {
    head -c "$1" /dev/zero | openssl enc -aes-128-ctr -K "$(printf '%032x' "$2")" -iv "$(printf '%032x' 0)"
}

# A folder of files that neither compress nor repeat, and SHA256SUMS, by which
# the guest's check-data finds out whether it can read its own disk.
make_data() { # DIR MEGABYTES SEED
    local dir=$1 megabytes=$2 seed=$3 i
    mkdir "$dir"
    for ((i = 0; i < 4; i++)); do
        incompressible $((megabytes * 262144)) $((seed * 16 + i)) >"$dir/file-$i"
    done
    (cd "$dir" && sha256sum file-* >SHA256SUMS)
}

# make_filesystem FILE MEBIBYTES LABEL DIR: ext4 with what is in DIR.
make_filesystem() {
    truncate -s "${2}M" "$1"
    mkfs.ext4 -q -F -L "$3" -d "$4" -m 0 -b 4096 -O ^has_journal \
        -U 6e78706b-0000-4000-8000-00000000000a -E hash_seed=6e78706b-0000-4000-8000-00000000000b,root_owner=0:0 "$1"
}

# put FILE DISK MEBIBYTES: write FILE into DISK at this offset, leaving zeros as holes.
put() {
    dd if="$1" of="$2" bs=1M seek="$3" conv=notrunc,sparse status=none
}

# make_bios_disk KERNEL_DIR DATA_DIR DISK.raw [ARGUMENT]: 64 MiB with a DOS label.  Partition
# 1 is FAT with syslinux, kernel and initrd (mtools and syslinux write into the
# file, so that no mount is needed), partition 2 is ext4 with the data.
make_bios_disk() {
    local kernel=$1 data=$2 disk=$3 boot=$new/boot.part part=$new/data.part
    truncate -s 24M "$boot"
    mkfs.vfat -F 16 -n NXPK-BOOT -i 6e78706b -h 2048 --invariant "$boot" >/dev/null
    cat >"$new/syslinux.cfg" <<END
DEFAULT nxpk
PROMPT 0
LABEL nxpk
    KERNEL vmlinuz
    INITRD initrd.img
    APPEND console=ttyS0 quiet ${4:-}
END
    mcopy -i "$boot" "$new/syslinux.cfg" "$kernel/vmlinuz" "$kernel/initrd.img" ::
    syslinux --install "$boot"
    make_filesystem "$part" 38 nxpk-data "$data"

    rm -f "$disk"
    truncate -s 64M "$disk"
    printf 'label: dos\nlabel-id: 0x6e78706b\nstart=1MiB, size=24MiB, type=e, bootable\nstart=25MiB, size=38MiB, type=83\n' |
        sfdisk -q "$disk"
    dd if=/usr/lib/SYSLINUX/mbr.bin of="$disk" conv=notrunc status=none
    put "$boot" "$disk" 1
    put "$part" "$disk" 25
    rm "$boot" "$part" "$new/syslinux.cfg"
}

# write_domain TEMPLATE: $new/domain.xml; @DIR@ is the folder that the guest will be in.
write_domain() {
    sed "s|@DIR@|$guests/$name|g" "$1" >"$new/domain.xml"
}
