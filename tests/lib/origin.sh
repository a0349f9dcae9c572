# SPDX-License-Identifier: MIT
# A web server that misbehaves (tests/tools/origin.c).  Sourced after tests/lib/http.sh.
#
#     start_origin FILE [OPTION...]   # URL_BASE and SERVER_PORT; it serves FILE whatever the path, well at first
#     origin_bad; origin_good         # from now on it misbehaves, as the options say, or no more

start_origin() {
    http_new_home origin
    "$BUILD/tools/origin" "${@:2}" -f "$HTTP_HOME/port" "$1" >"$HTTP_HOME/said" 2>"$HTTP_HOME/stderr.log" &
    http_started $!
    ORIGIN_PID=$! ORIGIN_SAID=$HTTP_HOME/said ORIGIN_HEARD=$HTTP_HOME/stderr.log
    wait_for 60 "$ORIGIN_PID" test -s "$HTTP_HOME/port" || { cat "$HTTP_HOME/stderr.log" >&2; return 1; }
    SERVER_PORT=$(cat "$HTTP_HOME/port")
    URL_BASE=http://127.0.0.1:$SERVER_PORT
}

origin_bad() { origin_hears USR1; }
origin_good() { origin_hears USR2; }
origin_hears() {
    local before
    before=$(wc -l <"$ORIGIN_HEARD")
    origin_has_heard() { [ "$(wc -l <"$ORIGIN_HEARD")" -gt "$1" ]; }
    kill -"$1" "$ORIGIN_PID" && wait_for 60 "$ORIGIN_PID" origin_has_heard "$before"
}
