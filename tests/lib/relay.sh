# SPDX-License-Identifier: MIT
# A slow line, or a broken one, in front of a server (tests/tools/relay.c).  Sourced after tests/lib/http.sh.
#
#     start_relay [OPTION...]     # to the server that was started last: URL_BASE becomes the relay's
#     relay_stop; relay_go        # the line is dead, connections stay; it is alive again
#     relay_slow                  # a twentieth of its rate, until relay_go
#     relay_cut                   # connections break, new ones are refused, until relay_go
#     outage SECONDS stop|cut     # for so long, under nxfetch as tests/lib/qemu.sh runs it

start_relay() {
    http_new_home relay
    "$BUILD/tools/relay" "$@" -f "$HTTP_HOME/port" 0 "127.0.0.1:$SERVER_PORT" 2>"$HTTP_HOME/stderr.log" &
    http_started $!
    RELAY_PID=$!
    wait_for 60 "$RELAY_PID" test -s "$HTTP_HOME/port" || { cat "$HTTP_HOME/stderr.log" >&2; return 1; }
    URL_BASE=http://127.0.0.1:$(cat "$HTTP_HOME/port")
}

# 100 Mbit/s and a round trip of 40 ms
LINE_100M=(-r 12500000 -d 20)

relay_stop() { kill -USR1 "$RELAY_PID"; }
relay_go() { kill -USR2 "$RELAY_PID"; }
relay_slow() { kill -WINCH "$RELAY_PID"; }
relay_cut() { kill -HUP "$RELAY_PID"; }

# The user hears of an outage of more than 6 s, which lasts from then on: a busy machine may have nothing to read for a while.
waits_told() { grep -c 'waiting for the network' "$FETCH_LOG"; }
told_again() { [ "$(waits_told)" -gt "$1" ]; }
outage() {
    local before
    before=$(waits_told)
    "relay_$2"
    [ "$1" -le 6 ] || wait_for 60 "$FETCH_PID" told_again "$before" || die "the user was not told: $(cat "$FETCH_LOG")"
    sleep "$1"
    kill -0 "$FETCH_PID" || die "nxfetch has ended: $(tail -n 1 "$FETCH_LOG")"
    relay_go
}
