#!/bin/bash
# SPDX-License-Identifier: MIT
# What make install gives to a desktop: a click on a page's Run link, in a real browser, ends in nxfetch with the package's
# address; files of ours are known for what they are.
set -u
. tests/lib/pack.sh
. tests/lib/http.sh
. tests/lib/browser.sh
trap 'stop_browser; stop_servers; rm -rf "$work"' EXIT
root=$work/www share=$work/root/usr/share
mkdir "$root" "$work/bin" "$work/home"
content "$work/disk.raw" 8M
domain raw:"$work/disk.raw" >"$work/in.xml"
"$NXPACK" keygen -q "$work/a.pem" >/dev/null
"$NXPACK" -q -k "$work/a.pem" "$work/in.xml" "$root/it's one.nxpk" || exit 1
start_nxserve "$root" || exit 1
"$NXREF" -q --html="$root/page.html" --base="$URL_BASE" "$root/it's one.nxpk" || exit 1
"$NXREF" -q "$URL_BASE/it's%20one.nxpk" "$root/one.netx" || exit 1

ok "make install" make -s -o all B="$BUILD" DESTDIR="$work/root" PREFIX=/usr install
ok "the desktop's files are valid" desktop-file-validate "$share"/applications/*.desktop
update-desktop-database -q "$share/applications"
update-mime-database "$share/mime" >/dev/null 2>&1

# What the desktop would start, and how.
printf '#!/bin/sh\nprintf "%%s\\n" "$@" >%q/new && mv %q/new %q/called\n' "$work" "$work" "$work" >"$work/bin/nxfetch"
# A terminal without a window: it runs what stands behind -e, as Debian's terminals do.
printf '#!/bin/sh\n[ "$1" = -e ] && shift && exec "$@"\n' >"$work/bin/x-terminal-emulator"
chmod +x "$work/bin"/*
unset XDG_CURRENT_DESKTOP DESKTOP_SESSION BROWSER
export PATH=$work/bin:$PATH XDG_DATA_DIRS=$share:/usr/share XDG_DATA_HOME=$work/home XDG_CONFIG_HOME=$work/home HOME=$work/home DISPLAY=:7
called() { [ -e "$work/called" ]; }
calls() { # WHAT WANTED
    wait_for 30 "$SERVER_PID" called || { fail "$1: nxfetch is not called"; return; }
    is "$1" "-- $2" "$(tr '\n' ' ' <"$work/called" | sed 's/ $//')"
    rm "$work/called"
}
for scheme in vmnetx+http vmnetx+https; do
    xdg-open "$scheme://example.org/a%20b.nxpk" >"$work/said" 2>&1 || fail "xdg-open $scheme" "$(cat "$work/said")"
    calls "$scheme" "$scheme://example.org/a%20b.nxpk"
done
type_of() { gio info -a standard::content-type "$1" | sed -n 's/.*content-type: //p'; }
is "a package" application/x-vmnetx-package "$(type_of "$root/it's one.nxpk")"
is "a reference" application/x-vmnetx-reference+xml "$(type_of "$root/one.netx")"
cp "$root/it's one.nxpk" "$work/nameless"
is "a package by its content" application/x-vmnetx-package "$(type_of "$work/nameless")"
for type in application/x-vmnetx-package application/x-vmnetx-reference+xml; do
    is "what opens $type" nxfetch.desktop "$(gio mime $type | sed -n 's/^Default.*: //p')"
done

# The browser would ask first whether this site may; here it may.
status=0
start_browser "{\"protocol_handler\": {\"allowed_origin_protocol_pairs\": {\"$URL_BASE\": {\"vmnetx+http\": true}}}}" || status=$?
[ $status != 77 ] || exit 77
[ $status = 0 ] || { echo "FAILED: the browser does not start"; exit 1; }
browse "$URL_BASE/page.html"
ok "a click on Run" click a.run
calls "Run" "vmnetx+$URL_BASE/it's%20one.nxpk"

ok "make uninstall" make -s -o all B="$BUILD" DESTDIR="$work/root" PREFIX=/usr uninstall
is "what it leaves" '' "$(find "$work/root" -type f ! -path '*/mime/*' ! -name mimeinfo.cache)"
finish
