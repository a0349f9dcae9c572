#!/bin/bash
# SPDX-License-Identifier: MIT
# nxref check: real web servers as we configure them leave nothing to complain about; and what stands before a server, or
# an origin that misbehaves, is called by its name.
set -u
cd "$(dirname "$0")/.." || exit 1
type jq >/dev/null || { echo 'jq is not installed'; exit 77; }
. tests/lib/pack.sh
. tests/lib/http.sh
. tests/lib/origin.sh
trap 'stop_servers; rm -rf "$work"' EXIT
. tests/lib/check.sh

cp "$root/a.nxpk" "$root/a-0123456789abcdef.nxpk"
"$NXPACK" -q -k "$work/a.pem" --serial 2 --description 'another one' "$work/in.xml" "$work/new.nxpk" || exit 1
head -c $((size - 100000)) "$root/a.nxpk" >"$root/cut.nxpk"
head -c 300 "$root/a.nxpk" >"$root/cut-early.nxpk"
cp "$work/disk.raw" "$root/disk.nxpk"
touch -d '2024-05-06 07:08:09 UTC' "$root"/*

# ---- as we configure them: nothing to complain about ----
# clean WHAT FACTS [OPTION...]: no trouble, but that plain http is noted, and nxserve's and others' lack of HTTP/2
clean() {
    local what=$1 facts=$2
    shift 2
    check "$URL_BASE/a.nxpk" "$@"
    is "$what" "0 ${clean_ids-no-tls}" "$status $ids"
    is "$what: facts" "$facts $size 0" "$(jq -r '"\(."server-kind") \(.http) \(.size) \(.redirects)"' "$report")"
    is "$what: times" true "$(jq '."first-byte-ms" > 0 and ."round-trip-ms" > 0' "$report")"
    check "$URL_BASE/a-0123456789abcdef.nxpk" "$@"
    is "$what: a digest in the name" "0 ${clean_ids-no-tls}" "$status $ids"
}

certificate short 5

start_nxserve "$root" && clean nxserve 'nxserve 1'
start_nxserve "$root" --tls-cert "$work/good.pem" --tls-key "$work/good.key" &&
    clean_ids=no-http2 clean 'nxserve, TLS' 'nxserve 1' "${good_ca[@]}"
start_nginx "$root"
started $? nginx && clean nginx 'nginx 1'
http_start_nginx "$root" "include $PWD/nginx/nxpk.conf; $nginx_tls" 'ssl http2'
started $? nginx && { URL_BASE=https://localhost:$SERVER_PORT; clean_ids='' clean 'nginx, TLS' 'nginx 2' "${good_ca[@]}"; }
start_apache "$root"
started $? Apache && clean Apache 'apache 1'
start_apache "$root" --cgi
started $? Apache && clean 'Apache, nxserve as CGI' 'apache 1'
start_lighttpd "$root" 'deflate.mimetypes = ( "text/" )'
started $? lighttpd && clean lighttpd 'lighttpd 1'
start_caddy "$root" 'encode gzip zstd'
started $? Caddy && clean Caddy 'caddy 1'
stop_all

# ---- what stands before a server, and where it leads ----
if http_start_nginx "$root" "include $PWD/nginx/nxpk.conf; $nginx_tls
    location = /old.nxpk { return 301 /older.nxpk; }
    location = /older.nxpk { return 302 /a.nxpk; }
    location = /hidden.nxpk { deny all; }
    location = /broken.nxpk { return 502; }" 'ssl http2'; then
    tls=https://localhost:$SERVER_PORT
    check "$tls/old.nxpk" "${good_ca[@]}"
    finds 'two redirects' redirects "^2 redirects: the package is at $tls/a.nxpk$"
    is 'two redirects: nothing else' '1 redirects' "$status $ids"
    is 'two redirects: counted' "2 $tls/a.nxpk" "$(jq -r '"\(.redirects) \(."final-url")"' "$report")"
    check "$tls/hidden.nxpk" "${good_ca[@]}"
    finds 'denied' status '^access denied \(HTTP status 403\)$'
    check "$tls/none.nxpk" "${good_ca[@]}"
    finds 'not there' status '^not found \(HTTP status 404\)$'
    check "$tls/broken.nxpk" "${good_ca[@]}"
    finds 'broken' status '^HTTP status 502$'
    is 'broken: no answer' null "$(jq -r '.http' "$report")"
    check "$tls/cut.nxpk" "${good_ca[@]}"
    finds 'the end is missing' package "truncated: $((size - 100000)) bytes of at least [0-9]+"
    check "$tls/cut-early.nxpk" "${good_ca[@]}"
    finds 'nearly all is missing' package "truncated"
    check "$tls/disk.nxpk" "${good_ca[@]}"
    finds 'no package' package 'not an nxpk package'
    # A certificate that is not believed is told; what else there is, too.
    check "$tls/old.nxpk"
    is 'an unknown authority' '1 tls redirects' "$status $ids"
    finds 'an unknown authority' tls 'self-signed certificate; --ca-cert FILE names another authority'
    check "https://user:secret@localhost:$SERVER_PORT/told.nxpk"
    is 'an unknown authority is told no password' "1 tls 0" "$status $ids $(grep -c told.nxpk "$SERVER_ACCESS_LOG")"
    check "https://127.0.0.1:$SERVER_PORT/a.nxpk" "${good_ca[@]}"
    is 'an address instead of the name' '1 tls' "$status $ids"
    finds 'an address instead of the name' tls 'the certificate is for another host'
    start_nginx "$root" "location = /away.nxpk { return 302 $tls/back.nxpk; } location = /s.nxpk { return 302 $tls/a.nxpk; }"
    plain=$URL_BASE
    check "$plain/s.nxpk" "${good_ca[@]}"
    is 'from http to https: no downgrade' '1 redirects' "$status $ids"
    http_start_nginx "$root" "include $PWD/nginx/nxpk.conf; ssl_certificate $work/short.pem; ssl_certificate_key $work/short.key;
        location = /down.nxpk { return 302 $plain/a.nxpk; }" 'ssl http2'
    check "https://localhost:$SERVER_PORT/down.nxpk" --ca-cert "$work/short.pem"
    finds 'from https to http' downgrade
    check "https://localhost:$SERVER_PORT/a.nxpk" --ca-cert "$work/short.pem"
    is 'expires soon' '1 certificate-ends' "$status $ids"
    finds 'expires soon' certificate-ends 'expires in 1[01][0-9] hours'

    # A cache before an origin, with slices, as docs tell; and one that ignores what it is asked for.
    start_nginx_plain "$work" "gzip off; location / { slice 128k; proxy_cache far; proxy_cache_valid 200 206 1h; proxy_cache_key \$uri\$slice_range;
        proxy_set_header Range \$slice_range; proxy_http_version 1.1; proxy_pass $plain; }" \
        "proxy_cache_path $work/cache levels=1 keys_zone=far:1m;"
    check "$URL_BASE/a.nxpk"
    is 'a cache with slices' '0 if-none-match no-tls' "$status $ids"
    start_nginx_plain "$work" "location / { proxy_set_header Range ''; proxy_force_ranges off; proxy_pass $plain; }"
    check "$URL_BASE/a.nxpk"
    finds 'a proxy that takes Range away' no-ranges 'has status 200, not 206'
    start_nginx_plain "$work" "location / { proxy_set_header Range 'bytes=0-1048575'; proxy_pass $plain; }"
    check "$URL_BASE/a.nxpk"
    finds 'a proxy that makes ranges larger' content-range 'asked for bytes 0-65535, got Content-Range: bytes 0-'
    start_nginx_plain "$work" "gzip off; location / { proxy_set_header If-Range ''; proxy_pass $plain; }"
    check "$URL_BASE/a.nxpk"
    is 'a proxy that takes If-Range away' '1 if-range-ignored no-tls' "$status $ids"
    start_nginx_plain "$work" "gzip off; location / { proxy_set_header If-None-Match ''; proxy_pass $plain; }"
    check "$URL_BASE/a.nxpk"
    is 'a proxy that takes If-None-Match away' '0 if-none-match no-tls' "$status $ids"
    stop_all
fi

# Two hosts behind one name: another package, and one that does not answer.
start_nxserve "$root"
port=$SERVER_PORT
check "http://localhost:$port/a.nxpk" --address 127.0.0.1 --address 127.0.0.3
finds 'one of two hosts is down' address '^127.0.0.3: .*(refused|connect)'
is 'one of two hosts is down: the rest' '0 address no-tls' "$status $ids"
cp "$work/new.nxpk" "$other/a.nxpk"
start_nxserve "$other" --listen 127.0.0.3 --port "$port"
check "http://localhost:$port/a.nxpk" --address 127.0.0.1 --address 127.0.0.3
finds 'another package on the second host' etag-changes 'and then "[^"]*" on 127.0.0.3$'
finds 'another package on the second host' wrong-bytes '127.0.0.3'
is 'and nxserve says what to do' true "$(jq '.findings | any(.remedy | contains("nxserve'"'"'s ETags differ"))' "$report")"
check "http://no-such-host.invalid:$port/a.nxpk" --address 127.0.0.1
is 'a host that has no name yet' '0 no-tls' "$status $ids"
check "http://no-such-host.invalid:$port/a.nxpk" --timeout 20
finds 'a host that there is not' no-answer 'resolve host'
stop_all
check "http://127.0.0.1:$port/a.nxpk"
is 'nobody there' '1 no-answer other' "$status $ids $(jq -r '."server-kind"' "$report")"

# ---- an origin that misbehaves ----
# What the good one lacks anyway:
lacking='type no-cache-control no-keep-alive if-none-match no-cors no-tls'
start_origin "$root/a.nxpk"
check "$URL_BASE/a.nxpk"
is 'the origin at its best' "1 $lacking" "$status $ids"
stop_all
may_be_slow=1
while read -r mischief id pattern; do
    start_origin "$root/a.nxpk" -m "$mischief" || { fail "$mischief: the origin"; continue; }
    origin_bad
    case $mischief in stall | trickle | pause) seconds=2 ;; *) seconds=20 ;; esac
    check "$URL_BASE/a.nxpk" --timeout $seconds
    is "$mischief: status" 1 "$status"
    finds "$mischief" "$id" "$pattern"
    # Nothing that a terminal obeys, and no more than it takes.
    is "$mischief: plain ASCII" 0 "$(LC_ALL=C grep -c '[^ -~…]' "$report")"
    [ "$mischief" != rude ] || is 'rude: as text' 0 "$("$NXREF" check "$URL_BASE/a.nxpk" 2>&1 | LC_ALL=C grep -c '[^ -~…]')"
    stop_all
done <<'END'
ignores-range no-ranges has status 200, not 206
ignores-if-range if-range-ignored another ETag has status 206
refuses-if-range if-range-refused own ETag has status 200
wrong-range content-range asked for bytes 0-65535, got Content-Range: bytes 1-65536/
wrong-total content-range asked for bytes 0-65535, got Content-Range: bytes 0-65535/65535
wrong-length length got 32768 of 65536 bytes
short-body length closed with 32768 bytes remaining
long-body length sends more bytes than were asked for
wrong-bytes wrong-bytes 
shifted wrong-bytes bytes [0-9]+-[0-9]+ are others than in a range around them
gzip compressed the answer has Content-Encoding: gzip, where identity was asked for
stall no-answer timed out
trickle no-answer timed out
pause no-answer timed out after [0-9]+ milliseconds with 32768 out of 65536 bytes
reset no-answer 
garbage no-answer HTTP/0.9
endless-headers no-answer headers do not end
endless-interim no-answer headers do not end
403 status 403
404 status 404
416 status no bytes at offset 0
429 status 429
503 status 503
503-later status 503
moved redirects ^1 redirect: the package is at http://127.0.0.1:[0-9]*/moved$
moved-loop redirect-refused 5
moved-file redirect-refused "file" not supported
moved-long no-answer more bytes
weak-etag weak-etag the ETag is weak: W/"1"
no-etag no-etag the answer has no ETag
new-etag etag-changes the ETag was "[0-9]+", and then "[0-9]+"
new-total size-changes the file had [0-9]+ bytes, and then
slow slow comes after ([3-9][0-9][0-9]|[0-9]{4,}) ms, the median of [5-8]
rude weak-etag ^the ETag is weak: W/"\?\[31mred"$
END
start_origin "$root/a.nxpk" -m 503 -n 1
origin_bad
check "$URL_BASE/a.nxpk"
may_be_slow=
finds 'busy once' unreliable '^1 of [0-9]+ requests were answered well only when repeated: HTTP status 503$'
stop_all

# ---- for people ----
start_nginx_plain "$root" 'max_ranges 0;'
if started $? nginx; then
    "$NXREF" check "$URL_BASE/a.nxpk" >"$work/text"
    is 'text: status' 1 $?
    for line in "$URL_BASE/a.nxpk" 'error: the answer to a Range request has status 200, not 206' '        max_ranges 32;' \
        'What packages need of nginx, ready to include: nxserve config nginx'; do
        is "text: $line" 1 "$(grep -cFx -- "$line" "$work/text")"
    done
    is 'text: the sum' 1 "$(grep -c '^nxfetch does not work from here (1 error, 2 warnings, 1 note)$' "$work/text")"
    "$NXREF" check "http://user:secret@127.0.0.1:$SERVER_PORT/a.nxpk" >"$work/text"
    is 'text: no password' 0 "$(grep -c secret "$work/text")"
fi
# nxfetch and the check must agree: what is an error here, nxfetch refuses, and with the same server.
XDG_CACHE_HOME=$work/cache "$BUILD/nxfetch" pull "$URL_BASE/a.nxpk" >"$work/said" 2>&1 </dev/null && fail 'nxfetch takes what the check calls an error'
is 'nxfetch says so, too' 1 "$(grep -c 'the server ignores ranges' "$work/said")"

refused 'no URL' 2 'too few arguments: URL wanted' "$NXREF" check
refused 'two URLs' 2 'too many arguments: URL wanted' "$NXREF" check http://a/ http://b/
refused 'a file' 2 'not an http:// or https:// URL' "$NXREF" check "$root/a.nxpk"
refused 'no address' 2 '--address localhost: not an IPv4 or IPv6 address' "$NXREF" check --address localhost http://a/
refused 'no time' 2 '--timeout 0: not a number from 1 to 600' "$NXREF" check --timeout 0 http://a/
refused 'nine addresses' 2 '--address 127.0.0.9: there are 8 already' "$NXREF" check \
    $(for i in 1 2 3 4 5 6 7 8 9; do echo "--address 127.0.0.$i"; done) http://a/
refused 'a key' 2 "invalid option -- 'k'" "$NXREF" check -k "$work/a.pem" http://a/
ok 'help' "$NXREF" check --help

finish
