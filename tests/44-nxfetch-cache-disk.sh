#!/bin/bash
# SPDX-License-Identifier: MIT
# The cache's disk is full, read-only, slow, damaged, taken away, or of another version; others fill it or clear it at the
# same time.  nxfetch goes on without the cache or repairs it, says so in one line, and shows the right image.  SEED
# (printed) from the environment.
. tests/lib/http.sh
. tests/lib/relay.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
. tests/lib/cache.sh

SEED=${SEED:-$RANDOM}
RANDOM=$SEED
echo "SEED=$SEED"
signing_key
packed a 24
packed b 64
start_nxserve "$WORK/www" || die nxserve
fast=$URL_BASE
ERR=$WORK/mount.log ONLINE=yes

# flip FILE COUNT: so many bits of it.
flip() {
    local n size byte at
    size=$(stat -c %s "$1")
    for ((n = 0; n < $2; n++)); do
        at=$(((RANDOM * 32768 + RANDOM) % size))
        byte=$(od -An -tu1 -j "$at" -N 1 "$1" | tr -d ' ')
        printf "\\x$(printf %02x $((byte ^ 1 << RANDOM % 8)))" | dd of="$1" bs=1 seek="$at" conv=notrunc status=none
    done
}

# small_disk SIZE: a disk of its own for a new cache, if we may make one.  Not below $WORK, where no mount may be left.
small_disk() {
    XDG_CACHE_HOME=$DISK
    mount -t tmpfs -o "size=$1" nxpk-test "$DISK" 2>/dev/null
}
DISK=$(mktemp -d "${WORK%/*}/nxpk-disk.XXXXXX") || die "a folder"
trap 'umount -l "$DISK" 2>/dev/null; rmdir "$DISK"; end_of_test' EXIT

if small_disk 10m; then
    image_is_right a
    said "$(CACHE_OF)" "No space left on device" "nothing more is kept"
    nxfetch pull "$URL_BASE/a.nxpk" && die "a pull to a full disk succeeded"
    grep -q "$(CACHE_OF).*No space left on device" "$WORK/err" || die "a pull to a full disk says: $(cat "$WORK/err")"
    umount "$DISK"

    small_disk 10m
    head -c 20000000 /dev/zero >"$DISK/file" 2>/dev/null # full from the start
    image_is_right a
    said "$(CACHE_OF)" "No space left on device" "going on without"
    umount "$DISK"

    small_disk 60m
    pulls a
    mount -o remount,ro "$DISK" || die "remount"
    image_is_right a
    said "$(CACHE_OF)" "Read-only file system" "going on without"
    umount "$DISK"
else
    echo "not tried, since only root can make small disks: full, and read-only"
fi

# Taken away while it is in use.
new_cache
mount_package "$URL_BASE/a.nxpk" --trust "$TRUST" --no-complete
head -c 4000000 "$IMAGE" >/dev/null
rm -rf "$(CACHE_OF)"
same "sha256 after the cache was removed" "$(sha256sum <"$IMAGE")" "$(sha256sum <"$WORK/a.raw")"
told 10 "nothing more is kept"
halt
said "$(CACHE_OF)" "removed while it was in use" "nothing more is kept"

# Flipped bits: in the segments; in the database.
new_cache
pulls a
for segment in "$(CACHE_OF)"/segments/*.seg; do flip "$segment" 10; done
image_is_right a
said "$(CACHE_OF)/segments/" "damaged at offset"
nxfetch cache verify || die "cache verify"
new_cache
for turn in 1 2 3; do
    pulls a
    flip "$(CACHE_OF)/index.mdb" 1000 # of which only those that break its structure can be seen
    image_is_right a --offline
    said "$(CACHE_OF)/index.mdb" "damaged" "made anew"
done

# A slow disk: what reads does not wait for it, and what it cannot take is not kept.
new_cache
on_disk NX_DISK_DELAY_MS=50
start=$SECONDS
FETCH=("${ON_DISK[@]}" "$BUILD/nxfetch")
image_is_right b --no-complete
FETCH=("$BUILD/nxfetch")
at_most "seconds beside a slow disk" $((SECONDS - start)) 60
said "$(CACHE_OF)" "too slow" "not all that is fetched is kept"
cache_is_sound

# Other layouts.
new_cache
pulls a
echo "nxpk cache 99" >"$(CACHE_OF)/layout"
kept=$(segment_bytes)
image_is_right a
said "$(CACHE_OF)/layout" "newer nxfetch" "going on without"
same "bytes in a newer cache" "$(segment_bytes)" "$kept"
echo "nxpk cache 0" >"$(CACHE_OF)/layout"
pulls a
ERR=$WORK/err said "$(CACHE_OF)/layout" "older nxfetch" "cleared"
cache_is_sound

# Cleared by another: what was there already comes again, and at the end all is there.
new_cache
start_relay -r 4000000 || die "the relay does not start"
more_kept() { [ "$(segment_bytes)" -ge 8000000 ]; }
"$BUILD/nxfetch" pull "$URL_BASE/a.nxpk" >"$WORK/pull.log" 2>&1 &
pid=$!
wait_for 60 "$pid" more_kept || die "nothing comes: $(cat "$WORK/pull.log")"
relay_stop
nxfetch cache clear || die "cache clear: $(cat "$WORK/err")"
relay_go
wait "$pid" || die "pull beside cache clear: $(cat "$WORK/pull.log")"
stop_server "$RELAY_PID"
image_is_right a --offline
cache_is_sound
URL_BASE=$fast

# Two that do not fit in together: the limit holds, and who is told that all is there has it.
new_cache
limit=$((64 << 20))
packed c 48
packed d 48
pids=()
for name in c d; do
    "$BUILD/nxfetch" pull --cache-size=64M "$URL_BASE/$name.nxpk" >"$WORK/pull-$name.log" 2>&1 &
    pids+=($!)
done
most=0
while kill -0 "${pids[0]}" 2>/dev/null || kill -0 "${pids[1]}" 2>/dev/null; do
    now=$(segment_bytes)
    [ "$now" -le "$most" ] || most=$now
done
for name in c d; do
    wait "${pids[0]}"
    status=$?
    pids=("${pids[@]:1}")
    echo "pull of 48 MB beside another, into 64 MiB: status $status: $(tail -n 1 "$WORK/pull-$name.log")"
    [ $status = 0 ] || grep -qE "cache does not keep|no room" "$WORK/pull-$name.log" || die "pull $name failed"
done
at_most "bytes in a cache of 64 MiB" "$most" $((limit + limit / 16))
ERR=$WORK/err
nxfetch cache verify --json || die "cache verify"
same "damaged objects in the cache" "$(jq .bad "$WORK/out")" 0
echo "at most $most bytes in a cache of $limit"
