#!/bin/bash
# SPDX-License-Identifier: MIT
# A click on a desktop that has no zenity: kdialog, xmessage, a terminal emulator or notifications ask and tell, as far as
# they can.
. tests/lib/http.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
. tests/lib/screens.sh
. tests/lib/desktop.sh
start_desktop
offer_drawing
link=vmnetx+$DRAWING direct=$DIRECT
PATH=$BARE_PATH

# ---- windows ----

kdialog() { # ANSWER STATUS: what it says to a question
    printf '#!/bin/sh\nprintf "%%s\\n" "$@" >>%q/kdialog\ncase " $* " in *" --radiolist "*) echo %s; exit %s ;; esac\n' "$WORK" "$1" "$2" >"$WORK/bin/kdialog"
    chmod +x "$WORK/bin/kdialog"
    rm -f "$WORK/kdialog"
}
kdialog no 0
click "$link"
ended 1 'not trusted$'
grep -qF "<qt>A signer that is not known here offers this machine:<br/><br/>Name:  Draw, &lt;b&gt;me&lt;/b&gt; &amp; ?n --help<br/>From:  $direct/drawing.nxpk<br/>Signer:  $FINGERPRINT<br/>" "$WORK/kdialog" ||
    die "kdialog is told: $(cat "$WORK/kdialog")"
kdialog once 1 # "Cancel"
click "$link"
ended 1 'not trusted$'
kdialog once 0
click "$link"
appears "QEMU ($NAME)"
keys "$WINDOW" ctrl+alt+q
ended 0 ' runs$'
kdialog once 0
click "vmnetx+$direct/absent.nxpk"
ended 1 '404'
same "kdialog's error" "$(tail -n 2 "$WORK/kdialog" | tr '\n' ' ')" "--error <qt>$direct/absent.nxpk: not found (HTTP status 404)</qt> "
rm "$WORK/bin/kdialog"
echo "kdialog, as far as a script can stand for it: asks and tells"

ln -s /usr/bin/xmessage "$WORK/bin/xmessage"
click "$link"
appears "$QUESTION" xmessage 2
xdotool mousemove --window "$WINDOW" 10 10
keys "$WINDOW" Return
ended 1 'not trusted$'
click "vmnetx+$direct/absent.nxpk"
appears nxfetch xmessage-error 2
keys "$WINDOW" Return
ended 1 '404'
rm "$WORK/bin/xmessage"
echo "xmessage: asks and tells"

# Nothing at all: as ever.
click "$link"
ended 1 "who is not known here; to run it: nxfetch --trust $FINGERPRINT "
(
    unset DISPLAY
    PATH=$WHOLE_PATH nxfetch --desktop "$direct/absent.nxpk"
)
CLICK=$!
ended 1 '404'
echo "neither windows nor a desktop: told on standard error"

# A terminal emulator without a window: what it runs has a terminal, and Return typed there.
mkfifo "$WORK/typed"
cat >"$WORK/bin/x-terminal-emulator" <<END
#!/bin/sh
printf '%s\\n' "\$@" >"$WORK/terminal"
shift
for word; do line="\$line '\$word'"; done
exec script -qefc "\$line" /dev/null <"$WORK/typed" >"$WORK/screen"
END
chmod +x "$WORK/bin/x-terminal-emulator"
# The installed program itself: ours is no terminal's.
in_terminal() { # LINK
    rm -f "$WORK/status" "$WORK/screen"
    { "$WORK/root/usr/bin/nxfetch" --desktop "$1"; echo $? >"$WORK/status"; } >"$WORK/click.log" 2>&1 </dev/null &
    CLICK=$!
    exec 7>"$WORK/typed"
}
on_screen() { grep -qa -- "$1" "$WORK/screen"; }
in_terminal "$direct/drawing.nxpk"
wait_for 20 "$CLICK" on_screen 'Run it?' || die "the terminal has: $(cat "$WORK/screen")"
same "what the terminal runs" "$(tr '\n' ' ' <"$WORK/terminal")" "-e $WORK/root/usr/bin/nxfetch --desktop $direct/drawing.nxpk "
printf 'n\r' >&7
ended 1 ''
on_screen 'not trusted' || die "the terminal has: $(cat "$WORK/screen")"
in_terminal "$direct/absent.nxpk"
wait_for 20 "$CLICK" on_screen 'Return closes this window' || die "the terminal has: $(cat "$WORK/screen")"
on_screen 404 || die "the terminal has: $(cat "$WORK/screen")"
printf '\r' >&7
ended 1 ''
exec 7>&-
rm "$WORK/bin/x-terminal-emulator"
echo "a terminal emulator: asks and tells, and stays until it was read"

# ---- notifications ----

package tiny-saved || die "packing"
publish "$PACKAGE"
# Where nothing can show them, a window.
ln -s /usr/bin/zenity "$WORK/bin/zenity"
nxfetch --desktop --accel "$ACCEL" --display none --no-complete --trust "$TRUST" --memory 64M "$direct/tiny-saved.nxpk" &
CLICK=$!
appears nxfetch warning
until said_by zenity | grep -qx -e --warning; do appears nxfetch warning; done # before it stands progress
said_by zenity | grep -qx -e '--text=booting the machine instead of resuming it: --memory and --cpus change it' ||
    die "the warning's window says: $(said_by zenity)"
FETCH_LOG=$WORK/click.log FETCH_PID=$CLICK
told 30 ' runs, '
FETCH_PID=
kill -INT $(ours_of nxfetch)
ended 0 ' runs, '
rm "$WORK/bin/zenity"
echo "zenity without notifications: tells in a window what is otherwise than it should be"

[ -x /usr/bin/dunst ] || { echo "dunst is not installed: no notifications"; exit 0; }
export BARE=$BARE_PATH
for tool in notify-send gdbus; do
    ln -s /usr/bin/$tool "$WORK/bin/$tool"
    rm -f "$WORK/status"
    # A session bus with a notification service; what that has shown is its history.
    PATH=$WHOLE_PATH dbus-run-session -- bash -c '
        dunst -config /dev/null >"$1/dunst.log" 2>&1 &
        dunst=$!
        until gdbus wait --session --timeout 10 org.freedesktop.Notifications; do :; done
        PATH=$BARE nxfetch --desktop "$2/absent.nxpk"
        PATH=$BARE nxfetch --desktop --accel "$4" --display none --no-complete --trust "$3" --memory 64M --until 1 "$2/tiny-saved.nxpk"
        [ -z "${KEEP:-}" ] || { sleep 0.5; xwd -root -silent | xwdtopnm 2>/dev/null | pnmtopng >"$KEEP/notification.png" 2>/dev/null; }
        dunstctl close-all
        dunstctl history >"$1/history"
        kill $dunst' - "$WORK" "$direct" "$TRUST" "$ACCEL" >"$WORK/session.log" 2>&1
    # What is an error stays until it was read: 0.
    shown_by() { jq -r '.data[][] | .appname.data + "|" + .summary.data + "|" + (.timeout.data | tostring) + "|" + .body.data' "$WORK/history"; }
    shown_by | grep -qxF "nxfetch|nxfetch|0|$direct/absent.nxpk: not found (HTTP status 404)" ||
        die "$tool: dunst has shown: $(cat "$WORK/history" "$WORK/session.log" "$WORK/click.log")"
    shown_by | grep -qxF "nxfetch|nxfetch|10000000|booting the machine instead of resuming it: --memory and --cpus change it" ||
        die "$tool: dunst has shown: $(cat "$WORK/history" "$WORK/session.log" "$WORK/click.log")"
    nothing_left
    rm "$WORK/bin/$tool"
    echo "$tool: tells why it ends, and what it does instead"
done
