#!/bin/bash
# SPDX-License-Identifier: MIT
# nxfetch status --web in a real browser: two machines, one of which fetches over a slow line; phone and desktop, light and
# dark; each number on the page is that of the JSON; the map is drawn; a click chooses the machine.  KEEP=DIR keeps the pictures.
. tests/lib/http.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
. tests/lib/relay.sh
. tests/lib/browser.sh
. tests/lib/screens.sh
NXFETCH=$(realpath "$BUILD/nxfetch")
pictures=${KEEP:-$WORK/pictures}
at_end() {
    local status=$?
    stop_browser 2>/dev/null
    (exit $status)
    end_of_test
}
trap at_end EXIT
mkdir -p "$pictures" "$WORK/mount"

package tiny || die "packing"
drawing_disk "$WORK/disk.raw"
drawing_domain "$WORK/disk.raw" '&lt;b&gt;Drawing&lt;/b&gt;' >"$WORK/in.xml"
"$BUILD/nxpack" -q -k "$KEY" "$WORK/in.xml" "$WORK/www/drawing.nxpk" || die "packing"
publish "$PACKAGE"
start_nxserve "$WORK/www" || die "nxserve"
start_relay -r 1500000 -d 10 || die "relay"
new_cache

"$NXFETCH" status --web >"$WORK/url" 2>"$WORK/page.log" </dev/null &
http_started $!
page=$!
wait_for 60 $page test -s "$WORK/url" || die "no page: $(cat "$WORK/page.log")"
url=$(cat "$WORK/url")
[[ $url == http://127.0.0.1:*/?token=* ]] || die "its URL: $url"
same "status without the token" "$(curl -s -o /dev/null -w '%{http_code}' "${url%%\?*}status.json")" 403
jar=$WORK/cookies
base=$(curl -s -c "$jar" -o /dev/null -w '%{redirect_url}' "$url")
told() { curl -sS -b "$jar" "${base}status.json"; }
same "no machine" "$(told)" '{"machines":[]}'

status=0
start_browser || status=$?
[ $status != 77 ] || exit 77
[ $status = 0 ] || die "the browser does not start"
browse "$url" || die "the page does not open"
text() { script "return document.querySelector('$1').textContent"; }
# shows SELECTOR PATTERN: within some seconds
fits() { [[ $(text "$1") =~ $2 ]]; }
shows() { wait_for 30 $page fits "$1" "$2" || die "$1 is \"$(text "$1")\", not: $2"; }
shows '#notice' '^No machine is running here now'

# ---- machines ----

FETCH_LOG=$WORK/drawing.log
"$NXFETCH" --accel "$ACCEL" --display none --trust "$TRUST" "$URL_BASE/drawing.nxpk" >"$FETCH_LOG" 2>&1 </dev/null &
FETCH_PID=$!
shows '#name' '^<b>Drawing</b>$'
shows '#state' '^running$'
same "choices, of one" "$(script 'return document.querySelector("#machines").hidden')" true
DRAWING=$FETCH_PID
"$NXFETCH" mount --no-complete --trust "$TRUST" "$URL_BASE/tiny.nxpk" "$WORK/mount" >"$WORK/mount.log" 2>&1 </dev/null &
http_started $!
tiny=$!
two() { [ "$(script 'return document.querySelectorAll("#machines button").length')" = 2 ]; }
wait_for 30 $page two || die "no choice of two: $(script 'return document.body.innerText')"
index=$(told | jq "[.machines[].pid] | index($tiny)")
click "#machines button:nth-child($((index + 1)))" || die "a click on a machine's name"
shows '#name' '^nxpk-tiny$'
same "what is pressed" "$(script 'return document.querySelector("button[aria-pressed=true]").textContent')" "nxpk-tiny ($tiny)"

# It is read, at the rate of the line: the page shows more and more of it, and the rate.
wait_for 20 $tiny grep -q '^mounted' "$WORK/mount.log" || die "mount: $(cat "$WORK/mount.log")"
first=$(script 'return parseInt(document.querySelector("#here").textContent) || 0')
(dd if="$WORK/mount/disk0" bs=64k count=300 status=none; dd if="$WORK/mount/disk0" bs=64k skip=500 count=60 status=none) >/dev/null &
reader=$!
shows '#rate' '^[1-9][0-9.]* (KiB|MiB)/s'
grows() { [ "$(script 'return parseInt(document.querySelector("#here").textContent) || 0')" -gt "$first" ]; }
wait_for 30 $page grows || die "the page does not see it grow from $first %"
wait $reader || die "reading: $?"

# At rest each number is the JSON's.
quiet() { [ "$(told | jq ".machines[] | select(.pid == $tiny) | .rate | floor")" = 0 ]; }
wait_for 20 $page quiet || die "it does not come to rest"
shows '#rate' '^0 bytes/s$'
told | jq ".machines[] | select(.pid == $tiny)" >"$WORK/status"
number() { jq -r "$1" "$WORK/status"; }
human() { jq -rn --argjson n "$1" 'def go($u): if . >= 1024 and ($u | length) > 1 then . / 1024 | go($u[1:]) else [., $u[0]] end;
    $n | go(["bytes","KiB","MiB","GiB"]) | if .[1] == "bytes" then "\(.[0]) bytes" else "\(.[0] * 10 | round / 10 | tostring | if contains(".") then . else . + ".0" end) \(.[1])" end'; }
same "url" "$(text '#url')" "$(number .url)"
same "here" "$(text '#here')" "$(number '.here * 100 | floor') %"
same "hit rate" "$(text '#hit_rate')" "$(number '.hit_rate * 100 | floor') %"
same "received" "$(text '#bytes')" "$(human "$(number .bytes)")"
same "requests" "$(text '#requests')" "$(number .requests)"
same "waiting" "$(text '#waiting')" "$(number .waiting)"
same "waited" "$(text '#waited')" "$(number '[.images[].waited] | add * 10 | round / 10 | tostring | if contains(".") then . else . + ".0" end') s"
same "the image" "$(text '#image-disk0 .figures')" "64.0 MiB in chunks of 64.0 KiB · here $(number '.here * 100 | floor') % · hit rate $(number '.images.disk0.hit_rate * 100 | floor') % · $(number .images.disk0.reads) reads of $(human "$(number .images.disk0.read_bytes)") · waited $(text '#waited')"
label=$(script 'return document.querySelector("#image-disk0 .map").getAttribute("aria-label")')
for state in absent:'not here yet' cached:'was here before' ahead:'fetched ahead, not read yet' read:'read, and here in time' awaited:'read, and waited for'; do
    [[ $label == *"$(number ".images.disk0.map.units.${state%%:*}") ${state#*:}"* ]] || die "the map's words: $label, without ${state#*:}"
done
[ "$(number '.images.disk0.map.units | [.awaited, .read, .absent] | min')" -gt 0 ] || die "not three states: $(number '.images.disk0.map.units')"

# ---- how it is drawn ----

faults=$(sed '/footer/s/, "footer"//; /document.scripts.length/d' tests/lib/page-faults.js)
colour_count() { # PICTURE #RRGGBB: points of it
    local r=$((16#${2:1:2})) g=$((16#${2:3:2})) b=$((16#${2:5:2}))
    pngtopnm "$1" 2>/dev/null | ppmhist -noheader 2>/dev/null | awk -v c="$r $g $b" '($1 " " $2 " " $3) == c { n = $5 } END { print n + 0 }'
}
for how in "390 844 light" "390 844 dark" "320 640 light" "1280 900 light" "1280 900 dark"; do
    read -r width height colours <<<"$how"
    device "$width" "$height" "$colours" || die "a device"
    drawn() { [ "$(script 'const m = document.querySelector(".map"); return m.width == Math.round(m.clientWidth * devicePixelRatio)')" = true ]; }
    wait_for 60 $page drawn || die "the map is not drawn anew at $how"
    same "$how: faults" "$(script "$faults")" ""
    screen "$pictures/status-$width-$colours.png"
    same "$how: the picture's width" "$(pngtopnm "$pictures/status-$width-$colours.png" | head -n 2 | tail -n 1 | cut -d ' ' -f 1)" "$width"
    for state in read awaited; do
        hex=$(script "return getComputedStyle(document.documentElement).getPropertyValue('--$state').trim()")
        [ "$(colour_count "$pictures/status-$width-$colours.png" "$hex")" -gt 300 ] || die "$how: nothing is drawn in the colour of $state, $hex"
    done
done
same "the console" "$(console)" ""
# By keyboard, on a page that is opened anew: each choice is reached, and Return chooses.
device 1280 900 light
browse "$url"
wait_for 30 $page two || die "no choice of two"
for ((i = 0; i <= index; i++)); do press_tab; done
same "Tab" "$(script 'return document.activeElement.textContent')" "nxpk-tiny ($tiny)"
same "how that is seen" "$(script 'return getComputedStyle(document.activeElement).outlineStyle')" solid
session POST /actions '{"actions":[{"type":"key","id":"keys","actions":[{"type":"keyDown","value":"\uE007"},{"type":"keyUp","value":"\uE007"}]}]}' >/dev/null
shows '#name' '^nxpk-tiny$'

# ---- ends ----

kill -TERM $tiny
shows '#name' '^<b>Drawing</b>$'
same "what is told of a picture" "$("$NXFETCH" screenshot --json "$WORK/shot.png" "<b>Drawing</b>" | jq -c '[.pid, .file]')" "[$FETCH_PID,\"$WORK/shot.png\"]"
same "the picture of a machine" "$("$NXFETCH" screenshot "$WORK/shot.png" "<b>Drawing</b>" 2>"$WORK/err" && pngtopnm "$WORK/shot.png" | head -n 2 | tail -n 1)" "$DRAWING_SIZE"
"$NXFETCH" power stop || die "power stop"
fetch_ended 20
shows '#notice' '^No machine is running here now'
kill -TERM $page
wait_for 20 "$RELAY_PID" fits '#notice' 'does not answer any more' || die "the page does not see the server's end: $(text '#notice')"
echo "the page: drawn at three widths, light and dark; its numbers are the JSON's; machine $DRAWING chosen and left"
