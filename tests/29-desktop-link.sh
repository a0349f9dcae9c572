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
ok "the media types are valid" xmllint --noout "$share/mime/packages/nxpk.xml"
is "what update-mime-database finds wrong" '' "$(update-mime-database "$share/mime" 2>&1 | grep -i 'error\|warning\|invalid')"

# What software centres show: complete, of this version, and about what is there.
meta=$share/metainfo/org.nxpk.nxfetch.metainfo.xml
in_meta() { xmllint --xpath "$1" "$meta" 2>&1; }
is "AppStream" "" "$(appstreamcli validate --no-net --pedantic "$meta" 2>&1 | grep '^[EWIP]:')"
ok "AppStream's verdict" appstreamcli validate --no-net --pedantic --strict "$meta"
is "its version" "$("$BUILD/nxfetch" --version)" "nxfetch $(in_meta 'string(//release[1]/@version)')"
is "its license" "$(sed -n 's/^\(MIT\) License.*/\1/p' LICENSE)" "$(in_meta 'string(//project_license)')"
for id in $(in_meta '//launchable/text()'); do
    ok "what it launches: $id" test -f "$share/applications/$id"
done
is "its types" "$(in_meta '//mediatype/text()' | sort)" \
    "$(sed -n 's/^MimeType=//p' "$share"/applications/*.desktop | tr ';' '\n' | grep . | sort)"

# Icons for the program and for each media type, which are pictures at each size, with transparent corners.
icons=$share/icons/hicolor/scalable
for icon in apps/$(in_meta 'string(//icon)').svg mimetypes/application-x-vmnetx-{package,reference+xml}.svg; do
    ok "$icon is SVG" xmllint --noout "$icons/$icon"
    for size in 16 48 256; do
        ok "$icon drawn" rsvg-convert -w $size -h $size -o "$work/icon.png" "$icons/$icon"
        is "$icon's size" "$size by $size" "$(pngtopnm "$work/icon.png" | pnmfile | grep -o '[0-9]* by [0-9]*')"
        ok "$icon's colours at $size" test "$(pngtopnm "$work/icon.png" 2>/dev/null | ppmhist -noheader | wc -l)" -gt 12
        is "$icon's corner at $size" 0 "$(pngtopnm -alpha "$work/icon.png" 2>/dev/null | pgmtopgm -plain | sed 1,3d | tr -s ' \n' '\n' | grep . | head -n 1)"
    done
done
for key in Icon=nxfetch Terminal=false TryExec=nxfetch; do
    is "$key" 2 "$(grep -lxF "$key" "$share"/applications/*.desktop | wc -l)"
done

# What the desktop would start, and how.
printf '#!/bin/sh\nprintf "%%s\\n" "$@" >%q/new && mv %q/new %q/called\n' "$work" "$work" "$work" >"$work/bin/nxfetch"
chmod +x "$work/bin"/*
unset XDG_CURRENT_DESKTOP DESKTOP_SESSION BROWSER
export PATH=$work/bin:$PATH XDG_DATA_DIRS=$share:/usr/share XDG_DATA_HOME=$work/home XDG_CONFIG_HOME=$work/home HOME=$work/home DISPLAY=:7
called() { [ -e "$work/called" ]; }
calls() { # WHAT WANTED
    wait_for 30 "$SERVER_PID" called || { fail "$1: nxfetch is not called"; return; }
    is "$1" "--desktop -- $2" "$(tr '\n' ' ' <"$work/called" | sed 's/ $//')"
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
cp "$root/one.netx" "$work/nameless"
is "a reference by its content" application/x-vmnetx-reference+xml "$(type_of "$work/nameless")"
printf '<?xml version="1.0"?>\n<reference xmlns="http://example.org/"/>\n' >"$work/nameless"
is "another's reference" application/xml "$(type_of "$work/nameless")"
(cd "$work" && zip -q0 other.zip in.xml && mv other.zip nameless)
is "another ZIP" application/zip "$(type_of "$work/nameless")"
echo x | tee "$work/new.nxpk" >"$work/new.netx"
is "a package by its name" application/x-vmnetx-package "$(gio info -a standard::fast-content-type "$work/new.nxpk" | sed -n 's/.*content-type: //p')"
is "a reference by its name" application/x-vmnetx-reference+xml "$(gio info -a standard::fast-content-type "$work/new.netx" | sed -n 's/.*content-type: //p')"
is "a package's icon" application-x-vmnetx-package "$(gio info -a standard::icon "$root/it's one.nxpk" | sed -n 's/.*standard::icon: \([^,]*\).*/\1/p')"
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
