#!/bin/bash
# SPDX-License-Identifier: MIT
# nxfetch is killed at random moments while it fills the cache, and the power is cut: the next run finds a sound cache and
# the image reads back right.  Two and eight at once.  KILLS, CUTS and SEED (printed) from the environment.
. tests/lib/http.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
. tests/lib/relay.sh
. tests/lib/cache.sh

KILLS=${KILLS:-5} CUTS=${CUTS:-5} SEED=${SEED:-$RANDOM}
RANDOM=$SEED
signing_key
packed a 24
start_nxserve "$WORK/www" || die nxserve
fast=$URL_BASE
start_relay -r 10000000 || die "the relay does not start" # so that the moments lie within
slow=$URL_BASE

# pulling [COMMAND...]: a pull in the background, of a group of its own: PULL_PID.  By setsid, so that it all dies at once.
pulling() {
    setsid env "$@" "$BUILD/nxfetch" pull "$slow/a.nxpk" >"$WORK/pull.log" 2>&1 </dev/null &
    PULL_PID=$!
    until kill -0 -- "-$PULL_PID" 2>/dev/null || ! kill -0 "$PULL_PID" 2>/dev/null; do sleep 0.01; done
}

# kill_at_random MS: within so many milliseconds; DONE=yes if it had ended.
kill_at_random() {
    local us=$((RANDOM * 1000 * $1 / 32768))
    sleep "$((us / 1000000)).$(printf %06d $((us % 1000000)))"
    DONE=no
    kill -KILL -- "-$PULL_PID" 2>/dev/null || DONE=yes
    wait "$PULL_PID" 2>/dev/null
}

took=2400 # ms that a pull of 24 MB takes at least, by this line
URL_BASE=$fast

new_cache
killed=0
for ((n = 1; n <= KILLS; n++)); do
    pulling
    kill_at_random "$took"
    [ $DONE = yes ] || killed=$((killed + 1))
    kept=$(segment_bytes)
    cache_is_sound
    if ((n % 2 == 0 || n == KILLS)); then # else the next one goes on with this cache
        pulls a
        image_is_right a
        cache_is_sound
        new_cache
    fi
    echo "SEED=$SEED kill $n: had ended $DONE, $kept bytes were kept"
done
[ $((2 * killed)) -ge "$KILLS" ] || die "only $killed of $KILLS pulls were killed before their end"

# A power cut: what was synced, and every other time something of what was not.
shadow=$WORK/shadow
for ((n = 1; n <= CUTS; n++)); do
    on_disk NX_DISK_SHADOW="$shadow"
    pulling "${ON_DISK[@]}"
    kill_at_random $((took * 3 / 2))
    whim=$((n % 2 ? RANDOM : 0))
    "$BUILD/tools/powercut" $whim "$XDG_CACHE_HOME" "$shadow" || die powercut
    kept=$(segment_bytes)
    cache_is_sound
    pulls a
    image_is_right a
    cache_is_sound
    rm -rf "$shadow"
    new_cache
    echo "SEED=$SEED cut $n (whim $whim): had ended $DONE, $kept bytes were left"
done

# What was pulled to the end is there after a power cut, all of it.
on_disk NX_DISK_SHADOW="$shadow"
"${ON_DISK[@]}" "$BUILD/nxfetch" pull "$URL_BASE/a.nxpk" 2>"$WORK/err" || die "pull: $(cat "$WORK/err")"
"$BUILD/tools/powercut" 0 "$XDG_CACHE_HOME" "$shadow" || die powercut
cache_is_sound
image_is_right a

# Many at once, on one cache.
for many in 2 8; do
    new_cache
    pids=()
    for ((n = 0; n < many; n++)); do
        "$BUILD/nxfetch" pull "$URL_BASE/a.nxpk" >"$WORK/pull-$n.log" 2>&1 &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do
        wait "$pid" || die "one of $many pulls failed: $(cat "$WORK"/pull-*.log)"
    done
    cache_is_sound
    image_is_right a
done
echo "$killed of $KILLS kills before the end, $CUTS power cuts; 2 and 8 at once; SEED=$SEED"
