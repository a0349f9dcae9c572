#!/bin/bash
# SPDX-License-Identifier: MIT
# The relay, by which other tests have a slow line or a broken one (tests/tools/relay.c): what it costs, stops and cuts.
# Alone: it measures how long something takes.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/lib/http.sh
. tests/lib/relay.sh
work=$(mktemp -d "${TMPDIR:-/tmp}/nxpk-relay.XXXXXX") || exit 1
trap 'stop_servers; rm -rf "$work"' EXIT

die() {
    echo "FAILED: $*"
    exit 1
}

# took LEAST MOST COMMAND...: the quickest of twenty; a busy machine may be slow, but nothing is quicker than the line.
took() {
    local least=$1 most=$2 best=999999 start ms i
    shift 2
    for i in {1..20}; do
        start=$EPOCHREALTIME
        "$@" || die "$*: status $?"
        ms=$(((${EPOCHREALTIME/./} - ${start/./}) / 1000))
        [ $ms -ge "$least" ] || die "$*: $ms ms, no line is so quick"
        [ $ms -ge $best ] || best=$ms
        [ $best -gt "$most" ] || break
    done
    echo "$best ms: $*"
    [ $best -le "$most" ] || die "$*: $best ms, more than $most"
}

fetch() { curl -sS -o "$work/got" "$@"; }
fetch_big() { fetch "$1" && cmp "$work/got" "$work/www/big"; }
# Two at once share the rate.
fetch_both() {
    fetch "$1" &
    curl -sS -o "$work/other" "$1" && wait $! && cmp "$work/got" "$work/other"
}

mkdir "$work/www"
head -c 2500000 /dev/urandom >"$work/www/big"
head -c 60000000 /dev/urandom >"$work/www/long" # 5 s: so long a busy machine may take to cut the line
head -c 100 /dev/urandom >"$work/www/small"
start_nxserve "$work/www" || die nxserve

start_relay "${LINE_100M[@]}" || die "the relay does not start"
took 80 110 fetch "$URL_BASE/small"                               # connecting, and asking
took 120 160 fetch "$URL_BASE/small" -o /dev/null "$URL_BASE/small" # asking again
took 275 400 fetch_big "$URL_BASE/big"                            # 200 ms for the bytes, less a piece
took 475 650 fetch_both "$URL_BASE/big"

# Nothing comes through a dead line, in old connections or new ones; then all of it does.
rm -f "$work/got"
fetch "$URL_BASE/long" &
getting=$!
wait_for 10 $getting test -s "$work/got" || die "nothing comes"
relay_stop
curl -sS -o /dev/null --max-time 0.5 "$URL_BASE/small" 2>"$work/said"
[ $? = 28 ] || die "a dead line: $(cat "$work/said")"
kill -0 $getting || die "a dead line has ended a connection"
relay_go
wait $getting || die "an old connection does not go on"
cmp "$work/got" "$work/www/long" || die "other bytes after a dead line"
fetch "$URL_BASE/small" || die "no new connection after a dead line"

# A broken one ends all connections.
rm "$work/got"
fetch "$URL_BASE/long" 2>"$work/said" &
getting=$!
wait_for 10 $getting test -s "$work/got" || die "nothing comes"
relay_cut
wait $getting && die "a connection has survived"
curl -sS -o /dev/null --max-time 5 "$URL_BASE/small" 2>"$work/said"
case $? in 0 | 28) die "a broken line: $(cat "$work/said")" ;; esac
relay_go
fetch_big "$URL_BASE/big" || die "the line is not mended"
echo "slow, dead, broken and mended"
