# SPDX-License-Identifier: MIT
# A slow line, or a broken one, in front of a server (tests/tools/relay.c).  Sourced after tests/lib/http.sh.
#
#     start_relay [OPTION...]     # to the server that was started last: URL_BASE becomes the relay's
#     relay_stop; relay_go        # the line is dead, connections stay; it is alive again
#     relay_slow                  # a twentieth of its rate, until relay_go
#     relay_cut                   # connections break, new ones are refused, until relay_go

start_relay() {
    http_new_home relay
    "$BUILD/tools/relay" "$@" -f "$HTTP_HOME/port" 0 "127.0.0.1:$SERVER_PORT" 2>"$HTTP_HOME/stderr.log" &
    http_started $!
    RELAY_PID=$!
    wait_for 10 "$RELAY_PID" test -s "$HTTP_HOME/port" || { cat "$HTTP_HOME/stderr.log" >&2; return 1; }
    URL_BASE=http://127.0.0.1:$(cat "$HTTP_HOME/port")
}

# 100 Mbit/s and a round trip of 40 ms
LINE_100M=(-r 12500000 -d 20)

relay_stop() { kill -USR1 "$RELAY_PID"; }
relay_go() { kill -USR2 "$RELAY_PID"; }
relay_slow() { kill -WINCH "$RELAY_PID"; }
relay_cut() { kill -HUP "$RELAY_PID"; }
