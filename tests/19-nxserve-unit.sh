#!/bin/bash
# SPDX-License-Identifier: MIT
# nxserve.service: systemd finds no mistake in it and rates it well; and nxserve does all that it can under the same
# restrictions: the unit's own command line and system calls, no privileges, nothing writable but its log, a /proc of processes only.
# What a real systemd makes of it in a real guest: tests/slow/19-nxserve-unit.sh.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/lib/http.sh
. tests/lib/pack.sh
trap 'stop_servers; rm -rf "$work"' EXIT
command -v systemd-analyze >/dev/null || { echo 'systemd-analyze is not installed'; exit 77; }
chmod 755 "$work"
compiler=gcc
case $BUILD in *clang*) compiler=clang ;; esac

# ---- the unit, as it is installed --------------------------------------------

make -s CC=$compiler B="$BUILD" PREFIX="$work/usr" install >"$work/make.log" 2>&1 || { cat "$work/make.log"; exit 1; }
unit=$work/usr/lib/systemd/system/nxserve.service
export SYSTEMD_UNIT_PATH=$work/usr/lib/systemd/system:
ok 'systemd-analyze verify' systemd-analyze verify --man=no "$unit"
is 'and it has nothing to say' '' "$(systemd-analyze verify --man=no "$unit" 2>&1)"
# 1.2 today; a common service has 9.6.
ok 'systemd-analyze security' systemd-analyze security --offline=true --threshold=13 --no-pager "$unit"
mkdir "$unit.d"
sed -n '/^#     \[Service\]/,/^#$/s/^#     //p' "$unit" >"$unit.d/override.conf"
is 'the drop-in that the unit proposes' 5 "$(wc -l <"$unit.d/override.conf")"
is 'with it too nothing is wrong' '' "$(systemd-analyze verify --man=no "$unit" 2>&1)"
ok 'and it is still well rated' systemd-analyze security --offline=true --threshold=20 --no-pager "$unit"
rm -r "$unit.d"

if [ "$(id -u)" != 0 ]; then
    echo 'not root: nxserve was not run under the restrictions'
    finish
    exit
fi

# ---- its restrictions --------------------------------------------------------

# members NAME: the calls of a set, those of sets in it too
members() {
    case $1 in
    @*)
        local name
        for name in $(systemd-analyze syscall-filter "$1" | sed '1d; s/#.*//'); do members "$name"; done
        ;;
    *) echo "$1" ;;
    esac
}
# allowed: what the unit's SystemCallFilter= lines make of them, in their order; an allow list always has @default
allowed() {
    local lines line name
    members @default
    readarray -t lines < <(sed -n 's/^SystemCallFilter=//p' "$unit")
    for line in "${lines[@]}"; do
        for name in ${line#\~}; do members "$name" | sed "s/^/${line:0:1} /"; done
    done | awk '{ $1 == "~" ? (gone[$2] = 1) : (kept[$2] = 1) } END { for (name in kept) if (!(name in gone)) print name }'
}
allowed | sort -u >"$work/calls"
checks=$((checks + 1))
[ "$(wc -l <"$work/calls")" -gt 150 ] || fail 'the calls that the unit allows' "$(wc -l <"$work/calls")"
for call in openat2 sendfile setsockopt; do is "allowed: $call" $call "$(grep -x $call "$work/calls")"; done
for call in chown setuid bpf mount ptrace io_uring_setup setrlimit; do is "not allowed: $call" '' "$(grep -x $call "$work/calls")"; done

root=$work/www logs=$work/logs
mkdir "$root" "$logs" && chown nobody "$logs" && chmod 750 "$logs"
seq 50000 >"$root/a.nxpk"
truncate -s 128M "$root/big.nxpk"
size=$(stat -c %s "$root/a.nxpk")
cp "$BUILD/tools/only-calls" "$work/usr/bin/"
make_tls_certificate && cp "$CA_FILE" "$work/tls.pem" && cp "$KEY_FILE" "$work/tls.key" && chmod 644 "$work"/tls.* || exit 1

# confined COMMAND...: as the unit says (exec it)
confined() {
    [ "$(sed -n 's/^\(LimitNOFILE\|UMask\)=//p' "$unit" | xargs)" = '8288 0027' ] || fail 'the unit has other limits than this test'
    exec unshare --mount --propagation private bash -c '
        mount --bind "$1" "$1" || exit 125
        findmnt -rno TARGET | grep -vxE "$1|/(proc|sys|dev)(/.*)?" | while read -r at; do mount -o remount,bind,ro "$at" || exit 125; done
        mount -t proc -o subset=pid,hidepid=invisible proc /proc || exit 125
        umask 027
        exec prlimit --nofile=8288 setpriv --reuid=nobody --regid=nogroup --clear-groups --no-new-privs \
            --inh-caps=-all --bounding-set=-all "$2/usr/bin/only-calls" "$2/calls" "${@:3}"' confined "$logs" "$work" "$@"
}
# start_confined OPTION...: the unit's command line, with NXSERVE_OPTIONS and NXSERVE_LISTEN from outside
start_confined() {
    local NXSERVE_DIR=$root NXSERVE_LISTEN=$1 NXSERVE_OPTIONS=$2 NXSERVE_PORT command
    command=$(sed -n 's/^ExecStart=//p' "$unit")
    http_new_home confined
    http_guess_port
    NXSERVE_PORT=$SERVER_PORT
    eval "set -- ${command//%L\/nxserve/$logs}"
    (confined "$@") 2>"$SERVER_LOG" </dev/null &
    http_started $!
}
answers() { curl -sS --cacert "$work/tls.pem" -o "$work/body" -w '%{http_code} %{size_download}' "$@" 2>/dev/null; }
up() { answers -r 0-0 "$URL_BASE/a.nxpk" | grep -q '^206 1'; }

for listen in 127.0.0.1 ::1; do
    http_guess_port
    metrics=$SERVER_PORT
    start_confined $listen "--metrics $metrics"
    case $listen in *:*) URL_BASE=http://[::1]:$SERVER_PORT ;; *) URL_BASE=http://127.0.0.1:$SERVER_PORT ;; esac
    if [ $listen = ::1 ] && ! grep -q 1 /proc/net/if_inet6 2>/dev/null; then continue; fi
    wait_for 20 "$SERVER_PID" up || { fail "it does not start on $listen" "$(cat "$SERVER_LOG")"; continue; }
    is 'a package' "200 $size" "$(answers "$URL_BASE/a.nxpk")"
    is 'its bytes' "$(hash_of "$root/a.nxpk")" "$(hash_of "$work/body")"
    is 'two ranges' 206 "$(answers -r 0-9,100-199 "$URL_BASE/a.nxpk" | cut -d ' ' -f 1)"
    is 'a listing' 200 "$(answers "$URL_BASE/" | cut -d ' ' -f 1)"
    is 'which has the package' 1 "$(grep -c '>a.nxpk<' "$work/body")"
    is 'nothing' 404 "$(answers "$URL_BASE/none" | cut -d ' ' -f 1)"
    is 'much' '200 134217728' "$(answers "$URL_BASE/big.nxpk")"
    rm "$work/body"
    is 'many at once' '40 206' "$(for n in {1..40}; do answers -r $n-$((n + 999)) "$URL_BASE/a.nxpk" -o /dev/null & done | grep -o '206 ' | uniq -c | xargs)"
    has_memory() { curl -sS "http://127.0.0.1:$metrics/metrics" | grep -Eq '^process_resident_memory_bytes [1-9]'; }
    ok 'figures, from /proc too' has_memory
    is 'no connection is refused for want of files' 4096 \
        "$(curl -sS "http://127.0.0.1:$metrics/metrics" | sed -n 's/^nxserve_connections_limit //p')"
    is 'the log' nobody "$(stat -c %U "$logs/access.log")"
    ok 'has the requests' grep -q 'GET /big.nxpk HTTP/1.1" 200 134217728' "$logs/access.log"
    sed "s,/var/log/nxserve,$logs,; s,systemctl try-reload-or-restart nxserve,kill -HUP $SERVER_PID," "$work/usr/share/nxpk/nxserve.logrotate" >"$work/logrotate.conf"
    if command -v logrotate >/dev/null; then
        ok 'logrotate' logrotate --force --state "$work/logrotate.state" "$work/logrotate.conf"
        wait_for 10 "$SERVER_PID" test -e "$logs/access.log" || fail 'no new log after logrotate' "$(ls "$logs")"
        is 'after logrotate' '206 10' "$(answers -r 0-9 "$URL_BASE/a.nxpk?new")"
        told() { grep -q '/a.nxpk?new HTTP/1.1" 206 10' "$logs/access.log"; }
        wait_for 10 "$SERVER_PID" told || fail 'the new log' "$(cat "$logs/access.log")"
    fi
    kill -TERM "$SERVER_PID"
    wait "$SERVER_PID"
    is 'SIGTERM: the status' 0 $?
    is 'it had nothing to complain of' '' "$(cat "$SERVER_LOG")"
done

start_confined 127.0.0.1 "--tls-cert $work/tls.pem --tls-key $work/tls.key"
URL_BASE=https://localhost:$SERVER_PORT
wait_for 20 "$SERVER_PID" up || fail 'it does not start with TLS' "$(cat "$SERVER_LOG")"
is 'a package by HTTPS' "200 $size" "$(answers "$URL_BASE/a.nxpk")"
stop_server "$SERVER_PID"

# The restrictions are there: what nxserve has no use for is not to be had.
tried() { { (confined "$@") >"$work/out" 2>&1 </dev/null; } 2>/dev/null; }
tried chown nobody "$logs"
status=$?
is 'a call that is not allowed ends it' SYS "$(kill -l "$status")"
tried touch "$root/x"
is 'nothing can be written beside the log' 1 "$(grep -c 'Read-only file system' "$work/out")"
tried socat -u "UNIX-LISTEN:$logs/socket" -
is 'no other kind of socket' 1 "$(grep -c 'Operation not permitted' "$work/out")"
tried ls /proc/meminfo /proc/self/statm
is 'of /proc only processes' 1 "$(grep -c "cannot access '/proc/" "$work/out")"
finish
