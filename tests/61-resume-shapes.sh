#!/bin/bash
# SPDX-License-Identifier: MIT
# Suspended machines of other shapes resume: q35 with four processors; 5 GiB of memory, above the PCI hole; in the middle
# of writing to its disk; with a picture on its screen.  All were saved by a real libvirt.
. tests/lib/http.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
echo "accelerator: $ACCEL"
start_nginx "$WORK/www" || exit

# resume NAME [OPTION...]: until its prompt answers; then SAID is what it says to the command in $ask.
resume() {
    local name=$1
    shift
    package "$name" || die "packing $name"
    publish "$PACKAGE"
    new_cache
    boot --no-cold --trust "$TRUST" "$@" "$URL_BASE/$name.nxpk"
    talk 60 'poke:nxpk# ' >/dev/null
    echo "$name: answered after $(boot_seconds) s"
    fresh_stats
    same "$name: resumed" "$(stat_of .resumed)" true
    SAID=$(talk 120 "run:$ask")
}
is_still() { same "$name: $1" "$SAID" "$(cat "$GUEST/notes/$1")"; }

# The machine's disk as it is at this moment, in FILE: what it has written, on the saved disk.  Its overlay has no name any more.
disk_now() { # FILE
    local overlay
    overlay=$(find /proc/[0-9]*/fd -lname "$XDG_CACHE_HOME/nxpk/overlays/*" -print -quit 2>/dev/null)
    [ -n "$overlay" ] && cp "$overlay" "$WORK/overlay.qcow2" || die "no overlay"
    qemu-img convert -O raw "json:{\"driver\": \"qcow2\", \"file\": {\"driver\": \"file\", \"filename\": \"$WORK/overlay.qcow2\"},
        \"backing\": {\"driver\": \"raw\", \"file\": {\"driver\": \"file\", \"filename\": \"$GUEST/disk.raw\"}}}" "$1" || die "qemu-img"
}

name=q35-saved ask='sha256sum /tmp/nxpk/random'
resume q35-saved
is_still random
# It has a vmgenid, with a new value; Debian's cloud kernel has no driver that would say so.
talk 30 'run:ls /sys/bus/acpi/devices | grep -c QEMUVGID' | grep -qx 1 || die "it has no vmgenid"
same "processors" "$(talk 30 'run:grep -c ^processor /proc/cpuinfo')" 4
# All four do something, and the network card's queue moves.
talk 60 'run:for i in 0 1 2 3; do taskset $((1 << i)) sha256sum /tmp/nxpk/random; done | uniq | wc -l' >"$WORK/said"
same "what four processors say" "$(cat "$WORK/said")" 1
talk 60 'run:net-up && ping -c 1 -W 10 10.0.2.2 >/dev/null && echo pong' | grep -q pong || die "its network does not answer"
power_off

name=big-saved
resume big-saved
is_still random
talk 30 'run:awk "/MemTotal/ { print (\$2 > 4900000) }" /proc/meminfo' | grep -qx 1 || die "its memory has shrunk"
# Its data, 40 MiB of 4 KiB pages, is in the zone above 4 GiB, which the hole has moved there.
talk 30 'run:awk "/^Node/ { zone = \$4 } zone == \"Normal\" && /nr_zone_(in)?active_anon/ { n += \$2 } END { print (n >= 10240) }" /proc/zoneinfo' |
    grep -qx 1 || die "nothing is above 4 GiB: this test would show nothing"
echo "big-saved: package $(stat -c %s "$PACKAGE") bytes"
power_off

# Until there is one sum more than files; a slow machine may need some seconds for it.
name=writing-saved ask='n=0; : >/tmp/sums; while [ $(sort -u /tmp/sums | grep -c w) -lt 5 ] && [ $n -lt 30 ]; do cat /data/*.sum >>/tmp/sums; sleep 1; n=$((n + 1)); done; cat /tmp/sums'
resume writing-saved
# A sum is empty for the moment in which it is written.
[ "$(sort -u <<<"$SAID" | grep -c w)" -ge 5 ] || die "it does not write any more: $SAID"
# It still writes; stop it, and see that what it wrote is whole when it is read from the disk, and the file system sound.
talk 90 'run:kill -9 -1; n=0; until umount /data || [ $n -ge 60 ]; do sleep 1; n=$((n + 1)); done; mount -t ext4 -o ro /dev/vda2 /data && cd /data && { bad=0; for f in 0 1 2 3; do sha256sum -s -c w$f.sum || bad=$((bad + 1)); done; [ $bad -le 1 ] && echo whole; }' >"$WORK/said"
grep -qx whole "$WORK/said" || die "what it wrote is damaged: $(cat "$WORK/said")"
talk 30 'run:! dmesg | grep -iE "i/o error|ext4-fs error|corrupt" && echo sound' | grep -qx sound || die "its file system"
disk_now "$WORK/disk.raw"
e2fsck -fn "$WORK/disk.raw?offset=$((25 << 20))" >"$WORK/said" 2>&1 && ! grep -q "? no" "$WORK/said" || die "e2fsck: $(cat "$WORK/said")"
echo "writing-saved: $(tail -n 1 "$WORK/said")"
halt

name=screen-saved ask='echo here'
echo shown >"$WORK/vnc-password"
resume screen-saved --vnc 127.0.0.1:77 --vnc-password-file "$WORK/vnc-password"
"$BUILD/tools/vnc-shot" 127.0.0.1:5977 "$WORK/screen.ppm" shown || die "no picture"
cmp "$WORK/screen.ppm" "$GUEST/notes/screen.ppm" || die "its screen is not what it was"
[ "$(tail -c +20 "$WORK/screen.ppm" | od -An -v -tu1 -w3 | sort -u | wc -l)" -ge 3 ] || die "its screen is empty"
echo "screen-saved: the picture is what it was, $(head -n 2 "$WORK/screen.ppm" | tail -n 1) pixels"
power_off
