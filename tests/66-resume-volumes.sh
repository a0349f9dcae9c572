#!/bin/bash
# SPDX-License-Identifier: MIT
# A suspended machine in volumes, trained while it is packed, resumes from them: its head, its device state and index, and its
# boot set come in one request each, as from one file.
. tests/lib/http.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
guest tiny-saved || die "the guest"
signing_key
save=$(packed_from)
mkdir "$WORK/out"
"$BUILD/nxpack" -q -k "$KEY" --train --volume-size 64M "$save" "$WORK/out/s.nxpk" || die "packing"
same "files" "$(cd "$WORK/out" && echo *)" 's.nxpk s.nxpk.001 s.nxpk.002'
"$BUILD/nxpack" verify -q -k "$TRUST" "$WORK/out/s.nxpk" || die verify
cp "$WORK/out/"* "$WORK/www/"
cat "$WORK/out/"* >"$WORK/www/whole.nxpk"
"$BUILD/nxpack" info --json "$WORK/out/s.nxpk" >"$WORK/info" || die info
head=$(stat -c %s "$WORK/out/s.nxpk") boot=$(jq '."boot-chunks-size"' "$WORK/info")
[ "$boot" -gt 100000 ] || die "a boot set of $boot bytes"
start_nxserve "$WORK/www" || die nxserve

# resume NAME: asked, the ranges that it has asked for of each file
resume() {
    local lines
    lines=$(wc -l <"$SERVER_LOG")
    new_cache
    boot --trust "$TRUST" --no-cold "$URL_BASE/$1.nxpk"
    talk 90 'poke:nxpk# ' run:check-data
    halt
    same "state of $1" "$(stat_of .state)" ended
    same "retries of $1" "$(stat_of .retries)" 0
    tail -n "+$((lines + 1))" "$SERVER_LOG" | sed -n 's|.* GET /\([^ ]*\) bytes=\([0-9-]*\) 206 .*|\1 \2|p' >"$WORK/asked"
}
asked() { grep -qx "$1" "$WORK/asked" || die "not asked for $1, but: $(head -n 20 "$WORK/asked")"; }

resume whole
asked "whole.nxpk 0-65535"
asked "whole.nxpk $head-$((head + boot - 1))"
front=$(sed -n 's/^whole.nxpk 65536-//p' "$WORK/asked")
below() { awk -v end="$head" '$1 !~ /[0-9]$/ && $2 + 0 < end' "$WORK/asked" | wc -l; }
before=$(below)
resume s
asked "s.nxpk 0-65535"
asked "s.nxpk 65536-$front"
asked "s.nxpk.001 0-$((boot - 1))"
at_most "requests of the head" "$(below)" $((before + 2)) # whichever page of the index is asked for first
echo "resumes from two volumes: the same three requests"
