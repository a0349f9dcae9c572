#!/bin/bash
# SPDX-License-Identifier: MIT
# make install and make uninstall are each other's inverse; each installed file goes into exactly one Debian package; there is one
# version; and what the programs tell to install is what their packages ask for.  The packages themselves, built, installed and
# used: tests/slow/49-deb.sh.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/lib/pack.sh
compiler=gcc
case $BUILD in *clang*) compiler=clang ;; esac
stage=$work/source/debian/tmp
mkdir -p "$stage" && cp -a debian/. "$work/source/debian/"
try_make() { make -s CC=$compiler B="$BUILD" DESTDIR="$stage" PREFIX=/usr UNITDIR=/lib/systemd/system "$@"; }
files() { (cd "$stage" && find . ! -type d -printf '%P\n' | LC_ALL=C sort); }

# ---- in and out ----------------------------------------------------------------

# What others have installed there stays.
for dir in bin share/applications share/mime/packages share/man/man1 share/icons/hicolor/scalable/apps share/bash-completion/completions; do
    mkdir -p "$stage/usr/$dir" && echo other >"$stage/usr/$dir/other"
done
files >"$work/before"
(umask 077 && try_make install) >"$work/log" 2>&1 || { echo 'FAILED: make install'; cat "$work/log"; exit 1; }
files >"$work/all"
comm -13 "$work/before" "$work/all" >"$work/ours"
checks=$((checks + 1))
[ "$(wc -l <"$work/ours")" -ge 15 ] || fail 'few files were installed' "$(cat "$work/ours")"
for program in nxpack nxref nxserve nxfetch; do
    ok "$program runs from there" "$stage/usr/bin/$program" --version
    is "its manual page" "usr/share/man/man1/$program.1" "$(grep "man1/$program\.1$" "$work/ours")"
done
is 'what others cannot read, whatever the umask' '' \
    "$(cd "$stage" && xargs -d '\n' dirname <"$work/ours" | sort -u | cat - "$work/ours" | xargs -d '\n' -I {} find {} -maxdepth 0 ! -perm -444)"
is 'folders that others cannot enter' '' "$(cd "$stage" && xargs -d '\n' dirname <"$work/ours" | sort -u | xargs -d '\n' -I {} find {} -maxdepth 0 ! -perm -111)"
is 'programs' 'usr/bin/nxfetch usr/bin/nxpack usr/bin/nxref usr/bin/nxserve' \
    "$(cd "$stage" && xargs -d '\n' -I {} find {} -maxdepth 0 -type f -perm -100 <"$work/ours" | xargs)"
is 'what names another prefix' '' "$(cd "$stage" && xargs -d '\n' grep -l /usr/local <"$work/ours" | grep -v usr/bin/)"
ok 'make install over itself' try_make install
files | cmp -s - "$work/all" || fail 'a second make install' "$(files | diff "$work/all" -)"

# ---- into the packages -----------------------------------------------------------

taken() { (cd "$work/source" && for list in debian/*.install; do [ ! -x "$list" ] || "$list"; done | grep -v '/other$'); }
is 'lists that are run' 'nxfetch nxpack nxserve' "$(cd "$work/source" && find debian -name '*.install' -perm -100 -printf '%f\n' | sed 's/\.install//' | sort | xargs)"
taken | cat - debian/not-installed | LC_ALL=C sort >"$work/taken"
is 'files of make install that no package takes (debian/takes)' '' "$(LC_ALL=C comm -13 "$work/taken" "$work/ours")"
is 'files that two packages take' '' "$(uniq -d "$work/taken")"
is 'files that are taken and not installed' '' "$(LC_ALL=C comm -23 "$work/taken" "$work/ours")"
mkdir -p "$stage/usr/share/strange" && touch "$stage/usr/share/strange/file"
is 'a file in a strange place' '' "$(taken | grep strange)"
rm -r "$stage/usr/share/strange"

ok 'make uninstall' try_make uninstall
is 'what make uninstall leaves' "$(cat "$work/before")" "$(files)"

# ---- the packages' descriptions --------------------------------------------------

version=$(sed -n 's/^VERSION := //p' Makefile)
is 'the version in debian/changelog' "$version" "$(sed -n '1s/^nxpk (\(.*\)) .*/\1/p' debian/changelog)"
is "the programs' own" "nxfetch $version" "$("$BUILD/nxfetch" --version | head -n 1)"
# wants PACKAGE: all that it depends on, recommends or suggests
wants() {
    sed -n "/^Package: $1\$/,/^\$/p" debian/control | sed -n '/^Depends:/,/^Description:/p' | grep '^ ' | tr '|' '\n' | sed 's/^ *//; s/[ ,].*//; s/,$//' | sort -u
}
# named FOLDER: the packages that its messages tell to install
named() {
    cat "$1"/*.c | tr '\n' ' ' | grep -oE 'nx_need_program\([^()]*"[^()]*\)|(install|of) the package [a-z0-9-]+[^a-z0-9 -]|Debian.s package [a-z0-9]+|"ovmf[a-z0-9-]*"' |
        sed -E 's/.*"([a-z0-9-]+)", [a-z]+\)$/\1/; s/.*package ([a-z0-9-]+).*/\1/; s/"//g' | sort -u
}
for pair in pack:nxpack fetch:nxfetch; do
    folder=${pair%:*} package=${pair#*:}
    checks=$((checks + 1))
    [ "$(named "$folder" | wc -l)" -ge 2 ] || fail "what $folder/ tells to install" "$(named "$folder")"
    is "what $folder/ tells to install, and $package does not ask for" '' "$(comm -23 <(named "$folder") <(wants "$package"))"
done
finish
