#!/bin/bash
# SPDX-License-Identifier: MIT
# What nxpack refuses: each with its exit status and one line, and nothing left behind.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/lib/pack.sh
cd "$work" || exit 1

mkdir in out keys
qemu-img create -q -f raw in/disk.raw 4M
printf 'boot' | dd of=in/disk.raw conv=notrunc status=none
qemu-img create -q -f qcow2 in/disk.qcow2 4M
"$NXPACK" keygen -q keys/a.pem >/dev/null
domain raw:disk.raw >in/good.xml
ok "the good one" "$NXPACK" -q -k keys/a.pem in/good.xml good.nxpk

# ---- the command line ----
usage() { refused "usage: $*" 2 "$pattern" "$NXPACK" "$@"; }
pattern='too few arguments: DOMAIN.XML and PACKAGE wanted'; usage
usage in/good.xml
pattern='too many arguments'; usage a b c
pattern="unrecognized option '--foo'"; usage --foo
pattern="invalid option -- 'z'"; usage -z
pattern='--level 20: not a number from 1 to 19'; usage --level 20 in/good.xml out/x
pattern='--level x: not a number'; usage --level x in/good.xml out/x
pattern='--level : not a number'; usage --level '' in/good.xml out/x
pattern='--level -1: not a number'; usage --level=-1 in/good.xml out/x
pattern='--threads 0: not a number from 1 to 64'; usage --threads 0 in/good.xml out/x
pattern='--serial 99999999999999999999999: not a number'; usage --serial 99999999999999999999999 in/good.xml out/x
pattern='--chunk-size 5000: not a power of two'; usage --chunk-size 5000 in/good.xml out/x
pattern='--chunk-size 2K: not a number from 4096 to 4194304'; usage --chunk-size 2K in/good.xml out/x
pattern='--chunk-size 99999999999999999M: not a number'; usage --chunk-size 99999999999999999M in/good.xml out/x
pattern='--progress-fd 77: Bad file descriptor'; usage --progress-fd 77 in/good.xml out/x
pattern='the name is longer than 256 bytes'; usage -n "$(printf %300s x)" in/good.xml out/x
pattern='the description is longer than 4096 bytes'; usage --description "$(printf %5000s x)" in/good.xml out/x
pattern='keygen|KEY.pem wanted'; usage keygen
pattern='sign: either -k KEY.pem or --remove'; usage sign good.nxpk
usage sign -k keys/a.pem --remove good.nxpk
pattern='PACKAGE wanted'; usage verify
pattern='PACKAGE or URL wanted'; usage info
pattern='PACKAGE and DIR wanted'; usage unpack good.nxpk
pattern='--format vdi: neither raw nor qcow2'; usage unpack --format vdi good.nxpk out
pattern='DOMAIN.XML wanted'; usage validate
pattern="SOURCE_DATE_EPOCH is 'yesterday'"
SOURCE_DATE_EPOCH=yesterday usage in/good.xml out/x
only out

ok "help" "$NXPACK" --help
is "help is on stdout" "Usage: nxpack" "$("$NXPACK" --help 2>/dev/null | head -c 13)"
is "a verb's help" "Usage: nxpack" "$("$NXPACK" verify --help 2>/dev/null | head -c 13)"
is "version" nxpack "$("$NXPACK" --version | cut -d' ' -f1)"
refused "help to a full disk" 1 'standard output: No space left' sh -c '"$0" --help >/dev/full' "$NXPACK"
cp good.nxpk info
ok "a file named like a verb" "$NXPACK" verify -q ./info

# ---- domains and their disks: FILE PATTERN, the files made above it ----
case_is() { refused "$1" 1 "$2" "$NXPACK" "in/$1.xml" out/x.nxpk; }
case_is missing 'in/missing.xml: No such file'
echo 'no XML' >in/noxml.xml; case_is noxml 'in/noxml.xml:1: '
: >in/empty.xml; case_is empty 'in/empty.xml'
head -c 2000000 /dev/zero | tr '\0' ' ' >in/large.xml; case_is large 'in/large.xml: larger than'
echo '<network/>' >in/network.xml; case_is network 'in/network.xml'
printf '<!DOCTYPE d [<!ENTITY a "b">]>\n' | cat - in/good.xml >in/doctype.xml; case_is doctype 'in/doctype.xml'
domain raw:nothing.raw >in/nodisk.xml; case_is nodisk 'in/nodisk.xml:7: nothing.raw: No such file'
domain raw:/ >in/dir.xml; case_is dir 'in/dir.xml:7: /: (is neither a file nor|Is a directory)'
mkfifo in/fifo; domain raw:fifo >in/fifo.xml; case_is fifo 'in/fifo.xml:7: .*/fifo: is neither a file nor a block device'
: >in/zero.raw; domain raw:zero.raw >in/zero.xml; case_is zero 'in/zero.xml:7: .*zero.raw: is empty'
domain raw:disk.qcow2 >in/notraw.xml
case_is notraw "in/notraw.xml:7: .*disk.qcow2: is said to be raw, but looks like qcow2: say <driver type='qcow2'/>"
domain -:disk.qcow2 >in/unsaid.xml; case_is unsaid 'disk.qcow2: is said to be raw, but looks like qcow2'
domain qcow2:disk.raw >in/notqcow2.xml; case_is notqcow2 'disk.raw: is said to be qcow2, but is not'
domain vmdk:disk.qcow2 >in/notvmdk.xml; case_is notvmdk 'disk.qcow2: is said to be vmdk, but looks like qcow2'
for format in vmdk vdi vhdx vpc qed qcow; do
    qemu-img create -q -f $format in/x.$format 4M
    domain raw:x.$format >in/raw-$format.xml
    case_is raw-$format "x.$format: is said to be raw, but looks like $format"
done
domain bochs:disk.raw >in/bochs.xml; case_is bochs "images of type 'bochs' cannot be packed: convert it"
domain 'nbd:disk.raw' >in/nbd.xml; case_is nbd "images of type 'nbd' cannot be packed"
head -c 100 in/disk.qcow2 >in/cut.qcow2; domain qcow2:cut.qcow2 >in/cut.xml; case_is cut 'in/cut.xml:7: .*cut.qcow2'
cp in/disk.qcow2 in/hurt.qcow2
printf '\377\377\377\377' | dd of=in/hurt.qcow2 bs=1 seek=40 conv=notrunc status=none
domain qcow2:hurt.qcow2 >in/hurt.xml; case_is hurt 'hurt.qcow2'
(cd in && qemu-img create -q -f qcow2 -b disk.qcow2 -F qcow2 top.qcow2 && qemu-img create -q -f qcow2 -u -b gone.qcow2 -F qcow2 orphan.qcow2 4M &&
    qemu-img create -q -f qcow2 -u -b disk.qcow2 -F raw liar.qcow2 4M && qemu-img create -q -f qcow2 -o compat=1.1 base-unsaid.qcow2 4M &&
    qemu-img rebase -q -u -b disk.qcow2 base-unsaid.qcow2 2>/dev/null
    qemu-img create -q -f qcow2 -u -b loop2.qcow2 -F qcow2 loop.qcow2 4M
    qemu-img create -q -f qcow2 -u -b loop.qcow2 -F qcow2 loop2.qcow2 4M
    qemu-img create -q -f qcow2 -u -b nbd://127.0.0.1:1/x -F raw far.qcow2 4M
    qemu-img create -q -f qcow2 --object secret,id=s,data=pw -o encrypt.format=luks,encrypt.iter-time=100,encrypt.key-secret=s locked.qcow2 1M)
domain qcow2:orphan.qcow2 >in/orphan.xml; case_is orphan 'in/orphan.xml:7: .*orphan.qcow2: its backing file .*gone.qcow2: No such file'
domain qcow2:liar.qcow2 >in/liar.xml; case_is liar 'disk.qcow2: is said to be raw, but looks like qcow2'
domain qcow2:loop.qcow2 >in/loop.xml; case_is loop '/loop.qcow2: is its own backing file'
domain qcow2:far.qcow2 >in/far.xml; case_is far 'far.qcow2: its backing file nbd://127.0.0.1:1/x'
[ ! -s in/locked.qcow2 ] || { domain qcow2:locked.qcow2 >in/locked.xml; case_is locked 'locked.qcow2: is encrypted: decrypt it'; } # making it needs a quiet machine
if [ "$(qemu-img info --output=json in/base-unsaid.qcow2 | jq 'has("full-backing-filename") and (has("backing-filename-format") | not)')" = true ]; then
    domain qcow2:base-unsaid.qcow2 >in/unsaid-base.xml
    case_is unsaid-base 'base-unsaid.qcow2: does not say the format of its backing file: run qemu-img rebase'
fi
sed 's|</devices>|<filesystem type="mount"><source dir="/"/><target dir="x"/></filesystem></devices>|' in/good.xml >in/filesystem.xml
case_is filesystem 'in/filesystem.xml:12: <filesystem'
if [ "$(id -u)" != 0 ]; then
    chmod 0 in/zero.raw && case_is zero 'zero.raw: Permission denied'
fi
only out

# ---- an image in use, as a running machine holds it ----
coproc qemu-io -f qcow2 in/disk.qcow2
holder=$COPROC_PID from=${COPROC[0]} to=${COPROC[1]}
IFS= read -r -d '>' _ <&"$from" # its prompt: it has opened the image
domain qcow2:disk.qcow2 >in/used.xml
case_is used 'disk.qcow2: is in use by a running machine: shut it down first'
domain qcow2:top.qcow2 >in/used-base.xml
case_is used-base 'disk.qcow2: is in use by a running machine: shut it down first'
echo quit >&"$to"
wait "$holder"
ok "not in use any more" "$NXPACK" -q in/used.xml good2.nxpk

# ---- an image that changes meanwhile ----
for i in 1 2 3; do
    openssl enc -aes-128-ctr -K $(printf %032d $i) -iv 0 -nosalt </dev/zero 2>/dev/null | head -c 30000000
done >in/slow.raw
domain raw:slow.raw >in/slow.xml
mkfifo fifo
bash -c 'exec "$0" -q --level 19 --progress-fd 5 in/slow.xml out/x.nxpk 5>fifo' "$NXPACK" 2>err.txt &
{
    read -r _ <&6
    printf x | dd of=in/slow.raw conv=notrunc status=none
    cat <&6 >/dev/null
} 6<fifo
wait $!
is "changed: status" 1 $?
is "changed: said" 1 "$(grep -c 'slow.raw: changed while it was packed' err.txt)"
only out

# ---- keys ----
pack_key() { refused "key: $1" 1 "$2" "$NXPACK" -k "$1" in/good.xml out/x.nxpk; }
pack_key nokey.pem 'nokey.pem: No such file'
pack_key keys/a.pub.pem 'keys/a.pub.pem: is a public key'
echo hello >keys/hello.pem; pack_key keys/hello.pem 'keys/hello.pem'
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out keys/rsa.pem 2>/dev/null; pack_key keys/rsa.pem 'keys/rsa.pem'
openssl genpkey -algorithm ed25519 -aes256 -pass pass:x -out keys/locked.pem
refused "key: a passphrase without a terminal" 1 'keys/locked.pem' setsid "$NXPACK" -k keys/locked.pem in/good.xml out/x.nxpk
only out

# ---- the output ----
refused "into no directory" 1 'nowhere/x.nxpk: .*No such file' "$NXPACK" in/good.xml nowhere/x.nxpk
refused "onto a directory" 1 '^nxpack: out: ' "$NXPACK" in/good.xml out
only out
refused "full disk" 1 'No space left' env -i PATH="$PATH" TMPDIR="$work" sh -c '
    exec unshare -m sh -c "mount -t tmpfs -o size=64k none out && exec \"\$0\" in/slow.xml out/x.nxpk" "$0"' "$NXPACK"

# ---- helpers that are not there ----
mkdir bin
for tool in sh env; do ln -s "$(command -v $tool)" bin/$tool; done
refused "no qemu-img" 1 'qemu-img.*qemu-utils.*not found|qemu-img.*(not found|No such file)' env PATH="$work/bin" "$NXPACK" in/good.xml out/x.nxpk
ln -s "$(command -v qemu-img)" bin/qemu-img
refused "no qemu-nbd" 1 'qemu-nbd: not found: install the package qemu-utils' env PATH="$work/bin" "$NXPACK" in/good.xml out/x.nxpk
only out

# ---- what is no package ----
for verb in verify info "sign -k keys/a.pem"; do
    refused "$verb: missing" 1 'no.nxpk: No such file' "$NXPACK" $verb no.nxpk
    refused "$verb: no ZIP" 1 'in/disk.raw: not an nxpk package: it is no ZIP archive' "$NXPACK" $verb in/disk.raw
done
sed "s/mimetype/mimetypo/g" good.nxpk >other.zip
refused "another ZIP" 1 'other.zip: not an nxpk package: member 1 is "mimetypo"' "$NXPACK" verify other.zip
refused "unpack: missing" 1 'no.nxpk: No such file' "$NXPACK" unpack no.nxpk out
refused "unpack onto a file" 1 'good.nxpk: (Not a directory|File exists)|good.nxpk/disk0.raw' "$NXPACK" unpack good.nxpk good.nxpk
only out

finish
