#!/bin/bash
# SPDX-License-Identifier: MIT
# Four readers compare every byte of a mounted disk, while one answer in ten of the server is bad in some way and the line
# is cut, dead and slow in turn, and the host asleep; the cache is too small for the disk.  Nobody reads a wrong byte or gets an error, and
# memory and descriptors stay flat.  SOAK: seconds; tests/slow/43-soak.sh has ten minutes.
. tests/lib/http.sh
. tests/lib/relay.sh
. tests/lib/origin.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
SOAK=${SOAK:-20} SEED=${SEED:-$RANDOM} READERS=4
echo "$SOAK seconds, seed $SEED"

signing_key
head -c 160M /dev/urandom >"$WORK/disk.raw"
sed "s|@DIR@|$WORK|" tests/guests/tiny.xml >"$WORK/domain.xml"
"$BUILD/nxpack" -q -k "$KEY" "$WORK/domain.xml" "$WORK/a.nxpk" || die nxpack
start_origin "$WORK/a.nxpk" -p 10 -s "$SEED" || die "the origin does not start"
start_relay -r 20000000 -d 1 || die "the relay does not start"
new_cache
mount_package "$URL_BASE/a.nxpk" --trust "$TRUST" --no-complete --cache-size 64M --stats "$WORK/stats.json"
ENGINE=$(pgrep -P "$FETCH_PID") || die "no engine"
origin_bad

# What the engine has: anonymous memory in KiB, and descriptors.
sample() {
    echo "$(awk '/^RssAnon:/ { print $2 }' "/proc/$ENGINE/status") $(ls "/proc/$ENGINE/fd" | wc -l)" >>"$WORK/samples"
}

# for_seconds N: go on, and look once a second.
for_seconds() {
    local until=$((SECONDS + $1))
    while [ $SECONDS -lt $until ]; do
        kill -0 "$FETCH_PID" || die "nxfetch has ended: $(cat "$FETCH_LOG")"
        sample
        sleep 1
    done
}

readers=()
for ((i = 0; i < READERS; i++)); do
    "$BUILD/tools/reader" "$SOAK" $((SEED + i)) "$IMAGE" "$WORK/disk.raw" >"$WORK/reader-$i.log" 2>&1 &
    readers+=($!)
done
end=$((SECONDS + SOAK))
for ((n = 0; SECONDS < end; n++)); do
    for_seconds 1
    case $((n % 5)) in
    0) relay_stop; for_seconds 9 ;; # long enough for the user to be told
    1) relay_stop; for_seconds 2 ;;
    2) relay_slow; for_seconds 2 ;;
    3) kill -STOP "$ENGINE"; relay_cut; for_seconds 2; kill -CONT "$ENGINE" ;;
    4) relay_cut; for_seconds 1 ;;
    esac
    relay_go
done
for ((i = 0; i < READERS; i++)); do
    wait "${readers[i]}" || die "reader $i: $(cat "$WORK/reader-$i.log")"
    echo "reader $i: $(cat "$WORK/reader-$i.log")"
done
origin_good
cmp "$IMAGE" "$WORK/disk.raw" || die "the disk is another one"
! grep 'read error' "$FETCH_LOG" || die "somebody got an error"
grep -q 'waiting for the network' "$FETCH_LOG" && grep -q 'the network answers again' "$FETCH_LOG" ||
    die "the user was not told: $(cat "$FETCH_LOG")"
jq -c '{requests, retries, bytes, chunks_fetched, cache_hits, waiting}' "$WORK/stats.json"
halt
kill -TERM "$ORIGIN_PID"
wait "$ORIGIN_PID"
cat "$ORIGIN_SAID"
[ "$(awk '{ print $3 }' "$ORIGIN_SAID")" -ge 10 ] || die "the origin was not bad enough"
"$BUILD/nxfetch" cache verify >"$WORK/said" 2>&1 || die "cache verify: $(cat "$WORK/said")"
at_most "bytes in the cache" "$(find "$XDG_CACHE_HOME" -name '*.seg' -printf '%s\n' | awk '{ n += $1 } END { print n }')" $((64 << 20))

# Caches fill at first.  After that: the last third of the time against the one before it: by the median, and by the most.
third=$(($(wc -l <"$WORK/samples") / 3))
memory() { awk '{ print $1 }' | sort -n | sed -n "$((third / 2 + 1))p"; }
most_fds() { awk '$2 > n { n = $2 } END { print n }'; }
before=$(tail -n $((2 * third)) "$WORK/samples" | head -n $third | memory)
after=$(tail -n $third "$WORK/samples" | memory)
fds=$(head -n -$third "$WORK/samples" | most_fds) fds_after=$(tail -n $third "$WORK/samples" | most_fds)
echo "memory: $before KiB, then $after KiB; descriptors: $fds, then $fds_after"
echo "memory by tenths of the time:" $(awk -v n="$(wc -l <"$WORK/samples")" '{ t = int((NR - 1) * 10 / n); sum[t] += $1; of[t]++ }
    END { for (t = 0; t < 10; t++) if (of[t]) printf "%d ", sum[t] / of[t] }' "$WORK/samples") KiB
at_most "KiB of memory" "$after" 65536
[ "$SOAK" -lt 300 ] || at_most "KiB of memory, after $before" "$after" $((before + before / 10 + 2048))
at_most "descriptors, after $fds" "$fds_after" $((fds + 2))
