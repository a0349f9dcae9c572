#!/bin/bash
# SPDX-License-Identifier: MIT
# A new version of the Debian disk, of whose files' bytes 1 % have changed: what nxfetch, which has the old version in its
# cache, fetches of the new one, against casync over HTTP with the old disk as its seed.  Bytes by nginx's access log.
. tests/lib/http.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
. tests/bench/lib.sh
package debian >&2 || exit
raw=$(debian_raw) && new=$(changed_disk) && casync=$(casync_store) || exit
sed "s|<source file='[^']*'|<source file='$new'|; s|type='qcow2'|type='raw'|" "$GUEST/domain.xml" >"$WORK/domain.xml"
"$BUILD/nxpack" -q -k "$KEY" "$WORK/domain.xml" "$WORK/www/new.nxpk" || exit
publish "$PACKAGE"
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
