#!/bin/bash
# SPDX-License-Identifier: MIT
# A site's cache in front of a far server, as nginx/nxpk-cache.conf and varnish/nxpk-cache.vcl set it up: eight clients boot or
# pull a package at once, and the far server has sent each byte once, by its own log.  What the clients get is right, also
# when the far server is away, and when it has another version.
#   BOOTING=8: how many of nginx's eight clients boot (tests/slow/47-sitecaches.sh: all)
. tests/lib/http.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
. tests/lib/sitecache.sh
echo "accelerator: $ACCEL"
BOOTING=${BOOTING:-2}

package tiny || die "packing"
size=$(stat -c %s "$PACKAGE")
www=$WORK/www
for name in guest.nxpk guest-0123456789abcdef.nxpk tail.nxpk; do cp -p "$PACKAGE" "$www/$name" || die "copying"; done
echo secret >"$www/secret.txt"

# A client: status 0 if what it got is right.  nxfetch checks every byte against the author's signature; what the guest sees is checked
# in it.
pulls() { # URL CACHE
    XDG_CACHE_HOME=$2 timeout 120 "$BUILD/nxfetch" -q pull "$1"
}
boots() ( # URL CACHE NUMBER
    trap 'kill -TERM "$FETCH_PID" 2>/dev/null' EXIT
    BOOTS=$(($3 * 10)) XDG_CACHE_HOME=$2
    export XDG_CACHE_HOME
    boot --trust "$TRUST" "$1"
    talk "$((60 + 30 * BOOTING))" 'expect:nxpk-guest ready' run:check-data >"$WORK/said-$3" || die "client $3: talking to its guest"
    grep -q '^check-data OK' "$WORK/said-$3" || die "client $3: $(cat "$WORK/said-$3")"
    kill -INT "$FETCH_PID"
    fetch_ended 20
)
# eight BASE BOOTING: of the eight, how many boot
eight() {
    local n pids=() cold
    cold=$(mktemp -d "$WORK/cold-XXXXXX")
    for n in {1..8}; do
        if [ "$n" -le "$2" ]; then boots "$1/guest.nxpk" "$cold/$n" "$n" & else pulls "$1/guest.nxpk" "$cold/$n" & fi
        pids+=($!)
    done
    for n in {1..8}; do wait "${pids[n - 1]}" || die "$where: client $n got no machine"; done
    rm -rf "$cold"
}

# sent LOG NAME: the bytes of bodies that a server has sent of a file, by its log; and asked LOG NAME: how often it was asked
sent() { awk -v path="/$2" '$7 == path { n += $10 } END { print n + 0 }' "$1"; }
asked() { awk -v path="/$2" '$7 == path { n++ } END { print n + 0 }' "$1"; }
# settled LOG NAME WANTED: the log's last lines come a little after the answers
settled() {
    right() { [ "$(sent "$1" "$2")" -ge "$3" ]; }
    wait_for 20 $$ right "$@"
    same "$where: bytes of $2 that the far server sent" "$(sent "$1" "$2")" "$3"
}
field() { tr -d '\r' <"$WORK/head" | sed -n "s/^$1: //Ip"; }
ask() { curl -sS -o "$WORK/body" -D "$WORK/head" -w '%{http_code}' "$@"; }

check_cold() { # BASE LOG BOOTING
    eight "$1" "$3"
    settled "$2" guest.nxpk "$size"
    # The ninth costs nothing at all.
    pulls "$1/guest.nxpk" "$WORK/ninth" || die "$where: the ninth"
    rm -rf "$WORK/ninth"
    same "$where: bytes after the ninth" "$(sent "$2" guest.nxpk)" "$size"
    # What nxfetch, and pages of other sites, need comes through the cache.
    same "$where: a range" "$(ask -r 1000000-1000099 -H 'Accept-Encoding: gzip, br' "$1/guest.nxpk")" 206
    same "$where: its bytes" "$(sha256sum <"$WORK/body")" "$(tail -c +1000001 "$PACKAGE" | head -c 100 | sha256sum)"
    same "$where: Content-Range" "$(field Content-Range)" "bytes 1000000-1000099/$size"
    same "$where: type" "$(field Content-Type) $(field Content-Encoding)" 'application/x-vmnetx-package '
    same "$where: CORS" "$(field Access-Control-Allow-Origin)" '*'
    same "$where: Cache-Control" "$(field Cache-Control)" 'public, no-cache'
    etag=$(field ETag)
    [[ $etag == '"'*'"' ]] || die "$where: the ETag $etag"
    same "$where: If-None-Match" "$(ask -H "If-None-Match: $etag" "$1/guest.nxpk")" 304
    same "$where: If-Range" "$(ask -r 0-9 -H "If-Range: $etag" "$1/guest.nxpk") $(ask -r 0-9 -H 'If-Range: "other"' "$1/guest.nxpk")" '206 200'
    same "$where: HEAD" "$(ask -I "$1/guest.nxpk") $(field Content-Length)" "200 $size"
    # Nothing else is fetched for anybody.
    same "$where: another file" "$(ask "$1/secret.txt") $(asked "$2" secret.txt)" '404 0'
    # A name with a digest in it: the same, and never asked for again (check_later).
    pulls "$1/guest-0123456789abcdef.nxpk" "$WORK/digest" || die "$where: a digest in the name"
    rm -rf "$WORK/digest"
    settled "$2" guest-0123456789abcdef.nxpk "$size"
}

# Ten seconds later, with another package under the first name.
check_later() { # BASE LOG
    local before
    right() { ask -r 0-9 "$1/guest.nxpk" >/dev/null && [ "$(field ETag)" = "$2" ]; }
    wait_for 30 $$ right "$1" "$new_etag" || die "$where: the new version is not to be had: $(field ETag), not $new_etag"
    pulls "$1/guest.nxpk" "$WORK/new" || die "$where: the new version"
    rm -rf "$WORK/new"
    before=$(asked "$2" guest-0123456789abcdef.nxpk)
    pulls "$1/guest-0123456789abcdef.nxpk" "$WORK/digest" || die "$where: a digest in the name, later"
    rm -rf "$WORK/digest"
    same "$where: requests for it" "$(asked "$2" guest-0123456789abcdef.nxpk)" "$before"
}

# The far server is away.  What was asked of tail.nxpk was good for ten seconds, which are over: it is good still.
check_alone() { # BASE
    until [ $SECONDS -gt $((tail_at + 11)) ]; do sleep 0.1; done
    same "$where: what is old" "$(ask -r -100 "$1/tail.nxpk") $(sha256sum <"$WORK/body")" "206 $(tail -c 100 "$PACKAGE" | sha256sum)"
    pulls "$1/guest.nxpk" "$WORK/alone" || die "$where: all is in the cache"
    rm -rf "$WORK/alone"
    [[ $(ask "$1/never.nxpk") == 50? ]] || die "$where: what was never asked for"
}


where='nginx as the cache'
start_nginx_tls "$www" || exit
ORIGIN_TLS_PORT=$SERVER_PORT
nginx_origin=$SERVER_PID nginx_log=$SERVER_ACCESS_LOG
start_nginx_cache || exit
nginx_base=$URL_BASE
check_cold "$nginx_base" "$nginx_log" "$BOOTING"
# The last bytes of a package that nobody has read cost the first slice, for its size, and the last one.
same "the end of a package" "$(ask -r -100 "$nginx_base/tail.nxpk")" 206
[ "$(sent "$nginx_log" tail.nxpk)" -le $((2 << 20)) ] || die "nginx: $(sent "$nginx_log" tail.nxpk) bytes for the last 100"

where='Varnish as the cache'
start_nginx "$www" || exit
varnish_origin=$SERVER_PID varnish_log=$SERVER_ACCESS_LOG
start_varnish_cache
case $? in
0)
    varnish_base=$URL_BASE
    check_cold "$varnish_base" "$varnish_log" "$BOOTING"
    # It fetches all of it for them: that is why docs/admin.md prefers nginx.
    same "the end of a package" "$(ask -r -100 "$varnish_base/tail.nxpk")" 206
    settled "$varnish_log" tail.nxpk "$size"
    ;;
77) varnish_base= ;;
*) die "Varnish does not start" ;;
esac

tail_at=$SECONDS

# A new version, as an admin should put it there.
"$BUILD/nxpack" -q -k "$KEY" --serial 2 "$(packed_from)" "$WORK/new.nxpk" && mv "$WORK/new.nxpk" "$www/.new" && mv "$www/.new" "$www/guest.nxpk" ||
    die "a new version"
new_etag=$(curl -sSI --cacert "$CA_FILE" "https://localhost:$ORIGIN_TLS_PORT/guest.nxpk" | tr -d '\r' | sed -n 's/^ETag: //Ip')
where='nginx as the cache, later'
check_later "$nginx_base" "$nginx_log"
where='Varnish as the cache, later'
[ -z "$varnish_base" ] || check_later "$varnish_base" "$varnish_log"

where='nginx as the cache, alone'
stop_server "$nginx_origin"
check_alone "$nginx_base"
where='Varnish as the cache, alone'
stop_server "$varnish_origin"
[ -z "$varnish_base" ] || check_alone "$varnish_base"
exit 0
