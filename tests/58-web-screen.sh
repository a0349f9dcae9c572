#!/bin/bash
# SPDX-License-Identifier: MIT
# The machine's screen in a real browser: seen, typed into, reset and switched off by clicks; and who gets to it otherwise.
# What Chromium has drawn is looked at, on a desktop and on a phone.   KEEP=DIR: keep it there
. tests/lib/http.sh
. tests/lib/qemu.sh
. tests/lib/screens.sh
. tests/lib/browser.sh
. tests/lib/relay.sh
echo "accelerator: $ACCEL"
at_end() {
    local status=$?
    stop_browser
    (exit $status)
    end_of_test
}
trap at_end EXIT
new_cache
listening_package "Listener's &amp; Co."

# until_page SECONDS WHAT JAVASCRIPT: wait until it is true in the page
until_page() {
    local end=$((SECONDS + $1))
    until [ "$(script "return Boolean($3)")" = true ]; do
        [ $SECONDS -lt $end ] || { screen "$WORK/page.png"; die "$2: $(script "return document.body.innerText"); $(console)"; }
        sleep 0.1
    done
}
# The number of colours that the page shows of the machine, and how often there is the one of its first point.
LOOK='const canvas = document.querySelector("#screen canvas"), points = canvas && canvas.width
    ? new Uint32Array(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer) : [];'
COLOURS="(() => { $LOOK return new Set(points).size; })()"
FIRST="(() => { $LOOK return points[0]; })()"
pictures=${KEEP:-$WORK/pictures}
mkdir -p "$pictures"
# keep NAME: a picture of the page, so wide, in which the machine's own colours are to be seen.
keep() { screen "$pictures/$1.png"; }
# shows NAME WIDTH COLOURS: it is so wide, has so many colours at least, and no page wider than the window
shows() {
    same "$1: the picture's width" "$(pngtopnm "$pictures/$1.png" | head -n 2 | tail -n 1 | cut -d ' ' -f 1)" "$2"
    at_least "$1: colours in the picture" "$(pngtopnm "$pictures/$1.png" 2>/dev/null | ppmhist -noheader 2>/dev/null | wc -l)" "$3"
    same "$1: wider than its window" "$(script 'return document.documentElement.scrollWidth > innerWidth')" false
}
# answer PATH [CURL'S OPTION...]: the status
answer() { curl -s -m 10 -o /dev/null -w '%{http_code}' "${@:2}" "http://127.0.0.1:$PORT$1"; }

# ---- who does not get to it ----

show --web
same "a window, or none" "$(tr '\0' '\n' <"/proc/$QEMU/cmdline" | grep -A 1 -x -e -display | tail -n 1)" none
curl -s -m 10 -c "$WORK/jar" -L -o "$WORK/page.html" "$URL" || die "curl: $URL"
grep -q 'screen.js' "$WORK/page.html" || die "no page: $(cat "$WORK/page.html")"
RUN=$(awk '/nxfetch/ { print $3 }' "$WORK/jar")
[[ $RUN =~ ^/[0-9a-f]{32}/$ ]] || die "the cookie is for $RUN"
WEBSOCKET=(-H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==')
OURS=(-b "$WORK/jar")
same "with the cookie" "$(answer "${RUN}session.json" "${OURS[@]}")" 200
for path in / "$RUN" "${RUN}session.json" "${RUN}novnc/core/rfb.js" "/?token=0"; do
    same "without the token: $path" "$(answer "$path")" 403
done
same "the WebSocket without the cookie" "$(answer "${RUN}websocket" "${WEBSOCKET[@]}")" 403
same "another site's page" "$(answer "${RUN}websocket" "${OURS[@]}" "${WEBSOCKET[@]}" -H 'Origin: http://evil.example')" 403
same "another port's page" "$(answer "${RUN}websocket" "${OURS[@]}" "${WEBSOCKET[@]}" -H 'Origin: http://127.0.0.1:1')" 403
same "a name that is made to mean us" "$(answer "${RUN}session.json" "${OURS[@]}" -H "Host: evil.example:$PORT")" 403
same "no WebSocket" "$(answer "${RUN}websocket" "${OURS[@]}")" 400
same "a POST" "$(answer "${RUN}session.json" "${OURS[@]}" -d a=b)" 405
same "out of noVNC's folder" "$(answer "${RUN}novnc/../../../etc/passwd" "${OURS[@]}" --path-as-is)" 404

PASSWORD=$(curl -s -m 10 "${OURS[@]}" "http://127.0.0.1:$PORT${RUN}session.json" | jq -r .password)
same "the password's letters" "${#PASSWORD}" 8
! grep -qF -e "$PASSWORD" "$FETCH_LOG" || die "the password is told, and nobody needs it"
cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' '\n' >"$WORK/arguments"
! grep -F -e "$PASSWORD" -e "${URL#*token=}" "$WORK/arguments" || die "it stands on a command line"
# QEMU's own port is one, on loopback, and wants the password: it speaks RFB 3.8 and offers type 2 alone.
listening=$(lsof -a -p "$QEMU" -iTCP -sTCP:LISTEN -P -n -Fn 2>/dev/null | sed -n 's/^n//p')
[[ $listening =~ ^127\.0\.0\.1:[0-9]+$ ]] || die "QEMU listens at: $listening"
exec 3<>"/dev/tcp/127.0.0.1/${listening#*:}"
printf 'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: binary\r\n\r\n' >&3
: >"$WORK/rfb"
timeout 30 cat <&3 >"$WORK/rfb" &
reader=$!
wait_for 20 "$reader" grep -qa 'RFB 003.008' "$WORK/rfb" || die "QEMU's WebSocket says: $(od -c "$WORK/rfb")"
# Our version, as a frame of 12 bytes whose mask is 0; then a frame of 2 bytes: one type, VNC's password.
printf '\x82\x8c\0\0\0\0RFB 003.008\n' >&3
LC_ALL=C wait_for 20 "$reader" grep -qaP '^\x82\x02\x01\x02$' "$WORK/rfb" || die "QEMU's WebSocket offers: $(od -c "$WORK/rfb")"
kill "$reader"
exec 3>&-
echo "who does not get to it: refused"

# ---- a user in his browser ----

start_browser || exit
browse "$URL"
until_page 60 "the guest's picture" "$COLOURS === $DRAWING_COLOURS"
same "its title" "$(script 'return document.title')" "Listener's & Co."
same "the address that is left" "$(script 'return location.pathname + location.search + location.hash')" "$RUN"
same "its size" "$(script 'const c = document.querySelector("#screen canvas"); return `${c.width} ${c.height}`')" "$DRAWING_SIZE"
for how in "1280 900 light" "390 844 dark"; do
    device $how || die "a device"
    until_page 20 "the guest's picture at $how" "$COLOURS === $DRAWING_COLOURS"
    keep "drawing-${how%% *}"
    shows "drawing-${how%% *}" "${how%% *}" 100
done
device 1280 900 light
first=$(script "return $FIRST")
press a
until_page 20 "an answer to a letter" "$COLOURS === 1"
seen=$(script "return $FIRST")
[ "$seen" != "$first" ] || die "the letter has changed nothing"
press e
until_page 20 "another colour for another letter" "$COLOURS === 1 && $FIRST !== $seen"
keep letter

wide='document.querySelector("#screen canvas").getBoundingClientRect().width'
fitted=$(script "return $wide")
click '#fit'
until_page 10 "its own size" "$wide === 640 && document.querySelector('#fit').getAttribute('aria-pressed') === 'false'"
[ "$fitted" != 640 ] || die "it has had its own size before"
click '#fit'
until_page 10 "fitted again" "$wide === $fitted"
click '#fullscreen'
until_page 10 "the full screen" 'document.fullscreenElement === document.querySelector("#screen")'
script 'return document.exitFullscreen().then(() => 1)' >/dev/null
until_page 10 "no full screen any more" '!document.fullscreenElement'

click '#screenshot'
wait_for 20 "$FETCH_PID" compgen -G "$BROWSER_DOWNLOADS/Listener-s-Co.-*.png" >/dev/null || die "no screenshot: $(ls "$BROWSER_DOWNLOADS")"
pngtopnm "$BROWSER_DOWNLOADS"/*.png >"$WORK/shot.pnm" 2>/dev/null
same "the screenshot's size" "$(head -n 2 "$WORK/shot.pnm" | tail -n 1)" "$DRAWING_SIZE"
same "the screenshot's colours" "$(ppmhist -noheader "$WORK/shot.pnm" 2>/dev/null | wc -l)" 1

click '#reset'
until_page 10 "a question" 'document.querySelector("dialog").open'
keep question
click '#no'
press o
until_page 20 "the machine goes on, and gets what is typed" "$COLOURS === 1 && $FIRST !== $seen"
click '#reset'
click '#yes'
until_page 30 "the picture after the reset" "$COLOURS === $DRAWING_COLOURS"
grep -q 'the machine starts anew' "$FETCH_LOG" || die "it was not reset"

click '#power'
click '#yes'
fetch_ended 20
same "nxfetch's status after its machine was powered down" "$FETCH_STATUS" 0
nothing_left
until_page 20 "that it has ended" '!document.querySelector("#gone").hidden'
script 'return document.querySelector("#why").textContent' | grep -q 'The machine has ended' || die "the page does not say that the machine has ended"
keep ended
! console | grep -i 'content security policy' || die "the page breaks its own policy"
echo "in the browser: seen, typed into, reset, powered down"

# ---- behind ssh -L, or a proxy; a line that breaks; Ctrl-C ----

show --web=127.0.0.1:0
SERVER_PORT=$PORT
start_relay || die "no relay"
browse "$URL_BASE/${URL##*/}"
until_page 60 "the guest's picture through another port" "$COLOURS === $DRAWING_COLOURS"
relay_cut
until_page 20 "that the line is cut" '!document.querySelector("#gone").hidden'
relay_go
click '#again'
until_page 20 "the picture again" "document.querySelector('#state').textContent === 'connected' && $COLOURS === $DRAWING_COLOURS"
# Under another name; a web server that passes WebSockets on.
mkdir "$WORK/proxied"
start_nginx_plain "$WORK/proxied" "location / { proxy_pass http://127.0.0.1:$PORT; proxy_http_version 1.1; proxy_set_header Upgrade \$http_upgrade;
    proxy_set_header Connection upgrade; proxy_set_header X-Forwarded-Host \$http_host; }" || die "no nginx"
browse "http://localhost:$SERVER_PORT/${URL##*/}"
until_page 60 "the guest's picture by a proxy" "location.hostname === 'localhost' && $COLOURS === $DRAWING_COLOURS"
# A browser that is connected does not hold up the end.
halt
nothing_left
until_page 20 "that it has ended" '!document.querySelector("#gone").hidden'
stop_server "$SERVER_PID"

# ---- a desktop opens it by itself, and no command line has the token ----

mkdir "$WORK/bin"
printf '#!/bin/sh\nprintf "%%s\\n" "$@" >%q/opened.new && mv %q/opened.new %q/opened\n' "$WORK" "$WORK" "$WORK" >"$WORK/bin/xdg-open"
chmod +x "$WORK/bin/xdg-open"
export DISPLAY=:4711 PATH=$WORK/bin:$PATH
show --web
wait_for 20 "$FETCH_PID" test -e "$WORK/opened" || die "the desktop is not asked to open it"
opened=$(cat "$WORK/opened")
same "who may read it" "$(stat -c %a "$opened")" 600
browse "file://$opened"
until_page 60 "the guest's picture by the desktop's way" "$COLOURS === $DRAWING_COLOURS"
rm "$WORK/opened"
halt
show --web --no-browser
halt
[ ! -e "$WORK/opened" ] || die "--no-browser has opened one"
unset DISPLAY
echo "through another port, by a desktop, and to its end"
