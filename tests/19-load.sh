#!/bin/bash
# SPDX-License-Identifier: MIT
# Many clients at once: nxserve holds those who are idle, answers those who are not, and its memory stays flat; where the limit of
# open files leaves room for few, the others wait.  The whole of it, beside nginx, is tests/bench/serve.sh.
# Alone: it measures, with 1,200 clients.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/lib/http.sh
. tests/lib/pack.sh
. tests/lib/load.sh
trap 'stop_servers; rm -rf "$work"' EXIT
# at_most WHAT GOT LIMIT
at_most() {
    checks=$((checks + 1))
    [ "$2" -le "$3" ] || fail "$1: $2 is more than $3"
}
figure() { curl -sS "$METRICS" | awk -v name="$1" '$1 == name { printf "%.0f\n", $2 }'; }

mkdir "$work/www"
"$BUILD/tools/load" -m "$work/www/a.nxpk" 16 || exit 1

# Its soft limit is a session's usual one, which it has to raise: two files for each client.
start_nxserve "$work/www" --quiet --metrics 0 || exit 1
METRICS=http://127.0.0.1:$(sed -n 2p "$HTTP_HOME/port")/metrics URL_BASE=http://127.0.0.1:$(sed -n 1p "$HTTP_HOME/port")
files=$(open_files "$SERVER_PID")
ok '1,000 idle and 200 active clients' load_on -i 1000 -a 200 -s 2 "$URL_BASE/a.nxpk"
is 'all were held' '1000 0' "$(loaded idle_kept) $(loaded failures)"
first=$(peak_kib "$SERVER_PID")
at_most 'peak memory, KiB' "$first" 65536
is 'connections' 1201 "$(figure nxserve_connections_total)"
for round in 1 2 3; do ok "the same again, $round" load_on -i 1000 -a 200 -s 2 "$URL_BASE/a.nxpk"; done
at_most 'peak memory after three times as much, KiB' "$(peak_kib "$SERVER_PID")" $((first + first / 10))
alone() { [ "$(figure nxserve_connections)" = 0 ]; }
wait_for 10 "$SERVER_PID" alone || fail "connections are left: $(figure nxserve_connections)"
at_most 'files that stay open' "$(open_files "$SERVER_PID")" $((files + 2)) # curl's, for the figures
is 'requests that failed' 0 "$(figure nxserve_requests_cut_total)"
# Nobody is forgotten, however many ask at the same moment: libmicrohttpd's own threads wait for more when they have found 128.
ok 'heaps of requests' load_on -i 800 -a 0 -s 0 -b 400 -p "$SERVER_PID" "$URL_BASE/a.nxpk"
ok '1 MiB at a time' load_on -a 20 -s 0.5 -r 1048576 "$URL_BASE/a.nxpk"

# Room for 40 connections: who comes later waits until one of them leaves, and the figures are told all the while.
(ulimit -n 176 && exec "$BUILD/nxserve" --quiet --port 0 --port-file "$work/port" --metrics 0 "$work/www") &
http_started $!
wait_for 20 "$SERVER_PID" test -s "$work/port" || exit 1
METRICS=http://127.0.0.1:$(sed -n 2p "$work/port")/metrics URL_BASE=http://127.0.0.1:$(sed -n 1p "$work/port")
is 'room' 40 "$(figure nxserve_connections_limit)"
ok 'as many clients' load_on -i 20 -a 16 -s 0.5 "$URL_BASE/a.nxpk"
for n in {1..40}; do
    exec {fd}<>"/dev/tcp/127.0.0.1/${URL_BASE##*:}"
    held[n]=$fd
done
full() { [ "$(figure nxserve_connections)" = 40 ]; }
wait_for 10 "$SERVER_PID" full || fail "connections: $(figure nxserve_connections), not 40"
let_go() { for n in {1..40}; do eval "exec ${held[n]}>&-"; done; }
(let_go && exec curl -sS -o "$work/late" -r 0-7 -w '%{http_code}' "$URL_BASE/a.nxpk") >"$work/status" &
late=$!
checks=$((checks + 1))
curl -sS --max-time 0.5 -o /dev/null -r 0-7 "$URL_BASE/a.nxpk" 2>/dev/null && fail 'the 41st client was served at once'
let_go
wait "$late"
is 'the 41st client, once there is room' '206 8' "$(cat "$work/status") $(stat -c %s "$work/late")"
finish
