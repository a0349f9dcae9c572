# SPDX-License-Identifier: MIT
# Tests of what the cache survives.  Sourced after tests/lib/http.sh, guests.sh and qemu.sh.
#
#     packed a 24                 # $WORK/www/a.nxpk with a disk of 24 MB that does not compress, $WORK/a.raw
#     cache_is_sound; image_is_right a
#     on_disk NX_DISK_DELAY_MS=9  # then "${ON_DISK[@]}" COMMAND... runs with tests/preload/disk.c

CACHE_OF() { echo "$XDG_CACHE_HOME/nxpk"; }

packed() {
    head -c "${2}000000" /dev/urandom >"$WORK/$1.raw"
    sed "s|@DIR@/disk.raw|$WORK/$1.raw|" tests/guests/tiny.xml >"$WORK/$1.xml"
    "$BUILD/nxpack" -q -k "$KEY" --serial 1 "$WORK/$1.xml" "$WORK/www/$1.nxpk" || die "nxpack $1"
}

# Run nxfetch; its words are in $WORK/out and $WORK/err.
nxfetch() { "$BUILD/nxfetch" "$@" >"$WORK/out" 2>"$WORK/err"; }

pulls() {
    local name=$1
    shift
    nxfetch pull "$@" "$URL_BASE/$name.nxpk" || die "pull $name: $(cat "$WORK/err")"
}

# Nobody has to be told of anything.
cache_is_sound() {
    nxfetch cache verify --json || die "cache verify: $(cat "$WORK/err")"
    same "damaged objects in the cache" "$(jq .bad "$WORK/out")" 0
    same "what cache verify says" "$(cat "$WORK/err")" ""
}

# image_is_right NAME [OPTION...]: read through nxfetch mount, from the cache alone unless ONLINE=yes.
image_is_right() {
    local name=$1 offline=(--offline)
    shift
    [ "${ONLINE:-no}" = no ] || offline=()
    mount_package "$URL_BASE/$name.nxpk" "${offline[@]}" --trust "$TRUST" "$@"
    same "sha256 of image $name" "$(sha256sum <"$IMAGE")" "$(sha256sum <"$WORK/$name.raw")"
    halt
}

# nxfetch has said exactly one line that holds all of the texts.
said() {
    local text line=$WORK/line
    cp "${ERR:-$WORK/err}" "$line"
    for text in "$@"; do
        grep -F -- "$text" "$line" >"$line.next" || die "nxfetch does not say \"$*\": $(cat "${ERR:-$WORK/err}")"
        mv "$line.next" "$line"
    done
    same "lines that say \"$*\"" "$(wc -l <"$line")" 1
}

# on_disk [NX_DISK_…=VALUE...]: ON_DISK, a command to put before another: its disk is what these say, below the cache's
# folder.  Before a sanitizer's library, too.
on_disk() {
    ON_DISK=("$BUILD/tools/no-landlock" env "LD_PRELOAD=$(realpath "$BUILD")/tools/disk.so" "NX_DISK_DIR=$XDG_CACHE_HOME" "$@"
        "ASAN_OPTIONS=verify_asan_link_order=0:${ASAN_OPTIONS:-}")
}

segment_bytes() { find "$(CACHE_OF)/segments" -name '*.seg' -printf '%s\n' 2>/dev/null | awk '{ n += $1 } END { print n + 0 }'; }
