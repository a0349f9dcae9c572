#!/bin/bash
# SPDX-License-Identifier: MIT
# Ways to the server: proxies (squid; SOCKS by microsocks), by options and by the environment, with a login and without;
# IPv4 and IPv6; and no more than so many bytes a second.
. tests/lib/http.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
. tests/lib/logins.sh
command -v script >/dev/null || { echo "script is not installed"; exit 77; }
unset http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY

# start_squid NAME [LINES]: PROXY_PORT, PROXY_LOG.
start_squid() {
    local squid
    squid=$(http_find squid) || return 77
    http_new_home "squid-$1"
    local home=$HTTP_HOME lines=${2:-http_access allow all}
    PROXY_LOG=$home/access.log
    http_configure() {
        cat >"$home/squid.conf" <<END
http_port 127.0.0.1:$SERVER_PORT
pid_filename $home/pid
access_log stdio:$PROXY_LOG
cache_log $home/cache.log
cache deny all
coredump_dir $home
shutdown_lifetime 0 seconds
visible_hostname proxy
netdb_filename none
pinger_enable off
$lines
END
    }
    http_as_www_data
    http_run_bound "${HTTP_AS[@]}" "$squid" -N -f "$home/squid.conf" || return
    PROXY_PORT=$SERVER_PORT
}

# start_socks [OPTION...]: PROXY_PORT.
start_socks() {
    local socks try
    socks=$(http_find microsocks) || return 77
    http_new_home socks
    for try in 1 2 3 4 5; do
        http_guess_port
        "$socks" -i 127.0.0.1 -p "$SERVER_PORT" "$@" >"$SERVER_LOG" 2>&1 </dev/null &
        http_started $!
        PROXY_PORT=$SERVER_PORT PROXY_LOG=$SERVER_LOG
        wait_for 10 "$SERVER_PID" bash -c "true 2>/dev/null <>/dev/tcp/127.0.0.1/$PROXY_PORT" && return 0
    done
    return 1
}

start_nginx "$WORK/www" || exit $?
plain=$URL_BASE/a.nxpk plain_log=$SERVER_ACCESS_LOG
start_nginx_tls "$WORK/www" || exit $?
secure=$URL_BASE/a.nxpk secure_log=$SERVER_ACCESS_LOG
ca=(--ca-cert "$CA_FILE")

# The proxy has seen a request for each of what came.
went_through() {
    wait_for 10 $$ test -s "$PROXY_LOG" || die "$1: it did not go through the proxy"
    empty_log
}
# Squid writes a line when a tunnel is closed: wait until no more come.
empty_log() {
    local size=-1
    until [ "$(stat -c %s "$PROXY_LOG")" = $size ]; do
        size=$(stat -c %s "$PROXY_LOG")
        sleep 0.3
    done
    : >"$PROXY_LOG"
}

# ---- a proxy that lets all through ----
status=0
start_squid open || status=$?
if started $status squid; then
    proxy=http://127.0.0.1:$PROXY_PORT
    nobody=http://127.0.0.1:9 # who goes there does not come back
    for url in "$plain" "$secure"; do
        takes "--proxy, $url" "${ca[@]}" --proxy "$proxy"
        went_through "--proxy, $url"
        takes "--proxy without a scheme, $url" "${ca[@]}" --proxy "127.0.0.1:$PROXY_PORT"
        went_through "--proxy without a scheme, $url"
        takes "--noproxy, $url" "${ca[@]}" --proxy "$nobody" --noproxy 127.0.0.1,localhost
        export http_proxy=$proxy https_proxy=$proxy
        takes "the environment, $url" "${ca[@]}"
        went_through "the environment, $url"
        http_proxy=$nobody https_proxy=$nobody
        takes "the environment and --noproxy, $url" "${ca[@]}" --noproxy '*'
        takes "the environment and no --proxy, $url" "${ca[@]}" --proxy ''
        no_proxy=127.0.0.1,localhost takes "no_proxy, $url" "${ca[@]}"
        unset http_proxy https_proxy
        ALL_PROXY=$proxy takes "ALL_PROXY, $url" "${ca[@]}"
        went_through "ALL_PROXY, $url"
    done
    # A reference is fetched by a process of its own, which goes the same way.
    "$BUILD/nxref" -q "$plain" "$WORK/www/a.netx" || die nxref
    url=${plain%.nxpk}.netx
    http_proxy=$proxy takes "a reference" "${ca[@]}"
    wait_for 10 $$ grep -q 'a.nxpk' "$PROXY_LOG"
    [ "$(grep -c 'a.netx' "$PROXY_LOG")" = 1 ] && [ "$(grep -c 'a.nxpk' "$PROXY_LOG")" -ge 1 ] || die "a reference: $(cat "$PROXY_LOG")"
    empty_log
    "$BUILD/nxpack" info --proxy "$proxy" "$plain" >"$WORK/out" || die "nxpack info"
    went_through "nxpack info"
    # An unknown certificate is no more believed because a proxy is on the way.
    url=$secure
    refused 'an unknown certificate' '--ca-cert FILE names another authority$' --proxy "$proxy"
    empty_log
fi

# ---- a proxy that wants to know who comes, and lets nobody go to 127.0.0.2 ----
echo "joe:$(openssl passwd -apr1 proxy-hidden)" >"$WORK/htpasswd"
chmod 755 "$WORK" && chmod 644 "$WORK/htpasswd"
helper=$(ls /usr/lib/squid/basic_ncsa_auth 2>/dev/null) || helper=
status=77
[ -z "$helper" ] || { status=0; start_squid login "auth_param basic program $helper $WORK/htpasswd
auth_param basic realm proxy
acl known proxy_auth REQUIRED
acl far dst 127.0.0.2
http_access deny far
http_access allow known
http_access deny all" || status=$?; }
if started $status "squid's basic_ncsa_auth"; then
    at=127.0.0.1:$PROXY_PORT
    wants='--proxy-user NAME asks for'
    url=$plain
    refused 'a proxy with a login' "access denied \(HTTP status 407\): the proxy wants a user name and password: $wants it, or write them into http_proxy and https_proxy\$" --proxy "http://$at"
    http_proxy=http://joe:wrong@$at refused 'a proxy with a login: a wrong one' 'HTTP status 407'
    http_proxy=http://joe:proxy-hidden@$at takes 'a proxy with a login'
    refused 'no terminal' '--proxy-user: the password can only be given on a terminal, or taken from http_proxy and https_proxy$' --proxy "http://$at" --proxy-user joe
    url=${plain/127.0.0.1/127.0.0.2}
    refused 'a proxy that forbids' 'access denied \(HTTP status 403\)$' --proxy "http://$at"
    url=$secure
    start=$SECONDS
    refused 'https by a proxy with a login' "407.*; $wants a password for the proxy\$" "${ca[@]}" --proxy "http://$at"
    https_proxy=http://joe:wrong@$at refused 'https by a proxy with a login: a wrong one' '407' "${ca[@]}"
    url=${secure/localhost/127.0.0.2}
    refused 'https by a proxy that forbids' '403.*; the proxy does not let this through: --noproxy HOST goes without it$' "${ca[@]}" --proxy "http://$at"
    at_most 'seconds for what asking again does not mend' $((SECONDS - start)) 40
    url=$secure
    https_proxy=http://joe:proxy-hidden@$at takes 'https by a proxy with a login' "${ca[@]}"
    knows_joe() { [ "$(grep -c 'joe' "$PROXY_LOG")" -ge 2 ]; }
    wait_for 10 $$ knows_joe || die "the proxy does not know joe: $(cat "$PROXY_LOG")"
    asks_on_terminal proxy-hidden 'Password of joe for the proxy: ' '; the proxy does not take this user name and password' \
        "$BUILD/nxfetch pull --ca-cert $CA_FILE --proxy http://$at --proxy-user joe $secure"

    # The server's login goes to the server, the proxy's to the proxy.
    start_nginx_plain "$WORK/www" "gzip off; access_log $WORK/seen.txt seen; auth_basic guests; auth_basic_user_file $WORK/htpasswd;" \
        'log_format seen "$status [$http_authorization] [$http_proxy_authorization]";' || die nginx
    echo 'machine 127.0.0.1 login joe password proxy-hidden' >"$WORK/home/.netrc"
    url=$URL_BASE/a.nxpk
    http_proxy=http://joe:proxy-hidden@$at takes 'both logins' --netrc
    grep -q '^206 \[Basic ' "$WORK/seen.txt" && ! grep -v '\[-\]$' "$WORK/seen.txt" || die "what the server saw: $(cat "$WORK/seen.txt")"
fi

# ---- SOCKS ----
status=0
start_socks || status=$?
if started $status microsocks; then
    for scheme in socks5 socks5h; do
        for url in "$plain" "$secure"; do
            takes "$scheme, $url" "${ca[@]}" --proxy "$scheme://127.0.0.1:$PROXY_PORT"
            went_through "$scheme, $url"
        done
    done
    url=$secure
    all_proxy=socks5h://127.0.0.1:$PROXY_PORT takes "all_proxy" "${ca[@]}"
    went_through all_proxy
    start_socks -u joe -P proxy-hidden || die microsocks
    refused 'SOCKS with a login' '; --proxy-user NAME asks for a password for the proxy$' "${ca[@]}" --proxy "socks5h://127.0.0.1:$PROXY_PORT"
    all_proxy=socks5h://joe:proxy-hidden@127.0.0.1:$PROXY_PORT takes 'SOCKS with a login' "${ca[@]}"
    all_proxy=socks5h://joe:wrong@127.0.0.1:$PROXY_PORT refused 'SOCKS with a wrong login' 'proxy' "${ca[@]}"
fi

# ---- proxies that are not there (a pull would try for longer) ----
url=$plain
VERB=info refused 'nobody listens there' '127.0.0.1 port 9 .*; that is the proxy, by --proxy or .*: --noproxy HOST goes without it' --proxy http://127.0.0.1:9
http_proxy=socks5h://127.0.0.1:9 VERB=info refused 'nor there' '127.0.0.1 port 9 .*; that is the proxy'

# ---- IPv4 and IPv6 ----
if grep -q '^0\{31\}1 ' /proc/net/if_inet6 2>/dev/null; then
    start_nxserve "$WORK/www" --listen ::1 || die "nxserve does not listen on ::1"
    six=http://[::1]:$SERVER_PORT/a.nxpk
    url=$six
    takes 'IPv6'
    takes 'IPv6, -6' -6
    VERB=info refused '-4, but an IPv6 address' '\[?::1\]?' -4
    "$BUILD/nxref" -q "$six" "$WORK/six.netx" && grep -qF "http://[::1]:" "$WORK/six.netx" || die "a reference to an IPv6 address"
    url=$WORK/six.netx
    takes 'a reference to an IPv6 address'
    url=${six/\[::1\]/localhost}
    takes 'a name that has both, --ipv6' --ipv6
    VERB=info refused 'a name that has both, --ipv4' 'localhost' --ipv4
    "$BUILD/nxref" check --json "$six" | jq -e '.errors == 0' >/dev/null || die "nxref check of an IPv6 address"
    url=$plain
    VERB=info refused '--ipv6, but an IPv4 address' '127.0.0.1' --ipv6
else
    echo 'not tried: this host has no IPv6'
fi

# ---- so many bytes a second, of all transfers together ----
url=$plain
limited() {
    local rate=$1 least=$2 start=$EPOCHREALTIME ms
    takes "--limit-rate $rate" --limit-rate "$rate"
    ms=$(((${EPOCHREALTIME/./} - ${start/./}) / 1000))
    echo "--limit-rate $rate: 3 MiB in $ms ms"
    [ $ms -ge "$least" ] || die "--limit-rate $rate: 3 MiB in $ms ms"
}
limited 1M 2500
limited 2000K 1250
takes 'a limit that does not matter' --limit-rate 1G
nothing_left
echo "$cases cases"
