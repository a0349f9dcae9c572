#!/bin/bash
# SPDX-License-Identifier: MIT
# nxref --html's pages in a real browser, on a phone and a desktop, light and dark: drawn without a sideways scroll and with
# enough contrast, used by mouse and keyboard; the copied commands name the machines that they stand beside (a real click on Run is
# tests/29-desktop-link.sh); and its policy forbids what it says.
# KEEP=DIR keeps the pictures of it there.
set -u
. tests/lib/pack.sh
. tests/lib/http.sh
. tests/lib/browser.sh
. tests/lib/screens.sh
trap 'stop_browser; stop_servers; rm -rf "$work"' EXIT
export XDG_RUNTIME_DIR=$work/run HOME=$work XDG_CACHE_HOME=$work/cache
mkdir -m 700 "$XDG_RUNTIME_DIR"
root=$work/www
pictures=${KEEP:-$work/pictures}
mkdir -p "$root" "$pictures"

# One whose picture was taken, a reference, and an unsigned one that would like to be more than text.
drawing_disk "$work/disk.raw"
drawing_domain "$work/disk.raw" 'Drawing machine' 'It draws, and waits.' >"$work/in.xml"
drawing_domain "$work/disk.raw" '&lt;img src=x onerror="window.pwned=1"&gt;&lt;script&gt;window.pwned=1&lt;/script&gt;' \
    "$(printf 'x%.0s' {1..400})" | sed /video/d >"$work/evil.xml"
"$NXPACK" keygen -q "$work/a.pem" >/dev/null
till_drawn "$root/drawing.png" "$NXPACK" -q -k "$work/a.pem" --screenshot --train=@ "$work/in.xml" "$root/drawing.nxpk" || exit 1
"$NXPACK" -q "$work/evil.xml" "$root/it's evil.nxpk" || exit 1
start_nxserve "$root" || exit 1
url=$URL_BASE served=$SERVER_ACCESS_LOG
"$NXREF" -q "$url/drawing.nxpk" "$root/drawing.netx" || exit 1
"$NXREF" -q --html="$root/one.html" --install-from=https://git.example.org/nxpk.git "$url/drawing.nxpk" || exit 1
"$NXREF" -q --html="$root/many.html" --title='Some machines' --base="$url" "$root/drawing.nxpk" "$root/drawing.netx" "$root/it's evil.nxpk" || exit 1
status=0
start_browser || status=$?
[ $status != 77 ] || exit 77
[ $status = 0 ] || { echo "FAILED: the browser does not start"; exit 1; }

for page in one many; do
    browse "$url/$page.html" || exit 1
    for how in "390 844 light" "390 844 dark" "320 640 light" "1280 900 light" "1280 900 dark"; do
        read -r width height colours <<<"$how"
        device "$width" "$height" "$colours" || exit 1
        is "$page at $how" '' "$(script "$(cat tests/lib/page-faults.js)")"
        screen "$pictures/$page-$width-$colours.png"
    done
    is "$page: its console" '' "$(console)"
done
# Light is light, dark is dark, and the page is drawn over the whole width.
corner() { pngtopnm "$pictures/$1" | pamcut -left 0 -top 0 -width 1 -height 1 | ppmtopgm | pamtopnm -plain | tail -n 1; }
light=$(corner one-1280-light.png) dark=$(corner one-1280-dark.png)
[ "$light" -gt 220 ] && [ "$dark" -lt 40 ] || fail "light and dark" "$light and $dark"
is "width of the picture" 390 "$(pngtopnm "$pictures/many-390-dark.png" | head -n 2 | tail -n 1 | cut -d ' ' -f 1)"
# The machine's own picture is on it, with nearly all its colours.
[ "$(colours_of "$pictures/one-1280-light.png")" -gt 200 ] || fail "the machine's picture is not drawn"

# ---- by mouse ----

device 1280 900 light
browse "$url/many.html"
in_view() { [ "$(script "const r = document.querySelector('$1').getBoundingClientRect(); return r.top >= -1 && r.top < innerHeight")" = true ]; }
! in_view '#machine-3' || fail "the last machine is in view from the start"
ok "a click on nav li:last-child a" click 'nav li:last-child a'
is "a click on a machine's name" '#machine-3' "$(script 'return location.hash')"
wait_for 20 "$SERVER_PID" in_view '#machine-3' || fail "the machine does not come into view"
ok "a click on #machine-3 .note a" click '#machine-3 .note a'
is "a click on how to install" '#install' "$(script 'return location.hash')"
wait_for 20 "$SERVER_PID" in_view '#install' || fail "how to install does not come into view"
is "Run" "vmnetx+$url/drawing.nxpk vmnetx+$url/drawing.netx vmnetx+$url/it's%20evil.nxpk" \
    "$(script 'return [...document.querySelectorAll("a.run")].map(a => a.href).join(" ")')"
ok "a click on #machine-2 .terminal code" click '#machine-2 .terminal code'
is "a click on the command selects it" "nxfetch $url/drawing.netx" "$(script 'return getSelection().toString()')"
downloaded() { [ -s "$BROWSER_DOWNLOADS/drawing.netx" ]; }
ok "a click on #machine-2 a.other" click '#machine-2 a.other'
wait_for 20 "$SERVER_PID" downloaded || fail "the reference is not downloaded"
is "what is downloaded" "$(hash_of "$root/drawing.netx")" "$(hash_of "$BROWSER_DOWNLOADS/drawing.netx")"

# What is copied names this machine, to nxfetch info in the place of running it.
mkdir "$work/bin"
printf '#!/bin/sh\n[ "$1" != --allow-unsigned ] || shift\nexec %s info --json "$@"\n' "$(realpath "$BUILD/nxfetch")" >"$work/bin/nxfetch"
chmod +x "$work/bin/nxfetch"
for i in 1 2 3; do
    name=$(PATH=$work/bin:$PATH sh -c "$(script "return document.querySelector('#machine-$i .terminal code').textContent")" | jq -r .name)
    is "the command of machine $i" "$(script "return document.querySelector('#machine-$i h2').textContent")" "$name"
done

# ---- by keyboard ----

browse "$url/many.html"
wanted=$(script 'return [...document.links].map(a => "|" + (a.getAttribute("aria-label") || a.textContent)).join("")')
got=
for _ in $(seq "$(script 'return document.links.length')"); do
    press_tab
    got=$got$(script 'const a = document.activeElement, s = getComputedStyle(a);
        return "|" + (s.outlineStyle == "none" || parseFloat(s.outlineWidth) < 2 ? "NOT SEEN: " : "") + (a.getAttribute("aria-label") || a.textContent)')
done
is "the order of Tab" "$wanted" "$got"

# ---- what its policy forbids ----

console >"$work/console"
script 'const add = (t, p) => document.body.append(Object.assign(document.createElement(t), p));
    add("script", { textContent: "window.pwned = 1" });
    add("script", { src: "/drawing.netx?leak" });
    add("style", { textContent: "h1 { color: rgb(255, 0, 0) !important }" });
    add("img", { src: "/drawing.png?leak" });
    document.body.setAttribute("onclick", "window.pwned = 2"); document.body.click()' >/dev/null
forbidden() { console >>"$work/console"; [ "$(grep -c 'Content Security Policy' "$work/console")" -ge 5 ]; }
wait_for 20 "$SERVER_PID" forbidden || fail "its policy does not forbid:" "$(cat "$work/console")"
is "a script that came in all the same" null "$(script 'return window.pwned')"
is "a style that came in all the same" false "$(script 'return getComputedStyle(document.querySelector("h1")).color == "rgb(255, 0, 0)"')"
is "requests for what came in" 0 "$(grep -c leak "$served")"

# ---- Run: last, since the browser may ask about a scheme that nobody here takes, and hears nothing else then ----

browse "$url/many.html"
ok "a click on #machine-1 a.run" click '#machine-1 a.run'
is "the page stays" "$url/many.html" "$(script 'return location.href')"
is "what it says then" 'Nothing happens? Install nxfetch first, or use the command.' \
    "$(script 'return document.querySelector("#machine-1 .note").textContent')"
finish
