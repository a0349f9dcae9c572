#!/bin/bash
# SPDX-License-Identifier: MIT
# nxpack with a suspended machine: its save file in all compressions, found where libvirt keeps it, and what is wrong with
# it; then training: what it changes, and what it must not.
. tests/lib/guests.sh
. tests/lib/pack.sh
guest tiny-saved || exit
save=$GUEST/tiny-saved.save
export XDG_RUNTIME_DIR=$work/run HOME=$work XDG_CACHE_HOME=$work/cache
mkdir -m 700 "$XDG_RUNTIME_DIR"
signing_key
key=$KEY

info() { "$NXPACK" info --json "$1" | jq -r "$2"; }
content() { info "$1" '[.images[] | .name + " " + .content] | join(", ")'; }
member() { unzip -p "$1" "$2" | sha256sum; }

# ---- packing ----

ok "packing a save" "$NXPACK" -q --no-train "$save" "$work/a.nxpk"
is "it is suspended" true "$(info "$work/a.nxpk" .suspended)"
is "its images" 'disk0 disk, memory memory' "$(info "$work/a.nxpk" '[.images[] | .name + " " + .role] | join(", ")')"
is "its memory" 134217728 "$(info "$work/a.nxpk" '.images[1].size')"
is "no boot set" 0 "$(info "$work/a.nxpk" '."boot-chunks-size"')"
ok "verify" "$NXPACK" verify "$work/a.nxpk"
ok "unzip" unzip -tq "$work/a.nxpk"
ok "unpack" "$NXPACK" unpack -q "$work/a.nxpk" "$work/a"
only "$work/a" device-state disk0.raw domain.xml memory.raw
mkdir "$work/mine" && echo mine >"$work/mine/device-state"
refused "unpacking over a file" 1 'mine/device-state: exists: choose another directory' "$NXPACK" unpack -q "$work/a.nxpk" "$work/mine"
is "the file that was there" mine "$(cat "$work/mine/device-state")"
rm -rf "$work/mine"
# Another memory size than the machine's, in a package that is whole otherwise.
exchange() { perl -0777 -pi -e 'BEGIN { $old = pack "H*", shift; $new = pack "H*", shift } s/\Q$old/$new/g' "$1" "$2" "$work/larger.nxpk"; }
hex() { od -An -v -tx1 | tr -d ' \n'; }
crc() { gzip -1 | tail -c 8 | head -c 4 | hex; } # as a ZIP has it: little endian
cp "$work/a.nxpk" "$work/larger.nxpk"
for member in domain.xml manifest.xml; do
    unzip -p "$work/a.nxpk" $member >"$work/old.xml"
    unzip -p "$work/larger.nxpk" $member 2>/dev/null | sed 's/>131072</>131076</' >"$work/new.xml"
    exchange "$(hex <"$work/old.xml")" "$(hex <"$work/new.xml")"
    exchange "$(crc <"$work/old.xml")" "$(crc <"$work/new.xml")"
    exchange "$(sha256sum "$work/old.xml" | cut -c 1-64 | tr -d '\n' | hex)" "$(sha256sum "$work/new.xml" | cut -c 1-64 | tr -d '\n' | hex)"
done
refused "another memory size" 1 'domain.xml says 135266304 bytes of memory, but 134217728 were saved' "$NXPACK" verify "$work/larger.nxpk"
rm "$work/larger.nxpk"
is "the disk" "$(hash_of "$GUEST/disk.raw")" "$(hash_of "$work/a/disk0.raw")"
is "the state opens as QEMU's streams do" QEVM "$(head -c 4 "$work/a/device-state")"
# The state and the memory's pages are all that was in the stream.
stream=$(LC_ALL=C grep -obaF QEVM "$save" | tail -n 1 | cut -d : -f 1)
[ "$(stat -c %s "$work/a/device-state")" -lt $(($(stat -c %s "$save") - stream)) ] || fail "the state is as large as the save"

ok "validate a save" "$NXPACK" validate "$save"
ok "the disks only" "$NXPACK" -q --no-memory "$GUEST/domain.xml" "$work/disks.nxpk"
is "the disks only" false "$(info "$work/disks.nxpk" .suspended)"
"$NXPACK" --no-train --memory "$save" "$GUEST/domain.xml" "$work/b.nxpk" 2>"$work/said" || fail "with the domain" "$(cat "$work/said")"
grep -q 'with 128.0 MiB of memory; the domain is the one in it, not that of .*/domain.xml$' "$work/said" ||
    fail "it does not say whose domain it takes" "$(cat "$work/said")"
is "content with the domain" "$(content "$work/a.nxpk")" "$(content "$work/b.nxpk")"
ok "other chunks" "$NXPACK" -q --no-train --memory-chunk-size 64K "$save" "$work/c.nxpk"
is "chunk size" 65536 "$(info "$work/c.nxpk" '.images[1]."chunk-size"')"
ok "verify other chunks" "$NXPACK" verify "$work/c.nxpk"

# ---- compressed as libvirt does: by these programs, with their number in the header ----

number=0
for program in gzip bzip2 xz lzop zstd; do
    number=$((number + 1))
    command -v $program >/dev/null || { echo "no $program"; continue; }
    {
        head -c "$stream" "$save"
        tail -c +$((stream + 1)) "$save" | $program -c -1
    } >"$work/$program.save"
    printf "\\$number" | dd of="$work/$program.save" bs=1 seek=28 conv=notrunc status=none
    ok "$program" "$NXPACK" -q --no-train "$work/$program.save" "$work/$program.nxpk"
    is "content of $program" "$(content "$work/a.nxpk")" "$(content "$work/$program.nxpk")"
    is "state of $program" "$(member "$work/a.nxpk" device-state)" "$(member "$work/$program.nxpk" device-state)"
    rm -f "$work/$program.save" "$work/$program.nxpk"
done

# ---- libvirt's managed save ----

mkdir -p "$work/qemu/save"
cp "$GUEST/domain.xml" "$work/qemu/nxpk-tiny-saved.xml"
cp -p "$save" "$work/qemu/save/nxpk-tiny-saved.save"
"$NXPACK" --no-train "$work/qemu/nxpk-tiny-saved.xml" "$work/m.nxpk" 2>"$work/said" || fail "managed save" "$(cat "$work/said")"
is "content with a managed save" "$(content "$work/a.nxpk")" "$(content "$work/m.nxpk")"
grep -q 'save/nxpk-tiny-saved.save: packed as it was saved, a pc-i440fx-7.2 with 128.0 MiB of memory' "$work/said" ||
    fail "it does not say what it found" "$(cat "$work/said")"
is "validate takes the managed save" "$work/qemu/save/nxpk-tiny-saved.save" "$("$NXPACK" validate -q --json "$work/qemu/nxpk-tiny-saved.xml" | jq -r .file)"
mkdir "$work/autostart" && ln -s ../qemu/nxpk-tiny-saved.xml "$work/autostart/x.xml"
ok "through a link" "$NXPACK" -q --no-train "$work/autostart/x.xml" "$work/m.nxpk"
is "suspended through a link" true "$(info "$work/m.nxpk" .suspended)"
ok "without it" "$NXPACK" -q --no-memory "$work/qemu/nxpk-tiny-saved.xml" "$work/m.nxpk"
is "not suspended" false "$(info "$work/m.nxpk" .suspended)"
sed 's/<uuid>[0-9a-f]*/<uuid>00000000/' "$GUEST/domain.xml" >"$work/qemu/nxpk-tiny-saved.xml"
refused "another's managed save" 2 'save: is a save of another domain \(nxpk-tiny-saved, UUID .*\) than .* \(nxpk-tiny-saved, UUID 00000000-' \
    "$NXPACK" --no-train "$work/qemu/nxpk-tiny-saved.xml" "$work/x.nxpk"
printf LibvirtQemudPart | dd of="$work/qemu/save/nxpk-tiny-saved.save" conv=notrunc status=none
refused "a managed save that was not finished" 1 'its managed save \(--no-memory packs the disks only\): .*did not finish' \
    "$NXPACK" --no-train "$work/qemu/nxpk-tiny-saved.xml" "$work/x.nxpk"
rm -r "$work/qemu" "$work/autostart"

# ---- what is wrong ----

# changed FILE FROM TO [WHICH]: a copy of the save with FROM replaced by TO, filled up with spaces; only the first with WHICH=0.
changed() {
    local to=$3
    while [ ${#to} -lt ${#2} ]; do to="$to "; done
    [ ${#to} = ${#2} ] || { fail "changed $1: too long"; return; }
    if [ "${4:-}" = 0 ]; then LC_ALL=C sed "0,/$2/s//$to/" "$save"; else LC_ALL=C sed "s/$2/$to/g" "$save"; fi >"$1"
    ! cmp -s "$1" "$save" || fail "changed $1: nothing has changed"
}
out=$work/out && mkdir "$out"
bad() { refused "$1" "${4:-1}" "$2" "$NXPACK" --no-train "$3" "$out/x.nxpk"; }
# And validate knows: it has one problem, which fits the pattern.
invalid() {
    local said
    said=$("$NXPACK" validate --json "$3" 2>&1) && fail "validate $1: status 0"
    is "validate $1: problems" 1 "$(jq '.problems | length' <<<"$said")"
    jq -r '.problems[].message' <<<"$said" | grep -Eq -- "$2" || fail "validate $1" "wanted: $2" "got:    $said"
}
bad_and_invalid() { bad "$@" && invalid "$@"; }

cp "$save" "$work/old.save" && touch -d 2020-01-01 "$work/old.save"
bad_and_invalid "a disk that is newer" 'disk.raw: was written after .*old.save was saved, .*--ignore-times' "$work/old.save"
ok "times ignored" "$NXPACK" -q --no-train --ignore-times "$work/old.save" "$work/t.nxpk"
head -c 1000000 "$save" >"$work/short.save"
bad "a truncated save" 'short.save: truncated: the migration stream ends after' "$work/short.save"
head -c 80 "$save" >"$work/header.save"
bad "a truncated header" 'header.save: ends at 80' "$work/header.save"
changed "$work/part.save" LibvirtQemudSave LibvirtQemudPart
bad "a save that was not finished" 'part.save: libvirt did not finish this save' "$work/part.save"
refused "no save" 1 'domain.xml: not a save file of libvirt' "$NXPACK" --memory "$GUEST/domain.xml" "$GUEST/domain.xml" "$out/x.nxpk"
refused "no file" 1 'nonexistent: No such file' "$NXPACK" --memory "$work/nonexistent" "$GUEST/domain.xml" "$out/x.nxpk"
refused "another domain" 2 'is a save of another domain \(nxpk-tiny-saved, UUID' "$NXPACK" --memory "$save" build/guests/tiny/domain.xml "$out/x.nxpk"
refused "both" 2 'exclude each other' "$NXPACK" --memory "$save" --no-memory "$GUEST/domain.xml" "$out/x.nxpk"
refused "a save, and a save" 2 'is a save file itself' "$NXPACK" --memory "$save" "$save" "$out/x.nxpk"
changed "$work/type.save" pc-i440fx-7.2 pc-i440fx-foo
bad_and_invalid "a machine type without version" 'would not load on another host: its machine type pc-i440fx-foo is not one of' "$work/type.save"
changed "$work/xml.save" pc-i440fx-7.2 pc-i440fx-6.2 0
bad "another machine type in the XML" 'says machine type pc-i440fx-6.2, but the state was saved by a pc-i440fx-7.2' "$work/xml.save"
changed "$work/less.save" '>131072<\/memory>' '>65536<\/memory>' 0
bad "less memory in the XML" 'its memory is larger than the domain' "$work/less.save"
changed "$work/more.save" '>131072<\/memory>' '>262144<\/memory>' 0
bad "more memory in the XML" 'says 256 MiB of memory, but 128 MiB were saved' "$work/more.save"
changed "$work/cpu.save" "<cpu mode='custom' match='exact' check='none'>" "<cpu mode='maximum'>" 0
bad_and_invalid "a CPU of this host" 'all that this QEMU can do \(mode maximum\)' "$work/cpu.save"
for type in network bridge direct; do
    room=$(printf %$((${#type} - 4))s) # what it is longer than "user" comes from the next line's indentation
    LC_ALL=C sed -z "s/<interface type='user'>\n$room/<interface type='$type'>\n/" "$save" >"$work/tap.save"
    cmp -s "$save" "$work/tap.save" && fail "tap.save: nothing has changed"
    bad_and_invalid "a virtio card on a $type" "relies on this host's <interface type='$type'>; make it <interface type='user'>" "$work/tap.save"
done
LC_ALL=C sed -zi "s/<model type='virtio'\/>/<model type='e1000e'\/>/" "$work/tap.save"
ok "another card may" "$NXPACK" validate "$work/tap.save"
changed "$work/number.save" QEVM QEVX
bad "a stream that is none" 'damaged at its byte 0' "$work/number.save"
refused "chunk size" 2 'memory-chunk-size 5000: not a power of two' "$NXPACK" --memory-chunk-size 5000 "$save" "$out/x.nxpk"
refused "train" 2 "train" "$NXPACK" --train=x "$save" "$out/x.nxpk"
only "$out"
rm -f "$work"/*.save

# ---- training that cannot be done ----

mkdir "$work/bin"
for program in qemu-nbd qemu-img; do ln -s "$(command -v $program)" "$work/bin/"; done
PATH=$work/bin "$NXPACK" "$save" "$work/untrained.nxpk" 2>"$work/said" || fail "without QEMU" "$(cat "$work/said")"
grep -q 'not trained, .*qemu-system-x86_64 is not installed' "$work/said" || fail "without QEMU" "$(cat "$work/said")"
is "it is packed all the same" "$(content "$work/a.nxpk")" "$(content "$work/untrained.nxpk")"
refused "--train without QEMU" 1 'training: .*qemu-system-x86_64 is not installed' env PATH="$work/bin" "$NXPACK" -q --train "$save" "$out/x.nxpk"
only "$out"

# ---- training ----

ok "trained" "$NXPACK" -q -k "$key" "$save" "$work/t.nxpk"
is "content of a trained one" "$(content "$work/a.nxpk")" "$(content "$work/t.nxpk")"
is "its state" "$(member "$work/a.nxpk" device-state)" "$(member "$work/t.nxpk" device-state)"
is "its domain" "$(member "$work/a.nxpk" domain.xml)" "$(member "$work/t.nxpk" domain.xml)"
[ "$(info "$work/t.nxpk" '."boot-chunks-size"')" -gt 100000 ] || fail "it has no boot set"
ok "verify a trained one" "$NXPACK" verify -k "$TRUST" "$work/t.nxpk"
ok "unpack a trained one" "$NXPACK" unpack -q "$work/t.nxpk" "$work/t"
is "its memory" "$(hash_of "$work/a/memory.raw")" "$(hash_of "$work/t/memory.raw")"
is "its disk" "$(hash_of "$work/a/disk0.raw")" "$(hash_of "$work/t/disk0.raw")"
is "size, trained or not" "$(info "$work/a.nxpk" '."chunks-size"')" "$(info "$work/t.nxpk" '."chunks-size"')"

# By a record: the same gives the same bytes, whatever the package was trained by before.
digest() { info "$work/a.nxpk" ".images[$1].content"; }
record() { echo "{\"nxpk-record\":1,\"images\":[{\"name\":\"disk0\",\"content\":\"$(digest 0)\",\"chunk-size\":65536},{\"name\":\"memory\",\"content\":\"$(digest 1)\",\"chunk-size\":8192}],\"touched\":[$1]}"; }
record '[0,1,3000],[1,0,16],[1,1,3000],[2,1,12],[3,0,0]' >"$work/r.json"
cp "$work/a.nxpk" "$work/r1.nxpk" && cp "$work/t.nxpk" "$work/r2.nxpk"
ok "train by a record" "$NXPACK" train -q --from "$work/r.json" "$work/r1.nxpk"
ok "and one that was trained" "$NXPACK" train -q --unsigned --from "$work/r.json" "$work/r2.nxpk"
ok "verify by a record" "$NXPACK" verify "$work/r1.nxpk"
ok "verify the other" "$NXPACK" verify "$work/r2.nxpk"
is "content by a record" "$(content "$work/a.nxpk")" "$(content "$work/r1.nxpk")"
is "boot sets" "$(info "$work/r1.nxpk" '."boot-chunks-size"')" "$(info "$work/r2.nxpk" '."boot-chunks-size"')"
cp "$work/r1.nxpk" "$work/r3.nxpk"
ok "once more" "$NXPACK" train -q --from "$work/r.json" "$work/r3.nxpk"
ok "the same bytes" cmp "$work/r1.nxpk" "$work/r3.nxpk"
record '' >"$work/none.json"
ok "an empty record" "$NXPACK" train -q --from "$work/none.json" "$work/r3.nxpk"
is "no boot set any more" 0 "$(info "$work/r3.nxpk" '."boot-chunks-size"')"
ok "verify an empty one" "$NXPACK" verify "$work/r3.nxpk"

before=$(hash_of "$work/t.nxpk")
refused "a signed package" 2 't.nxpk: is signed, and would not be after training' "$NXPACK" train --from "$work/r.json" "$work/t.nxpk"
refused "not a record" 1 'said: not a record of nxfetch' "$NXPACK" train -k "$key" --from "$work/said" "$work/t.nxpk"
refused "another package's" 1 'another number of images' "$NXPACK" train --from "$work/r.json" "$work/disks.nxpk"
record '[0,1,99999999]' >"$work/far.json"
refused "behind the end" 1 'chunk 99999999 lies behind the end of memory' "$NXPACK" train -k "$key" --from "$work/far.json" "$work/t.nxpk"
refused "from and seconds" 2 'exclude each other' "$NXPACK" train --from "$work/r.json" --seconds 3 "$work/t.nxpk"
head -c 3000000 "$work/a.nxpk" >"$work/cut.nxpk"
refused "a truncated package" 1 'cut.nxpk: ' "$NXPACK" train --from "$work/r.json" "$work/cut.nxpk"
is "the package after all that" "$before" "$(hash_of "$work/t.nxpk")"
ls -A "$work" | grep -E '\.tmp|\.record' && fail "temporary files are left"
finish
