#!/bin/bash
# SPDX-License-Identifier: MIT
# nxfetch's cache: pull, and pull again over damage; the cache verbs; offline; and a reference with an unusual name.
. tests/lib/http.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh

signing_key
head -c 3000000 /dev/urandom >"$WORK/disk.raw"
truncate -s 4M "$WORK/disk.raw"
sed "s|@DIR@|$WORK|" tests/guests/tiny.xml >"$WORK/domain.xml"
"$BUILD/nxpack" -q -k "$KEY" "$WORK/domain.xml" "$WORK/www/a.nxpk" || die nxpack
start_nxserve "$WORK/www" || die nxserve
url=$URL_BASE/a.nxpk
new_cache
nxfetch() { "$BUILD/nxfetch" "$@" >"$WORK/out" 2>"$WORK/err"; }

# mounted LOCATION OPTION...: its disk is the original.
mounted() {
    mount_package "$@"
    cmp "$IMAGE" "$WORK/disk.raw" || die "nxfetch mount $* shows another disk"
    halt
}

nxfetch pull "$url" || die "pull: $(cat "$WORK/err")"
nxfetch cache verify || die "cache verify after a pull: $(cat "$WORK/out" "$WORK/err")"

# A byte of a segment is flipped: the next pull finds and mends it, and offline all is there.
segment=$(find "$XDG_CACHE_HOME/nxpk" -type f -size +1M | head -n 1)
[ -n "$segment" ] || die "no segment in $(find "$XDG_CACHE_HOME")"
byte=$(od -An -tu1 -j 1000000 -N 1 "$segment" | tr -d ' ')
printf "\\x$(printf %02x $((byte ^ 255)))" | dd of="$segment" bs=1 seek=1000000 conv=notrunc status=none
nxfetch pull --stats "$WORK/stats.json" "$url" || die "pull over a damaged cache: $(cat "$WORK/err")"
same "chunks fetched for one damaged byte" "$(jq .chunks_fetched "$WORK/stats.json")" 1
stop_server "$SERVER_PID"
mounted "$url" --offline --trust "$TRUST"

# Everything but the records is gone: the same.
start_nxserve "$WORK/www" --port "$SERVER_PORT" || die nxserve
find "$XDG_CACHE_HOME/nxpk" -type f -size +1M -delete
nxfetch pull "$url" || die "pull without segments: $(cat "$WORK/err")"
mounted "$url" --offline --trust "$TRUST"

nxfetch cache show --json || die "cache show"
[ "$(jq .bytes "$WORK/out")" -ge 3000000 ] || die "cache show: $(cat "$WORK/out")"
nxfetch cache clear || die "cache clear"
nxfetch --offline mount --trust "$TRUST" "$url" "$WORK/home" && die "offline without a cache succeeded"
grep -q 'a.nxpk' "$WORK/err" || die "offline without a cache says: $(cat "$WORK/err")"

# Offline with a part of it: said before somebody reads in vain; and not when all is here.
says_lack() { grep -c ' in the cache, and --offline forbids' "$FETCH_LOG"; }
mount_package "$url" --trust "$TRUST" --no-complete
head -c 100000 "$IMAGE" | cmp -n 100000 - "$WORK/disk.raw" || die "the first bytes"
halt
mount_package "$url" --trust "$TRUST" --offline
told 20 "$url: not all of it is in the cache, and --offline forbids to fetch the rest: run nxfetch pull first"
head -c 100000 "$IMAGE" | cmp -n 100000 - "$WORK/disk.raw" || die "the first bytes, offline"
! head -c 3000000 "$IMAGE" >/dev/null 2>&1 || die "all of it is read, offline"
halt
nxfetch pull "$url" || die "pull"
mounted "$url" --trust "$TRUST" --offline
same "what is lacking after a pull" "$(says_lack)" 0

# Of a trained one it is said what its start lacks.
content=$("$BUILD/nxpack" info --json "$WORK/www/a.nxpk" | jq -r '.images[0].content')
jq -n --arg content "$content" '{"nxpk-record": 1, images: [{name: "disk0", content: $content, "chunk-size": 65536}],
    touched: [range(20) | [., 0, .]]}' >"$WORK/record.json"
cp "$WORK/www/a.nxpk" "$WORK/www/t.nxpk"
"$BUILD/nxpack" train -q -k "$KEY" --from "$WORK/record.json" "$WORK/www/t.nxpk" || die "nxpack train"
nxfetch cache clear || die "cache clear"
nxfetch info "$URL_BASE/t.nxpk" || die "info: $(cat "$WORK/err")"
mount_package "$URL_BASE/t.nxpk" --trust "$TRUST" --offline
told 20 "t.nxpk: of the 1.2 MiB that its start reads, 1.2 MiB are not in the cache, and --offline forbids to fetch them: run nxfetch pull first"
same "what is told of the rest" "$(says_lack)" 1
halt
mount_package "$URL_BASE/t.nxpk" --trust "$TRUST" --no-complete
head -c 1300000 "$IMAGE" | cmp -n 1300000 - "$WORK/disk.raw" || die "what its start reads"
halt
mount_package "$URL_BASE/t.nxpk" --trust "$TRUST" --offline
told 20 "t.nxpk: not all of it is in the cache, and --offline forbids to fetch the rest: run nxfetch pull first"
same "where the start is all here" "$(says_lack)" 1
halt

# A reference whose URL does not say that it is one.
"$BUILD/nxref" -k "$TRUST" "$url" "$WORK/www/click-here" 2>"$WORK/err" || die "nxref: $(cat "$WORK/err")"
mounted "$URL_BASE/click-here" --trust "$TRUST"
echo "pulled, damaged, mended; offline; a reference by another name"
