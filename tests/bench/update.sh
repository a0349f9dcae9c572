#!/bin/bash
# SPDX-License-Identifier: MIT
# A new version of the Debian disk, of whose files' bytes 1 % have changed: what nxfetch, which has the old version in its
# cache, fetches of the new one, against casync over HTTP with the old disk as its seed.  Bytes by nginx's access log.
. tests/lib/http.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
. tests/bench/lib.sh
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
sed "s|<source file='[^']*'|<source file='$new'|; s|type='qcow2'|type='raw'|" "$GUEST/domain.xml" >"$WORK/domain.xml"
"$BUILD/nxpack" -q -k "$KEY" "$WORK/domain.xml" "$WORK/www/new.nxpk" || exit
publish "$PACKAGE"
casync=$PWD/build/bench/casync
if [ ! "$casync/new.caibx" -nt "$new" ]; then
    rm -rf "$casync" && mkdir "$casync" || exit
    casync make --store="$casync/chunks.castr" "$casync/old.caibx" "$raw" >&2 &&
        casync make --store="$casync/chunks.castr" "$casync/new.caibx" "$new" >&2 || exit
fi
ln -s "$casync" "$WORK/www/casync"

# fetched COMMAND...: FETCHED is the bytes and requests while it runs.
fetched() {
    start_nginx "$WORK/www" && "$@" >&2 || return
    kill -QUIT "$SERVER_PID" && wait "$SERVER_PID"
    HTTP_PIDS=()
    FETCHED=$(awk '{ bytes += $10 } END { printf "%.0f %d\n", bytes, NR }' "$SERVER_ACCESS_LOG")
    echo "$*: $FETCHED" >&2
}

pull() { "$BUILD/nxfetch" -q pull "$URL_BASE/$1"; }
extract() { casync extract --seed="$raw" --store="$URL_BASE/casync/chunks.castr" "$URL_BASE/casync/new.caibx" "$WORK/new.raw"; }

new_cache
export XDG_CACHE_HOME
fetched pull debian.nxpk && fetched pull new.nxpk && ours=$FETCHED && fetched extract && theirs=$FETCHED || exit
cmp -s "$WORK/new.raw" "$new" || die "casync has made another disk"
size=$(stat -c %s "$WORK/www/new.nxpk")
row 'a new version, 1 % changed: bytes, against casync' "${ours% *}" "${theirs% *}" "$(ratio "${ours% *}" "${theirs% *}")"
row '  requests' "${ours#* }" "${theirs#* }" ''
row '  bytes, of the package' "${ours% *}" "$size" "$(ratio "${ours% *}" "$size")" 0.02
