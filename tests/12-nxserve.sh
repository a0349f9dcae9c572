#!/bin/bash
# SPDX-License-Identifier: MIT
# nxserve at the level of bytes: as a server of its own, and as a CGI program under a real Apache.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/lib/http.sh
NXSERVE=$BUILD/nxserve
work=$(mktemp -d "${TMPDIR:-/tmp}/nxpk-serve.XXXXXX") || exit 1
trap 'stop_servers; rm -rf "$work"' EXIT
failed=0 checks=0

fail() {
    failed=$((failed + 1))
    echo "FAILED: $1"
    shift
    printf "%s\n" "$@"
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
has_not() {
    checks=$((checks + 1))
    ! grep -Eiq -- "$2" <<<"$3" || fail "$where: $1" "  wanted nothing like: $2" "  got:    $3"
}

# ask PATH [CURL OPTION...]: status in $status, header in $head, body in the file $body
body=$work/body
ask() {
    local path=$1
    shift
    : >"$body"
    status=$(curl -sS --path-as-is -o "$body" -D "$work/head" -w '%{http_code}' "$@" "$URL_BASE$path")
    head=$(tr -d '\r' <"$work/head")
}
field() { sed -n "s/^$1: //Ip" <<<"$head"; }
body_hash() { sha256sum <"$body" | cut -d' ' -f1; }
bytes_hash() { tail -c +$(($1 + 1)) "$root/a.nxpk" | head -c "$2" | sha256sum | cut -d' ' -f1; }

root=$work/www
mkdir -p "$root/sub/index" "$root/.hidden" "$root/s p&ce"
openssl rand 300000 >"$root/a.nxpk"
cp "$root/a.nxpk" "$root/guest-0123456789abcdef.nxpk"
echo '<reference/>' >"$root/r.netx"
: >"$root/empty.nxpk"
echo secret >"$work/secret.nxpk"
echo hidden >"$root/.hidden/h.nxpk"
echo page >"$root/sub/index/index.html"
cp "$root/a.nxpk" "$root/s p&ce/100% b.nxpk"
ln -s ../secret.nxpk "$root/out.nxpk"
ln -s "$work/secret.nxpk" "$root/absolute.nxpk"
ln -s .. "$root/up"
ln -s a.nxpk "$root/inside.nxpk"
mkfifo "$root/fifo.nxpk"
# A date some seconds ago, so that it is a strong validator too.
touch -d '2024-05-06 07:08:09.123456789 UTC' "$root"/*.nxpk
size=300000

# What both ways of serving have to do.
check_package() {
    ask /a.nxpk
    is 'a package' 200 "$status"
    is 'its type' application/x-vmnetx-package "$(field Content-Type)"
    is 'its length' $size "$(field Content-Length)"
    is 'its bytes' "$(bytes_hash 0 $size)" "$(body_hash)"
    is 'ranges are offered' bytes "$(field Accept-Ranges)"
    is 'its date' 'Mon, 06 May 2024 07:08:09 GMT' "$(field Last-Modified)"
    is 'may be replaced' 'public, no-cache' "$(field Cache-Control)"
    is 'CORS' '*' "$(field Access-Control-Allow-Origin)"
    has 'CORS: Content-Range is readable' 'Content-Range' "$(field Access-Control-Expose-Headers)"
    etag=$(field ETag)
    has 'a strong ETag' '^"[^"]+"$' "$etag"
    ask /guest-0123456789abcdef.nxpk
    has 'a digest in the name' immutable "$(field Cache-Control)"
    ask /r.netx
    is 'a reference' application/x-vmnetx-reference+xml "$(field Content-Type)"
    ask '/s%20p%26ce/100%25%20b.nxpk' -r 10-19
    is 'an encoded path' "206 $(bytes_hash 10 10)" "$status $(body_hash)"
    ask /inside.nxpk -r 0-9
    is 'a link that stays inside' 206 "$status"

    ask /a.nxpk -H 'Accept-Encoding: gzip, br'
    is 'never compressed' "$size " "$(field Content-Length) $(field Content-Encoding)"

    ask /a.nxpk -I
    is 'HEAD' "200 $size" "$status $(field Content-Length)"
    ask /a.nxpk -I -r 0-9
    is 'HEAD has no ranges' "200 $size" "$status $(field Content-Length)"

    # RANGE FIRST LENGTH
    while read -r range first length; do
        ask /a.nxpk -H "Range: bytes=$range"
        is "$range" "206 bytes $first-$((first + length - 1))/$size $length $(bytes_hash "$first" "$length")" \
            "$status $(field Content-Range) $(field Content-Length) $(body_hash)"
        is "$range: the type" application/x-vmnetx-package "$(field Content-Type)"
    done <<END
0-0 0 1
0-99999 0 100000
1000-1999 1000 1000
299999-299999 299999 1
200000- 200000 100000
-1 299999 1
-70000 230000 70000
-999999 0 300000
299990-999999 299990 10
0-9,5-20,21-29 0 30
0-9,400000- 0 10
END

    local many
    many=$(seq -s, 100 2 180 | sed "s/[0-9]*/&-&/g")
    # RANGE STATUS: no range comes back
    while IFS='|' read -r range wanted; do
        ask /a.nxpk -H "Range: $range"
        is "$range" "$wanted" "$status"
        if [ "$wanted" = 416 ]; then
            is "$range: the size" "bytes */$size" "$(field Content-Range)"
        else
            is "$range: all of it" "$(bytes_hash 0 $size)" "$(body_hash)"
        fi
    done <<END
bytes=300000-|416
bytes=-0|416
bytes=400000-500000,600000-|416
bytes=$many|416
bytes=5-2|200
bytes=x|200
bytes=|200
lines=0-9|200
END

    ask /a.nxpk -r 0-9,1000-1009
    is 'two ranges' 206 "$status"
    boundary=$(field Content-Type | sed -n 's/^multipart\/byteranges; boundary=//p')
    has 'two ranges: a boundary' '^[0-9a-f]{32}$' "$boundary"
    {
        printf -- '--%s\r\nContent-Type: application/x-vmnetx-package\r\nContent-Range: bytes 0-9/%d\r\n\r\n' \
            "$boundary" $size
        head -c 10 "$root/a.nxpk"
        printf -- '\r\n--%s\r\nContent-Type: application/x-vmnetx-package\r\nContent-Range: bytes 1000-1009/%d\r\n\r\n' \
            "$boundary" $size
        tail -c +1001 "$root/a.nxpk" | head -c 10
        printf -- '\r\n--%s--\r\n' "$boundary"
    } >"$work/parts"
    is 'two ranges: the parts' "$(sha256sum <"$work/parts")" "$(sha256sum <"$body")"
    is 'two ranges: their length' "$(stat -c %s "$work/parts")" "$(field Content-Length)"

    ask /empty.nxpk
    is 'an empty file' '200 0' "$status $(field Content-Length)"
    ask /empty.nxpk -r 0-
    is 'a range of an empty file' '416 bytes */0' "$status $(field Content-Range)"

    # HEADER|STATUS, with a range
    while IFS='|' read -r header wanted; do
        ask /a.nxpk -r 0-9 -H "$header"
        is "$header" "$wanted" "$status"
    done <<END
If-Range: $etag|206
If-Range: "other"|200
If-Range: W/$etag|200
If-Range: Mon, 06 May 2024 07:08:09 GMT|206
If-Range: Mon, 06 May 2024 07:08:08 GMT|200
If-Range: nonsense|200
If-None-Match: $etag|304
If-None-Match: "other"|206
If-None-Match: *|304
If-Match: $etag|206
If-Match: "other"|412
If-Modified-Since: Mon, 06 May 2024 07:08:09 GMT|304
If-Modified-Since: Mon, 06 May 2024 07:08:08 GMT|206
If-Unmodified-Since: Mon, 06 May 2024 07:08:08 GMT|412
END
    ask /a.nxpk -H "If-None-Match: $etag"
    is '304 has no body' 0 "$(stat -c %s "$body")"
    is '304 has the ETag' "$etag" "$(field ETag)"
    has_not '304 says nothing of an empty body' '^Content-Length: 0$' "$head"

    ask /a.nxpk -X OPTIONS -H 'Origin: https://elsewhere' -H 'Access-Control-Request-Method: GET' \
        -H 'Access-Control-Request-Headers: range, if-range'
    is 'CORS preflight' '204 *' "$status $(field Access-Control-Allow-Origin)"
    has 'CORS preflight: headers' 'Range, If-Range' "$(field Access-Control-Allow-Headers)"
    ask /a.nxpk -d some=form
    is 'POST' 405 "$status"
    ask /a.nxpk -X DELETE
    is 'DELETE' 405 "$status"

    # The file is replaced, with the same size and the same second.
    cp "$root/a.nxpk" "$work/new" && touch -d '2024-05-06 07:08:09.5 UTC' "$work/new"
    mv "$root/a.nxpk" "$work/old" && mv "$work/new" "$root/a.nxpk"
    ask /a.nxpk -r 0-9 -H "If-Range: $etag"
    is 'a replaced file: its old ETag' 200 "$status"
    mv "$work/old" "$root/a.nxpk"

    # Nothing outside of the directory, nothing hidden, nothing that is no file.
    for path in /out.nxpk /absolute.nxpk /up/secret.nxpk /fifo.nxpk /.hidden/h.nxpk /none.nxpk \
        /../secret.nxpk /sub/../../secret.nxpk /%2e%2e/secret.nxpk /..%2fsecret.nxpk /sub%2f..%2f..%2fsecret.nxpk \
        /%252e%252e/secret.nxpk /a.nxpk/ /a.nxpk%00.netx //../secret.nxpk '/..\secret.nxpk' /%c0%ae%c0%ae/secret.nxpk; do
        ask "$path"
        has "$path" '^(400|403|404)$' "$status"
        has_not "$path: its text" 'secret|hidden' "$(grep -av 'nxpk' "$body" | tr -d '\0')"
    done
}

# ---- as a server -------------------------------------------------------------

where=nxserve
start_nxserve "$root" || exit 1
check_package
for type in 'index.html text/html; charset=utf-8' 'notes.txt text/plain; charset=utf-8' 'x.bin application/octet-stream'; do
    echo x >"$root/${type%% *}"
    ask "/${type%% *}"
    is "type of ${type%% *}" "${type#* }" "$(field Content-Type)"
done
ask / && is 'index.html stands for its folder' "200 x" "$status $(cat "$body")"
rm "$root/index.html"
ask / && is 'a listing' 200 "$status"
has 'a listing: escaped' '<a href="./s%20p%26ce/">s p&amp;ce/</a>' "$(cat "$body")"
has_not 'a listing: nothing hidden, no links, no fifo' 'hidden|out\.nxpk|up/|fifo' "$(cat "$body")"
ask /sub && is 'a folder without its slash' '301 /sub/' "$status $(field Location)"
ask //sub && is 'a redirection stays here' '301 /sub/' "$status $(field Location)"
ask /sub/index/ && is 'index.html below' '200 page' "$status $(cat "$body")"
ask '/a.nxpk?version=2' -r 0-9 && is 'a query is ignored' 206 "$status"
ask '/%zz' && is 'a bad escape' 400 "$status"
ask /a.nxpk --http1.0 -r 5-9 && is 'HTTP/1.0' "206 $(bytes_hash 5 5)" "$status $(body_hash)"
ask "/$(printf 'x%.0s' {1..5000})" && is 'a long path' 404 "$status"

# Two requests on one connection; then what no HTTP client sends.
curl -sS -r 0-9 "$URL_BASE/a.nxpk" -r 0-9 "$URL_BASE/a.nxpk" -o "$work/1" -o "$work/2" -w '%{num_connects} ' >"$work/connects"
is 'the connection is kept' '1 0 ' "$(cat "$work/connects")"
exec 3<>"/dev/tcp/127.0.0.1/$SERVER_PORT"
printf 'GET a.nxpk HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' >&3
has 'a target that is no path' '^HTTP/1.1 400' "$(timeout 10 cat <&3 | tr -d '\r')"
exec 3>&-
exec 3<>"/dev/tcp/127.0.0.1/$SERVER_PORT"
printf 'GET http://elsewhere/r.netx HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' >&3
has 'an absolute target' '^<reference/>' "$(timeout 10 cat <&3 | tr -d '\r')"
exec 3>&-

# A client that goes away, and one that ends the file under way: the server stays.
curl -sS --max-filesize 1 -o /dev/null "$URL_BASE/a.nxpk" 2>/dev/null
ask /a.nxpk -r 0-9 && is 'after a client left' 206 "$status"
has 'the log: a line for each request' 'nxserve: 127\.0\.0\.1 GET /a\.nxpk bytes=-1 206 1$' "$(cat "$SERVER_LOG")"

# Memory stays flat: a sparse GiB.
truncate -s 1G "$root/big.nxpk"
before=$(awk '/VmRSS/ {print $2}' "/proc/$SERVER_PID/status")
is 'a GiB' 1073741824 "$(curl -sS -w '%{size_download}' -o /dev/null "$URL_BASE/big.nxpk")"
is 'most of a GiB in two ranges' 206 "$(curl -sS -r 0-500000000,600000000- -w '%{http_code}' -o /dev/null "$URL_BASE/big.nxpk")"
after=$(awk '/VmRSS/ {print $2}' "/proc/$SERVER_PID/status")
checks=$((checks + 1))
[ $((after - before)) -lt 16384 ] || fail "memory grew from $before to $after KiB"
rm "$root/big.nxpk"

port_file=$HTTP_HOME/port
kill -TERM "$SERVER_PID"
wait "$SERVER_PID"
is 'SIGTERM: the status' 0 $?
is 'SIGTERM: the port file' '' "$(ls "$port_file" 2>/dev/null)"

# ---- options -----------------------------------------------------------------

where='nxserve, TLS'
make_tls_certificate || exit 1
start_nxserve "$root" --tls-cert "$CA_FILE" --tls-key "$KEY_FILE" || exit 1
ask /a.nxpk -r 100-199 --cacert "$CA_FILE"
is 'a range by HTTPS' "206 $(bytes_hash 100 100)" "$status $(body_hash)"

where='nxserve, options'
start_nxserve "$root" --listen ::1 --quiet 2>/dev/null && {
    is 'IPv6' 206 "$(curl -sS -o /dev/null -r 0-9 -w '%{http_code}' "http://[::1]:$SERVER_PORT/a.nxpk")"
    is '--quiet' '' "$(cat "$SERVER_LOG")"
}
start_nxserve "$root" || exit 1

# refuses STATUS MESSAGE ARGUMENT...
refuses() {
    local wanted=$1 message=$2 got
    shift 2
    timeout 20 "$NXSERVE" "$@" >"$work/out" 2>"$work/err" </dev/null
    got=$?
    is "nxserve $*" "$wanted" $got
    has "nxserve $*" "$message" "$(cat "$work/err")"
    is "nxserve $*: lines" $wanted "$(wc -l <"$work/err")" # a usage error adds "Try --help"
}
refuses 1 "port $SERVER_PORT of 127.0.0.1 is in use: choose another one with --port" --port "$SERVER_PORT" "$root"
refuses 1 'nxserve: /nonexistent: No such file or directory' --port 0 /nonexistent
refuses 1 'a.nxpk: Not a directory' --port 0 "$root/a.nxpk"
refuses 1 '--listen no.such.host.invalid: ' --port 0 --listen no.such.host.invalid "$root"
refuses 1 'cannot listen on port 0 of 192.0.2.1: Cannot assign' --port 0 --listen 192.0.2.1 "$root"
refuses 1 '--port-file: /nonexistent/p: ' --port 0 --port-file /nonexistent/p "$root"
refuses 1 '--tls-cert: /nonexistent: ' --port 0 --tls-cert /nonexistent --tls-key "$KEY_FILE" "$root"
refuses 1 'the server does not start: ' --port 0 --tls-cert "$root/r.netx" --tls-key "$KEY_FILE" "$root"
refuses 2 'need each other' --tls-key "$KEY_FILE" "$root"
refuses 2 "--port 65536: not a number" --port 65536
refuses 2 "--port x: not a number" --port x
refuses 2 'more than one directory' a b
refuses 2 "unrecognized option '--nonsense'" --nonsense
refuses 2 "no configuration for 'iis'" config iis
refuses 2 'config: name one of' config
refuses 2 'config: takes no options' config -p 80 nginx
is '--version' "nxserve " "$("$NXSERVE" --version | sed 's/[0-9.]*$//')"
is '--help' "$(cat serve/nxserve.help)" "$("$NXSERVE" --help)"
"$NXSERVE" --help >/dev/full 2>"$work/err"
is 'a full disk' 1 $?

# The files that admins include are what the program prints.
for file in nginx/nxpk.conf apache/nxpk.conf lighttpd/nxpk.conf caddy/nxpk.caddy; do
    is "$file is what nxserve config prints" "$("$NXSERVE" config "${file%/*}" | sha256sum)" "$(sha256sum <"$file")"
done

# ---- as a CGI program --------------------------------------------------------

where='CGI, by hand'
# cgi VARIABLE=VALUE...: run it as a web server would; arguments come from the client and mean nothing.
cgi() {
    env -i GATEWAY_INTERFACE=CGI/1.1 REQUEST_METHOD=GET "$@" "$NXSERVE" --version </dev/null | tr -d '\r\0'
}
has 'below the document root' '^Status: 200 OK' "$(cgi DOCUMENT_ROOT="$root" PATH_TRANSLATED="$root/r.netx")"
has 'and its bytes' '^<reference/>' "$(cgi DOCUMENT_ROOT="$root/" PATH_TRANSLATED="$root/r.netx")"
has 'NXSERVE_ROOT and PATH_INFO' '^Status: 200' "$(cgi NXSERVE_ROOT="$root" DOCUMENT_ROOT=/none PATH_INFO=/r.netx PATH_TRANSLATED=/none/r.netx)"
has 'NXSERVE_ROOT and PATH_TRANSLATED' '^Status: 200' "$(cgi NXSERVE_ROOT="$root" PATH_INFO=/~me/r.netx PATH_TRANSLATED="$root/r.netx")"
for setting in "DOCUMENT_ROOT=$root PATH_TRANSLATED=$work/secret.nxpk" "DOCUMENT_ROOT=$root PATH_TRANSLATED=$root/../secret.nxpk" \
    "DOCUMENT_ROOT=$root PATH_TRANSLATED=${root}x/r.netx" "DOCUMENT_ROOT=$root PATH_INFO=/r.netx" "PATH_TRANSLATED=$root/r.netx" \
    "DOCUMENT_ROOT=$root PATH_TRANSLATED=$root/out.nxpk" "DOCUMENT_ROOT=$root PATH_TRANSLATED=$root/notes.txt" \
    "NXSERVE_ROOT=$root PATH_INFO=/../secret.nxpk" "NXSERVE_ROOT=$root PATH_INFO=/sub" "NXSERVE_ROOT=$root" X=; do
    # shellcheck disable=SC2086 # several settings
    has "refused: $setting" '^Status: 404' "$(cgi $setting)"
done
has 'no method' '^Status: 405' "$(cgi REQUEST_METHOD= DOCUMENT_ROOT="$root" PATH_TRANSLATED="$root/r.netx")"

where='CGI under Apache'
start_apache "$root" --cgi
case $? in
0)
    check_package
    ask /nxserve-cgi/a.nxpk && is 'the program itself cannot be asked' 403 "$status"
    ask /notes.txt && is 'other files are still served by Apache' '200 x' "$status $(cat "$body")"
    ask '/a.nxpk?--help' -r 0-9 && is 'a query is no option' 206 "$status"
    ;;
77) echo 'apache2 is not installed: nxserve was not tried under it' ;;
*) fail 'Apache does not start' ;;
esac

echo "$checks checks, $failed failed"
[ $failed = 0 ]
