#!/bin/bash
# SPDX-License-Identifier: MIT
# The machine's screen by VNC: with the password only.  And what --vnc and --web refuse.
. tests/lib/http.sh
. tests/lib/qemu.sh
. tests/lib/screens.sh
echo "accelerator: $ACCEL"
new_cache
listening_package Listener

free_display() {
    local n
    for ((n = 100 + RANDOM % 5000; ; n++)); do
        (exec 3<>"/dev/tcp/127.0.0.1/$((5900 + n))") 2>/dev/null || { DISPLAY_NUMBER=$n; return; }
    done
}
shot() { "$BUILD/tools/vnc-shot" "127.0.0.1:$((5900 + DISPLAY_NUMBER))" "$WORK/vnc.ppm" "$@" 2>"$WORK/vnc.log"; }
# sees [PASSWORD]: it gets the guest's picture, once that is drawn: the client gives up when the screen's size changes.
sees() {
    local end=$((SECONDS + 30))
    until shot "$@" && [ "$(ppmhist -noheader "$WORK/vnc.ppm" 2>/dev/null | wc -l)" = "$DRAWING_COLOURS" ]; do
        [ $SECONDS -lt $end ] || return 1
    done
}
free_display
show --vnc ":$DISPLAY_NUMBER"
PASSWORD=$(sed -n "s/.*vncviewer 127.0.0.1:$DISPLAY_NUMBER, with the password //p" "$FETCH_LOG")
same "the password's letters" "${#PASSWORD}" 8
! shot || die "VNC without a password"
! shot "wrong" || die "VNC with a wrong password"
! shot "${PASSWORD:0:7}" || die "VNC with a part of the password"
sees "$PASSWORD" || die "VNC: $(cat "$WORK/vnc.log")"
! tr '\0' '\n' <"/proc/$QEMU/cmdline" | grep -F "$PASSWORD" || die "the password stands on QEMU's command line"
halt

printf 'chosen!\nsecond line\n' >"$WORK/password"
show --vnc "127.0.0.1:$DISPLAY_NUMBER" --vnc-password-file "$WORK/password" --web
! grep -q 'chosen!' "$FETCH_LOG" || die "the user's password is told"
! shot || die "VNC without the user's password"
sees 'chosen!' || die "VNC with the user's password: $(cat "$WORK/vnc.log")"
[ -n "$URL" ] || die "no page beside VNC"
same "a page beside VNC" "$(curl -s -m 10 -c "$WORK/jar" -L -o /dev/null -w '%{http_code}' "$URL")" 200
halt
show --vnc ":$DISPLAY_NUMBER" --no-password
grep -q 'warning: --no-password: whoever reaches' "$FETCH_LOG" || die "no warning"
sees || die "VNC with --no-password: $(cat "$WORK/vnc.log")"
halt
echo "VNC: with the password only"

# ---- what is refused ----

# refused STATUS PATTERN OPTION...
refused() {
    local status=0
    timeout 60 "$BUILD/nxfetch" --accel "$ACCEL" --no-network --allow-unsigned "${@:3}" >"$WORK/said" 2>&1 </dev/null || status=$?
    [ "$status" = "$1" ] && grep -Eq -- "$2" "$WORK/said" || die "${*:3}: status $status, not $1, or not \"$2\": $(cat "$WORK/said")"
}
refused 2 "web: 'there' is not \[ADDRESS:\]PORT" --web=there "$PACKAGE"
refused 2 'no-password needs --vnc' --web --no-password "$PACKAGE"
refused 2 'vnc-password-file needs --vnc' --web --vnc-password-file "$WORK/password" "$PACKAGE"
refused 2 'no-browser needs --web' --no-browser "$PACKAGE"
refused 2 'exclude each other' --vnc :1 --no-password --vnc-password-file "$WORK/password" "$PACKAGE"
refused 2 'web means nothing here' --web info "$PACKAGE"
echo 'nine long' >"$WORK/password"
refused 2 'a password of 9 letters: VNC would look at the first 8 only' --vnc :1 --vnc-password-file "$WORK/password" "$PACKAGE"
echo >"$WORK/password"
refused 2 'its first line is empty' --vnc :1 --vnc-password-file "$WORK/password" "$PACKAGE"
echo 'ä' >"$WORK/password"
refused 2 'letters that not every keyboard has' --vnc :1 --vnc-password-file "$WORK/password" "$PACKAGE"
refused 1 'none: No such file' --vnc :1 --vnc-password-file "$WORK/none" "$PACKAGE"
XDG_DATA_DIRS=$WORK refused 1 'noVNC is missing.*apt install novnc' --web "$PACKAGE"
http_new_home idle && mkdir "$HTTP_HOME/www" && start_nxserve "$HTTP_HOME/www" || die "no server"
refused 1 "port $SERVER_PORT of 127.0.0.1 is in use: choose another one with --web" --web="$SERVER_PORT" "$PACKAGE"
sed /video/d "$WORK/in.xml" >"$WORK/blind.xml"
"$BUILD/nxpack" -q --no-train "$WORK/blind.xml" "$WORK/blind.nxpk" || die "packing"
refused 2 'web: the machine has no screen' --web "$WORK/blind.nxpk"
nothing_left
echo "what makes no sense: refused"
