#!/bin/sh
# SPDX-License-Identifier: MIT
# make demo: the whole way once, from a machine on this computer to the same machine booted from a web server.
# Every figure printed is measured here: times by the clock, bytes by nxfetch's own --stats.
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build/gcc}
limit=${DEMO_TIMEOUT:-180} # seconds that the machine may take to boot
work=$(mktemp -d "${TMPDIR:-/tmp}/nxpk-demo.XXXXXX")
serve_pid='' fetch_pid=''

clean_up() {
    status=$?
    trap - EXIT INT TERM
    for pid in $fetch_pid $serve_pid; do
        kill -TERM "$pid" 2>/dev/null || continue
        wait "$pid" || :
    done
    rm -rf "$work"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

fail() { # MESSAGE [LOG]
    printf '\ndemo: %s\n' "$1" >&2
    [ -z "${2:-}" ] || tail -n 15 "$2" >&2
    exit 1
}

now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.1f s", b - a }'; }
megabytes() { awk -v n="$1" 'BEGIN { printf "%.1f MB", n / 1e6 }'; }
step() { printf '%-58s' "$1"; }
stat_of() { jq -er "$2" "$work/stats-$1.json" || fail "nxfetch's statistics have no $2"; }

# As Ctrl-C does; it has 20 s to clean up.
stop_fetch() {
    kill -INT "$fetch_pid"
    tries=400
    while kill -0 "$fetch_pid" 2>/dev/null; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || fail 'nxfetch does not end on Ctrl-C'
        sleep 0.05
    done
    wait "$fetch_pid" || :
    fetch_pid=''
}

# resume: the suspended machine, until it answers Return; its time in $took.
resume() {
    start=$(now)
    "$BUILD/nxfetch" --no-cold --trust "$work/author.pub.pem" --accel "${ACCEL:-auto}" --display none \
        --serial "unix:$work/talk" --stats "$work/stats-resumed.json" --no-complete "$1" \
        </dev/null >"$work/nxfetch-resumed.log" 2>&1 &
    fetch_pid=$!
    "$BUILD/tools/guest-talk" -i 100 -p "$fetch_pid" "$work/talk" "$limit" 'poke:nxpk# ' 2>"$work/talk.log" ||
        fail 'the resumed machine does not answer; nxfetch said:' "$work/nxfetch-resumed.log"
    took=$(since "$start")
}

# boot NAME: until the guest says that it is ready; its time in $took, nxfetch's figures in stats-NAME.json.
boot() {
    start=$(now)
    "$BUILD/nxfetch" --trust "$work/author.pub.pem" --accel "${ACCEL:-auto}" --display none \
        --serial "$work/serial-$1" --stats "$work/stats-$1.json" --no-complete "$url" \
        </dev/null >"$work/nxfetch-$1.log" 2>&1 &
    fetch_pid=$!
    until grep -qs 'nxpk-guest ready' "$work/serial-$1"; do
        kill -0 "$fetch_pid" 2>/dev/null || fail 'nxfetch ended before the machine was up; it said:' "$work/nxfetch-$1.log"
        [ "$(awk -v a="$start" -v b="$(now)" 'BEGIN { print int(b - a) }')" -lt "$limit" ] ||
            fail "the machine was not up after $limit s; nxfetch said:" "$work/nxfetch-$1.log"
        sleep 0.05
    done
    took=$(since "$start")
    stop_fetch
    ! grep -q " $work/" /proc/self/mounts || fail 'nxfetch has left a mount behind'
}

printf 'nxpk: boot a virtual machine straight from a web server\n\n'

start=$(now)
step "1  a small machine (Debian's kernel and busybox)"
bash tests/guests/make-tiny.sh >"$work/make.log" 2>&1 || fail 'the guest cannot be made:' "$work/make.log"
since "$start"; echo

start=$(now)
step '2  packed and signed:  nxpack -k KEY domain.xml demo.nxpk'
mkdir "$work/www"
{
    "$BUILD/nxpack" keygen "$work/author.pem" &&
        "$BUILD/nxpack" -k "$work/author.pem" build/guests/tiny/domain.xml "$work/www/demo.nxpk"
} >"$work/nxpack.log" 2>&1 || fail 'nxpack failed:' "$work/nxpack.log"
since "$start"; echo

step '3  on a web server:  nxserve'
"$BUILD/nxserve" --port 0 --port-file "$work/port" "$work/www" </dev/null >"$work/nxserve.log" 2>&1 &
serve_pid=$!
until [ -s "$work/port" ]; do
    kill -0 "$serve_pid" 2>/dev/null || fail 'nxserve ended:' "$work/nxserve.log"
    sleep 0.05
done
url=http://127.0.0.1:$(cat "$work/port")/demo.nxpk
echo "$url"

# A cache of its own, so that the first boot is a first one.
export XDG_CACHE_HOME="$work/cache"
mkdir "$XDG_CACHE_HOME"
export XDG_CONFIG_HOME="$work/config" # and nothing is noted in yours
step '4  booted from there:  nxfetch URL'
boot first
echo "$took"
first_took=$took
step '5  and once more'
boot second
echo "$took"
second_took=$took

start=$(now)
step '6  a machine at work, suspended by libvirt:  virsh save'
bash tests/guests/make-saved.sh tiny-saved >"$work/save.log" 2>&1 || fail 'the guest cannot be saved:' "$work/save.log"
since "$start"; echo
saved=build/guests/tiny-saved
start=$(now)
step '7  packed with its memory, and trained:  nxpack SAVE'
"$BUILD/nxpack" -k "$work/author.pem" --train $saved/tiny-saved.save "$work/www/saved.nxpk" >"$work/nxpack.log" 2>&1 ||
    fail 'nxpack failed:' "$work/nxpack.log"
since "$start"; echo
step '8  resumed from the web server:  nxfetch URL'
resume "${url%/*}/saved.nxpk"
echo "$took"
resumed_took=$took
tries=20 # nxfetch writes its figures every quarter of a second
until [ "$(jq -r .resumed "$work/stats-resumed.json")" = true ] || [ $tries = 0 ]; do
    tries=$((tries - 1))
    sleep 0.1
done
resumed_bytes=$(stat_of resumed .bytes) resumed_requests=$(stat_of resumed .requests)
"$BUILD/tools/guest-talk" -p "$fetch_pid" "$work/talk" 60 \
    'run:cut -d " " -f 1 /proc/uptime; sha256sum </tmp/nxpk/random | cut -c 1-64; tail -n 1 /tmp/nxpk/count' >"$work/said" 2>"$work/talk.log" ||
    fail 'the resumed machine does not go on:' "$work/talk.log"
stop_fetch
{ read -r up; read -r sum; read -r count; } <"$work/said"
[ "$sum" = "$(cut -c 1-64 $saved/notes/random)" ] || fail 'its memory is not what it was'

package=$(stat_of first .package_bytes)
bytes=$(stat_of first .bytes)
again=$(stat_of second .chunks_fetched)
first_chunks=$(stat_of first .chunks_fetched)
requests=$(stat_of first .requests)
cached=$(stat_of second .cache_hits)
[ "$first_chunks" -gt 0 ] || fail 'the first boot fetched no chunk: that cannot be' "$work/nxfetch-first.log"

printf '\nThe machine said:  %s\n\n' "$(tr -d '\r' <"$work/serial-first" | grep -a -B 1 'nxpk-guest ready' | head -n 1)"
printf 'First boot:   %7s to its prompt; %s of the %s in the package were fetched (%d %%), in %d requests.\n' \
    "$first_took" "$(megabytes "$bytes")" "$(megabytes "$package")" $((bytes * 100 / package)) "$requests"
printf 'Second boot:  %7s; %d chunks fetched, %d taken from the cache.\n' \
    "$second_took" "$again" "$cached"
printf 'Resumed:      %7s to its answer; %s of the %s in the package were fetched, in %d requests.  It was saved %s s after\n' \
    "$resumed_took" "$(megabytes "$resumed_bytes")" "$(megabytes "$(stat -c %s "$work/www/saved.nxpk")")" "$resumed_requests" "$(cat $saved/notes/uptime)"
printf '              its start and says %s s now; its process has counted to %d; the random data in its memory is the same.\n' "$up" "$count"
[ "$again" = 0 ] || fail 'the second boot should have fetched no chunk'

cat <<END

Next, with the programs in $BUILD:
    nxpack DOMAIN.XML MY.nxpk      pack a machine of yours (virsh dumpxml shows its XML),
                                   copy the file to any web server,
    nxfetch URL                    and boot it from anywhere.
README.md says more; docs/hacking.md shows the inside.
END
