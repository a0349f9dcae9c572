#!/bin/bash
# SPDX-License-Identifier: MIT
# A machine in a real window, GTK's and SDL's, on a desktop that has no session bus: QEMU's sandbox forbids what libdbus
# would do to find one.
. tests/lib/http.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
echo "accelerator: $ACCEL"
package screen-saved || die "packing"
new_cache
Xvfb -displayfd 3 -screen 0 1024x768x24 -nolisten tcp 3>"$WORK/display" >"$WORK/xvfb.log" 2>&1 &
http_started $!
XVFB=$!
wait_for 60 "$XVFB" test -s "$WORK/display" || die "Xvfb: $(cat "$WORK/xvfb.log")"
DISPLAY=:$(cat "$WORK/display")
export DISPLAY
unset DBUS_SESSION_BUS_ADDRESS WAYLAND_DISPLAY

has_window() { xwininfo -root -tree | grep -q 'QEMU (nxpk-screen-saved'; }
# The colours of the guest's text, which are there from the first picture on.
is_drawn() { xwd -root -silent | xwdtopnm 2>/dev/null | ppmhist -noheader 2>/dev/null | awk '$5 > 200 { n++ } END { exit n < 6 }'; }

for display in gtk sdl ''; do
    FETCH_LOG=$WORK/window-$display.log
    "$BUILD/nxfetch" -v --accel "$ACCEL" ${display:+--display "$display"} --no-cold --trust "$TRUST" "$PACKAGE" >"$FETCH_LOG" 2>&1 </dev/null &
    FETCH_PID=$!
    wait_for 60 "$FETCH_PID" has_window || die "no window: $(cat "$FETCH_LOG")"
    wait_for 30 "$FETCH_PID" is_drawn || die "an empty window: $(cat "$FETCH_LOG")"
    halt
    nothing_left
    echo "${display:-chosen by itself}: a window with the guest's picture"
done
