#!/bin/bash
# SPDX-License-Identifier: MIT
# A new version of the Debian disk, of whose files' bytes 1 % have changed, and casync's chunks of both; made once.
. tests/lib/guests.sh
. tests/bench/lib.sh
WORK=$(mktemp -d) || exit
trap 'umount "$WORK/mnt" 2>/dev/null; rm -rf "$WORK"' EXIT
package debian >&2 || exit
raw=$(debian_raw) || exit
new=$PWD/build/bench/debian-changed.raw

# Change the bytes of whole files, chosen by the digest of their name, in place and so that they compress as before:
# each byte from 64 to 127 becomes the next one.  1 % of the bytes in all files from 4 KiB to 4 MiB.
change() {
    local mnt=$WORK/mnt all left size path
    mkdir "$mnt" && mount -o loop,offset=1048576,noatime "$1" "$mnt" || return
    find "$mnt" -xdev -type f -links 1 -size +4095c -size -4194305c -printf '%s %P\n' >"$WORK/files"
    all=$(find "$mnt" -xdev -type f -printf '%s\n' | awk '{ n += $1 } END { printf "%.0f", n }')
    left=$((all / 100))
    while read -r size path; do
        echo "$(sha256sum <<<"$path" | cut -c 1-16) $size $path"
    done <"$WORK/files" | sort | while read -r _ size path && [ $left -gt 0 ]; do
        tr '\100-\177' '\101-\177\100' <"$mnt/$path" >"$WORK/changed"
        dd if="$WORK/changed" of="$mnt/$path" bs=1M conv=notrunc status=none
        left=$((left - size))
    done
    echo "of $all bytes in files, $((all / 100)) are changed" >&2
    umount "$mnt"
}

if [ ! -s "$new" ] || [ "$new" -ot "$raw" ]; then
    cp --sparse=always "$raw" "$new.making" && change "$new.making" && mv "$new.making" "$new" || exit
fi
casync=$PWD/build/bench/casync
if [ ! "$casync/new.caibx" -nt "$new" ]; then
    rm -rf "$casync" && mkdir "$casync" || exit
    casync make --store="$casync/chunks.castr" "$casync/old.caibx" "$raw" >&2 &&
        casync make --store="$casync/chunks.castr" "$casync/new.caibx" "$new" >&2 || exit
fi
