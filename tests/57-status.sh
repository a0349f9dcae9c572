#!/bin/bash
# SPDX-License-Identifier: MIT
# nxfetch status of a real machine that boots over a slow line: what it says grows and agrees with --stats; the screen in a real
# terminal (tmux) at two sizes, and how it is left; what is printed where there is none; sockets of the dead and of others.
. tests/lib/http.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
. tests/lib/relay.sh
command -v tmux >/dev/null || { echo 'tmux is not installed'; exit 77; }
echo "accelerator: $ACCEL"
NXFETCH=$(realpath "$BUILD/nxfetch")
err=$WORK/err
tmux=(tmux -S "$WORK/tmux" -f /dev/null)
mounter=
at_end() {
    local status=$?
    "${tmux[@]}" kill-server 2>/dev/null
    [ -z "$mounter" ] || kill "$mounter"
    (exit $status)
    end_of_test
}
trap at_end EXIT

# refused STATUS PATTERN ARGUMENT...: nxfetch ends so, with a line that fits, and prints nothing.
refused() {
    local status=0 wanted=$1 pattern=$2
    shift 2
    "$NXFETCH" "$@" >"$WORK/out" 2>"$err" </dev/null || status=$?
    same "status of nxfetch $*" "$status" "$wanted"
    grep -Eq -- "$pattern" "$err" || die "nxfetch $* says: $(cat "$err"), not: $pattern"
    if [[ " $* " == *' --json '* ]]; then
        jq -e .error.message "$WORK/out" | grep -Eq -- "$pattern" || die "nxfetch $* prints: $(cat "$WORK/out")"
    else
        [ ! -s "$WORK/out" ] || die "nxfetch $* prints: $(cat "$WORK/out")"
    fi
}

# ---- what is wrong at once ----

while IFS='|' read -r pattern arguments; do
    # shellcheck disable=SC2086
    refused 2 "$pattern" $arguments
done <<'END'
status: needs \[MACHINE\]|status a b
screenshot: needs FILE \[MACHINE\]|screenshot
screenshot: needs FILE \[MACHINE\]|screenshot a.png b c
power: needs off.reset.stop \[MACHINE\]|power
power: needs off.reset.stop \[MACHINE\]|power off a b
power: 'up' is not off, reset or stop|power up
power: 'tiny' is not off, reset or stop|power tiny off
--watch means nothing here|--watch x.nxpk
--watch means nothing here|power off --watch
--web excludes --watch and --json|status --web --watch
--web excludes --watch and --json|status --web --json
--web: 'x:y' is not \[ADDRESS:\]PORT|status --web=x:y
--offline means nothing here|status --offline
END
none='no machine of this user is running here'
refused 1 "$none" status
refused 1 "$none" status --watch
refused 1 "$none" status tiny
refused 1 "$none" screenshot "$WORK/a.png"
refused 1 "$none" power off
same "status --json of none" "$("$NXFETCH" status --json 2>"$err" | jq -c .)" '{"error":{"code":"system","message":"'"$none"'"}}'
echo "refusals: right"

# ---- a machine that boots ----

package tiny || die "packing"
publish "$PACKAGE"
start_nxserve "$WORK/www" || die "nxserve"
start_relay -r 6000000 -d 10 || die "relay"
boot --trust "$TRUST" "$URL_BASE/tiny.nxpk"

json() { "$NXFETCH" status --json "$@" 2>"$err"; }
# of FILTER: a value of the one machine's status
of() { json | jq -er "if length == 1 then .[0] else error(\"\(length) machines\") end | $1 | tostring" || die "the status has no $1: $(json; cat "$err")"; }
one_is_there() { json | jq -e 'type == "array" and length == 1' >/dev/null; } # an error is an object
wait_for 20 "$FETCH_PID" one_is_there || die "it does not come into the list: $(cat "$FETCH_LOG")"
same "its pid" "$(of .pid)" "$FETCH_PID"

# While it boots what is here grows, and what is absent shrinks.
before=-1 grown=0 first=
for _ in $(seq 200); do
    now=$(json | jq -c '.[0] | select(.surveyed) | [(.here * 1e6 | floor), .images.disk0.map.units.absent]')
    [ -n "$now" ] || continue
    here=$(jq '.[0]' <<<"$now")
    [ "$here" -ge "$before" ] || die "less is here than before: $here, $before"
    [ "$here" = "$before" ] || grown=$((grown + 1))
    [ -n "$first" ] || first=$(jq '.[1]' <<<"$now")
    before=$here
    [ $grown -lt 4 ] || break
    sleep 0.1
done
[ $grown -ge 4 ] || die "its share has grown $grown times"
talk 90 'expect:nxpk-guest ready'
[ "$(of .images.disk0.map.units.absent)" -lt "$first" ] || die "as much is absent as at the beginning: $first"

# At rest it agrees with --stats, and with itself.
agrees() {
    local member
    sleep 0.6
    "$NXFETCH" status --json | jq '.[0]' >"$WORK/status" || die "no JSON"
    for member in bytes requests chunks_fetched cache_hits index_bytes total_bytes images.disk0.bytes images.disk0.reads images.disk0.size; do
        [ "$(jq ".$member" "$WORK/status")" = "$(stat_of ".$member")" ] || { differs=$member; return 1; }
    done
}
fresh_stats
wait_for 20 "$FETCH_PID" agrees || die "$differs: $(jq ".$differs" "$WORK/status"), and $(stat_of ".$differs") of --stats"
same "what the images have fetched" "$(jq '[.images[].chunks_fetched] | add' "$WORK/status")" "$(stat_of .chunks_fetched)"
jq -e --argjson log "$(stat_of .images.disk0.waited)" '
    .name == "nxpk-tiny" and .verb == "run" and .state == "running" and .surveyed and .waiting == 0 and
    .seconds > 0 and (.started | fromdate) > 1e9 and .images.disk0.waited == $log' "$WORK/status" >/dev/null ||
    die "the status is odd: $(cat "$WORK/status")"
# Each unit is one chunk here: all are counted, once; what was fetched is what is here, but for what is stored twice or came twice.
jq -e '.images.disk0 | .map as $m | $m.units as $u | (.size / .chunk_size) as $all |
    $m.unit == 1 and ([$u[]] | add) == $all and $all - $u.empty == .chunks and
    ([$m.runs[][0]] | add) == $m.cells and $u.cached == 0 and $u.awaited > 0 and
    (.here - (1 - $u.absent / .chunks) | fabs) < 0.001 and
    (.hit_rate - $u.read / ($u.read + $u.awaited) | fabs) < 0.001 and
    (.chunks - $u.absent - .chunks_fetched | fabs) <= .chunks / 20' "$WORK/status" >/dev/null ||
    die "the map does not agree: $(jq -c '.images.disk0 | del(.map.runs)' "$WORK/status")"
# What the cells say, in units, is what the sums say: up to rounding.
jq -e '.images.disk0.map | .units as $u | (.runs | map(.[0] * (.[1] // 0)) | add / 255) as $absent |
    (($absent * ([$u[]] | add) / .cells) - $u.absent | fabs) <= 1 + $u.absent / 50' "$WORK/status" >/dev/null ||
    die "the cells do not agree: $(jq -c .images.disk0.map "$WORK/status")"
echo "booting: $grown steps seen; at rest: as --stats, hit rate $(jq .hit_rate "$WORK/status")"

# By its name, its URL, its pid; not by others.
for machine in nxpk-tiny "$URL_BASE/tiny.nxpk" "$FETCH_PID"; do
    same "status $machine" "$(json "$machine" | jq -r '.[0].name')" nxpk-tiny
done
refused 1 "no running machine is called other; there are: $FETCH_PID \(nxpk-tiny\)" status other
refused 1 "nxpk-tiny, pid $FETCH_PID: the machine has no screen" screenshot "$WORK/a.png"
[ ! -e "$WORK/a.png" ] || die "a picture of no screen"

# ---- not on a terminal ----

LC_ALL=C.UTF-8 "$NXFETCH" status >"$WORK/out" || die "status"
grep -q '^disk0  64.0 MiB  here ' "$WORK/out" || die "status prints: $(cat "$WORK/out")"
grep -q '█' "$WORK/out" && grep -q '·' "$WORK/out" || die "no map: $(cat "$WORK/out")"
! grep -q "$(printf '\033')" "$WORK/out" || die "colours where there is no terminal"
LC_ALL=C "$NXFETCH" status >"$WORK/out"
! LC_ALL=C grep -q '[^ -~]' "$WORK/out" || die "not ASCII in the locale C: $(cat "$WORK/out")"
at_most "columns" "$(wc -L <"$WORK/out")" 80

"$NXFETCH" status --watch >"$WORK/lines" 2>"$err" </dev/null &
watcher=$!
"$NXFETCH" status --watch --json >"$WORK/json-lines" 2>"$err" </dev/null &
json_watcher=$!
has_line() { [ -s "$WORK/lines" ] && [ "$(wc -l <"$WORK/json-lines")" -ge 2 ]; }
wait_for 20 "$FETCH_PID" has_line || die "status --watch prints nothing"
kill -INT $watcher $json_watcher
wait $watcher || die "status --watch ends with $?"
wait $json_watcher || die "status --watch --json ends with $?"
grep -Eq '^nxpk-tiny: running, here [0-9]+ %, rate .*/s, received .*, requests [0-9]+, hit rate [0-9]+ %, waiting reads 0$' "$WORK/lines" ||
    die "status --watch prints: $(cat "$WORK/lines")"
at_most "lines while nothing but the rate changes" "$(wc -l <"$WORK/lines")" 4
same "each line is a status" "$(jq -s 'map(.name == "nxpk-tiny") | all' "$WORK/json-lines")" true
echo "without a terminal: lines, no colours, valid JSON"

# ---- in a terminal ----

LC_ALL=C.UTF-8 TERM=xterm-256color "${tmux[@]}" new-session -d -x 80 -y 24 -s t "env -u NO_COLOR PS1='shell> ' bash --norc --noprofile -i" || die "tmux"
captured() { "${tmux[@]}" capture-pane -p "$@" -t t; }
shows() { captured "${@:2}" | grep -Eq -- "$1"; }
# on SECONDS PATTERN [OPTION...]: it comes to the screen
on() { wait_for "$1" "$FETCH_PID" shows "$2" "${@:3}" || die "the terminal does not show $2, but: $(captured)"; }
type_in() { "${tmux[@]}" send-keys -t t "$@"; }
state() { "${tmux[@]}" display-message -p -t t '#{alternate_on} #{cursor_flag}'; }
is_state() { [ "$(state)" = "$1" ]; }
widest() { captured | LC_ALL=C.UTF-8 wc -L; }
map_rows() { captured | grep -c '^  [ ·░▒█◆]*[·░▒█◆]'; }

on 20 '^shell> ?$'
type_in "stty -a | md5sum >'$WORK/stty-before'; '$NXFETCH' status --watch" Enter
on 20 '^nxpk-tiny  running  for'
on 20 'blank: empty'
same "the alternate screen, no cursor" "$(state)" "1 0"
at_most "columns" "$(widest)" 80
small=$(map_rows)
[ "$small" -ge 8 ] || die "a map of $small rows: $(captured)"
shows "$(printf '\033')\\[32m" -e || die "no colours: $(captured -e)"
for pattern in "$URL_BASE/tiny.nxpk" 'here [0-9]+ %' 'requests' 'hit rate [0-9]+ %' '0 waiting' 'disk0  64.0 MiB' '· absent' '◆ read, waited for'; do
    on 5 "$pattern"
done
# Larger, and then so small that not all has room.
"${tmux[@]}" resize-window -t t -x 132 -y 43
is_large() { [ "$(widest)" -gt 100 ] && shows 'absent.*blank: empty'; }
wait_for 20 "$FETCH_PID" is_large || die "it does not take the larger window: $(captured)"
"${tmux[@]}" resize-window -t t -x 40 -y 10
is_small() { [ "$(widest)" -le 40 ] && shows '^nxpk-tiny' && ! shows 'absent.*blank'; }
wait_for 20 "$FETCH_PID" is_small || die "it does not take the smaller window: $(captured)"
"${tmux[@]}" resize-window -t t -x 80 -y 24
on 20 'blank: empty'
type_in C-c
on 20 '^shell> ?$'
same "after Ctrl-C: the screen before, its cursor" "$(state)" "0 1"
type_in "stty -a | md5sum >'$WORK/stty-after'" Enter
is_noted() { [ -s "$WORK/stty-after" ]; }
wait_for 10 "$FETCH_PID" is_noted || die "the shell does not go on"
same "the terminal's settings after Ctrl-C" "$(cat "$WORK/stty-after")" "$(cat "$WORK/stty-before")"

# By SIGTERM, and by q; without colours.
type_in "clear; NO_COLOR=1 '$NXFETCH' status --watch" Enter
on 20 'blank: empty'
! captured -e | grep -q "$(printf '\033')\\[[0-9;]*m" || die "colours in spite of NO_COLOR: $(captured -e)"
pid=$(ours nxfetch | while read -r p; do tr '\0' ' ' <"/proc/$p/cmdline" | grep -q 'status --watch' && echo "$p"; done)
kill -TERM "$pid" || die "no nxfetch status"
on 20 '^shell> ?$'
same "after SIGTERM" "$(state)" "0 1"
type_in "clear; '$NXFETCH' status --watch; echo it said \$?" Enter
on 20 'blank: empty'
type_in q
on 20 '^it said 0$'
same "after q" "$(state)" "0 1"
echo "in a terminal: 80x24 with $small rows of map, 132x43, 40x10; Ctrl-C, SIGTERM and q restore it"

# Others of the same machine: a mount, and a list.
mkdir "$WORK/mount"
"$NXFETCH" mount --trust "$TRUST" "${URL_BASE/:\/\//://me:secret@}/tiny.nxpk" "$WORK/mount" >"$WORK/mounted.log" 2>&1 </dev/null &
mounter=$!
two_are_there() { [ "$(json | jq length)" = 2 ]; }
wait_for 20 "$mounter" two_are_there || die "the mount does not come into the list"
wait_for 20 "$mounter" grep -q '^mounted' "$WORK/mounted.log" || die "mount: $(cat "$WORK/mounted.log")"
"$NXFETCH" status >"$WORK/out"
grep -Eq "^ +$FETCH_PID  nxpk-tiny +running " "$WORK/out" && grep -Eq "^ +$mounter  nxpk-tiny " "$WORK/out" || die "the list: $(cat "$WORK/out")"
refused 1 "which machine\?  Name its pid: .*\(nxpk-tiny\), .*\(nxpk-tiny\)" power off
refused 1 "which machine\?" power stop nxpk-tiny
refused 1 "nxpk-tiny, pid $mounter: no machine runs there" power off "$mounter"
same "what the other one does" "$(json "$mounter" | jq -r '.[0].verb')" mount
same "its location, without the password" "$(json "$mounter" | jq -r '.[0].location')" "$URL_BASE/tiny.nxpk"
! json "$mounter" | grep -q secret || die "the status tells the password"
"$NXFETCH" power stop "$mounter" || die "power stop of a mount"
timeout 20 tail --pid=$mounter -f /dev/null || die "the mount does not end"
wait $mounter || die "the mount ends with $?"
mounter=

# ---- those who do not behave ----

socket=$XDG_RUNTIME_DIR/nxpk/$FETCH_PID.sock
same "who may come to the socket" "$(stat -c '%a %U' "$XDG_RUNTIME_DIR/nxpk")" "700 $(id -un)"
answer() { timeout 60 socat -t 30 - "UNIX-CONNECT:$socket"; }
[[ $(echo nonsense | answer) == *'"error":"that is no JSON'* ]] || die "nonsense is not refused"
for tries in {1..20}; do # socat may be told that nobody reads on before it reads the answer
    [[ $(head -c 20000 /dev/zero | tr '\0' '[' | answer 2>/dev/null) != *'a line of more than'* ]] || break
done
[ $tries -lt 20 ] || die "a line without end is not refused"
[[ $({ head -c 8000 /dev/zero | tr '\0' '['; echo; } | answer) == *'that is no JSON'* ]] || die "deep nesting is not refused"
for _ in $(seq 20); do answer </dev/null & done
wait $(jobs -p | grep -vxF -e "$FETCH_PID" $(printf ' -e %s' "${HTTP_PIDS[@]}")) 2>/dev/null
same "it still answers" "$(of .state)" running
# The engine and QEMU are the user's processes, too; what was taken over of them must not be heard.
same "what a confined process is told" "$(echo '{"ask":"status"}' | timeout 5 setpriv --no-new-privs socat -t 3 - "UNIX-CONNECT:$socket" 2>/dev/null)" ""
if [ "$(id -u)" = 0 ]; then
    other=(setpriv --reuid=www-data --regid=www-data --clear-groups --inh-caps=+dac_override --ambient-caps=+dac_override)
    said=$(echo '{"ask":"status"}' | timeout 5 "${other[@]}" socat -t 3 - "UNIX-CONNECT:$socket" 2>/dev/null)
    same "what another user is told" "$said" ""
    # And what another user says is not believed.
    "${other[@]}" socat UNIX-LISTEN:"$XDG_RUNTIME_DIR/nxpk/1.sock",fork,mode=777 SYSTEM:'echo {}' 2>/dev/null &
    forger=$!
    wait_for 10 $forger test -S "$XDG_RUNTIME_DIR/nxpk/1.sock" || die "socat"
    same "machines, without a forged one" "$(json | jq length)" 1
    kill $forger
    wait $forger 2>/dev/null
    rm -f "$XDG_RUNTIME_DIR/nxpk/1.sock"
    echo "other users: neither heard nor believed"
fi

# Killed: what it leaves is seen to be nobody's, and goes.
"${tmux[@]}" send-keys -t t "clear; '$NXFETCH' status --watch" Enter
on 20 'blank: empty'
kill -KILL "$FETCH_PID"
wait "$FETCH_PID" 2>/dev/null
FETCH_PID=
ended() { shows 'the machine has ended' && shows '^shell> ?$'; }
wait_for 20 "$RELAY_PID" ended || die "the watcher does not see its end: $(captured)"
[ -S "$socket" ] || die "the socket of a killed one has gone by itself?"
refused 1 "$none" status
[ ! -e "$socket" ] || die "the socket of a killed one stays"
"${tmux[@]}" kill-server
echo "killed: seen, and its socket removed"

# ---- from the cache ----

boot --trust "$TRUST" "$URL_BASE/tiny.nxpk"
talk 90 'expect:nxpk-guest ready'
fresh_stats
"$NXFETCH" status --json | jq '.[0]' >"$WORK/status"
jq -e '.hit_rate == 1 and .chunks_fetched == 0 and (.images.disk0.map.units | .awaited == 0 and .ahead == 0 and .read > 0 and .cached >= 0)' \
    "$WORK/status" >/dev/null || die "the second run: $(jq -c 'del(.images[].map.runs)' "$WORK/status")"
"$NXFETCH" status | grep -q 'hit rate 100 %' || die "not 100 %"
"$NXFETCH" power stop nxpk-tiny || die "power stop"
fetch_ended 20
same "status after power stop" "$FETCH_STATUS" 0
nothing_left

# A pull, whose chunks are all there in the end, none read; it is asked while it goes on.
new_cache
"$NXFETCH" pull -q "$URL_BASE/tiny.nxpk" >"$WORK/pull.log" 2>&1 </dev/null &
FETCH_PID=$!
seen=
for _ in $(seq 300); do
    kill -0 "$FETCH_PID" 2>/dev/null || break
    seen=$(json | jq -c '.[0] | select(.state == "fetching" and .images.disk0.map.units.ahead > 0) | .images.disk0.map.units | [.ahead, .read, .awaited]') || seen=
    [ -z "$seen" ] || break
    sleep 0.05
done
[ -n "$seen" ] && same "read by a pull" "$(jq -c '.[1:]' <<<"$seen")" '[0,0]' || die "a pull is not seen: $(cat "$WORK/pull.log")"
fetch_ended 60
same "pull's status" "$FETCH_STATUS" 0
mount_package "$URL_BASE/tiny.nxpk" --trust "$TRUST" --offline
jq -e '.here == 1 and .hit_rate == null and .verb == "mount" and
    (.images.disk0.map.units | .cached > 0 and ([.absent, .ahead, .read, .awaited] | add) == 0)' \
    >/dev/null <<<"$(json | jq '.[0]')" || die "after a pull: $(json | jq -c '.[0] | del(.images[].map.runs)')"
head -c 10M "$IMAGE" >"$WORK/out"
same "its hit rate when it is read" "$(of .hit_rate)" 1
halt
echo "second run: hit rate 100 %; a pull: $seen; afterwards all is here"
