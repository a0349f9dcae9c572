# SPDX-License-Identifier: MIT
# A desktop on which nxfetch is installed: an X server, a window manager, and what make install gives to both.  Sourced by
# bash with the tree's root as its working directory, after tests/lib/http.sh and tests/lib/qemu.sh:
#
#     start_desktop             # sets DISPLAY and PATH; skips the test when something is not installed
#     offer_drawing             # a machine that draws and heeds its power button, on a server: DRAWING, its URL; NAME; FINGERPRINT
#     click vmnetx+$DRAWING
#     appears 'Run this machine?'
#     keys "$WINDOW" Return
#     ended 1 'not trusted$'
#
# KEEP=DIR leaves pictures of the windows there.  PATH=$BARE_PATH has no program that shows windows.

for tool in zenity xdotool openbox xdg-open; do
    command -v $tool >/dev/null || { echo "$tool is not installed"; exit 77; }
done
QUESTION='Run this machine?' # the window's title

# What a failed test has clicked must not stay.
end_clicks() {
    local status=$? pid
    for pid in $(ours_of nxfetch); do kill -TERM "$pid" 2>/dev/null; done
    for pid in $(ours_of nxfetch); do timeout 10 tail --pid="$pid" -f /dev/null; done
    (exit $status)
    end_of_test
}
trap end_clicks EXIT

start_desktop() {
    local dir tool
    Xvfb -displayfd 3 -screen 0 1024x768x24 -nolisten tcp 3>"$WORK/display" >"$WORK/xvfb.log" 2>&1 &
    http_started $!
    XVFB=$!
    wait_for 60 "$XVFB" test -s "$WORK/display" || die "Xvfb: $(cat "$WORK/xvfb.log")"
    DISPLAY=:$(cat "$WORK/display")
    export DISPLAY LANG=C.UTF-8 LC_ALL= LC_CTYPE= NO_AT_BRIDGE=1
    unset DBUS_SESSION_BUS_ADDRESS WAYLAND_DISPLAY XDG_CURRENT_DESKTOP DESKTOP_SESSION BROWSER
    openbox --sm-disable >"$WORK/openbox.log" 2>&1 &
    http_started $!
    OPENBOX=$!
    managed() { xprop -root _NET_SUPPORTING_WM_CHECK 2>/dev/null | grep -q 0x; }
    wait_for 60 "$OPENBOX" managed || die "openbox: $(cat "$WORK/openbox.log")"

    make -s -o all B="$BUILD" DESTDIR="$WORK/root" PREFIX=/usr install || die "make install"
    share=$WORK/root/usr/share
    update-desktop-database -q "$share/applications"
    update-mime-database "$share/mime" >/dev/null 2>&1
    export XDG_DATA_DIRS=$share:/usr/share

    # The installed program; what a desktop drops, its messages and its status, are kept for us.
    mkdir "$WORK/bin"
    cat >"$WORK/bin/nxfetch" <<END
#!/bin/sh
rm -f "$WORK/status"
"$WORK/root/usr/bin/nxfetch" "\$@" >"$WORK/click.log" 2>&1
echo \$? >"$WORK/status.new" && mv "$WORK/status.new" "$WORK/status"
END
    chmod +x "$WORK/bin/nxfetch"
    # All programs of this system but those that could show a window, unless a test wants them.
    mkdir "$WORK/bare"
    for dir in /usr/sbin /usr/bin; do cp -rsf $dir/. "$WORK/bare/" 2>/dev/null; done
    for tool in nxfetch zenity kdialog xmessage notify-send gdbus x-terminal-emulator; do rm -f "$WORK/bare/$tool"; done
    WHOLE_PATH=$WORK/bin:$PATH BARE_PATH=$WORK/bin:$WORK/bare
    PATH=$WHOLE_PATH
}

offer_drawing() {
    signing_key || die "a key"
    listening_disk "$WORK/drawing.raw"
    NAME='Draw, <b>me</b> & \n --help'
    drawing_domain "$WORK/drawing.raw" 'Draw, &lt;b&gt;me&lt;/b&gt; &amp; \n --help' |
        sed 's|</os>|&<features><acpi/></features>|' >"$WORK/drawing.xml"
    "$BUILD/nxpack" -q -k "$KEY" "$WORK/drawing.xml" "$WORK/www/drawing.nxpk" || die "packing"
    FINGERPRINT=$("$BUILD/nxfetch" info --json "$WORK/www/drawing.nxpk" | jq -er .signer) || die "the signer's fingerprint"
    FINGERPRINT=${FINGERPRINT##* }
    start_nxserve "$WORK/www" || die "nxserve"
    DIRECT=$URL_BASE DRAWING=$URL_BASE/drawing.nxpk
    new_cache
    export XDG_CACHE_HOME
}

# ---- clicks and windows ----

click() { # LINK
    rm -f "$WORK/status" "$WORK/click.log"
    xdg-open "$1" >"$WORK/open.log" 2>&1 </dev/null &
    CLICK=$!
}

title_of() { xdotool getwindowname "$1" 2>/dev/null; }
# shown TITLE: sets WINDOW, the window with just this title
shown() {
    local window
    for window in $(xdotool search --onlyvisible --name '.' 2>/dev/null); do
        [ "$(title_of "$window")" != "$1" ] || { WINDOW=$window; return 0; }
    done
    return 1
}
shown_drawn() { shown "$1" && drawn "$WINDOW" "$2"; } # TITLE COLOURS: another of this title may just go
no_window() { local WINDOW; ! shown "$1"; }

# appears TITLE [PICTURE [COLOURS]]: wait for it, and until it is drawn in so many colours
appears() {
    wait_for 60 "$CLICK" shown_drawn "$1" "${3:-8}" || die "no window, or nothing in it: \"$1\": $(cat "$WORK/click.log" "$WORK/open.log"); there are: $(xwininfo -root -tree | grep '"')"
    [ -z "${KEEP:-}" ] || { mkdir -p "$KEEP" && sleep 0.3 && picture "$WINDOW" | pnmtopng >"$KEEP/${2:-window}.png" 2>/dev/null; }
}
picture() { xwd -id "$1" -silent 2>/dev/null | xwdtopnm 2>/dev/null; }
drawn() { [ "$(picture "$1" | ppmhist -noheader 2>/dev/null | wc -l)" -ge "$2" ]; }

# What a window's program was given: the process that runs under nxfetch
said_by() { # PROGRAM
    local pid
    for pid in $(ours_of "$1"); do tr '\0' '\n' <"/proc/$pid/cmdline"; done
}
ours_of() { # PROGRAM
    local proc
    for proc in /proc/[0-9]*; do
        [ "$(cat "$proc/comm" 2>/dev/null)" = "$1" ] && { tr '\0' '\n' <"$proc/environ"; } 2>/dev/null | grep -qxF "TMPDIR=$TMPDIR" && echo "${proc#/proc/}"
    done
}
keys() { # WINDOW KEY...: to the window, once it has the focus
    xdotool windowactivate --sync "$1" 2>/dev/null
    has_focus() { [ "$(xdotool getactivewindow 2>/dev/null)" = "$1" ]; }
    wait_for 60 "$CLICK" has_focus "$1" || die "a window without the focus: $(title_of "$1")"
    shift
    xdotool key --delay 60 "$@"
}

# ended STATUS TEXT: nxfetch has, with this message (an extended regular expression), and left nothing
ended() {
    wait_for 20 "$XVFB" test -e "$WORK/status" || die "nxfetch still runs: $(cat "$WORK/click.log")"
    same "nxfetch's status" "$(cat "$WORK/status")" "$1"
    [ -z "$2" ] || grep -qE -- "$2" "$WORK/click.log" || die "nxfetch does not say \"$2\": $(cat "$WORK/click.log")"
    [ "$CLICK" = "$XVFB" ] || wait "$CLICK"
    for program in zenity xmessage; do same "${program}s that are left" "$(ours_of $program)" ''; done
    nothing_left
}
