#!/bin/bash
# SPDX-License-Identifier: MIT
# make deb: Debian packages, binary and source, in the folder $1 (build/deb).  They are built in a copy of the tree, so that
# nothing but its sources can get in (where there is git: what it knows of); the times and modes there are the same for
# everybody, so that the packages are, too.
#   DEB_BUILD_OPTIONS  "nocheck noautodbgsym" unless given: tests are what make check is for, and debugging symbols are for
#                      who asks for them
#   DEB_WORK           build in a new folder in there, instead of in $1
set -eu -o pipefail
cd "$(dirname "$0")/.."
export DEB_BUILD_OPTIONS="${DEB_BUILD_OPTIONS-nocheck noautodbgsym}"
unset MAKEFLAGS MAKELEVEL MFLAGS DESTDIR PREFIX CC CFLAGS CPPFLAGS LDFLAGS SANITIZE DEVELOPER V
umask 022
list='' work=''
trap 'rm -rf "$list" "$work"' EXIT
trap 'exit 130' INT TERM HUP

# What debian/control wants, without what only tests need if there are to be none, by the way in which `make deps` installs what tests want.
list=$(mktemp) without=debhelper-compat
case $DEB_BUILD_OPTIONS in *nocheck*) without+='\|<!nocheck>' ;; esac
{
    echo build-essential dpkg-dev debhelper
    sed -n '/^Build-Depends:/,/^[A-Z]/p' debian/control | grep '^ ' | grep -v "$without" | sed 's/^ \([a-z0-9.+-]*\).*/\1/'
} >"$list"
sh tests/deps.sh "$list"

version=$(dpkg-parsechangelog -S Version)
epoch=$(dpkg-parsechangelog -S Timestamp)
mkdir -p "${1:-build/deb}"
out=$(cd "${1:-build/deb}" && pwd)
work=$(mktemp -d "${DEB_WORK:-$out}/.work.XXXXXX")
tree=$work/nxpk-$version
mkdir "$tree"
sources() {
    if [ -e .git ] && git rev-parse --git-dir >/dev/null 2>&1; then
        git ls-files -z
    else
        find . \( -path ./build -o -path ./.git \) -prune -o ! -type d -printf '%P\0'
    fi
}
sources | while IFS= read -r -d '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done |
    tar -c --null --no-recursion --mode=u=rwX,go=rX -T - | tar -x -p -C "$tree"
find "$tree" -exec touch -h -d "@$epoch" {} +

# Not -Pnocheck, which would be told in the packages; what is needed has just been installed.
(cd "$tree" && dpkg-buildpackage --no-sign --no-check-builddeps --build=full) >"$work/log" 2>&1 ||
    { mv "$work/log" "$out/log"; tail -n 30 "$out/log" >&2; echo "make deb: dpkg-buildpackage failed; all that it said is in $out/log" >&2; exit 1; }
rm -f "$out"/*.deb "$out"/nxpk_*.{dsc,tar.xz,buildinfo,changes}
mv "$work/log" "$work"/*.deb "$work"/nxpk_*.{dsc,tar.xz,buildinfo,changes} "$out/"
echo "make deb: in ${1:-build/deb}:"
(cd "$out" && ls -s --block-size=K *.deb *.dsc *.tar.xz)
