#!/bin/bash
# SPDX-License-Identifier: MIT
# Real web servers with our configuration: nginx and Apache always, lighttpd and Caddy where they are
# installed.  Each runs as on a site that compresses whatever it can.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/lib/http.sh
work=$(mktemp -d "${TMPDIR:-/tmp}/nxpk-web.XXXXXX") || exit 1
trap 'stop_servers; rm -rf "$work"' EXIT
failed=0 checks=0 servers=0

fail() {
    failed=$((failed + 1))
    echo "FAILED: $1"
    shift
    printf '%s\n' "$@"
}
# is WHAT WANTED GOT
is() {
    checks=$((checks + 1))
    [ "$2" = "$3" ] || fail "$where: $1" "  wanted: $2" "  got:    $3"
}
# has WHAT PATTERN TEXT: an extended regular expression for one of the lines
has() {
    checks=$((checks + 1))
    grep -Eq -- "$2" <<<"$3" || fail "$where: $1" "  wanted: $2" "  got:    $3"
}
# ask PATH [CURL OPTION...]: status in $status, header in $head, body in the file $body
body=$work/body
ask() {
    local path=$1
    shift
    : >"$body"
    status=$(curl -sS --cacert "${CA_FILE:-/dev/null}" -o "$body" -D "$work/head" -w '%{http_code}' "$@" "$URL_BASE$path")
    head=$(tr -d '\r' <"$work/head")
}
field() { sed -n "s/^$1: //Ip" <<<"$head"; }
body_hash() { sha256sum <"$body" | cut -d' ' -f1; }
bytes_hash() { tail -c +$(($1 + 1)) "$root/a.nxpk" | head -c "$2" | sha256sum | cut -d' ' -f1; }

root=$work/www
mkdir -p "$root/vms"
# Text, which any server that compresses would compress; and old enough for Apache's ETag to be strong.
seq 50000 >"$root/a.nxpk"
cp "$root/a.nxpk" "$root/vms/B.NXPK"
cp "$root/a.nxpk" "$root/guest-0123456789abcdef.nxpk"
cp "$root/a.nxpk" "$root/notes.txt"
seq -f '<reference number="%g"/>' 1000 >"$root/r.netx"
# Beyond what 32 bits count: sparse, with some bytes at 5 GiB.
big=$root/big.nxpk
truncate -s 6G "$big" && printf 'far away' | dd of="$big" bs=1 seek=5G conv=notrunc status=none
touch -d '2024-05-06 07:08:09 UTC' "$root"/*.n* "$root"/vms/*
size=$(stat -c %s "$root/a.nxpk")

check_server() {
    servers=$((servers + 1))
    ask /a.nxpk -H 'Accept-Encoding: gzip, deflate, br, zstd'
    is 'a package' "200 $(bytes_hash 0 "$size")" "$status $(body_hash)"
    is 'its type' application/x-vmnetx-package "$(field Content-Type)"
    is 'not compressed' " $size" "$(field Content-Encoding) $(field Content-Length)"
    is 'ranges are offered' bytes "$(field Accept-Ranges)"
    is 'may be replaced' 'public, no-cache' "$(field Cache-Control)"
    is 'CORS, once' '*' "$(field Access-Control-Allow-Origin)"
    has 'CORS: Content-Range is readable' 'Content-Range' "$(field Access-Control-Expose-Headers)"
    local etag
    etag=$(field ETag)
    has 'a strong ETag' '^"[^"]+"$' "$etag"
    has 'its date' '^Mon, 06 May 2024 07:08:09 GMT$' "$(field Last-Modified)"
    ask /r.netx -H 'Accept-Encoding: gzip'
    is 'a reference' 'application/x-vmnetx-reference+xml ' "$(field Content-Type) $(field Content-Encoding)"
    is 'a reference: caching and CORS' 'public, no-cache *' "$(field Cache-Control) $(field Access-Control-Allow-Origin)"
    ask /guest-0123456789abcdef.nxpk -r 0-9
    is 'a digest in the name' '206 public, max-age=31536000, immutable *' \
        "$status $(field Cache-Control) $(field Access-Control-Allow-Origin)"
    is 'and its type' application/x-vmnetx-package "$(field Content-Type)"

    while read -r range first length; do
        ask /a.nxpk -r "$range" -H 'Accept-Encoding: gzip, br'
        is "$range" "206 bytes $first-$((first + length - 1))/$size $(bytes_hash "$first" "$length")" \
            "$status $(field Content-Range) $(body_hash)"
    done <<END
0-0 0 1
0-524287 0 $size
1000-65535 1000 64536
$((size - 1))- $((size - 1)) 1
-1000 $((size - 1000)) 1000
END
    is 'the same ETag, caching and CORS for a range' "$etag public, no-cache *" \
        "$(field ETag) $(field Cache-Control) $(field Access-Control-Allow-Origin)"
    ask /big.nxpk -r $((5 << 30))-$(((5 << 30) + 7))
    is 'at 5 GiB' "206 bytes 5368709120-5368709127/6442450944 far away" "$status $(field Content-Range) $(cat "$body")"
    ask /a.nxpk -r "$size-"
    is 'past the end' 416 "$status" # Apache and lighttpd do not say the size with it, and need not
    ask /a.nxpk -r 0-9,1000-1009
    has 'two ranges' '^multipart/byteranges' "$(field Content-Type)"
    ask /a.nxpk -r 0-9 -H "If-Range: $etag"
    is 'If-Range, the same' 206 "$status"
    ask /a.nxpk -r 0-9 -H 'If-Range: "other"'
    is 'If-Range, another' 200 "$status"
    ask /a.nxpk -H "If-None-Match: $etag"
    is 'If-None-Match' "304 0 $etag" "$status $(stat -c %s "$body") $(field ETag)"
    ask /a.nxpk -H 'If-None-Match: "other"' -r 0-9
    is 'If-None-Match, another' 206 "$status"
    ask /a.nxpk -I -H 'Accept-Encoding: gzip'
    is 'HEAD' "200 $size $etag" "$status $(field Content-Length) $(field ETag)"
    # Another version of the same size, put there as it should be: renamed over the old one.
    tac "$root/a.nxpk" >"$root/.new" && touch -d '2024-05-06 07:08:10 UTC' "$root/.new"
    cp -p "$root/a.nxpk" "$work/old" && mv "$root/.new" "$root/a.nxpk"
    # lighttpd keeps a file open for two seconds: until then all of the answer is the old one's.
    another() { ask /a.nxpk -I && [ "$(field ETag)" != "$etag" ]; }
    wait_for 10 "$SERVER_PID" another || fail "$where: another version has the same ETag"
    ask /a.nxpk -r 0-9 -H "If-Range: $etag"
    is 'another version: all of it' "200 $(bytes_hash 0 "$size")" "$status $(body_hash)"
    mv "$work/old" "$root/a.nxpk"
    back() { ask /a.nxpk -I && [ "$(field ETag)" = "$etag" ]; }
    wait_for 10 "$SERVER_PID" back
    ask /none.nxpk
    is 'no such file' 404 "$status"
    ask /notes.txt
    is 'other files: not ours' 'text/plain ' "$(field Content-Type | sed 's/;.*//') $(field Cache-Control)"
}

# The extension in capitals, which lighttpd's table of types does not see.
check_capitals() {
    ask /vms/B.NXPK -r 0-9
    is 'capitals' '206 application/x-vmnetx-package' "$status $(field Content-Type)"
}

check_preflight() {
    ask /a.nxpk -X OPTIONS -H 'Origin: https://elsewhere' -H 'Access-Control-Request-Method: GET' \
        -H 'Access-Control-Request-Headers: if-range'
    has 'CORS preflight' '^20[04] \*$' "$status $(field Access-Control-Allow-Origin)"
    has 'CORS preflight: headers' 'If-Range' "$(field Access-Control-Allow-Headers)"
    has 'CORS preflight: methods' 'GET' "$(field Access-Control-Allow-Methods)"
}

# started STATUS NAME: go on with this server?
started() {
    case $1 in
    0) return 0 ;;
    77) echo "$2 is not installed: not tried" ;;
    *) fail "$2 does not start with our configuration" ;;
    esac
    return 1
}

where=nginx
start_nginx "$root"
started $? nginx && { check_server && check_capitals && check_preflight; }

where='nginx, in a location of its own'
start_nginx_plain "$work" "location /own/ { alias $root/; include $PWD/nginx/nxpk.conf; }"
URL_BASE=$URL_BASE/own
started $? nginx && { check_server && check_preflight; }

where='nginx, HTTPS and HTTP/2'
start_nginx_tls "$root"
started $? nginx && { check_server && has 'HTTP/2' '^HTTP/2' "$head"; }

where=Apache
start_apache "$root"
started $? Apache && { check_server && check_capitals && check_preflight; }

where='Apache, by .htaccess'
cp apache/nxpk.conf "$root/.htaccess"
start_apache "$root" --plain
started $? Apache && { check_server && check_preflight; }
rm "$root/.htaccess"

where='Apache, nxserve by .htaccess'
mkdir "$root/cgi" && cp "$root/a.nxpk" "$root/cgi/"
sed 's,/vms/nxserve.cgi,/cgi/nxserve.cgi,' apache/nxserve-htaccess.conf >"$root/cgi/.htaccess"
cp "$BUILD/nxserve" "$root/cgi/nxserve.cgi"
start_apache "$root" --plain
if started $? Apache; then
    ask /cgi/a.nxpk -r 10-19 -H 'Accept-Encoding: gzip'
    is 'a range' "206 application/x-vmnetx-package 10 $(bytes_hash 10 10)" \
        "$status $(field Content-Type) $(field Content-Length) $(body_hash)"
    ask /cgi/a.nxpk -H 'Accept-Encoding: gzip'
    is 'all of it' "200 $size $(bytes_hash 0 "$size")" "$status $(field Content-Length) $(body_hash)"
fi
rm -r "$root/cgi"

where=lighttpd
start_lighttpd "$root" 'deflate.mimetypes = ( "text/", "application/javascript" )'
started $? lighttpd && { check_server && check_preflight; }

where=Caddy
start_caddy "$root" 'encode gzip zstd'
started $? Caddy && { check_server && check_capitals && check_preflight; }

[ $servers -gt 0 ] || { echo 'no web server is installed'; exit 77; }
echo "$checks checks on $servers servers, $failed failed"
[ $failed = 0 ]
