#!/bin/bash
# SPDX-License-Identifier: MIT
# A click on a desktop, as installed by make install: xdg-open starts nxfetch without a terminal, and windows ask, tell,
# and show progress; the machine's own window has its name and ends it.
. tests/lib/http.sh
. tests/lib/relay.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
. tests/lib/screens.sh
. tests/lib/desktop.sh
start_desktop
offer_drawing
link=vmnetx+$DRAWING direct=$DIRECT
start_relay -r 200000 || die "the relay"
slow=$URL_BASE

# ---- the question ----

click "$link"
appears "$QUESTION" question
same "whom it asks about" "$(said_by zenity | grep -c -e "$FINGERPRINT" -e "From:  $direct/drawing.nxpk" -e 'It gets:  32.0 MiB of memory')" 3
said_by zenity | grep -qxF 'Name:  Draw, <b>me</b> & ?n --help' || die "it does not show the name as it is: $(said_by zenity)"
said_by zenity | grep -qx -e --no-markup || die "a name can be markup"
keys "$WINDOW" Return # the default
ended 1 'not trusted$'
echo "Return: no"

click "$link"
appears "$QUESTION"
keys "$WINDOW" alt+F4
ended 1 'not trusted$'
echo "a question that is closed: no"

click "$link"
appears "$QUESTION"
keys "$WINDOW" Tab Return
appears "QEMU ($NAME)" machine
wait_for 60 "$CLICK" drawn "$WINDOW" 100 || die "the machine's window stays empty"
alone() { [ -z "$(ours_of zenity)" ]; }
wait_for 20 "$CLICK" alone || die "a window beside the machine's: $(said_by zenity)"
same "who is trusted for good" "$("$BUILD/nxfetch" trust list --json | jq '.signers | length')" 0
keys "$WINDOW" alt+F4
ended 0 ' runs$'
echo "once: the machine's window, which ends it when it is closed"

# By a pointer: the button at the left.
click "$link"
appears "$QUESTION"
eval "$(xdotool getwindowgeometry --shell "$WINDOW" | grep -E '^(WIDTH|HEIGHT)=')"
xdotool mousemove --window "$WINDOW" 60 $((HEIGHT - 25)) click 1
appears "QEMU ($NAME)"
same "who is trusted for good" "$("$BUILD/nxfetch" trust list --json | jq -r '.signers[].fingerprint')" "$FINGERPRINT"
keys "$WINDOW" ctrl+alt+q
ended 0 ' runs$'
click "$link"
appears "QEMU ($NAME)"
keys "$WINDOW" ctrl+alt+q
ended 0 ' runs$'
echo "always: not asked again"

# ---- errors ----

click "vmnetx+$direct/absent.nxpk"
appears nxfetch error
said_by zenity | grep -qx -e "--text=$direct/absent.nxpk: not found (HTTP status 404)" || die "the error's window says: $(said_by zenity)"
same "its kind" "$(said_by zenity | grep -cx -e --error -e --no-markup)" 2
same "nxfetch waits for it" "$(cat "$WORK/status" 2>/dev/null)" ''
keys "$WINDOW" Return
ended 1 '404'
# As GNOME opens a file: known by its name.
head -c 500 /dev/urandom >"$WORK/www/broken.nxpk"
rm -f "$WORK/status"
gio open "$WORK/www/broken.nxpk" || die "gio open"
CLICK=$XVFB # gio does not wait for it
appears nxfetch
said_by zenity | grep -q 'broken.nxpk: ' || die "the error's window says: $(said_by zenity)"
keys "$WINDOW" Return
ended 1 'broken.nxpk: '
echo "errors: in a window"

# ---- progress ----

relay_stop
click "vmnetx+$slow/drawing.nxpk"
appears nxfetch progress
said_by zenity | grep -qx -e --progress || die "this should be progress: $(said_by zenity)"
keys "$WINDOW" Escape
ended 1 'interrupted$'
no_window nxfetch || die "what the user has ended is shown as an error"
click "vmnetx+$slow/drawing.nxpk"
appears nxfetch
relay_go
appears "QEMU ($NAME)"
wait_for 20 "$CLICK" no_window nxfetch || die "progress stays when the machine is there"
keys "$WINDOW" ctrl+alt+q
ended 0 ' runs$'
echo "progress: until the machine is there, or the user cancels it"

# One that cannot be shown has not been closed by anybody.
printf '#!/bin/sh\ntouch "%s/mute"\nexit 1\n' "$WORK" >"$WORK/bin/zenity"
chmod +x "$WORK/bin/zenity"
click "vmnetx+$slow/drawing.nxpk"
appears "QEMU ($NAME)"
[ -e "$WORK/mute" ] || die "no progress was to be shown"
rm "$WORK/bin/zenity"
keys "$WINDOW" ctrl+alt+q
ended 0 ' runs$'
echo "progress that cannot be shown: goes on without"

# ---- the machine's window ----

# directly [OPTION...]: not by a click
directly() {
    rm -f "$WORK/status"
    nxfetch --desktop --accel "$ACCEL" "$@" "$direct/drawing.nxpk" &
    CLICK=$!
}
directly -v --fullscreen
appears "QEMU ($NAME)" fullscreen
fills() { [ "$(xdotool getwindowgeometry "$WINDOW" | sed -n 's/.*Geometry: //p')" = 1024x768 ]; }
wait_for 60 "$CLICK" fills || die "--fullscreen: $(xdotool getwindowgeometry "$WINDOW")"
keys "$WINDOW" ctrl+alt+f
not_full() { ! fills; }
wait_for 60 "$CLICK" not_full || die "Ctrl-Alt-F does not end it"
# Its menu: reset and power down.
menu() { # DOWN...: so many steps down the menu "Machine"
    xdotool mousemove --window "$WINDOW" 35 12 click 1
    is_open() { xwininfo -root -tree | grep 'emu-system' | grep -qv '10x10\|"QEMU'; }
    wait_for 60 "$CLICK" is_open || die "no menu"
    xdotool key --delay 100 "$@" Return
}
FETCH_LOG=$WORK/click.log FETCH_PID=$CLICK
wait_for 60 "$CLICK" drawn "$WINDOW" 100 || die "the machine draws nothing"
menu Down Down
told 60 'the machine starts anew'
# As a user would: again, if it was still booting.
for _ in 1 2 3 4 5; do
    kill -0 "$CLICK" 2>/dev/null || break
    menu Down Down Down
    told 60 'power button was pressed'
    ! wait_for 15 "$XVFB" test -e "$WORK/status" || break
done
FETCH_PID=
ended 0 ' runs$'
echo "fullscreen, reset, power down: QEMU's own"
