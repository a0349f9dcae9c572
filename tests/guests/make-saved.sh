#!/bin/bash
# SPDX-License-Identifier: MIT
# make-saved.sh NAME: build/guests/NAME, a machine that a real libvirt (the session daemon of a user without
# rights) has started, that was brought to work over its serial port, and that `virsh save` suspended:
# its disk, domain.xml, NAME.save, and under notes/ what must still hold when it is resumed.
#
#     debian-saved      Debian, 512 MiB, root's shell; a counting process, a file that is open and has no name,
#                       random data on a tmpfs
#     debian-saved-1g   the same with 1 GiB; so -2g, -4g
#     tiny-saved        busybox, 128 MiB, counting: for what needs just any suspended machine
#     q35-saved         busybox on q35 with four virtual CPUs and a vmgenid
#     big-saved         busybox with 5 GiB, data above the PCI hole
#     writing-saved     busybox in the middle of writing to its disk
#     screen-saved      busybox with a picture (text, in colours) on its screen
script_args=("$@")
. "$(dirname "$0")/common.sh"
variant=${1:?which one}
BUILD=${BUILD:-build/gcc}
base=tiny xml=$here/tiny.xml memory=131072 cpus=1 machine=pc-i440fx-7.2
case $variant in
debian-saved) base=debian xml=$here/debian.xml memory=524288 ;;
debian-saved-[124]g)
    gib=${variant%g}
    base=debian xml=$here/debian.xml memory=$((${gib##*-} * 1048576)) ;;
tiny-saved | writing-saved | screen-saved) ;;
q35-saved) xml=$here/q35.xml memory=262144 cpus=4 machine=pc-q35-7.2 ;;
big-saved) memory=5242880 ;;
*) fail "$variant: not one of ours" ;;
esac
for tool in guest-talk vnc-shot; do
    [ -x "$BUILD/tools/$tool" ] || make -s B="$BUILD" "$BUILD/tools/$tool" >&2
done
bash "$here/make-$base.sh"
make_once "$variant" $here/tiny.xml $here/q35.xml $here/debian.xml "$guests/$base/key"

# Not below TMPDIR: a test's is its own, and this user could not enter it.
session=$(mktemp -d /tmp/nxs.XXXXXX) # short: libvirt makes sockets far below it
serial=$session/serial
daemon=
end() {
    status=$?
    if [ -n "$daemon" ]; then
        virsh destroy "nxpk-$variant" >/dev/null 2>&1 || true
        kill "$daemon" 2>/dev/null || true
        wait "$daemon" 2>/dev/null || true
    fi
    rm -rf "$session"
    exit $status
}
trap end EXIT
user=()
[ "$(id -u)" != 0 ] || user=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
as_user=("${user[@]}" env -i PATH="$PATH" HOME="$session" XDG_RUNTIME_DIR="$session/run"
    XDG_CONFIG_HOME="$session/c" LIBVIRT_AUTOSTART=0)
virsh() { "${as_user[@]}" virsh -q -c qemu:///session "$@"; }

# Talk to the guest: guest-talk's steps, all within so many seconds.
talk() { "$BUILD/tools/guest-talk" -o "$new/transcript" "$serial" "$@" || fail "$variant: talking to the guest"; }
note() { # FILE COMMAND: what the guest says to it
    talk 120 "run:$2" >"$new/notes/$1"
    [ -s "$new/notes/$1" ] || fail "$variant: the guest says nothing to: $2"
}

# ---- start it ----

mkdir -p "$new/notes" "$session/run"
chmod 700 "$session/run"
case $base in
debian) disk=disk.qcow2 ;;
tiny) disk=disk.raw ;;
esac
cp --sparse=always "$guests/$base/$disk" "$session/$disk"
bind="<source mode='bind' path='$serial'/>"
sed "s|@DIR@|$session|g
    s|<name>.*</name>|<name>nxpk-$variant</name>|
    s|<uuid>.*</uuid>||
    s|<memory unit='[a-zA-Z]*'>.*</memory>|<memory unit='KiB'>$memory</memory>|
    s|<currentMemory .*||
    s|<vcpu.*</vcpu>|<vcpu>$cpus</vcpu>|
    s|machine='pc[^']*'|machine='$machine'|
    s|<console [^>]*/>||
    /<console/,/<\/console>/d
    s|<serial type='pty'/>|<serial type='unix'>$bind</serial>|
    s|<serial type='pty'>|<serial type='unix'>$bind|" "$xml" >"$session/domain.xml"
[ "$variant" != q35-saved ] || sed -i 's|<vcpu|<genid/>&|' "$session/domain.xml"
[ "$variant" != screen-saved ] || sed -i "s|</devices>|<graphics type='vnc' autoport='yes'/><video><model type='vga'/></video></devices>|" "$session/domain.xml"
[ -z "${user[*]}" ] || chown -R nobody:nogroup "$session"
"${as_user[@]}" /usr/sbin/libvirtd >"$session/libvirtd.log" 2>&1 &
daemon=$!
for ((tries = 200; tries > 0; tries--)); do
    ! virsh uri >/dev/null 2>&1 || break
    kill -0 $daemon || fail "libvirtd does not start: $(tail -n 1 "$session/libvirtd.log")"
    sleep 0.1
done
virsh define "$session/domain.xml"
virsh start "nxpk-$variant"

# ---- bring it to work ----

# Counts in a file, by and by, and says when: a gap can be seen.
count_in_debian="{ perl -e 'use Time::HiRes; open F, \">\", \"/run/nxpk/count\"; select F; \$| = 1; for (\$n = 1;; \$n++) { print \"\$n\\n\"; Time::HiRes::sleep(0.2) }' & }"
case $base in
debian)
    talk 300 'expect:nxpk-debian login:' send:root 'expect:Password:' send:nxpk 'expect:# ' \
        run:'systemctl is-system-running --wait' \
        run:'mkdir /run/nxpk && mount -t tmpfs -o size=64m nxpk /run/nxpk' \
        run:'head -c 30000000 /dev/urandom >/run/nxpk/random' \
        run:'echo "still here" >/root/held; exec 7</root/held; rm /root/held' \
        run:"$count_in_debian" >/dev/null
    note random 'sha256sum /run/nxpk/random'
    note os 'head -n 3 /etc/os-release | sha256sum'
    # Until it is at rest: its timers have run, its journal is written.
    talk 60 run:'sync; sleep 12; sync' >/dev/null
    ;;
tiny)
    talk 120 'expect:nxpk-guest ready' 'poke:nxpk# ' run:'mkdir -p /tmp/nxpk' >/dev/null
    talk 60 run:'{ (n=0; while :; do n=$((n + 1)); echo $n >>/tmp/nxpk/count; usleep 200000; done) & }' >/dev/null
    ;;
esac
case $variant in
tiny-saved | q35-saved)
    talk 60 run:'dd if=/dev/urandom of=/tmp/nxpk/random bs=64k count=64 2>/dev/null' >/dev/null
    note random 'sha256sum /tmp/nxpk/random'
    ;;
big-saved)
    # Of 5 GiB the kernel gives the highest first.
    talk 120 run:'mount -t tmpfs -o size=1g big /tmp/nxpk; dd if=/dev/urandom of=/tmp/nxpk/random bs=1M count=40 2>/dev/null' >/dev/null
    note random 'sha256sum /tmp/nxpk/random'
    ;;
writing-saved)
    talk 60 run:'umount /data && mount -t ext4 -o rw /dev/vda2 /data && rm /data/file-0' \
        run:'{ (n=0; while :; do n=$((n + 1)); dd if=/dev/urandom of=/data/w$((n % 4)) bs=64k count=8 2>/dev/null; sync; (cd /data && sha256sum w$((n % 4)) >w$((n % 4)).sum); done) & }' >/dev/null
    talk 60 'run:until [ -s /data/w3.sum ]; do usleep 100000; done' >/dev/null
    ;;
screen-saved)
    talk 60 run:'printf "\033[?25l\033[2J\033[10;20Hnxpk-screen" >/dev/tty0; i=0; while [ $i -lt 15 ]; do printf "\033[$((i + 2));5H\033[4${i#1}m %s " "row $i" >/dev/tty0; i=$((i + 1)); done' >/dev/null
    sleep 1
    port=$(virsh domdisplay "nxpk-$variant" | sed 's/.*://')
    "$BUILD/tools/vnc-shot" "127.0.0.1:$((port + 5900))" "$new/notes/screen.ppm"
    ;;
esac
note uptime 'cut -d " " -f 1 /proc/uptime'

# ---- save it ----

virsh save "nxpk-$variant" "$session/$variant.save"
# The machine has another place from now on, which its save must know.
virsh save-image-dumpxml "$session/$variant.save" >"$session/saved.xml"
sed -i "s|$session/$disk|$guests/$variant/$disk|g" "$session/saved.xml"
virsh save-image-define "$session/$variant.save" "$session/saved.xml"
virsh dumpxml "nxpk-$variant" | sed "s|$session/$disk|$guests/$variant/$disk|g" >"$session/domain.xml"
cp -p --sparse=always "$session/$disk" "$session/$variant.save" "$session/domain.xml" "$new/"
chown -R "$(id -u):$(id -g)" "$new"
made
