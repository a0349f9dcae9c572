#!/bin/bash
# SPDX-License-Identifier: MIT
# nxpack's verbs: keys and signatures, info, verify against damage, validate, and what other
# tools make of a package; Ctrl-C.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/lib/pack.sh
cd "$work" || exit 1

content disk.raw $((16 * 1024 * 1024))
domain raw:"$work/disk.raw" >in.xml

# ---- keys ----
mkdir keys
is "keygen prints the fingerprint" "$("$NXPACK" keygen -q keys/a.pem)" \
    "$(openssl pkey -pubin -in keys/a.pub.pem -outform DER | sha256sum | cut -d' ' -f1)"
is "modes" "600 644" "$(stat -c %a keys/a.pem keys/a.pub.pem | xargs)"
is "openssl reads the private key" "$(cat keys/a.pub.pem)" "$(openssl pkey -in keys/a.pem -pubout)"
key=$(hash_of keys/a.pem)
refused "keygen does not overwrite" 1 'keys/a.pem: exists' "$NXPACK" keygen keys/a.pem
rm keys/a.pub.pem.x 2>/dev/null
openssl pkey -in keys/a.pem -pubout -out keys/c.pub.pem
refused "keygen does not overwrite a public key" 1 'keys/c.pub.pem: exists' "$NXPACK" keygen keys/c.pem
is "the key is as it was" "$key" "$(hash_of keys/a.pem)"
refused "keygen into nowhere" 1 'nowhere/k.pem: .*No such file' "$NXPACK" keygen nowhere/k.pem
ok "keygen without .pem" "$NXPACK" keygen -q keys/b
only keys a.pem a.pub.pem b b.pub.pem c.pub.pem
refused "a passphrase needs a terminal" 1 'only be given on a terminal' setsid "$NXPACK" keygen --passphrase keys/d.pem
# on_terminal SECRET COMMAND: run it on a terminal and answer each question that ends in ": "
on_terminal() {
    local answer=$1 question pid in out
    coproc script -qec "$2" /dev/null
    pid=$COPROC_PID in=${COPROC[0]} out=${COPROC[1]} # bash forgets them when it ends
    while IFS= read -r -d : question <&"$in"; do
        echo "$answer" >&"$out"
    done
    wait "$pid"
}
if command -v script >/dev/null; then
    on_terminal secret "'$NXPACK' keygen -q --passphrase keys/p.pem"
    is "an encrypted key" 1 "$(grep -c "BEGIN ENCRYPTED" keys/p.pem)"
    ok "openssl opens it with the passphrase" openssl pkey -in keys/p.pem -passin pass:secret -noout
    on_terminal secret "'$NXPACK' -q -k keys/p.pem in.xml p.nxpk"
    ok "packing with it" "$NXPACK" verify -q -k keys/p.pub.pem p.nxpk
fi

# ---- signing ----
"$NXPACK" -q -k keys/a.pem -n "A name & <more>" --description "Über alles" --serial 7 in.xml a.nxpk
"$NXPACK" -q in.xml unsigned.nxpk
ok "verify -k public" "$NXPACK" verify -q -k keys/a.pub.pem a.nxpk
ok "verify -k private" "$NXPACK" verify -q -k keys/a.pem a.nxpk
is "verify says who" "a.nxpk: whole, signed by $("$NXPACK" info --json a.nxpk | jq -r .signer)" "$("$NXPACK" verify a.nxpk)"
is "verify says nobody" "unsigned.nxpk: whole, not signed" "$("$NXPACK" verify unsigned.nxpk)"
refused "verify with another key" 1 'a.nxpk: is signed by [0-9a-f]{64}, not by the key of keys/b.pub.pem' \
    "$NXPACK" verify -k keys/b.pub.pem a.nxpk
refused "verify -k on an unsigned one" 1 'unsigned.nxpk: is not signed' "$NXPACK" verify -k keys/b.pub.pem unsigned.nxpk
cp a.nxpk b.nxpk
inode=$(stat -c %i b.nxpk)
ok "sign anew" "$NXPACK" sign -q -k keys/b b.nxpk
ok "signed by b" "$NXPACK" verify -q -k keys/b.pub.pem b.nxpk
is "in place" "$inode" "$(stat -c %i b.nxpk)"
is "the same manifest" "$("$NXPACK" info --json a.nxpk | jq -r .manifest)" "$("$NXPACK" info --json b.nxpk | jq -r .manifest)"
ok "unzip agrees after signing" unzip -tq b.nxpk
ok "remove" "$NXPACK" sign -q --remove b.nxpk
is "not signed" null "$("$NXPACK" info --json b.nxpk | jq .signer)"
ok "sign again" "$NXPACK" sign -q -k keys/a.pem b.nxpk
ok "the same bytes as when packed" cmp a.nxpk b.nxpk

# ---- other tools ----
is "members" "mimetype manifest.xml manifest.sig signer.pem domain.xml index chunks" "$(unzip -Z1 a.nxpk | xargs)"
is "nothing is compressed" "" "$(unzip -v a.nxpk | awk '/%/ && $2 != "Stored" && NF > 6')"
ok "unzip -t" unzip -tq a.nxpk
mkdir x && (cd x && unzip -q ../a.nxpk)
ok "openssl verifies" openssl pkeyutl -verify -pubin -inkey x/signer.pem -rawin -in x/manifest.xml -sigfile x/manifest.sig
ok "the signer is a" cmp x/signer.pem keys/a.pub.pem
is "manifest digest" "$(hash_of x/manifest.xml)" "$("$NXPACK" info --json a.nxpk | jq -r .manifest)"
is "mimetype" application/x-vmnetx-package "$(cat x/mimetype)"
is "no host path inside" "" "$(grep -l "$work" x/*.xml)"

# ---- info ----
is "info --json" '{"name":"A name & <more>","description":"Über alles","serial":7,"suspended":false,"arch":"x86_64","memory":67108864,"cpus":1,"image":["disk0","disk",16777216,65536,256]}' \
    "$("$NXPACK" info --json a.nxpk | jq -c '{name,description,serial,suspended,arch:.machine.arch,memory:.machine.memory,cpus:.machine.cpus,image:(.images[0]|[.name,.role,.size,."chunk-size",."all-chunks"])}')"
info=$("$NXPACK" info a.nxpk)
is "info: name" "Name:        A name & <more>" "$(grep ^Name <<<"$info")"
is "info: machine" "Machine:     x86_64, pc, 64.0 MiB memory, 1 CPU, BIOS" "$(grep ^Machine <<<"$info")"
is "info: signer" "Signed by:   $("$NXPACK" info --json a.nxpk | jq -r .signer)" "$(grep ^Signed <<<"$info")"
is "info: image" 1 "$(grep -Ec '^disk0: +disk 16.0 MiB, [0-9]+ of 256 chunks of 64.0 KiB hold data$' <<<"$info")"
is "info moves no cursor" 0 "$("$NXPACK" -q -n "$(printf 'a\033[2Jb')" in.xml esc.nxpk && "$NXPACK" info esc.nxpk | grep -c "$(printf '\033')")"

# ---- damage: one byte at many places; verify says so in one line and never crashes ----
size=$(stat -c %s a.nxpk)
damage() { # OFFSET: the byte there becomes another
    local byte
    cp a.nxpk bad.nxpk
    byte=$(od -An -tu1 -j "$1" -N 1 a.nxpk)
    printf "\\$(printf %o $(((byte + 1) % 256)))" | dd of=bad.nxpk bs=1 seek="$1" conv=notrunc status=none
}
index=$(sed -n 's/.*<index offset="\([0-9]*\)".*/\1/p' x/manifest.xml)
chunks=$(sed -n 's/.*<chunks offset="\([0-9]*\)".*/\1/p' x/manifest.xml)
for at in $index $((index + 45)) $((index + 300)); do
    damage "$at"
    refused "damaged index at $at" 1 'bad.nxpk: image disk0, index page at offset [0-9]+: damaged' "$NXPACK" verify bad.nxpk
done
for at in $chunks $((chunks + 70000)) $((chunks + 500000)); do
    damage "$at"
    refused "damaged chunk at $at" 1 'bad.nxpk: image disk0, chunk [0-9]+, at offset [0-9]+: ' "$NXPACK" verify bad.nxpk
    mkdir bad
    refused "unpack with a damaged chunk at $at" 1 'bad.nxpk: image disk0, chunk [0-9]+' "$NXPACK" unpack bad.nxpk bad
    only bad
    rmdir bad
done
# No digest covers the ZIP archive's own bytes: a time in the first header, a CRC, a name, the directory's last fields.
directory=$(LC_ALL=C grep -abo 'PK' a.nxpk | tail -7 | head -1 | cut -d: -f1)
for at in 10 $((chunks - 30)) $((index + 3)) "$directory" $((directory + 16)) $((size - 10)) $((size - 1)); do
    damage "$at"
    refused "a damaged byte at $at" 1 '^nxpack: bad.nxpk: ' "$NXPACK" verify bad.nxpk
done
for member in manifest.xml manifest.sig signer.pem domain.xml; do
    at=$(LC_ALL=C grep -abo "$member" a.nxpk | head -1 | cut -d: -f1)
    at=$((at + ${#member} + 30))
    damage $at
    refused "damaged $member at $at" 1 '^nxpack: bad.nxpk: ' "$NXPACK" verify bad.nxpk
done
for length in 0 1 40 500 $((index - 1)) $((chunks + 5)) $((size / 2)) $((chunks - 1)); do
    head -c $length a.nxpk >bad.nxpk
    refused "cut to $length" 1 '^nxpack: bad.nxpk: ' "$NXPACK" verify bad.nxpk
    refused "info of one cut to $length" 1 '^nxpack: bad.nxpk: ' "$NXPACK" info bad.nxpk
done
head -c $((size - 1)) a.nxpk >bad.nxpk
refused "cut by one byte" 1 '^nxpack: bad.nxpk: ' "$NXPACK" verify bad.nxpk
cp a.nxpk bad.nxpk && printf 'some trailing bytes' >>bad.nxpk
refused "trailing bytes" 1 'bad.nxpk: at offset '"$size"': the ZIP archive' "$NXPACK" verify bad.nxpk

# ---- unpack ----
mkdir out
ok "unpack" "$NXPACK" unpack -q a.nxpk out
refused "unpack overwrites nothing" 1 'out/disk0.raw: exists' "$NXPACK" unpack a.nxpk out
is "the XML names the file" "$work/out/disk0.raw" "$(sed -n "s/.*source file=.\([^\"']*\).*/\1/p" out/domain.xml)"
ok "the unpacked domain can be packed" "$NXPACK" validate out/domain.xml
if command -v virt-xml-validate >/dev/null; then
    ok "libvirt's schema takes it" virt-xml-validate out/domain.xml domain
fi

# ---- validate ----
is "validate" "in.xml: can be packed, with 1 image" "$("$NXPACK" validate in.xml)"
is "validate --json" '[true,[],"raw",16777216]' "$("$NXPACK" validate --json in.xml | jq -c '[.packageable,.problems,.images[0].format,.images[0].size]')"
sed "s|</devices>|<hostdev mode='subsystem' type='pci'><source><address bus='1'/></source></hostdev>\n<disk type='file' device='disk'><driver type='qcow2'/><source file='/nonexistent'/><target dev='vdb' bus='virtio'/></disk>\n</devices>|" in.xml >bad.xml
"$NXPACK" validate bad.xml >out.txt 2>err.txt
is "validate: status" 1 $?
is "validate: two problems and a verdict" 3 "$(wc -l <out.txt)"
is "validate: hostdev with its line" 1 "$(grep -c '^bad.xml:12: .*hostdev' out.txt)"
is "validate: the missing file with its line" 1 "$(grep -c '^bad.xml:13: .*/nonexistent.*No such file' out.txt)"
is "validate: nothing on stderr" 0 "$(wc -l <err.txt)"
is "validate --json: the same" '[false,[12,13]]' "$("$NXPACK" validate --json bad.xml | jq -c '[.packageable,[.problems[].line]]')"

# ---- progress for programs ----
"$NXPACK" -q --progress-fd 5 in.xml p.nxpk 5>progress
is "progress ends at its total" true "$(jq -s 'map(select(.what == "packing")) | last | .done == .total' progress)"

# ---- replaced whole; Ctrl-C leaves nothing, not even qemu-nbd ----
cp a.nxpk old.nxpk
ok "an existing package is replaced" "$NXPACK" -q in.xml old.nxpk
is "by the new one" null "$("$NXPACK" info --json old.nxpk | jq .signer)"
mkdir ctrl
truncate -s 4G ctrl/slow.raw
for i in 1 2 3 4 5 6 7 8; do
    openssl enc -aes-128-ctr -K $(printf %032d $i) -iv 0 -nosalt </dev/zero 2>/dev/null | head -c 40000000
done >ctrl/slow.raw
domain raw:"$work/ctrl/slow.raw" >ctrl/in.xml
for signal in INT TERM; do
    mkfifo fifo
    bash -c 'exec "$0" -q --level 19 --progress-fd 5 ctrl/in.xml ctrl/out.nxpk 5>fifo' "$NXPACK" 2>err.txt &
    pid=$!
    # The first line of progress: it is at work.
    { read -r line <&6; } 6<fifo
    children=$(pgrep -P $pid)
    kill -$signal $pid
    wait $pid
    is "$signal: status" 1 $?
    is "$signal: said" "nxpack: interrupted" "$(cat err.txt)"
    is "$signal: there was a qemu-nbd" yes "$([ -n "$children" ] && echo yes)"
    for child in $children; do
        is "$signal: child $child is gone" gone "$(kill -0 $child 2>/dev/null || echo gone)"
    done
    only ctrl slow.raw in.xml
    rm fifo
done

finish
