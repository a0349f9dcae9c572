#!/bin/bash
# SPDX-License-Identifier: MIT
# What nxserve tells an admin: its access log, line for line, through rotation and a full disk; and its figures, as
# promtool and a real Prometheus read them.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/lib/http.sh
. tests/lib/pack.sh
trap 'stop_servers; rm -rf "$work"' EXIT

root=$work/www log=$work/access.log
mkdir -p "$root"
seq 100000 >"$root/a.nxpk"
size=$(stat -c %s "$root/a.nxpk")
truncate -s 1G "$root/big.nxpk"

# figure NAME: of the metrics now
figure() { curl -sS "$METRICS" | awk -v name="$1" '$1 == name { printf "%.0f\n", $2 }'; }
# settled NAME VALUE: wait until the figure is that; a request is told a little after its client has its answer
settled() {
    checks=$((checks + 1))
    is_now() { [ "$(figure "$1")" = "$2" ]; }
    wait_for 20 "$SERVER_PID" is_now "$1" "$2" || fail "$1" "wanted: $2" "got:    $(figure "$1")"
}
has() {
    checks=$((checks + 1))
    grep -Eq -- "$2" <<<"$3" || fail "$1" "wanted: $2" "got:    $3"
}
# raw TEXT: what no HTTP client sends; the first line of the answer
raw() ( # the server may answer and close before it has read all: what it said is there all the same
    exec 3<>"/dev/tcp/127.0.0.1/$SERVER_PORT"
    (trap '' PIPE && printf '%b' "$1" >&3) 2>/dev/null
    timeout 60 head -n 1 <&3 | tr -d '\r'
)
# start_told [OPTION...]: nxserve with metrics on a port of their own: METRICS
start_told() {
    start_nxserve "$root" --metrics 0 "$@" || exit 1
    SERVER_PORT=$(sed -n 1p "$HTTP_HOME/port") METRICS=http://127.0.0.1:$(sed -n 2p "$HTTP_HOME/port")/metrics
    URL_BASE=http://127.0.0.1:$SERVER_PORT
}

# ---- the access log ----------------------------------------------------------

start_told --access-log "$log"
get() { curl -sS -o /dev/null -A test "$@"; }
get "$URL_BASE/a.nxpk"
get -r 0-9 "$URL_BASE/a.nxpk?version=1&x=%22"
get -r 0-9,100-199 -e 'http://x/"a\b' "$URL_BASE/a.nxpk"
get -I "$URL_BASE/a.nxpk"
get -r 999999999- "$URL_BASE/a.nxpk"
get "$URL_BASE/none"
get -X OPTIONS "$URL_BASE/a.nxpk"
get -d a=b "$URL_BASE/a.nxpk"
get -A $'E\x1b[31m\xff' -H "If-None-Match: $(curl -sSI -A test "$URL_BASE/a.nxpk" | tr -d '\r' | sed -n 's/^ETag: //Ip')" "$URL_BASE/a.nxpk"
is 'a header that is none' 'HTTP/1.1 400 Bad Request' "$(raw 'GET /x HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n')"
is 'a header without end' 'HTTP/1.1 431 Request Header Fields Too Large' \
    "$(raw "GET /x HTTP/1.1\r\nHost: a\r\nX: $(printf 'x%.0s' {1..40000})\r\n\r\n")"
settled nxserve_requests_in_progress 0
time='[0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}:[0-9:]{8} [+-][0-9]{4}'
has 'the time' "^127\.0\.0\.1 - - \[$time\] \"GET" "$(head -n 1 "$log")"
multipart=$(sed -n 's|.* 206 \([0-9]*\) "http://x.*|\1|p' "$log")
[ "${multipart:-0}" -gt 110 ] || fail 'the size of two ranges' "got: $multipart"
is 'the lines, in any order' "$(
    sort <<END
127.0.0.1 - - [] "GET /a.nxpk HTTP/1.1" 200 $size "-" "test"
127.0.0.1 - - [] "GET /a.nxpk?version=1&x=%22 HTTP/1.1" 206 10 "-" "test"
127.0.0.1 - - [] "GET /a.nxpk HTTP/1.1" 206 $multipart "http://x/\x22a\x5Cb" "test"
127.0.0.1 - - [] "HEAD /a.nxpk HTTP/1.1" 200 0 "-" "test"
127.0.0.1 - - [] "GET /a.nxpk HTTP/1.1" 416 26 "-" "test"
127.0.0.1 - - [] "GET /none HTTP/1.1" 404 14 "-" "test"
127.0.0.1 - - [] "OPTIONS /a.nxpk HTTP/1.1" 204 0 "-" "test"
127.0.0.1 - - [] "POST /a.nxpk HTTP/1.1" 405 23 "-" "test"
127.0.0.1 - - [] "HEAD /a.nxpk HTTP/1.1" 200 0 "-" "test"
127.0.0.1 - - [] "GET /a.nxpk HTTP/1.1" 304 0 "-" "E\x1B[31m\xFF"
127.0.0.1 - - [] "- /x -" 400 0 "-" "-"
127.0.0.1 - - [] "- /x -" 431 0 "-" "-"
END
)" "$(sed -E "s,\[$time\],[]," "$log" | sort)"
is 'nothing about requests on stderr' 2 "$(wc -l <"$SERVER_LOG")"
is 'who may read it' 640 "$(stat -c %a "$log")"

# The figures of the same requests.
is 'requests by status' '200=3 204=1 206=2 304=1 400=1 404=1 405=1 416=1 431=1' "$(curl -sS "$METRICS" |
    sed -n 's/^nxserve_requests_total{code="\(.*\)"} \([1-9].*\)/\1=\2/p' | xargs)"
is 'ranges' 3 "$(figure nxserve_ranges_total)"
is 'bytes, as in the log' "$(awk '{ n += $10 } END { print n }' "$log")" "$(figure nxserve_sent_bytes_total)"
settled nxserve_connections 0
is 'connections until now' 12 "$(figure nxserve_connections_total)"

# A client that takes a few of many bytes and goes: what it has got is counted, not what it could have had.
curl -sS --limit-rate 2M -o "$work/part" "$URL_BASE/big.nxpk" 2>/dev/null &
wait_for 60 $! test -s "$work/part" || fail 'nothing comes'
kill $! && wait $!
settled nxserve_requests_cut_total 3 # with the two that were no HTTP
cut=$(sed -n 's/.*big.nxpk HTTP.1.1" 200 \([0-9]*\) .*/\1/p' "$log")
checks=$((checks + 1))
[ "${cut:-0}" -ge "$(stat -c %s "$work/part")" ] && [ "$cut" -lt 100000000 ] ||
    fail 'a download that was cut off' "the client has $(stat -c %s "$work/part") bytes, the log says $cut"

# A connection that stays is seen, and so is a request under way.
exec 3<>"/dev/tcp/127.0.0.1/$SERVER_PORT"
printf 'GET /big.nxpk HTTP/1.1\r\nHost: x\r\n\r\n' >&3
settled nxserve_connections 1
settled nxserve_requests_in_progress 1
exec 3>&-
settled nxserve_connections 0

# Rotation, as logrotate does it: no request is lost, no line is torn, while eight clients ask.
before=$(wc -l <"$log")
ask_on() {
    local i
    for i in {1..25}; do echo "url = \"$URL_BASE/a.nxpk?$1-$i\""; done >"$work/ask-$1"
    curl -sS -A test -r 0-0 -o /dev/null --remove-on-error -K "$work/ask-$1" >/dev/null
}
askers=()
for n in {1..8}; do ask_on "$n" & askers+=($!); done
for n in {1..10}; do
    mv "$log" "$log.$n"
    kill -HUP "$SERVER_PID"
    wait_for 10 "$SERVER_PID" test -e "$log" || fail "rotation $n: no new file"
done
wait "${askers[@]}"
settled nxserve_requests_in_progress 0
is 'lines through ten rotations' $((before + 200)) "$(cat "$log" "$log".* | wc -l)"
is 'each request once' 200 "$(cat "$log" "$log".* | sed -n 's/.*GET .a.nxpk?\([0-9]-[0-9]*\) HTTP.1.1" 206 1 "-" "test"$/\1/p' | sort -u | wc -l)"
rm "$log" && mkdir "$log"
kill -HUP "$SERVER_PID"
warned() { grep -q 'warning: --access-log: .*Is a directory: the old file stays in use' "$SERVER_LOG"; }
wait_for 10 "$SERVER_PID" warned || fail 'a rotation that fails' "$(cat "$SERVER_LOG")"
rmdir "$log"
kill -TERM "$SERVER_PID"
wait "$SERVER_PID"
is 'SIGTERM: the status' 0 $?

# Standard output; then SIGHUP ends the program, as before.
start_told --access-log - >"$work/stdout"
get "$URL_BASE/none"
settled nxserve_requests_in_progress 0
has 'to stdout' '"GET /none HTTP/1.1" 404 14 "-" "test"$' "$(cat "$work/stdout")"
kill -HUP "$SERVER_PID"
wait "$SERVER_PID"
is 'SIGHUP without a file: the status' 0 $?

# A disk without room: requests are answered, one warning is given.
start_told --access-log /dev/full
for n in 1 2 3; do is 'an answer without room for the log' 404 "$(curl -sS -o /dev/null -w '%{http_code}' "$URL_BASE/none")"; done
settled nxserve_requests_in_progress 0
is 'one warning' 1 "$(grep -c 'lines of the access log are lost: /dev/full: No space left on device' "$SERVER_LOG")"

# ---- the figures -------------------------------------------------------------

is 'another path' 404 "$(curl -sS -o /dev/null -w '%{http_code}' "${METRICS%/metrics}/")"
is 'another method' '405 GET, HEAD' "$(curl -sS -o /dev/null -D "$work/head" -w '%{http_code}' -X POST -d x "$METRICS") $(tr -d '\r' <"$work/head" | sed -n 's/^Allow: //p')"
is 'HEAD' 200 "$(curl -sSI -o /dev/null -w '%{http_code}' "$METRICS")"
is 'the type' 'text/plain; version=0.0.4; charset=utf-8' "$(curl -sS -o /dev/null -w '%{content_type}' "$METRICS")"
is 'the public does not see them' 404 "$(curl -sS -o /dev/null -w '%{http_code}' "$URL_BASE/metrics")"
start_nxserve "$root" --metrics '[::1]:0' 2>/dev/null && {
    has 'IPv6' '^nxserve_build_info' "$(curl -sS "http://[::1]:$(sed -n 2p "$HTTP_HOME/port")/metrics")"
    has 'their address is said' 'nxserve: figures at http://\[::1\]:[0-9]+/metrics$' "$(cat "$SERVER_LOG")"
}
start_nxserve "$root" || exit 1
is 'off unless asked for' 1 "$(wc -l <"$HTTP_HOME/port")"
taken=$SERVER_PORT
refused 'no port' 2 '^nxserve: --metrics x: not a number from 0 to 65535' "$BUILD/nxserve" --metrics x
refused 'no address' 2 '^nxserve: --metrics :9100: not \[ADDRESS:\]PORT' "$BUILD/nxserve" --metrics :9100
refused 'IPv6 without brackets' 2 '^nxserve: --metrics ::1:9100: write an IPv6 address as in \[::1\]:9100' "$BUILD/nxserve" --metrics ::1:9100
refused 'a port that is taken' 1 "^nxserve: port $taken of 127.0.0.1 is in use: choose another one with --metrics, or 0" \
    "$BUILD/nxserve" -q --port 0 --metrics "$taken" "$root"
refused 'no such host' 1 '^nxserve: --metrics no.such.host.invalid: ' "$BUILD/nxserve" --port 0 --metrics no.such.host.invalid:0 "$root"
refused 'a log in no folder' 1 '^nxserve: --access-log: /nonexistent/log: No such file' "$BUILD/nxserve" --port 0 --access-log /nonexistent/log "$root"

start_told --quiet
if command -v promtool >/dev/null; then
    is 'promtool finds nothing' '' "$(curl -sS "$METRICS" | promtool check metrics 2>&1)"
    curl -sS -r 0-99 -o /dev/null "$URL_BASE/a.nxpk"
    settled nxserve_sent_bytes_total 100
    http_new_home prometheus
    http_guess_port
    printf 'global: {scrape_interval: 2s}\nscrape_configs: [{job_name: nxserve, static_configs: [{targets: ["%s"]}]}]\n' \
        "$(sed 's,http://\(.*\)/metrics,\1,' <<<"$METRICS")" >"$HTTP_HOME/prometheus.yml"
    prometheus --config.file="$HTTP_HOME/prometheus.yml" --storage.tsdb.path="$HTTP_HOME/data" \
        --web.listen-address="127.0.0.1:$SERVER_PORT" >"$SERVER_LOG" 2>&1 </dev/null &
    http_started $!
    query() { curl -sS -G --data-urlencode "query=$1" "http://127.0.0.1:$SERVER_PORT/api/v1/query" 2>/dev/null | jq -r '.data.result[0].value[1]' 2>/dev/null; }
    known() { [ "$(query nxserve_sent_bytes_total) $(query 'up{job="nxserve"}') $(query 'nxserve_requests_total{code="206"}')" = '100 1 1' ]; }
    wait_for 60 "$SERVER_PID" known || fail 'Prometheus does not scrape it' "$(tail -n 5 "$SERVER_LOG")"
    is 'Prometheus: it is up' 1 "$(query 'up{job="nxserve"}')"
    is 'Prometheus: requests by status' 1 "$(query 'nxserve_requests_total{code="206"}')"
    is 'Prometheus: the version' "$("$BUILD/nxserve" --version | cut -d ' ' -f 2)" \
        "$(curl -sS "http://127.0.0.1:$SERVER_PORT/api/v1/query?query=nxserve_build_info" | jq -r '.data.result[0].metric.version')"
else
    echo 'prometheus is not installed: not tried'
fi
finish
