#!/bin/bash
# SPDX-License-Identifier: MIT
# A Debian that a real libvirt saved at its shell's prompt, packed with its memory, on nginx behind a line of 100 Mbit/s
# with a round trip of 40 ms: resumed on an empty cache it answers, goes on where it stood, and has fetched little.
. tests/lib/http.sh
. tests/lib/relay.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
echo "accelerator: $ACCEL"
start_nginx "$WORK/www" || exit
SERVER=$SERVER_PORT

# resumed GUEST: the machine answers, having cost its boot set and little else.  How large that is, is the guest's matter:
# one at rest touches 5 MB by itself ten seconds later and 20 MB after a minute, and its training may see such a moment.
resumed() {
    package "$1" || die "packing $1"
    publish "$PACKAGE"
    SERVER_PORT=$SERVER
    start_relay "${LINE_100M[@]}" || die "the relay does not start"
    new_cache
    boot --no-cold --trust "$TRUST" "$URL_BASE/$1.nxpk"
    "$BUILD/tools/guest-talk" -i 100 -o "$TRANSCRIPT" -p "$FETCH_PID" "$SERIAL" 60 'poke:# ' || die "$1 does not answer"
    echo "$1: answered after $(boot_seconds) s"
    sleep 0.3 # its statistics are no older; a guest at rest may be long in coming to newer ones
    same "$1: resumed" "$(stat_of .resumed)" true
    local bytes save boot_set
    bytes=$(stat_of .bytes) save=$(stat -c %s "$GUEST"/*.save)
    boot_set=$("$BUILD/nxfetch" info --json "$PACKAGE" | jq .boot_set)
    echo "$1: $bytes bytes in $(stat_of .requests) requests; boot set $boot_set, save $save, package $(stat -c %s "$PACKAGE")"
    at_least "$1: bytes of its boot set" "$boot_set" 1000000
    at_most "$1: bytes of its boot set" "$boot_set" $((save / 8))
    at_most "$1: bytes when it answered, beside its boot set" $((bytes - boot_set)) $((save / 100))
}

# What the guest says now must be what it said before it was saved.
still() { # FILE COMMAND
    talk 120 "run:$2" >"$WORK/said"
    cmp -s "$WORK/said" "$GUEST/notes/$1" || die "$1: $(head -c 300 "$WORK/said"), was $(head -c 300 "$GUEST/notes/$1")"
}

went_on() {
    local up was
    was=$(cut -d . -f 1 <"$GUEST/notes/uptime")
    up=$(talk 60 'run:cut -d . -f 1 /proc/uptime')
    # Its clock stood still while it was no machine; from the note to the end of the save it went on.
    [ "$up" -ge "$was" ] && [ "$up" -le $((was + $(boot_seconds | cut -d . -f 1) + 20)) ] ||
        die "uptime: $up s, saved at $was s, resumed $(boot_seconds) s ago"
    still random 'sha256sum /run/nxpk/random'
    still os 'head -n 3 /etc/os-release | sha256sum'
    same "the open file without a name" "$(talk 60 'run:cat /proc/$$/fd/7')" 'still here'
    # One number a line, each the one before and one more, and more of them than a moment ago.
    talk 60 'run:wc -l </run/nxpk/count; sleep 1; wc -l </run/nxpk/count' \
        'run:awk "\$1 != NR { print \"gap at \" NR; exit 1 }" /run/nxpk/count && echo no gap' >"$WORK/said"
    { read -r before; read -r after; read -r gaps; } <"$WORK/said"
    [ "$after" -gt "$before" ] && [ "$gaps" = 'no gap' ] || die "the counting process: $(cat "$WORK/said")"
}

resumed debian-saved
went_on
halt
resumed debian-saved-2g
went_on
halt

# Its disk, whole, from the engine; and from within.
package debian-saved
new_cache
mount_disk=$WORK/mounted
mkdir "$mount_disk"
"$BUILD/nxfetch" mount --trust "$TRUST" "$PACKAGE" "$mount_disk" >"$WORK/mount.log" 2>&1 </dev/null &
FETCH_PID=$!
wait_for 30 "$FETCH_PID" test -f "$mount_disk/disk0" || die "nxfetch mount"
same "the disk" "$(sha256sum "$mount_disk/disk0" | cut -d ' ' -f 1)" \
    "$(qemu-img convert -O raw "$GUEST/disk.qcow2" "$WORK/disk.raw" && sha256sum "$WORK/disk.raw" | cut -d ' ' -f 1)"
rm "$WORK/disk.raw"
halt
boot --no-cold --trust "$TRUST" "$PACKAGE"
talk 60 'poke:# ' >/dev/null
talk 170 'run:dpkg --verify coreutils perl-base man-db systemd && echo as installed' >"$WORK/said"
same "files of the disk, as the guest reads them" "$(cat "$WORK/said")" 'as installed'
talk 30 'run:! dmesg | grep -iE "i/o error|ext4-fs error|corrupt"' >/dev/null
halt
