#!/bin/bash
# SPDX-License-Identifier: MIT
# Machines whose server wants a login: one boots through a proxy with a password; another one's token expires while it
# runs, is made anew by the command, which fails at first, and the machine goes on.  The engine stays confined.
. tests/lib/http.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
unset http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY
echo "accelerator: $ACCEL"
mkdir -p "$HOME"
package tiny || die "packing"
disk_sum=$(cat "$GUEST/sha256")
publish "$PACKAGE"
chmod 755 "$WORK"

# Nothing of it may be in an argument, in the statistics, or in what is said.
hidden() {
    local pid
    for pid in "$FETCH_PID" $(part nxfetch) $(part qemu); do
        ! tr '\0' '\n' <"/proc/$pid/cmdline" | grep -F -- "$1" || die "$1 is in the arguments of $pid"
    done
    ! tr '\0' '\n' <"/proc/$(part qemu)/environ" | grep -F -- "$1" || die "$1 is in QEMU's environment"
    ! grep -rF -- "$1" "$FETCH_LOG" "$STATS" || die "$1 is shown"
}

reads_its_disk() {
    talk 120 'poke:nxpk# ' run:check-data run:check-disk >"$WORK/said" || die "the guest's checks"
    grep -q '^check-data OK' "$WORK/said" && grep -q "^$disk_sum " "$WORK/said" || die "the guest's disk: $(cat "$WORK/said")"
}

# ---- a proxy, and a password by .netrc ----
echo "joe:$(openssl passwd -apr1 sesame-open)" >"$WORK/htpasswd"
chmod 644 "$WORK/htpasswd"
start_nginx "$WORK/www" "auth_basic guests; auth_basic_user_file $WORK/htpasswd;" || exit $?
tinyproxy=$(http_find tinyproxy) || { echo 'tinyproxy is not installed'; exit 77; }
server=$URL_BASE
http_new_home tinyproxy
http_configure() {
    cat >"$HTTP_HOME/conf" <<END
Port $SERVER_PORT
Listen 127.0.0.1
PidFile "$HTTP_HOME/pid"
LogFile "$HTTP_HOME/log"
LogLevel Connect
MaxClients 50
BasicAuth guest proxy-hidden
END
}
http_run_bound "$tinyproxy" -d -c "$HTTP_HOME/conf" || die tinyproxy
proxy_log=$HTTP_HOME/log
echo 'machine 127.0.0.1 login joe password sesame-open' >"$HOME/.netrc"
new_cache
http_proxy=http://guest:proxy-hidden@127.0.0.1:$SERVER_PORT boot -v --netrc --trust "$TRUST" "$server/tiny.nxpk"
talk 120 'expect:nxpk-guest ready' >/dev/null
# The guest looks into nothing more: .netrc is gone, and was read before.
rm "$HOME/.netrc"
reads_its_disk
fresh_stats
hidden sesame-open
hidden proxy-hidden
same "seccomp of the engine" "$(awk '$1 == "Seccomp:" { print $2 }' "/proc/$(part nxfetch)/status")" 2
! grep 'less confined' "$FETCH_LOG" || die "the engine is not confined"
halt
[ "$(grep -c 'GET http://127.0.0.1' "$proxy_log")" -ge 2 ] || die "the proxy was not used: $(cat "$proxy_log")"
echo "through a proxy, with a password: boots"

# ---- a token that expires ----
# good TOKEN: what the server takes from now on.
good() {
    local old
    echo "\"Bearer $1\" 1;" >"$WORK/tokens"
    [ -n "${NGINX_PID:-}" ] || return 0
    old=$(cat "/proc/$NGINX_PID/task/$NGINX_PID/children")
    kill -HUP "$NGINX_PID"
    wait_for 60 "$NGINX_PID" takes_token "$1" || die "nginx does not take the token"
    wait_for 60 "$NGINX_PID" have_gone $old || die "nginx's old workers stay"
}
# Its workers of before take the token of before, as long as they are there.
have_gone() {
    local pid
    for pid in "$@"; do [ ! -e "/proc/$pid" ] || return; done
}
takes_token() {
    [ "$(curl -so /dev/null -w '%{http_code}' -r 0-0 -H "Authorization: Bearer $1" "$URL_BASE/tiny.nxpk")" = 206 ] &&
        [ "$(curl -so /dev/null -w '%{http_code}' -r 0-0 "$URL_BASE/tiny.nxpk")" = 401 ]
}
good tok-1-hidden
start_nginx_plain "$WORK/www" 'gzip off; if ($good = 0) { return 401; }' "map \$http_authorization \$good { default 0; include $WORK/tokens; }" || die nginx
NGINX_PID=$SERVER_PID
cat >"$WORK/token.sh" <<END
echo run >>"$WORK/runs"
cat "$WORK/token"
END
runs() { wc -l <"$WORK/runs"; }
for machine in tiny reference; do
    : >"$WORK/runs"
    good tok-1-hidden
    echo tok-1-hidden >"$WORK/token"
    location=$URL_BASE/tiny.nxpk
    if [ $machine = reference ]; then
        location=$URL_BASE/tiny.netx
        "$BUILD/nxref" -q --bearer-command "sh $WORK/token.sh" "$URL_BASE/tiny.nxpk" "$WORK/www/tiny.netx" || die nxref
        : >"$WORK/runs"
    fi
    new_cache
    boot --bearer-command "sh $WORK/token.sh" --trust "$TRUST" "$location"
    talk 120 'expect:nxpk-guest ready' >/dev/null
    same "$machine: runs of the command" "$(runs)" 1
    # The token expires, and the command has no new one yet.
    rm "$WORK/token"
    good tok-2-hidden
    talk 180 'poke:nxpk# ' 'send:check-disk' "expect:$disk_sum " >"$WORK/read.txt" 2>&1 &
    reader=$!
    told 120 '--bearer-command: exit status 1; it is tried again, for the server takes the token no more'
    kill -0 "$FETCH_PID" && [ -n "$(part qemu)" ] || die "$machine: it has ended for want of a token"
    echo tok-2-hidden >"$WORK/token.new" && mv "$WORK/token.new" "$WORK/token"
    wait "$reader" || die "$machine: its disk cannot be read: $(cat "$WORK/read.txt")"
    told 5 '--bearer-command has made a token again'
    reads_its_disk
    fresh_stats
    hidden tok-1-hidden
    hidden tok-2-hidden
    same "$machine: words about the token" "$(grep -c 'bearer-command' "$FETCH_LOG")" 2
    at_most "$machine: runs of the command" "$(runs)" 30
    same "$machine: NoNewPrivs of the engine" "$(awk '$1 == "NoNewPrivs:" { print $2 }' "/proc/$(part nxfetch)/status")" 1
    power_off
    echo "$machine: its token was renewed while it ran, after $(runs) runs of the command"
done

# A pull whose token expires is not the worse for it, either; even if the server does not know the new one at once.
refusals() { grep -c '" 401 .*nxpk/' "$SERVER_ACCESS_LOG"; }
refused_twice() { [ "$(refusals)" -ge $((before + 2)) ]; }
: >"$WORK/runs"
good tok-1-hidden
echo tok-1-hidden >"$WORK/token"
new_cache
"$BUILD/nxfetch" pull -q --limit-rate 2M --bearer-command "sh $WORK/token.sh" "$URL_BASE/tiny.nxpk" >"$WORK/pull.txt" 2>&1 &
FETCH_PID=$!
wait_for 60 "$FETCH_PID" test -s "$WORK/runs" || die "pull: $(cat "$WORK/pull.txt")"
wait_for 60 "$FETCH_PID" grep -q '" 206 ' "$SERVER_ACCESS_LOG" || die "pull: $(cat "$WORK/pull.txt")"
before=$(refusals)
echo tok-2-hidden >"$WORK/token.new" && mv "$WORK/token.new" "$WORK/token"
good tok-none
wait_for 60 "$FETCH_PID" refused_twice || die "pull: the new token is not refused: $(cat "$WORK/pull.txt")"
good tok-2-hidden
fetch_ended 180
[ "$FETCH_STATUS" = 0 ] || die "pull: $(cat "$WORK/pull.txt")"
[ ! -s "$WORK/pull.txt" ] || die "pull: $(cat "$WORK/pull.txt")"
nothing_left
echo "pull: done, $(runs) runs of the command"
