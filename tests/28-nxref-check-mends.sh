#!/bin/bash
# SPDX-License-Identifier: MIT
# What nxref check proposes mends it: the usual mistakes of real web servers are found, and are gone once the proposed
# lines stand where they are said to belong.
set -u
cd "$(dirname "$0")/.." || exit 1
type jq >/dev/null || { echo 'jq is not installed'; exit 77; }
. tests/lib/pack.sh
. tests/lib/http.sh
. tests/lib/origin.sh
. tests/lib/sitecache.sh
trap 'stop_servers; rm -rf "$work"' EXIT
. tests/lib/check.sh

gzip -k "$root/a.nxpk"
touch -r "$root/a.nxpk" "$root/a.nxpk.gz"

# ---- as a careless admin does, and mended by the lines ----
folder=$root # of which the lines say that it is /srv/nxpk
# mends SERVER ID MISTAKE [OPTION...]: SERVER_with MISTAKE LINES starts the server with the lines where they belong
mends() {
    local server=$1 id=$2 mistake=$3 before lines severity where=
    shift 3
    "${server}_with" "$mistake" ''
    started $? "$server" || return
    check "$URL_BASE/a.nxpk" "$@"
    finds "$server, $mistake" "$id" || return
    severity=$(of "$id" severity)
    [ "$severity" = note ] || is "$server, $id: status" 1 "$status"
    before=$ids lines=$(of "$id" lines) where=$(of "$id" remedy)
    [ "$lines" != null ] || { fail "$server, $id: no lines"; return; }
    # The folder and the redirect's target are the admin's.
    lines=${lines//\/srv\/nxpk/$folder} lines=${lines//https:\/\/www.example.org/${target:-}}
    stop_server "$SERVER_PID"
    "${server}_with" "$mistake" "$lines"
    started $? "$server, $id: mended" || return
    local may_be_slow=
    check "$URL_BASE/a.nxpk" "$@"
    lacks "$server, $mistake, mended by: $lines" "$id"
    is "$server, $mistake, mended by: $lines: errors" 0 "$(jq .errors "$report")"
    # Once ranges work, more is looked at; and a server says other things of its own files than of a program's.
    [ "$severity" = error ] || [ -n "${behind:-}" ] ||
        is "$server, $id: nothing else was broken" '' "$(comm -13 <(tr ' ' '\n' <<<"$before" | sort) <(tr ' ' '\n' <<<"$ids" | sort) | xargs)"
    stop_server "$SERVER_PID"
}

nginx_with() {
    local lines=$2
    case $lines in location*) start_nginx_plain "$root" "$lines $1"; return ;; esac
    start_nginx_plain "$root" "$1 ${lines:+location ~* \"\\.(nxpk(\\.[0-9][0-9][0-9])?|netx)\$\" { $lines \}}"
}
nginx_tls_with() {
    local listen=ssl
    [ -z "$2" ] || listen=$(sed -n 's/^listen 443 \(.*\);$/\1/p' <<<"$2")
    http_start_nginx "$root" "include $PWD/nginx/nxpk.conf; $1" "$listen" || return
    URL_BASE=https://localhost:$SERVER_PORT
}
if http_find nginx >/dev/null; then
    mends nginx no-ranges 'max_ranges 0;'
    mends nginx compressed 'gzip_static always;'
    mends nginx compresses ''
    mends nginx no-etag 'etag off;'
    mends nginx type ''
    mends nginx no-cors ''
    mends nginx no-cors 'add_header Access-Control-Allow-Origin "https://example.org";'
    mends nginx no-cache-control ''
    mends nginx cached-too-long 'expires 30d;'
    mends nginx not-cached 'add_header Cache-Control "private, no-store";'
    mends nginx no-keep-alive 'keepalive_timeout 0;'
    mends nginx_tls no-http2 "$nginx_tls" "${good_ca[@]}"
fi

# The lines that belong into a section, and those that belong beside it.
apache_with() {
    local lines=${2:-}
    case ${lines:+${where:-}} in
    *'<FilesMatch'*) lines="<FilesMatch \"\\.(?i:nxpk(\\.[0-9][0-9][0-9])?|netx)\$\">"$'\n'$lines$'\n</FilesMatch>' ;;
    esac
    # A mistake may say where the lines go.
    case $1 in
    *@LINES@*) start_apache "$root" --plain "${1/@LINES@/"$lines"}" ;;
    *) start_apache "$root" --plain "$1"$'\n'"$lines" ;;
    esac
}
apache_tls_with() { apache_with "$@" && URL_BASE=https://localhost:$SERVER_PORT; }
modules=/usr/lib/apache2/modules
apache_hosts="FileETag INode MTime Size
Listen 127.0.0.2:\${PORT}
<VirtualHost 127.0.0.2:\${PORT}>
DocumentRoot $other
</VirtualHost>"
if http_find apache2 >/dev/null; then
    mends apache no-ranges 'MaxRanges none'
    mends apache compressed 'SetEnv force-gzip 1'
    mends apache compresses ''
    mends apache no-etag 'FileETag None'
    mends apache type ''
    mends apache type 'AddType application/zip .nxpk'
    mends apache no-cors ''
    mends apache no-cache-control ''
    mends apache cached-too-long "LoadModule expires_module $modules/mod_expires.so"$'\nExpiresActive On\nExpiresDefault "access plus 30 days"'
    mends apache not-cached 'Header set Cache-Control "private"'
    mends apache no-keep-alive 'KeepAlive Off'
    mends apache etag-changes "$apache_hosts" --address 127.0.0.1 --address 127.0.0.2
    mends apache_tls no-http2 "LoadModule ssl_module $modules/mod_ssl.so
LoadModule http2_module $modules/mod_http2.so
SSLEngine on
SSLCertificateFile $work/good.pem
SSLCertificateKeyFile $work/good.key" "${good_ca[@]}"
fi

lighttpd_with() { start_lighttpd_plain "$root" "$1"$'\n'"$2"; }
lighttpd_tls_with() {
    # The mistake's feature flags are what the lines replace.
    lighttpd_with "$(sed "${2:+/feature-flags/d}" <<<"$1")" "$2" && URL_BASE=https://localhost:$((SERVER_PORT + 1))
}
ours='mimetype.assign += ( ".nxpk" => "application/x-vmnetx-package" )'
if http_find lighttpd >/dev/null; then
    mends lighttpd no-ranges 'server.range-requests = "disable"'
    mends lighttpd compresses "$ours"$'\ndeflate.mimetypes = ( "application/" )'
    mends lighttpd no-etag "$ours"$'\nstatic-file.etags = "disable"'
    mends lighttpd type ''
    mends lighttpd no-cors ''
    mends lighttpd no-cache-control ''
    mends lighttpd cached-too-long 'server.modules += ( "mod_expire" )
expire.url = ( "/" => "access 30 days" )'
    mends lighttpd not-cached 'server.modules += ( "mod_setenv" )
setenv.set-response-header = ( "Cache-Control" => "no-store" )'
    mends lighttpd_tls no-http2 "$ours"'
server.modules += ( "mod_openssl" )
server.feature-flags = ( "server.h2proto" => "disable" )
$SERVER["socket"] == "127.0.0.1:@NEXT_PORT@" { ssl.engine = "enable" }
ssl.pemfile = "'"$work/good.pem"'"
ssl.privkey = "'"$work/good.key"'"' "${good_ca[@]}"
    mends lighttpd no-keep-alive 'server.max-keep-alive-requests = 0'
    mends lighttpd etag-changes "$ours"'
$SERVER["socket"] == "127.0.0.2:@PORT@" { server.document-root = "'"$other"'" }' \
        --address 127.0.0.1 --address 127.0.0.2
fi

# Global options and the site's: the words say which.
caddy_with() {
    case ${2:+${where:-}} in
    *'global options'*) start_caddy_plain "$root" "$1" "$2" ;;
    *'in the place of the redir'*) start_caddy_plain "$root" "$2" ;;
    *) start_caddy_plain "$root" "$1"$'\n'"$2" ;;
    esac
}
caddy_tls_with() {
    # The mistake is the global option that the lines replace.
    start_caddy_plain "$root" "tls $work/good.pem $work/good.key" "${2:-$1}" 'https://localhost:@PORT@' || return
    URL_BASE=https://localhost:$SERVER_PORT
}
if http_find caddy >/dev/null; then
    mends caddy compresses 'encode gzip { 
match { 
header Content-Type * 
} 
}'
    mends caddy type ''
    mends caddy no-cors ''
    mends caddy no-cache-control ''
    mends caddy cached-too-long 'header Cache-Control "max-age=86400"'
    mends caddy not-cached 'header Cache-Control "no-store"'
    mends caddy_tls no-http2 'servers {
    protocols h1
}' "${good_ca[@]}"
fi
stop_all

# ---- what a program or another server behind it does, or a redirect before it ----
# Its own folder has nothing: what answers in the end is the folder that the lines name.
nothing=$work/nothing
mkdir "$nothing"
varnish_with() {
    SERVER_PORT=${behind##*:}
    printf 'vcl 4.1;\nbackend far { .host = "127.0.0.1"; .port = "%s"; }\nsub vcl_backend_fetch {\n%s}\n' "$SERVER_PORT" "$2" >"$work/vcl"
    start_varnish_cache "$work/vcl"
}
# by_all ID: each server that hands on what $behind says, and is to send the file itself instead
by_all() {
    local root=$nothing
    ! http_find nginx >/dev/null || mends nginx "$1" "location / { proxy_pass $behind; }"
    ! http_find apache2 >/dev/null || mends apache "$1" "$apache_proxy
ProxyPass / $behind/"
    ! http_find lighttpd >/dev/null || mends lighttpd "$1" "$ours"'
server.modules += ( "mod_proxy" )
proxy.server = ( "" => (( "host" => "127.0.0.1", "port" => '"${behind##*:}"' )) )'
    ! http_find caddy >/dev/null || mends caddy "$1" "reverse_proxy $behind"
}
apache_proxy="LoadModule proxy_module $modules/mod_proxy.so
LoadModule proxy_http_module $modules/mod_proxy_http.so
LoadModule rewrite_module $modules/mod_rewrite.so"
# A server of each kind, and one of the same kind that leads to it.
# leads SERVER MISTAKE: in which @TARGET@ is the URL of the other one
leads() {
    local target root=$folder
    "$1_with" "${3:-}" ''
    started $? "$1, redirected to" || return
    target=$URL_BASE root=$nothing
    mends "$1" redirects "${2//@TARGET@/$target}"
    stop_all
}
! http_find nginx >/dev/null || leads nginx 'location / { return 301 @TARGET@$request_uri; }'
! http_find apache2 >/dev/null || leads apache "$apache_proxy"$'\nRedirect 302 / @TARGET@/'
! http_find apache2 >/dev/null || leads apache "$apache_proxy"$'\nRewriteEngine On\n@LINES@\nRewriteRule ^/(.*) @TARGET@/$1 [R=301]'
! http_find lighttpd >/dev/null || leads lighttpd "$ours"'
server.modules += ( "mod_redirect" )
url.redirect = ( "^/(.*)" => "@TARGET@/$1" )' "$ours"
! http_find caddy >/dev/null || leads caddy 'redir @TARGET@{uri}'
if http_find nginx >/dev/null && start_nxserve "$root"; then
    start_nginx_plain "$root" "location / { return 301 $URL_BASE\$request_uri; }"
    check "$URL_BASE/a.nxpk"
    is 'a redirect is mended where it is made' 'nxserve 1' "$(jq -r '."server-kind"' "$report") $(of redirects remedy | grep -c 'let nginx serve the file at this one')"
    "$NXREF" check "$URL_BASE/a.nxpk" >"$work/text"
    is 'and nginx needs no more for that' 0 "$(grep -c 'nxserve config' "$work/text")"
    stop_all
    http_start_nginx "$root" "$nginx_tls" 'ssl'
    start_nginx_plain "$root" "location / { return 301 https://localhost:$SERVER_PORT\$request_uri; }"
    check "$URL_BASE/a.nxpk" "${good_ca[@]}"
    is 'from http to https: only another URL' 'null Publish the URL where the redirects end.' "$(of redirects lines) $(of redirects remedy)"
    stop_all
fi
circles() {
    local root=$nothing
    ! http_find nginx >/dev/null || mends nginx redirect-refused 'location / { return 302 /again$request_uri; }'
    ! http_find apache2 >/dev/null || mends apache redirect-refused "$apache_proxy"$'\nRedirect 302 / /again/'
    ! http_find lighttpd >/dev/null || mends lighttpd redirect-refused "$ours"'
server.modules += ( "mod_redirect" )
url.redirect = ( "^/(.*)" => "/again/$1" )'
}
circles
# The program behind says nothing of itself, as many do.
while read -r id mischief; do
    start_origin "$root/a.nxpk" -m "$mischief" && origin_bad || { fail "$mischief: the origin"; continue; }
    behind=$URL_BASE
    [ "$id" != slow ] || may_be_slow=1
    by_all "$id"
    may_be_slow=
    stop_all
done <<'END'
weak-etag weak-etag
content-range wrong-range
slow slow
END
if http_find nginx >/dev/null; then
    start_nginx_plain "$root"
    behind=$URL_BASE
    # Varnish asks for gzip, which this one makes of everything, and unpacks it for who does not.
    ! http_find varnishd >/dev/null || mends varnish weak-etag ''
    stop_all
fi

# ---- all lines at once: a server of which nobody has thought ----
# all SERVER [MISTAKE]
all() {
    local server=$1 mistake=${2:-} lines
    where=
    "${server}_with" "$mistake" ''
    started $? "$server" || return
    check "$URL_BASE/a.nxpk"
    # Each block of lines once: lighttpd's says all headers.
    lines=$(jq -r '[.findings[] | select(.lines) | if (.remedy | contains("<FilesMatch"))
        then "<FilesMatch \"\\.(?i:nxpk(\\.[0-9][0-9][0-9])?|netx)$\">\n" + .lines + "</FilesMatch>\n" else .lines end] | unique | join("")' "$report")
    stop_server "$SERVER_PID"
    "${server}_with" "$mistake" "$lines"
    started $? "$server, with all lines" || return
    check "$URL_BASE/a.nxpk"
    is "$server, with all lines: $lines" '0 no-tls' "$status $ids"
    stop_server "$SERVER_PID"
}
! http_find nginx >/dev/null || all nginx 'etag off;'
! http_find apache2 >/dev/null || all apache 'FileETag None'
! http_find lighttpd >/dev/null || all lighttpd 'deflate.mimetypes = ( "" )'
! http_find caddy >/dev/null || all caddy 'encode gzip {
match {
header Content-Type *
}
}'

finish
