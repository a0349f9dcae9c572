#!/bin/bash
# SPDX-License-Identifier: MIT
# docs/tutorial.md, every command in it, in its order, in one shell of an author without rights.  The test is the person
# before the screen: it installs (from a medium that does so by itself), works in the machine, and looks whether what the text
# promises has come.  It changes of the commands only the port, if it must, and adds to those that open a window where its
# serial port is to be.
. tests/lib/libvirt.sh
fuse_for_all "$@"
. tests/lib/guests.sh
. tests/lib/pack.sh
# Where it fails in the middle the author's shell has its server and its machine still running.
trap '[ -z "$SHELL_PID" ] || kill $(pgrep -P "$SHELL_PID") "$SHELL_PID" $SOCAT 2>/dev/null; session_stop; rm -rf "$work"' EXIT
SHELL_PID= SOCAT=
tutorial=docs/tutorial.md
guest installer || exit
session_start
cp "$GUEST/install.iso" "$SESSION/"
# As tests/lib/http.sh does.
while http_port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000)); do
    grep -q "$(printf ':%04X 0*:0000 0A' "$http_port")" /proc/net/tcp /proc/net/tcp6 || break
done

die() {
    fail "$@"
    echo "--- the author's screen:"
    tail -n 20 "$work/screen"
    finish
    exit 1
} >&2

# What stands in ```sh blocks, a command a line.
mapfile -t commands < <(sed -n '/^```sh$/,/^```$/{/^```/!p}' "$tutorial")
# No command hides in another kind of block.
is "blocks" "$(grep -c '^```sh$' $tutorial)" "$(($(grep -c '^```' $tutorial) / 2))"
is "indented blocks" 0 "$(grep -c $'^\(    \|\t\)' $tutorial)"

# ---- the author's shell: a command a line comes in, its status goes out ----

mkfifo "$work/commands" "$work/statuses"
exec 7<>"$work/commands" 8<>"$work/statuses"
"${AUTHOR[@]}" bash -c 'while IFS= read -r -u 7 line; do echo "\$ $line"; eval "$line" 7<&- 8>&-; echo $? >&8; done' \
    >"$work/screen" 2>&1 </dev/null &
SHELL_PID=$!
type_in() { echo "$1" >&7; }
# came_to SECONDS: the status of what was typed in
came_to() {
    local status
    read -r -t "$1" -u 8 status || die "$command: has not ended within $1 s"
    checks=$((checks + 1))
    [ "$status" = 0 ] || die "$command: status $status"
}
info() { as_author nxpack info --json www/demo.nxpk | jq -r "$1"; }

# ---- the person before the screen ----

# wait_until WHAT SECONDS COMMAND...
wait_until() {
    local what=$1 deadline=$((SECONDS + $2))
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $deadline ] || die "$what: not within time"
        sleep 0.2
    done
}
is_off() { [ "$(virsh domstate demo | head -n 1)" = "shut off" ]; }

# Log in to the author's own machine: its serial port is a terminal, which socat makes a socket of.
says() { "$BUILD/tools/guest-talk" -i 300 "$SESSION/serial" "$@" || die "talking to the author's machine"; }
look_at_screen() {
    [ -z "$SOCAT" ] || { kill "$SOCAT" 2>/dev/null; wait "$SOCAT" 2>/dev/null; }
    rm -f "$SESSION/serial"
    "${AUTHOR[@]}" socat "UNIX-LISTEN:$SESSION/serial,fork" "$(virsh ttyconsole demo),raw,echo=0" 2>/dev/null &
    SOCAT=$!
    wait_until "socat" 10 test -S "$SESSION/serial"
}
# use SECONDS STEP...: what a user does in a machine of nxfetch's, until it is off
use() {
    "$BUILD/tools/guest-talk" -i 300 -p $SHELL_PID "$SESSION/user" "$@" 'send:poweroff -f' off: || die "$command: using the machine"
}

starts=0 uses=0 packs=0
for command in "${commands[@]}"; do
    typed=${command//:8080/:$http_port} typed=${typed//port 8080/port $http_port}
    case $command in
    "nxfetch http"* | "nxfetch --"*)
        uses=$((uses + 1))
        rm -f "$SESSION/user"
        type_in "$typed --serial unix:user"
        use 90 'poke:nxpk# ' 'run:cat /tmp/work' 'run:check-data' 'poke:nxpk# ' >"$work/used"
        came_to 30
        is "$command: it goes on" "the author's work" "$(head -n 1 "$work/used")"
        is "$command: its disk" 1 "$(grep -c '^check-data OK' "$work/used")"
        continue
        ;;
    esac
    type_in "$typed"
    came_to 120
    case $command in
    "virsh start demo")
        starts=$((starts + 1))
        if [ $starts = 1 ]; then
            wait_until "the installation" 120 is_off
        else
            look_at_screen
            says 120 'poke:nxpk# ' "run:echo \"the author's work\" >/tmp/work" >/dev/null
        fi
        ;;
    "nxpack list") is "$command" "demo  off        yes" "$(tail -n 1 "$work/screen")" ;;
    "nxpack validate"*) is "$command" "demo: can be packed, with 1 image" "$(tail -n 1 "$work/screen")" ;;
    "nxpack -k"*)
        packs=$((packs + 1))
        is "$command: suspended" "$([[ $command = *--suspend* ]] && echo true || echo false)" "$(info .suspended)"
        is "$command: description" "A small demonstration" "$(info .description)"
        if [[ $command = *--suspend* ]]; then
            is "$command: the author's machine" running "$(virsh domstate demo | head -n 1)"
            [ "$(info '."boot-chunks-size"')" -gt 0 ] || fail "$command: not trained"
            look_at_screen
            is "$command: it runs on" "the author's work" "$(says 60 'poke:nxpk# ' 'run:cat /tmp/work')"
        fi
        ;;
    "nxpack train"*)
        is "$command: it is signed" 0 "$(as_author nxpack verify -q -k me.pub.pem www/demo.nxpk >/dev/null; echo $?)"
        # It was used to check its data, which is half of its disk.
        [ "$(info '."boot-chunks-size"')" -gt 20000000 ] || fail "$command: what was used does not stand first" "$(info '."boot-chunks-size"')"
        ;;
    "nxref --html"*)
        for text in 'Machines to try' 'A small demonstration' "vmnetx+http://127.0.0.1:$http_port/demo.nxpk" 'data:image/png;base64,'; do
            grep -qF "$text" "$SESSION/www/index.html" || fail "$command: the page has not" "$text"
        done
        ;;
    "nxref check"*)
        for try in 1 2 3; do # beside a machine a server may be slow
            found=$(as_author nxref check --json "http://127.0.0.1:$http_port/demo.nxpk" | jq -r '"\(.errors) \(.warnings)"')
            [ "$found" != "0 0" ] || break
        done
        is "$command: errors, warnings" "0 0" "$found"
        ;;
    "nxserve --port"*) wait_until "nxserve" 20 curl -sf -o "$work/head" -r 0-99 "http://127.0.0.1:$http_port/demo.nxpk" ;;
    esac
done
exec 7>&- # the author goes home
is "all of it was done" "2 3 3" "$starts $uses $packs"
echo "${#commands[@]} commands of $tutorial"
finish
