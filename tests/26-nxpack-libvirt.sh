#!/bin/bash
# SPDX-License-Identifier: MIT
# nxpack and a real libvirt, the session daemon of an author without rights: create, list, validate, and packing by name, of
# machines that are off, suspended, or running; what is refused, and what a machine comes to when packing fails or is ended.
. tests/lib/libvirt.sh
fuse_for_all "$@"
. tests/lib/guests.sh
. tests/lib/pack.sh
. tests/lib/qemu.sh
trap 'status=$?; session_stop; rm -rf "$work"; (exit $status); end_of_test' EXIT
guest tiny || exit
[ -x "$BUILD/tools/guest-talk" ] || exit
signing_key
session_start
nxpack() { as_author nxpack "$@"; }
session=qemu:///session
images=$SESSION/.local/share/libvirt/images
mkdir "$SESSION/out" && cp "$KEY" "$SESSION/key.pem"
[ "$(id -u)" != 0 ] || chown -R nobody:nogroup "$SESSION"/{out,key.pem}
XPATH() { xmllint --xpath "$1" "$work/made.xml" 2>/dev/null; }
state_of() { virsh domstate "$1" | sed '/^$/d'; }
listed() { nxpack list --json | jq -r ".[] | select(.name == \"$1\") | $2"; }
info() { "$NXPACK" info --json "$SESSION/out/$1" | jq -r "$2"; }

# ---- create: what it makes can be packed, and nothing is to be said of it ----

is "an empty list" "" "$(nxpack list)"
is "an empty list in JSON" "[]" "$(nxpack list --json | jq -c .)"
truncate -s 2M "$SESSION/install.iso"
# created NAME MACHINE IMAGES OPTION...: with this machine type in the end, and so many images
created() {
    local name=$1 machine=$2 images=$3 vendor
    shift 3
    nxpack create -q --json "$name" --memory 128M --disk 64M "$@" >"$work/told" 2>"$work/err"
    is "create $name" '0 ' "$? $(cat "$work/err")"
    is "create $name: what is told" "$name 67108864 regular file" \
        "$(jq -r '"\(.domain) \(.size)"' "$work/told") $(as_author stat -c %F "$(jq -r .disk "$work/told")")"
    virsh dumpxml --inactive "$name" >"$work/made.xml"
    is "$name: validate has nothing to say" "$name: can be packed, with $images" "$(nxpack validate -v -c $session "$name" 2>&1)"
    # And so says nxpack of the XML in a file.
    as_author tee xml <"$work/made.xml" >/dev/null
    is "$name: nor of its file" "xml: can be packed, with $images" "$(nxpack validate -v xml 2>&1)"
    is "$name: it has a version" "$machine" "$(XPATH 'string(/domain/os/type/@machine)')"
    is "$name: its processor" custom "$(XPATH 'string(/domain/cpu/@mode)')"
    is "$name: emulated, or not, as this host can" "$wanted_type" "$(XPATH 'string(/domain/@type)')"
    # All that is on a bus is at an address of its own.
    is "$name: devices without address" 0 "$(XPATH 'count(/domain/devices/*[self::disk or self::interface or self::video or self::rng or self::channel or self::memballoon or (self::controller[@type="pci" and @index > 0])][not(address)])')"
    is "$name: its network" user "$(XPATH 'string(/domain/devices/interface/@type)')"
    ok "$name: libvirt's schema" virt-xml-validate "$work/made.xml" domain
    is "$name: listed" "off true false 0" "$(listed "$name" '[.state, .packageable, .suspend, (.problems | length)] | map(tostring) | join(" ")')"
}
# Asked of the host as the author's processes see it.
wanted_type=qemu
if as_author sh -c ': <>/dev/kvm' 2>/dev/null && grep -qwE 'vmx|svm' /proc/cpuinfo; then wanted_type=kvm; fi
created tiny pc-q35-7.2 "1 image"
created old pc-i440fx-7.2 "1 image" --arch i686 --machine pc
created efi pc-q35-7.2 "1 image" --uefi --cpus 1
created versioned pc-q35-6.2 "1 image" --machine pc-q35-6.2
created install pc-q35-7.2 "2 images" --cdrom install.iso --dir out
is "the disk in the folder that was asked for" "qcow2 67108864" "$(as_author qemu-img info --output=json out/install.qcow2 | jq -r '.format + " " + (."virtual-size" | tostring)')"
is "the disk in libvirt's folder" "qcow2" "$(as_author qemu-img info --output=json "$images/tiny.qcow2" | jq -r .format)"
is "the medium's whole path" "$SESSION/install.iso" "$(virsh dumpxml install | xmllint --xpath 'string(//disk[@device="cdrom"]/source/@file)' -)"
nxpack -q -c $session install out/install.nxpk 2>"$work/said" || fail "packing with a medium" "$(cat "$work/said")"
grep -q 'warning: .*/install.iso: is in the CD-ROM drive, and packed with the rest: 2.0 MiB; take it out' "$work/said" ||
    fail "the medium is not told" "$(cat "$work/said")"
for domain in old versioned install efi; do virsh undefine --nvram $domain; done
rm "$images"/{old,efi,versioned}.qcow2 "$SESSION"/out/*
virsh dumpxml --inactive tiny | as_author tee xml >/dev/null

# ---- what is refused: a table, and nothing is left behind ----

echo precious >"$images/there.qcow2"
before=$(virsh list --all --name; ls "$images" "$SESSION/out")
while IFS='|' read -r status pattern arguments; do
    [ -n "$status" ] || continue
    # shellcheck disable=SC2086
    refused "nxpack $arguments" "$status" "$pattern" nxpack $arguments
done <<END
1|tiny: qemu:///session has a domain of that name already|create tiny --memory 1G --disk 1G
1|there.qcow2: exists: remove it, or choose another name or folder|create there --memory 1G --disk 1G
1|--dir nowhere: No such file|create x --memory 1G --disk 1G --dir nowhere
2|--memory 2048: not a size such as 2G or 512M, of whole MiB, from 16.0 MiB to 1.0 TiB|create x --memory 2048 --disk 1G
2|--memory 20001K: not a size|create x --memory 20001K --disk 1G
2|--memory 2X: not a size|create x --memory 2X --disk 1G
2|--memory 2T: not a size|create x --memory 2T --disk 1G
2|--disk 10: not a size such as|create x --memory 1G --disk 10
2|--disk -1G: not a size|create x --memory 1G --disk -1G
2|--disk 99999999999T: not a size|create x --memory 1G --disk 99999999999T
2|--disk is wanted|create x --memory 1G
2|--memory is wanted|create x --disk 1G
2|--cpus 0: not a number from 1 to 64|create x --memory 1G --disk 1G --cpus 0
2|--arch sparc: packages are for x86_64 or i686|create x --memory 1G --disk 1G --arch sparc
2|--machine virt: not q35 or pc, or one of these with a version|create x --memory 1G --disk 1G --machine virt
2|--machine pc-q35-rhel9.2.0: not q35 or pc|create x --memory 1G --disk 1G --machine pc-q35-rhel9.2.0
1|qemu:///session: .*pc-q35-99.9|create x --memory 1G --disk 1G --machine pc-q35-99.9
1|--cdrom missing.iso: No such file|create x --memory 1G --disk 1G --cdrom missing.iso
2|--cdrom out: is not an image of a CD-ROM|create x --memory 1G --disk 1G --cdrom out
1|--cdrom: .*tiny.qcow2: is said to be raw, but looks like qcow2|create x --memory 1G --disk 1G --cdrom $images/tiny.qcow2
2|'a/b': not a name for a machine|create a/b --memory 1G --disk 1G
2|'.x': not a name for a machine|create .x --memory 1G --disk 1G
2|too few arguments: NAME wanted|create --memory 1G --disk 1G
2|too many arguments|create a b --memory 1G --disk 1G
1|qemu.unix:///session.socket=/none: libvirt cannot be reached: .*/none.*: No such file|create x --memory 1G --disk 1G -c qemu+unix:///session?socket=/none
1|qemu.tcp://127.0.0.1:1/system: libvirt cannot be reached: .*refused|list -c qemu+tcp://127.0.0.1:1/system
1|nonsense:///x: libvirt cannot be reached|list --connect nonsense:///x
2|test:///default: is not QEMU of this computer|list -c test:///default
2|test:///default: is not QEMU of this computer|create x --memory 1G --disk 1G -c test:///default
2|too many arguments|list tiny
1|nobodys: qemu:///session has no domain of that name: see nxpack list|-c $session nobodys out/x.nxpk
1|nobodys: qemu:///session has no domain of that name|--suspend nobodys out/x.nxpk
1|nobodys: qemu:///session has no domain of that name|validate -c $session nobodys
1|tiny: No such file or directory; if it is a domain's name, say --connect=qemu:///session|tiny out/x.nxpk
2|too few arguments: NAME and PACKAGE wanted|-c $session tiny
2|too few arguments: NAME wanted|validate -c $session
1|nowhere/x.nxpk: cannot create it: No such file|-c $session tiny nowhere/x.nxpk
END
is "nothing is left, nothing is gone" "$before" "$(virsh list --all --name; ls "$images" "$SESSION/out")"
is "the file that was there" precious "$(cat "$images/there.qcow2")"
rm "$images/there.qcow2"

refused "the default URI" 2 'test:///default: is not QEMU of this computer' as_author env LIBVIRT_DEFAULT_URI=test:///default nxpack list

# Other programs that fail, or are interrupted, between the disk and the domain.
mkdir "$SESSION/wrapped"
wrapped() { # PROGRAM: what stands before it is read from stdin
    { echo '#!/bin/sh'; cat; echo "exec $(command -v "$1") \"\$@\""; } >"$SESSION/wrapped/$1"
    chmod 755 "$SESSION/wrapped/$1"
}
with_wrapped() { as_author env PATH="$SESSION/wrapped:$SESSION/bin:$PATH:/usr/sbin" "$@"; }
wrapped qemu-img <<<'echo "qemu-img: no room" >&2; exit 1'
refused "qemu-img fails" 1 'x.qcow2: qemu-img .*no room' with_wrapped nxpack create -q x --memory 1G --disk 1G
wrapped qemu-img <<<'kill -INT $PPID'
refused "Ctrl-C while the disk is made" 1 'nxpack: interrupted' with_wrapped nxpack create -q x --memory 1G --disk 1G
rm "$SESSION"/wrapped/*
is "nothing is left of that" "$before" "$(virsh list --all --name; echo there.qcow2 >"$images/there.qcow2"; ls "$images" "$SESSION/out")"
rm "$images/there.qcow2"

# ---- without libvirt nxpack does what it did ----

refused "no daemon" 1 'qemu:///session: libvirt cannot be reached: .*libvirt-sock.*; is its daemon installed' as_author env XDG_RUNTIME_DIR="$SESSION/out" nxpack list
mkdir "$SESSION/nolib" && echo none >"$SESSION/nolib/libvirt.so.0"
refused "no library" 1 "libvirt's library is needed for domains by their names and cannot be loaded: install it" as_author env LD_LIBRARY_PATH="$SESSION/nolib" nxpack list
ok "a file without the library" as_author env LD_LIBRARY_PATH="$SESSION/nolib" nxpack -q xml out/x.nxpk
rm -r "$SESSION/nolib" "$SESSION/out/x.nxpk"

# ---- a machine that is off ----

qemu-img convert -f raw -O qcow2 "$GUEST/disk.raw" "$work/disk.qcow2"
as_author tee "$images/tiny.qcow2" <"$work/disk.qcow2" >/dev/null
ok "packing by name" nxpack -q -c $session -k key.pem tiny out/off.nxpk
is "it is not suspended" "false tiny" "$(info off.nxpk '[.suspended, .name] | map(tostring) | join(" ")')"
# started STAGE OPTION...: nxpack packs tiny and has come to this stage: PACK_PID.  Its further progress is read by nobody, which does
# not hold it.
started() {
    local stage=$1 line=
    shift
    rm -f "$SESSION/progress"
    as_author mkfifo progress
    "${AUTHOR[@]}" bash -c 'exec nxpack --level 15 --threads 1 -c qemu:///session --progress-fd 5 "$@" 5<>progress' - "$@" >"$work/said" 2>&1 </dev/null &
    PACK_PID=$!
    exec 6<>"$SESSION/progress"
    until [[ $line = *"\"$stage\""* ]]; do
        kill -0 "$PACK_PID" 2>/dev/null || { fail "it does not come to $stage" "$(cat "$work/said")"; return; }
        read -r -t 0.2 line <&6
    done
}
ended() { # WHAT STATUS
    local status=0
    { wait "$PACK_PID"; } 2>/dev/null || status=$?
    exec 6<&-
    is "$1: status" "$2" $status
}

# While it is packed, nobody can start it: QEMU finds its disk locked.
started packing tiny out/x.nxpk
kill -STOP "$PACK_PID"
virsh start tiny 2>"$work/start"
grep -q 'lock' "$work/start" || fail "a machine starts while it is packed" "$(cat "$work/start")"
kill -CONT "$PACK_PID"
ended "packed, with somebody who tried to start it" 0
ok "and whole" "$NXPACK" verify "$SESSION/out/x.nxpk"
rm "$SESSION/out/x.nxpk"

# ---- one that runs ----

serial_socket tiny
virsh start tiny
boot --trust "$TRUST" "$SESSION/out/off.nxpk" # and the package, at the same time
talk 90 'expect:nxpk-guest ready' run:check-data >/dev/null
halt
says() { "$BUILD/tools/guest-talk" -i 300 -o "$WORK/tiny.log" "$SESSION/serial/tiny" "$@" || fail "talking to tiny" "$(tail -n 3 "$WORK/tiny.log")"; }
says 90 'poke:nxpk# ' 'run:echo still here >/tmp/mark' \
    'run:{ (n=0; while :; do n=$((n + 1)); echo $n >/tmp/next; mv /tmp/next /tmp/count; usleep 100000; done) & }' >/dev/null
# goes_on WHAT STATE: it is in this state, with what it had in memory, and counting
goes_on() {
    is "$1: state" "$2" "$(state_of tiny)"
    is "$1: a managed save" no "$([ -e "$SESSION/.config/libvirt/qemu/save/tiny.save" ] && echo yes || echo no)"
    [ "$2" = running ] || virsh resume tiny
    is "$1: memory, and counting" "$boot_id still here" "$(echo $(says 60 'poke:nxpk# ' \
        "run:cat /proc/sys/kernel/random/boot_id /tmp/mark; n=\$(cat /tmp/count); until [ \$(cat /tmp/count) -gt \$n ]; do usleep 50000; done"))"
}
boot_id=$(says 60 'poke:nxpk# ' 'run:cat /proc/sys/kernel/random/boot_id')

refused "a machine that runs" 1 'tiny: is running: shut it down first, or have it saved, packed and resumed by --suspend' nxpack -c $session tiny out/x.nxpk
refused "--suspend and --no-memory" 2 '--suspend packs the memory of tiny: leave --no-memory away' nxpack --suspend --no-memory tiny out/x.nxpk
refused "a folder that is not there" 1 'nowhere/x.nxpk: cannot create it: No such file' nxpack --suspend tiny nowhere/x.nxpk
is "listed" "running true true" "$(listed tiny '[.state, .packageable, .suspend] | map(tostring) | join(" ")')"
is "validated" "tiny: can be packed, with --suspend" "$(nxpack validate -c $session tiny)"
is "listed for people" "tiny  running    yes, with --suspend" "$(nxpack list | tail -n 1)"
goes_on "nothing was done to it" running
is "no package" "off.nxpk" "$(ls "$SESSION/out")"

nxpack -k key.pem --suspend tiny out/on.nxpk 2>"$work/said" || fail "--suspend" "$(cat "$work/said")"
grep -q '^nxpack: tiny: runs on$' "$work/said" || fail "it does not say that it runs on" "$(cat "$work/said")"
sed -n '/runs on/,$p' "$work/said" | grep -q 'trained: the machine used' || fail "it runs on before training, or is not trained" "$(cat "$work/said")"
goes_on "after --suspend" running
is "suspended, of that memory" "true 134217728" "$(info on.nxpk '[.suspended, .images[1].size] | map(tostring) | join(" ")')"
ok "verify" "$NXPACK" verify -k "$TRUST" "$SESSION/out/on.nxpk"
# Where the package is resumed, it stands as it stood.
boot --trust "$TRUST" "$SESSION/out/on.nxpk"
talk 90 'poke:nxpk# ' 'run:cat /tmp/mark' run:check-data >"$work/talk"
grep -q '^still here' "$work/talk" || fail "the package does not resume" "$(cat "$work/talk")"
grep -q '^check-data OK' "$work/talk" || fail "the package's disk" "$(cat "$work/talk")"
halt

virsh suspend tiny
ok "a paused one" nxpack -q --no-train --suspend tiny out/x.nxpk
goes_on "paused before" paused
rm "$SESSION/out/x.nxpk"

# It goes on, too, when packing fails or is ended.
refused "packing fails" 2 'the description is longer than 4096 bytes' nxpack -q --no-train --suspend --description "$(printf %5000s x)" tiny out/x.nxpk
goes_on "packing failed" running
wrapped qemu-nbd <<<'exit 1'
with_wrapped nxpack -q --no-train --suspend tiny out/x.nxpk 2>"$work/said" && fail "packing without qemu-nbd"
rm "$SESSION"/wrapped/*
goes_on "qemu-nbd failed" running
for stage in "saving the machine" splitting packing; do
    started "$stage" -q --no-train --suspend tiny out/x.nxpk
    kill -INT "$PACK_PID" "$PACK_PID" # twice, as impatient people do
    ended "Ctrl-C while $stage" 1
    is "Ctrl-C while $stage" "nxpack: interrupted" "$(grep -v ': warning: ' "$work/said")"
    goes_on "after Ctrl-C while $stage" running
done
is "no package is left of that" "off.nxpk on.nxpk" "$(echo $(ls "$SESSION/out"))"

# Where its disk is gone it cannot go on; its memory is kept.
started packing -q --no-train --suspend tiny out/x.nxpk
kill -STOP "$PACK_PID"
mv "$images/tiny.qcow2" "$images/away.qcow2"
kill -CONT "$PACK_PID"
ended "its disk is gone" 1
grep -q '^nxpack: tiny does not run on; its managed save is kept (virsh start goes on from there): tiny: .*tiny.qcow2' "$work/said" ||
    fail "its disk is gone" "$(cat "$work/said")"
is "its disk is gone: listed" "suspended false" "$(listed tiny '[.state, .packageable] | map(tostring) | join(" ")')"
mv "$images/away.qcow2" "$images/tiny.qcow2"
virsh start tiny
goes_on "its disk is there again" running

# The same with a package that is whole: there is no place for its serial port.
started packing -q --no-train --suspend tiny out/x.nxpk
kill -STOP "$PACK_PID"
mv "$SESSION/serial" "$SESSION/elsewhere"
kill -CONT "$PACK_PID"
ended "its serial port has no place" 1
grep -q '^nxpack: it is packed, but tiny does not run on; its managed save is kept ' "$work/said" ||
    fail "its serial port has no place" "$(cat "$work/said")"
ok "the package is whole" "$NXPACK" verify "$SESSION/out/x.nxpk"
mv "$SESSION/elsewhere" "$SESSION/serial"
virsh start tiny
goes_on "its serial port has its place again" running
rm "$SESSION/out/x.nxpk"

# Nothing helps against SIGKILL, but nothing is lost either.
started packing -q --no-train --suspend tiny out/x.nxpk
kill -KILL "$PACK_PID"
ended "SIGKILL" 137
rm -f "$SESSION"/out/*.tmp
is "after SIGKILL" "suspended true false" "$(listed tiny '[.state, .packageable, .suspend] | map(tostring) | join(" ")')"

# ---- one that is suspended ----

ok "packing a managed save" nxpack -q --no-train -c $session tiny out/saved.nxpk
is "with its memory" true "$(info saved.nxpk .suspended)"
is "it is looked at" "tiny: can be packed, with 1 image" "$(nxpack validate -c $session tiny)"
ok "its disks only" nxpack -q --no-memory -c $session tiny out/disks.nxpk
is "without its memory" false "$(info disks.nxpk .suspended)"
is "and it is still suspended" suspended "$(listed tiny .state)"
ok "--suspend has nothing to do" nxpack -q --no-train --suspend tiny out/saved.nxpk
virsh start tiny
goes_on "it was never started" running

# ---- and what cannot be packed ----

virsh destroy tiny
virsh dumpxml --inactive tiny | sed "s|<cpu.*|<cpu mode='maximum'/>|; /<model fallback/,/<\/cpu>/d; /<genid/d; /<uuid/d; s|<name>.*|<name>maximal</name>|" >"$work/max.xml"
as_author tee xml <"$work/max.xml" >/dev/null
virsh define xml
ok "a processor of this host's may boot elsewhere" nxpack validate -c $session maximal
virsh start maximal --paused
refused "but not be resumed" 1 'maximal: the saved state would not load on another host: its processor is all that this QEMU can do' nxpack --suspend maximal out/x.nxpk
is "nor is it suspended" paused "$(state_of maximal)"
is "listed" "paused false 1" "$(listed maximal '[.state, .packageable, (.problems | length)] | map(tostring) | join(" ")')"
nxpack list | grep -q '^maximal  paused     no: the saved state would not load on another host: ' || fail "list does not say why" "$(nxpack list)"
virsh destroy maximal
# An image that QEMU takes and packing does not: known before the machine is disturbed.
as_author qemu-img create -q -f qcow2 inner.qcow2 1M
virsh dumpxml --inactive tiny | sed "/<genid/d; /<uuid/d; s|<name>.*|<name>odd</name>|; s|tiny.qcow2|odd.qcow2|
    0,/<disk /s||<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='$SESSION/inner.qcow2'/><target dev='vdb' bus='virtio'/></disk>&|" |
    as_author tee xml >/dev/null
as_author cp "$images/tiny.qcow2" "$images/odd.qcow2"
virsh define xml
virsh start odd --paused
pid_of() { cat "$SESSION/run/libvirt/qemu/run/$1.pid"; }
pid=$(pid_of odd)
refused "a disk that cannot be packed" 1 'inner.qcow2: is said to be raw, but looks like qcow2' nxpack --suspend odd out/x.nxpk
is "its QEMU" "${pid:-none}" "$(pid_of odd)"
is "it is said of it" "paused false 1" "$(listed odd '[.state, .packageable, (.problems | length)] | map(tostring) | join(" ")')"
virsh destroy odd
sed "s|<name>.*|<name>passing</name>|; s|<cpu.*||" "$work/max.xml" | as_author tee xml >/dev/null
virsh create xml --paused
refused "a transient domain" 1 'passing: is a transient domain, which libvirt would forget: virsh define it first' nxpack --suspend passing out/x.nxpk
virsh destroy passing
finish
