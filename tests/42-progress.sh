#!/bin/bash
# SPDX-License-Identifier: MIT
# How far a long work has come: a line that is drawn anew on a terminal, lines now and then elsewhere, JSON for programs,
# nothing with -q; and no program of ours writes an escape sequence, to a terminal or elsewhere.
. tests/lib/http.sh
. tests/lib/pack.sh
. tests/lib/relay.sh
trap 'stop_servers; rm -rf "$work"' EXIT
export HOME=$work XDG_CACHE_HOME=$work/cache XDG_CONFIG_HOME=$work/config
unset NO_COLOR
NXFETCH=$(realpath -m "$BUILD")/nxfetch
mkdir "$work/www"
content "$work/disk.raw" 6M
head -c 4M /dev/urandom >>"$work/disk.raw"
domain raw:"$work/disk.raw" >"$work/in.xml"
"$NXPACK" keygen -q "$work/a.pem" >/dev/null
"$NXPACK" -q -k "$work/a.pem" "$work/in.xml" "$work/www/a.nxpk" || exit 1
start_nxserve "$work/www" || exit 1
fast=$URL_BASE/a.nxpk

# On a terminal of type $1, the rest: what it writes there goes to $work/seen.
command -v script >/dev/null || { echo 'script is not installed'; exit 77; }
on_terminal() {
    local term=$1
    shift
    rm -rf "$work/cache"
    TERM=$term script -qec "$(printf '%q ' "$@")" /dev/null >"$work/seen" </dev/null || fail "$*" "$(cat "$work/seen")"
}
# bytes that begin an escape sequence
escapes() { LC_ALL=C grep -ac $'\x1b' "$work/seen"; }
redraws() { tr '\r' '\n' <"$work/seen" | grep -c '%  '; }

# A slow line, so that there is something to see: five times 5 MB at 1.2 MB/s are 21 s.
start_relay -r 1200000 -d 1 || exit 1
slow=$URL_BASE/a.nxpk

# All of those that take their time, at once.
start=$SECONDS
{
    TERM=xterm script -qec "XDG_CACHE_HOME=$work/c1 '$NXFETCH' pull '$slow'" /dev/null >"$work/tty" </dev/null
    echo $? >"$work/tty.status"
} &
pids=($!)
{ TERM=xterm XDG_CACHE_HOME=$work/c2 "$NXFETCH" pull "$slow" >"$work/pipe" 2>&1 </dev/null; } &
pids+=($!)
{ TERM=dumb script -qec "XDG_CACHE_HOME=$work/c3 '$NXFETCH' pull '$slow'" /dev/null >"$work/dumb" </dev/null; } &
pids+=($!)
{ XDG_CACHE_HOME=$work/c4 "$NXFETCH" pull --progress-fd 9 "$slow" 9>"$work/json" >"$work/json.err" 2>&1 </dev/null; } &
pids+=($!)
{ XDG_CACHE_HOME=$work/c5 "$NXFETCH" pull -q "$slow" >"$work/quiet" 2>&1 </dev/null; } &
pids+=($!)
wait "${pids[@]}"
took=$((SECONDS - start))

cp "$work/tty" "$work/seen"
is 'a terminal: status' 0 "$(cat "$work/tty.status")"
[ "$(redraws)" -gt 20 ] || fail 'a terminal: not drawn anew' "$(cat "$work/seen")"
grep -q $'\r[^\r]*\[#*\.*\] *[0-9]*%  [0-9.]* [KM]iB of [0-9.]* MiB, .*/s, [0-9]*:[0-9][0-9] left' "$work/seen" || fail 'a terminal: the line' "$(cat "$work/seen")"
is 'a terminal: escape sequences' 0 "$(escapes)"
# Its end stands alone: what was drawn is blanked, and the line that follows begins where that began.
is 'a terminal: the end' 'all in the cache' "$(tr '\r' '\n' <"$work/seen" | grep -v '^ *$' | tail -n 1 | grep -o 'all in the cache')"
is 'TERM=dumb: no line is drawn anew' 0 "$(sed 's/\r$//' "$work/dumb" | grep -c $'\r')"
for seen in pipe dumb; do
    tr -d '\r' <"$work/$seen" >"$work/lines"
    # One after ten seconds, then one each thirty, and the end.
    n=$(wc -l <"$work/lines") checks=$((checks + 1))
    [ "$n" -ge 2 ] && [ "$n" -le $((2 + took / 30)) ] || fail "$seen: $n lines in $took s" "$(cat "$work/lines")"
    grep -qE '^nxfetch: [a-z ]+ +[0-9]+%  [0-9.]+ [KM]iB of [0-9.]+ MiB, [0-9.]+ [KM]iB/s, [0-9]+:[0-9]{2} left$' "$work/lines" || fail "$seen: its line" "$(cat "$work/lines")"
done
is '-q' '' "$(cat "$work/quiet")"
is '--progress-fd: on stderr' 1 "$(wc -l <"$work/json.err")"
is '--progress-fd: objects' true "$(jq -s 'length > 20 and all(.[]; .done >= 0 and (.total > 0 or .what == "connecting") and .rate >= 0 and (.what | length) > 0) and .[-1].done == .[-1].total' "$work/json")"

# ---- the other programs; NO_COLOR is heeded, for nothing is coloured without it ----
for setting in NO_COLOR=1 NO_COLOR=; do
    for command in "$NXPACK verify $work/www/a.nxpk" "$NXPACK info $work/www/a.nxpk" "$NXPACK -k $work/a.pem $work/in.xml $work/www/b.nxpk" \
        "$NXPACK validate $work/in.xml" "$NXREF $fast $work/a.netx" "$NXREF check $fast" "$NXFETCH info $fast" "$NXFETCH cache show" "$NXFETCH --help" \
        "$(realpath "$BUILD")/nxserve config nginx"; do
        [ "${command#*check}" = "$command" ] || command="$command || true" # it has its findings
        on_terminal xterm env $setting bash -c "$command"
        is "$setting $command: escape sequences" 0 "$(escapes)"
        [ -s "$work/seen" ] || fail "$setting $command: says nothing"
    done
done
echo "$took s on the slow line"
finish
