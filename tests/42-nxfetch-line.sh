#!/bin/bash
# SPDX-License-Identifier: MIT
# nxfetch pull over a line that breaks, and dies for a while: it goes on where it was, and nothing comes twice but what
# was on its way.
. tests/lib/http.sh
. tests/lib/relay.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh

signing_key
head -c 16000000 /dev/urandom >"$WORK/disk.raw"
sed "s|@DIR@|$WORK|" tests/guests/tiny.xml >"$WORK/domain.xml"
"$BUILD/nxpack" -q -k "$KEY" "$WORK/domain.xml" "$WORK/www/a.nxpk" || die nxpack
start_nxserve "$WORK/www" || die nxserve
start_relay -r 2000000 -d 5 || die "the relay does not start"
new_cache

# More of the package is in the cache than there was.
kept() { find "$XDG_CACHE_HOME" -type f -size +64k -printf '%b\n' | awk '{ n += $1 } END { print n + 0 }'; }
more_kept() { [ "$(kept)" -ge $((had + 1000)) ]; }
some_more() {
    had=$(kept)
    wait_for 20 "$FETCH_PID" more_kept || die "nothing comes: $(cat "$WORK/err")"
}

"$BUILD/nxfetch" pull --stats "$WORK/stats.json" "$URL_BASE/a.nxpk" >"$WORK/out" 2>"$WORK/err" &
FETCH_PID=$!
some_more
relay_cut
sleep 1 # an outage
relay_go
some_more
relay_stop
sleep 3 # another one, which nobody is told of
relay_go
some_more
relay_cut
relay_go
wait "$FETCH_PID" || die "pull: $(cat "$WORK/err")"
"$BUILD/nxfetch" cache verify >"$WORK/out" 2>&1 || die "cache verify: $(cat "$WORK/out")"
size=$(stat -c %s "$WORK/www/a.nxpk") bytes=$(jq .bytes "$WORK/stats.json")
echo "$bytes bytes for a package of $size, $(jq .requests "$WORK/stats.json") requests"
at_most "bytes for a package of $size" "$bytes" $((size + size / 10))
