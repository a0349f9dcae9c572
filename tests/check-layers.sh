#!/bin/sh
# SPDX-License-Identifier: MIT
# A layer uses only what stands to its left: check every #include.  Arguments: the folders, left to right.
# pack, serve and fetch are neighbours: each may use common and formats, none the other two.
set -eu
bad=0
for folder in "$@"; do
    case $folder in
    common) allowed='common' ;;
    formats) allowed='common|formats' ;;
    *) allowed="common|formats|$folder" ;;
    esac
    if grep -nE '^#include "' "$folder"/*.[ch] | grep -vE "#include \"($allowed)/"; then
        bad=1
    fi
done
[ $bad = 0 ] || { echo 'check-layers: the includes above reach to the right' >&2; exit 1; }
echo "check-layers: $* keep to their left"
