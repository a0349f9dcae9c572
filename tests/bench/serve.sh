#!/bin/bash
# SPDX-License-Identifier: MIT
# nxserve beside nginx, in turn: 1,000 clients who are connected and idle, and 200 who ask for one range after the other, all from this
# machine.  What each server gives, what CPU time it takes for that, and its memory, which must not grow when the same comes again.
. tests/lib/http.sh
. tests/lib/load.sh
. tests/bench/lib.sh
NGINX_CONNECTIONS=4096
work=$(mktemp -d "${TMPDIR:-/tmp}/nxpk-bench.XXXXXX") || exit
trap 'stop_servers; rm -rf "$work"' EXIT
IDLE=${IDLE:-1000} ACTIVE=${ACTIVE:-200} seconds=${SECONDS_EACH:-$([ -n "${QUICK:-}" ] && echo 2 || echo 3)}
mkdir "$work/www"
"$BUILD/tools/load" -m "$work/www/a.nxpk" 256 && cat "$work/www/a.nxpk" >/dev/null || exit

start_nxserve "$work/www" --access-log "$work/access.log" --metrics 0 >&2 || exit
nxserve=$SERVER_PID nxserve_url=http://127.0.0.1:$(head -n 1 "$HTTP_HOME/port")/a.nxpk
start_nginx "$work/www" >&2 || exit
nginx=$SERVER_PID nginx_url=$URL_BASE/a.nxpk

# measure NAME PID URL BYTES: a run; each figure is a line of the file NAME.FIGURE
measure() {
    local before
    before=$(cpu_ms "$2")
    load_on -i "$IDLE" -a "$ACTIVE" -s "$seconds" -r "$4" "$3" || return
    cat "$HTTP_DIR/loaded.json" >&2
    jq '.requests / .seconds' "$HTTP_DIR/loaded.json" >>"$work/$1.rate"
    jq '.p99_ms' "$HTTP_DIR/loaded.json" >>"$work/$1.p99"
    jq '.idle_kept' "$HTTP_DIR/loaded.json" >>"$work/$1.kept"
    jq --argjson ms "$(($(cpu_ms "$2") - before))" '$ms * 1000 / .requests' "$HTTP_DIR/loaded.json" >>"$work/$1.cpu"
    peak_kib "$2" >>"$work/$1.peak"
}
# both_row WHAT FIGURE [LIMIT]: the medians, and of the ratios of the pairs
both_row() {
    row "$1" "$(median <"$work/nxserve.$2")" "$(median <"$work/nginx.$2")" \
        "$(paste "$work/nxserve.$2" "$work/nginx.$2" | awk '{ printf "%.3f\n", $1 / $2 }' | median 3)" "${@:3}"
}

for bytes in 65536 1048576; do
    rm -f "$work"/n*.*
    for ((run = 0; run < RUNS; run++)); do
        measure nxserve "$nxserve" "$nxserve_url" $bytes && measure nginx "$nginx" "$nginx_url" $bytes || exit
    done
    both_row "$IDLE idle, $ACTIVE active clients, $((bytes >> 10)) KiB each: requests a second" rate +0.8
    both_row '  99 of 100 have their answer within: ms' p99
    both_row '  CPU time of the server: µs a request' cpu
    row '  idle clients held to the end' "$(sort -n "$work/nxserve.kept" | head -n 1)" "$IDLE" \
        "$(ratio "$(sort -n "$work/nxserve.kept" | head -n 1)" "$IDLE")" +1
    [ -n "${first:-}" ] || first=$(head -n 1 "$work/nxserve.peak") nginx_first=$(head -n 1 "$work/nginx.peak")
done
row 'nxserve: peak memory of the first run, KiB' "$first" 65536 "$(ratio "$first" 65536)" 1
row '  ... of all runs, of the first' "$(tail -n 1 "$work/nxserve.peak")" "$first" "$(ratio "$(tail -n 1 "$work/nxserve.peak")" "$first")" 1.1
row '  ... nginx, its three processes' "$(tail -n 1 "$work/nginx.peak")" "$nginx_first" "$(ratio "$(tail -n 1 "$work/nginx.peak")" "$nginx_first")"
