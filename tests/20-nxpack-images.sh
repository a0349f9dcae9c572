#!/bin/bash
# SPDX-License-Identifier: MIT
# What goes into a package comes out of it: every image format, backing files, several disks,
# holes, equal content once, 1 TiB of nothing, any chunk size, always the same bytes.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/lib/pack.sh
cd "$work" || exit 1

SIZE=$((16 * 1024 * 1024))
content disk.raw $SIZE
disk_hash=$(hash_of disk.raw)

# round WHAT DISK...: pack these disks, verify, unpack; packages and unpacked files stay
round() {
    local what=$1
    shift
    rm -rf out out.nxpk
    domain "$@" >in.xml
    ok "$what: pack" "$NXPACK" -q in.xml out.nxpk
    ok "$what: verify" "$NXPACK" verify -q out.nxpk
    ok "$what: unpack" "$NXPACK" unpack -q out.nxpk out
}

# ---- every format ----
for format in raw qcow2 qcow vmdk vdi vhdx vpc qed parallels; do
    options=
    [ $format != vpc ] || options="-o force_size=on"
    [ $format = raw ] && cp disk.raw d.raw || qemu-img convert -f raw -O $format $options disk.raw d.$format
    round $format $format:"$work/d.$format"
    is "$format: content" "$disk_hash" "$(hash_of out/disk0.raw)"
done
for options in "vmdk subformat=monolithicFlat" "vmdk subformat=streamOptimized" "vpc subformat=fixed,force_size=on" \
    "vdi static=on" "qcow2 compat=0.10" "qcow2 cluster_size=512" "qcow2 extended_l2=on,cluster_size=128k" \
    "qcow2 preallocation=metadata" "qcow2 compression_type=zstd"; do
    set -- $options
    rm -f d.*
    case $2 in compression*) compress=-c ;; *) compress= ;; esac
    qemu-img convert $compress -f raw -O $1 -o $2 disk.raw d.$1
    round "$options" $1:"$work/d.$1"
    is "$options: content" "$disk_hash" "$(hash_of out/disk0.raw)"
done
# The image's file has not the bytes.  The outer file's holes would be read as zeros.
qemu-img create -q -f qcow2 -o data_file="$work/d.data" d.outer.qcow2 $SIZE
qemu-img convert -n -f raw -O qcow2 disk.raw d.outer.qcow2
round "qcow2 with a data file" qcow2:"$work/d.outer.qcow2"
is "qcow2 with a data file: content" "$disk_hash" "$(hash_of out/disk0.raw)"
rm -f d.*

cp disk.raw d.raw
round "no driver, relative path" -:d.raw
is "no driver, relative path: content" "$disk_hash" "$(hash_of out/disk0.raw)"

# Relative paths count from the XML's directory, not from ours.
mkdir elsewhere
cd elsewhere && ok "from another directory" "$NXPACK" -q ../in.xml ../out.nxpk; cd ..

# ---- a chain of backing files, the middle one by a relative name ----
mkdir -p chain/base
qemu-img convert -f raw -O qcow2 disk.raw chain/base/base.qcow2
(cd chain && qemu-img create -q -f qcow2 -b base/base.qcow2 -F qcow2 middle.qcow2)
qemu-img create -q -f qcow2 -b "$work/chain/middle.qcow2" -F qcow2 chain/top.qcow2
qemu-io -f qcow2 -c 'write -P 7 1M 100k' chain/middle.qcow2 >/dev/null
qemu-io -f qcow2 -c 'write -P 9 2M 5k' -c 'write -z 256k 64k' chain/top.qcow2 >/dev/null
qemu-img convert -f qcow2 -O raw chain/top.qcow2 chain.raw
round "backing chain" qcow2:"$work/chain/top.qcow2"
is "backing chain: content" "$(hash_of chain.raw)" "$(hash_of out/disk0.raw)"

# ---- several disks; equal content once ----
content other.raw $((5 * 1024 * 1024 + 512)) 2
round "one disk" raw:"$work/disk.raw"
one=$(stat -c %s out.nxpk)
qemu-img convert -f raw -O qcow2 disk.raw same.qcow2
round "two equal disks" raw:"$work/disk.raw" qcow2:"$work/same.qcow2"
two=$(stat -c %s out.nxpk)
is "two equal disks: hardly larger than one" yes "$([ $two -lt $((one + 20000)) ] && echo yes || echo "$one $two")"
is "two equal disks: first" "$disk_hash" "$(hash_of out/disk0.raw)"
is "two equal disks: second" "$disk_hash" "$(hash_of out/disk1.raw)"
round "three disks" raw:"$work/disk.raw" raw:"$work/other.raw" qcow2:"$work/chain/top.qcow2"
is "three disks: second, of odd size" "$(hash_of other.raw)" "$(hash_of out/disk1.raw)"
is "three disks: third" "$(hash_of chain.raw)" "$(hash_of out/disk2.raw)"

# ---- unpack as qcow2 ----
rm -rf out
ok "unpack as qcow2" "$NXPACK" unpack -q --format qcow2 out.nxpk out
for i in 0 1 2; do
    qemu-img convert -f qcow2 -O raw out/disk$i.qcow2 back.raw
    case $i in 0) want=$disk_hash ;; 1) want=$(hash_of other.raw) ;; 2) want=$(hash_of chain.raw) ;; esac
    is "qcow2 disk $i" "$want" "$(hash_of back.raw)"
    ok "qcow2 disk $i: check" qemu-img check -q -f qcow2 out/disk$i.qcow2
done
only out disk0.qcow2 disk1.qcow2 disk2.qcow2 domain.xml

# What was unpacked can be packed again, with the same content.
ok "pack what was unpacked" "$NXPACK" -q out/domain.xml again.nxpk
is "the same content again" "$("$NXPACK" info --json out.nxpk | jq -c '[.images[].content]')" \
    "$("$NXPACK" info --json again.nxpk | jq -c '[.images[].content]')"

# ---- UEFI variables and a CD-ROM ----
if [ -s /usr/share/OVMF/OVMF_VARS_4M.fd ]; then
    cp /usr/share/OVMF/OVMF_VARS_4M.fd vars.fd
    content cd.iso 6M 3
    domain raw:"$work/disk.raw" | sed "s|<os>|<os firmware='efi'><nvram>$work/vars.fd</nvram>|
        s|machine='pc'|machine='q35'|
        s|</devices>|<disk type='file' device='cdrom'><driver name='qemu' type='raw'/><source file='cd.iso'/><target dev='sda' bus='sata'/><readonly/></disk><disk type='file' device='cdrom'><target dev='sdb' bus='sata'/><readonly/></disk></devices>|" >uefi.xml
    rm -rf out
    ok "UEFI: pack" "$NXPACK" -q uefi.xml out.nxpk
    ok "UEFI: verify" "$NXPACK" verify -q out.nxpk
    ok "UEFI: unpack" "$NXPACK" unpack -q --format=qcow2 out.nxpk out
    only out disk0.qcow2 disk1.qcow2 domain.xml nvram.fd
    is "UEFI: variables" "$(hash_of vars.fd)" "$(hash_of out/nvram.fd)"
    is "UEFI: roles" '["disk","disk","nvram"]' "$("$NXPACK" info --json out.nxpk | jq -c '[.images[].role]')"
    is "UEFI: the XML names them" 1 "$(grep -c "<nvram>$work/out/nvram.fd</nvram>" out/domain.xml)"
    ok "UEFI: and can be packed again" "$NXPACK" -q out/domain.xml again.nxpk
    is "UEFI: the same again" "$("$NXPACK" info --json out.nxpk | jq -c '[.images[].content]')" \
        "$("$NXPACK" info --json again.nxpk | jq -c '[.images[].content]')"
fi

# ---- unpacked raw images are sparse ----
rm -rf out
domain raw:"$work/disk.raw" >in.xml
ok "pack" "$NXPACK" -q in.xml out.nxpk
ok "unpack raw" "$NXPACK" unpack -q out.nxpk out
is "sparse" yes "$([ "$(stat -c %b out/disk0.raw)" -lt $((SIZE / 512 / 2)) ] && echo yes)"

# ---- zeros that are no holes: their room in the index is left unused, or, where that is much, given up ----
head -c $SIZE /dev/zero >zeros.raw
dd if=disk.raw of=zeros.raw bs=1M count=1 skip=1 seek=3 conv=notrunc status=none
domain raw:"$work/zeros.raw" >in.xml
for chunk in 4K 64K; do
    rm -rf out
    ok "zeros, $chunk: pack" "$NXPACK" -q --chunk-size=$chunk in.xml out.nxpk
    ok "zeros, $chunk: verify" "$NXPACK" verify -q out.nxpk
    ok "zeros, $chunk: unpack" "$NXPACK" unpack -q out.nxpk out
    is "zeros, $chunk: content" "$(hash_of zeros.raw)" "$(hash_of out/disk0.raw)"
    # The pages that 1 MiB or 16 MiB of chunks would need.
    case $chunk in 4K) at_most=13000 ;; 64K) at_most=12000 ;; esac
    index=$("$NXPACK" info --json out.nxpk | jq '."index-size"')
    is "zeros, $chunk: an index of $index bytes" yes "$([ "$index" -le $at_most ] && echo yes)"
done
is "zeros: written once, in place" yes "$([ "$index" -gt 5000 ] && echo yes)"

# ---- nothing at all, and 1 TiB of nearly nothing ----
truncate -s 10M zero.raw
round "all zero" raw:"$work/zero.raw"
is "all zero: content" "$(hash_of zero.raw)" "$(hash_of out/disk0.raw)"
is "all zero: no chunk" 0 "$("$NXPACK" info --json out.nxpk | jq .images[0].chunks)"
truncate -s 1 tiny.raw && printf x >tiny.raw
round "one byte" raw:"$work/tiny.raw"
is "one byte: a sector" 512 "$(stat -c %s out/disk0.raw)"

qemu-img create -q -f qcow2 huge.qcow2 1T
qemu-io -f qcow2 -c 'write -P 1 0 64k' -c 'write -P 2 512G 3M' -c 'write -P 3 1099511562240 64k' huge.qcow2 >/dev/null
domain qcow2:"$work/huge.qcow2" >huge.xml
start=$(date +%s%N)
ok "1 TiB: pack" "$NXPACK" -q huge.xml huge.nxpk
took=$((($(date +%s%N) - start) / 1000000))
is "1 TiB: packed by its data (took $took ms)" yes "$([ $took -lt 30000 ] && echo yes)"
is "1 TiB: size and chunks" '[1099511627776,50]' "$("$NXPACK" info --json huge.nxpk | jq -c '[.images[0].size, .images[0].chunks]')"
is "1 TiB: a small package" yes "$([ "$(stat -c %s huge.nxpk)" -lt 100000 ] && echo yes)"
ok "1 TiB: verify" "$NXPACK" verify -q huge.nxpk
ok "1 TiB: unpack" "$NXPACK" unpack -q --format=qcow2 huge.nxpk huge
ok "1 TiB: the same" qemu-img compare -q -f qcow2 -F qcow2 huge.qcow2 huge/disk0.qcow2

# ---- the same bytes again, with any number of threads ----
domain raw:"$work/disk.raw" raw:"$work/other.raw" >in.xml
export SOURCE_DATE_EPOCH=1700000000
"$NXPACK" keygen -q key.pem >/dev/null
ok "reproducible: first" "$NXPACK" -q -k key.pem --threads 1 in.xml one.nxpk
for threads in 2 3 16; do
    ok "reproducible: $threads threads" "$NXPACK" -q -k key.pem --threads $threads in.xml other.nxpk
    ok "reproducible: same with $threads threads" cmp one.nxpk other.nxpk
done
is "created" '["2023-11-14T22:13:20Z",1700000000]' "$("$NXPACK" info --json one.nxpk | jq -c '[.created,.serial]')"
unset SOURCE_DATE_EPOCH

# ---- chunk sizes and levels ----
for option in --chunk-size=4K --chunk-size=1M --chunk-size=4M --level=1 --level=19; do
    rm -rf out
    ok "$option: pack" "$NXPACK" -q $option in.xml out.nxpk
    ok "$option: verify" "$NXPACK" verify -q out.nxpk
    ok "$option: unpack" "$NXPACK" unpack -q out.nxpk out
    is "$option: content" "$disk_hash" "$(hash_of out/disk0.raw)"
done

# ---- memory stays bounded ----
if [ -x /usr/bin/time ]; then
    truncate -s 2G big.raw
    for i in 1 2 3 4 5 6; do
        openssl enc -aes-128-ctr -K $(printf %032d $i) -iv 0 -nosalt </dev/zero 2>/dev/null | head -c 50000000
    done | dd of=big.raw bs=1M seek=100 conv=notrunc status=none iflag=fullblock
    domain raw:"$work/big.raw" >big.xml
    ok "300 MB of noise" /usr/bin/time -f %M -o rss "$NXPACK" -q big.xml big.nxpk
    is "memory: $(cat rss) KiB" yes "$([ "$(cat rss)" -lt 262144 ] && echo yes)"
fi

finish
