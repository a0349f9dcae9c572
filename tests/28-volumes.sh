#!/bin/bash
# SPDX-License-Identifier: MIT
# A package that is cut into volumes: the files make the whole again; every verb takes them; it boots from nginx, and from two
# mirrors of which each lacks a volume, in no more requests than the whole; what is missing, short or of another version
# is named; nxpack leaves no volume that does not belong there, whatever ends it.
. tests/lib/http.sh
. tests/lib/relay.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
SIZE=$((4 << 20))
nxpack=$PWD/$BUILD/nxpack

guest tiny || die "the guest"
signing_key
mkdir "$WORK"/{out,a,b,keep,mnt}
out=$WORK/out/t.nxpk
pack() { "$nxpack" -q --no-train "$@"; }
cut_tiny() { pack -k "$KEY" --serial 1 --volume-size 4M "$@" "$GUEST/domain.xml" "$out" || die "packing"; }
# files NAME...: all that is in out/
files() { same "files in out/" "$(cd "$WORK/out" && echo *)" "$*"; }
# says PATTERN COMMAND...: it fails with status 1 and one line that fits
says() {
    local pattern=$1 status=0
    shift
    "$@" >"$WORK/said" 2>&1 </dev/null || status=$?
    same "status of $*" $status "${STATUS:-1}"
    same "lines that $* says" "$(grep -vc ': warning: \|^Try ' "$WORK/said")" 1
    grep -Eq -- "$pattern" "$WORK/said" || die "$* says: $(cat "$WORK/said")"
}

# ---- the files ----
SOURCE_DATE_EPOCH=1800000000 cut_tiny
"$nxpack" info --json "$out" >"$WORK/info"
count=$(jq .volumes "$WORK/info")
[ "$count" -ge 10 ] || die "only $count volumes: $(cat "$WORK/info")"
names=(t.nxpk) i=0
while [ $((i += 1)) -le "$count" ]; do names+=("t.nxpk.$(printf %03d $i)"); done
files "${names[@]}"
for name in "${names[@]:1:count-1}"; do same "size of $name" "$(stat -c %s "$WORK/out/$name")" $SIZE; done
at_most "the last volume" "$(stat -c %s "$out.$(printf %03d "$count")")" $SIZE
at_most "the head" "$(stat -c %s "$out")" 65536
cat "$out" "$out".[0-9]* >"$WORK/keep/whole.nxpk"
unzip -tq "$WORK/keep/whole.nxpk" >"$WORK/said" || die "unzip of the whole: $(cat "$WORK/said")"
"$nxpack" verify -q -k "$TRUST" "$WORK/keep/whole.nxpk" || die "verify of the whole"
"$nxpack" verify -q -k "$TRUST" "$out" || die "verify of the volumes"
same "the volumes of the whole" "$("$nxpack" info --json "$WORK/keep/whole.nxpk" | jq .volumes)" 0
"$nxpack" info "$out" | grep -qx "Volumes:     $count of 4.0 MiB, beside a head of .*" || die "info: $("$nxpack" info "$out")"
same "info of the whole and of the head" "$("$nxpack" info --json "$WORK/keep/whole.nxpk" | jq -S 'del(.size, .volumes, ."volume-size")')" \
    "$(jq -S 'del(.size, .volumes, ."volume-size")' "$WORK/info")"
sum() { cat "$out" "$out".[0-9]* | sha256sum; }
before=$(sum)
SOURCE_DATE_EPOCH=1800000000 cut_tiny --threads 1
same "the same again" "$(sum)" "$before"
# But for its head it is what it is in one file.
SOURCE_DATE_EPOCH=1800000000 pack -k "$KEY" --serial 1 "$GUEST/domain.xml" "$WORK/keep/plain.nxpk" || die "packing into one file"
chunks() { "$nxpack" info --json "$1" | jq '[.images, ."chunks-size", ."index-size"]'; }
same "content in one file" "$(chunks "$WORK/keep/plain.nxpk")" "$(chunks "$out")"
echo "files: a head and $count volumes, and the whole of them"

# ---- the verbs ----
"$nxpack" sign -q --remove "$out" || die "sign --remove"
same "its signer" "$("$nxpack" info --json "$out" | jq .signer)" null
"$nxpack" verify -q "$out" || die "verify without a signature"
"$nxpack" sign -q -k "$KEY" "$out" || die sign
same "signed again" "$(sum)" "$before"
"$nxpack" unpack -q "$out" "$WORK/keep/unpacked" || die unpack
cmp "$WORK/keep/unpacked/disk0.raw" "$GUEST/disk.raw" || die "unpack: another disk"
content=$("$nxpack" info --json "$out" | jq -r '.images[0].content')
# Chunks from here and there, from the last to the first.
touches=$(seq -s, -f '[0,0,%.0f]' 900 -37 0 | awk -F'],' -v OFS= '{for (i = 1; i <= NF; i++) { sub(/^\[0/, "[" i, $i); printf "%s%s", $i, i < NF ? "]," : "" } }')
echo "{\"nxpk-record\":1,\"images\":[{\"name\":\"disk0\",\"content\":\"$content\",\"chunk-size\":65536}],\"touched\":[$touches]}" >"$WORK/record"
inode=$(stat -c %i "$out")
STATUS=2 says 'is signed, and would not be after' "$nxpack" train --from "$WORK/record" "$out"
"$nxpack" train -q -k "$KEY" --from "$WORK/record" "$out" || die train
files "${names[@]}"
[ "$(stat -c %i "$out")" != "$inode" ] || die "train has left the head as it was"
"$nxpack" verify -q -k "$TRUST" "$out" || die "verify when trained"
[ "$("$nxpack" info --json "$out" | jq '."boot-chunks-size"')" -gt 100000 ] || die "train has made no boot set"
cp "$WORK/keep/whole.nxpk" "$WORK/out/w.nxpk"
"$nxpack" train -q -k "$KEY" --from "$WORK/record" "$WORK/out/w.nxpk" || die "train in one file"
files "${names[@]}" w.nxpk
"$nxpack" verify -q -k "$TRUST" "$WORK/out/w.nxpk" || die "verify when trained in one file"
rm "$WORK/out/w.nxpk"
cp "$out"* "$WORK/keep/"
echo "verbs: sign, verify, unpack, train"

# ---- what is wrong with local files ----
small=$out.$(printf %03d $((count - 1))) last=$out.$(printf %03d "$count")
wrong() { # PATTERN: as it is now
    says "$1" "$nxpack" verify "$out"
    says "$1" "$BUILD/nxfetch" mount --trust "$TRUST" "$out" "$WORK/mnt"
}
mend() { cp "$WORK/keep/"t.nxpk* "$WORK/out/"; }
rm "$small"
wrong "/${small##*/}: No such file or directory: volume $((count - 1)) of the package's $count must stand beside its head"
mend && truncate -s -1 "$small"
wrong "/${small##*/}: truncated, or a volume of another package: $((SIZE - 1)) bytes of at least $SIZE"
mend && echo >>"$small"
wrong "/${small##*/}: a volume of another package: $((SIZE + 1)) bytes, at most $SIZE are its own"
mend && truncate -s 100 "$last"
wrong "/${last##*/}: truncated, or a volume of another package: 100 bytes of at least"
mend && truncate -s -1 "$out"
wrong "/t.nxpk: truncated: [0-9]* bytes of at least [0-9]*"
mend && cp "$out.003" "$small"
says "/${small##*/}: image disk0, chunk [0-9]*, at offset [0-9]*: wrong bytes|, at offset [0-9]* .up to volume $((count - 1)).: wrong bytes" "$nxpack" verify "$out"
mend && truncate -s -1 "$last"
says "/${last##*/}: .*ends at|/${last##*/}: at offset" "$nxpack" verify "$out"
mend && cp "$out.003" "$out.$(printf %03d $((count + 1)))"
"$nxpack" verify -q "$out" || die "verify beside a volume of an older package"
rm "$out.$(printf %03d $((count + 1)))" && rm "$out.001"
"$nxpack" info -q "$out" >"$WORK/said" || die "info without a volume"
mend

# Read in its place, and by an engine that may open nothing.
mount_package "$out" --trust "$TRUST"
cmp "$IMAGE" "$GUEST/disk.raw" || die "mounted from volumes: another disk"
halt
echo "local files: named when they are missing, short, long, other ones"

# ---- over the web ----
cp "$WORK/keep/"t.nxpk* "$WORK/www/"
cat "$WORK/keep/t.nxpk" "$WORK/keep/"t.nxpk.[0-9]* >"$WORK/www/whole.nxpk"
start_nginx "$WORK/www" || exit
head_size=$(stat -c %s "$out")
log=$SERVER_ACCESS_LOG
# requests NAME: since the log was emptied; nginx writes a line when it has answered
requests() { grep -c "GET /$1" "$log"; }
# A start that reads nothing but what stands first: the boot set of the whole, and of its volumes.
start_of() { # NAME
    new_cache
    : >"$log"
    mount_package "$URL_BASE/$1" --trust "$TRUST" --stats "$STATS" --no-complete
    local deadline=$((SECONDS + 20))
    until jq -e '.boot_bytes > 0 and .boot_have == .boot_bytes' "$STATS" >/dev/null 2>&1; do
        [ $SECONDS -lt $deadline ] || die "the boot set of $1 does not come: $(cat "$STATS")"
        sleep 0.05
    done
    halt
    as_counted() { [ "$(requests "$1")" = "$(stat_of .requests)" ]; }
    wait_for 10 $$ as_counted "$1" || die "requests of $1: counted $(stat_of .requests), the server has seen $(requests "$1")"
    same "bytes of its index" "$(stat_of .index_bytes)" "${INDEX_BYTES:=$(stat_of .index_bytes)}"
}
STATS=$WORK/stats.json
start_of whole.nxpk
whole=$(requests whole.nxpk)
start_of t.nxpk
same "requests of a start from volumes" "$(requests t.nxpk)" "$whole"
same "those of the head" "$(grep -c 'GET /t.nxpk HTTP' "$log")" "$(grep -c '"GET /t.nxpk HTTP/1.1" 206' "$log")"
echo "a start: $whole requests, in one file and in volumes"

# A range over the end of a volume is two: no more are added.
pulled() { # NAME
    new_cache
    : >"$log"
    "$BUILD/nxfetch" pull "$URL_BASE/$1" >"$WORK/said" 2>&1 || die "pull $1: $(cat "$WORK/said")"
    "$BUILD/nxfetch" cache verify >"$WORK/said" 2>&1 || die "cache verify after $1: $(cat "$WORK/said")"
}
pulled whole.nxpk
whole=$(requests whole.nxpk)
pulled t.nxpk
cut=$(requests t.nxpk)
at_most "requests to pull volumes, of $whole for the whole" "$cut" $((whole + count))
grep -c ' 206 ' "$log" >"$WORK/said"
same "answers with a range" "$(cat "$WORK/said")" "$cut"
[ "$(grep -o 'GET /t.nxpk[^ ]*' "$log" | sort -u | wc -l)" = $((count + 1)) ] || die "not all files were asked for"
mount_package "$URL_BASE/t.nxpk" --offline --trust "$TRUST"
cmp "$IMAGE" "$GUEST/disk.raw" || die "pulled and offline: another disk"
halt
"$BUILD/nxfetch" info --json "$URL_BASE/t.nxpk" >"$WORK/said" || die "nxfetch info"
same "volumes, says nxfetch info" "$(jq .volumes "$WORK/said")" "$count"
echo "pull: $whole requests in one file, $cut in $count volumes; offline from the cache"

# Started from the cache while there is no network: what the file was then, whole or a head, it still is.
direct=$URL_BASE
start_relay || die "the relay"
for name in whole t; do
    new_cache
    mount_package "$URL_BASE/$name.nxpk" --trust "$TRUST" --no-complete
    halt
    relay_cut
    mount_package "$URL_BASE/$name.nxpk" --trust "$TRUST" --no-complete
    told 10 "going on with the version in the cache"
    relay_go
    cmp "$IMAGE" "$GUEST/disk.raw" || die "$name, started without a network: another disk"
    halt
done
URL_BASE=$direct
echo "started without a network: from one file and from volumes"

# With it in the cache, one request asks whether the head is still the same.
: >"$log"
mount_package "$URL_BASE/t.nxpk" --trust "$TRUST"
cmp "$IMAGE" "$GUEST/disk.raw" || die "pulled: another disk"
halt
same "requests after the pull" "$(requests t.nxpk)" 1

new_cache
boot --trust "$TRUST" "$URL_BASE/t.nxpk"
talk 60 'expect:nxpk-guest ready'
halt
[ "$(stat_of .chunks_fetched)" -gt 0 ] || die "no chunk was fetched, and yet it runs"
same "retries" "$(stat_of .retries)" 0
echo "nginx: boots"

# ---- two mirrors, each without one volume ----
nginx=$URL_BASE
cp "$WORK/keep/"t.nxpk* "$WORK/a/"
start_nxserve "$WORK/a" || die nxserve
nxserve=$URL_BASE
for url in "$nginx" "$nxserve"; do # what is said of a package is said of its volumes
    curl -sS -D "$WORK/said" -o "$WORK/body" -r 0-99 --compressed "$url/t.nxpk.001" || die "curl"
    tr -d '\r' <"$WORK/said" >"$WORK/headers"
    for wanted in 'HTTP/1.1 206' "Content-Range: bytes 0-99/$SIZE" 'Cache-Control: public, no-cache' 'Access-Control-Allow-Origin: \*' \
        'Content-Type: application/octet-stream' 'ETag: "'; do
        grep -qi "^$wanted" "$WORK/headers" || die "$url, a volume: no $wanted in $(cat "$WORK/headers")"
    done
done
"$BUILD/nxref" -q -k "$TRUST" "$nginx/t.nxpk" "$nxserve/t.nxpk" "$WORK/t.netx" || die nxref
found() { "$BUILD/nxref" check --json "$1" 2>/dev/null | jq -c '[.findings[] | select(.severity == "error") | [.id, .what]]'; }
[ "$(found "$nginx/t.nxpk")" = '[]' ] || die "nxref check: $(found "$nginx/t.nxpk")"
# A page shows all of its size, and no link to download the head alone.
"$BUILD/nxref" -q --html="$WORK/t.html" "$nginx/t.nxpk" || die "nxref --html"
whole=$("$BUILD/nxpack" info --json "$nginx/t.nxpk" | jq .size)
grep -q "$(awk -v n="$whole" 'BEGIN { printf "%.1f MiB", n / 1048576 }')" "$WORK/t.html" || die "the page has not $whole bytes"
! grep -q 'Download' "$WORK/t.html" || die "the page has a download of the head"
mv "$WORK/www/t.nxpk.002" "$WORK/b/" && rm "$WORK/a/t.nxpk.005"
says "volume 2 of $count: $nginx/t.nxpk.002: not found" "$BUILD/nxref" "$nginx/t.nxpk" "$nxserve/t.nxpk" "$WORK/x.netx"
says "volume 5 of $count: $nxserve/t.nxpk.005: not found" "$BUILD/nxref" "$nxserve/t.nxpk" "$WORK/x.netx"
[ "$(found "$nginx/t.nxpk" | jq -r '.[0][0]')" = volume ] || die "nxref check: $(found "$nginx/t.nxpk")"
new_cache
: >"$log"
asked=$(wc -l <"$SERVER_LOG")
boot "$WORK/t.netx"
talk 120 'expect:nxpk-guest ready'
halt
mount_package "$WORK/t.netx"
cmp "$IMAGE" "$GUEST/disk.raw" || die "from two mirrors: another disk"
halt
at_most "requests of nginx for what it lacks" "$(grep -c 'GET /t.nxpk.002' "$log")" 6
grep -q 'GET /t.nxpk.005.* 206 ' "$log" || die "nginx was not asked for volume 5"
! tail -n "+$((asked + 1))" "$SERVER_LOG" | grep -q '/t.nxpk.005' || die "nxserve was asked for volume 5, which nginx has"
grep -q 'GET /t.nxpk.002 .*206' "$SERVER_LOG" || die "nxserve was not asked for volume 2: $(cat "$SERVER_LOG")"
echo "two mirrors, of which each lacks a volume: boots"

# ---- what is wrong on a server ----
bad() { # PATTERN: what a pull says
    new_cache
    says "$1" "$BUILD/nxfetch" pull "$nginx/t.nxpk"
}
bad "$nginx/t.nxpk.002: not found \(HTTP status 404\): volume 2 of the package's $count must be copied there, too"
head -c 1000000 "$WORK/b/t.nxpk.002" >"$WORK/www/t.nxpk.002"
bad "$nginx/t.nxpk.002: (truncated: the server has 1000000 bytes of at least $SIZE|no bytes at offset [0-9]* .HTTP status 416.)"
cat "$WORK/b/t.nxpk.002" "$WORK/b/t.nxpk.002" >"$WORK/www/t.nxpk.002"
bad "$nginx/t.nxpk.002: a volume of another package, or of another version: the server has $((2 * SIZE)) bytes, at most $SIZE"
cp "$WORK/keep/t.nxpk.003" "$WORK/www/t.nxpk.002"
says_other="t.nxpk.00[12]: the chunk at offset [0-9]*\( (up to volume [23])\)\? has not the bytes that the author signed"
new_cache
! "$BUILD/nxfetch" pull "$nginx/t.nxpk" >"$WORK/said" 2>&1 || die "pull of another version's volume succeeds"
grep -q "$says_other" "$WORK/said" || die "of another version's volume it says: $(cat "$WORK/said")"
truncate -s -1 "$WORK/www/t.nxpk"
bad "$nginx/t.nxpk: truncated: the file has $((head_size - 1)) bytes of at least $head_size"
cp "$WORK/keep/t.nxpk" "$WORK/www/t.nxpk"

# Under a mount: who reads waits until it is put right.
new_cache
mount_package "$nginx/t.nxpk" --trust "$TRUST"
cmp "$IMAGE" "$GUEST/disk.raw" >"$WORK/compared" 2>&1 &
reader=$!
told 20 "$says_other"
cp "$WORK/b/t.nxpk.002" "$WORK/www/new" && mv "$WORK/www/new" "$WORK/www/t.nxpk.002"
wait $reader || die "after a volume was put right: $(cat "$WORK/compared" "$FETCH_LOG")"
halt
echo "a server: what is missing, short, long, another version's is named; put right, it goes on"

# An address with a query, and the head in the cache, asked about again.
new_cache
mount_package "$nginx/t.nxpk?from=test" --trust "$TRUST" --no-complete && halt
: >"$log"
mount_package "$nginx/t.nxpk?from=test" --trust "$TRUST" --no-complete
head -c 30000000 "$IMAGE" | cmp - <(head -c 30000000 "$GUEST/disk.raw") || die "with a query: another disk"
halt
grep -q 'GET /t.nxpk.003?from=test HTTP/1.1" 206' "$log" || die "the query: $(cat "$log")"

# ---- writing, ended or repeated ----
rm "$WORK/out/"*
cut_tiny
echo mine >"$out.backup"
cut_tiny --volume-size 16M
files t.nxpk t.nxpk.001 t.nxpk.002 t.nxpk.003 t.nxpk.backup
"$nxpack" verify -q "$out" || die "fewer volumes over more"
cut_tiny --volume-size 4M
"$nxpack" verify -q "$out" || die "more volumes over fewer"
cut_tiny --volume-size 64M # larger than the package
files t.nxpk t.nxpk.backup
same "version of one that needs no volumes" "$(unzip -p "$out" manifest.xml | grep -c 'version="1"')" 1
cut_tiny
pack "$GUEST/domain.xml" "$out"
files t.nxpk t.nxpk.backup
# One file stays, whatever happens to stand beside it.
echo stranger >"$out.001"
pack "$GUEST/domain.xml" "$out"
files t.nxpk t.nxpk.001 t.nxpk.backup
"$nxpack" verify -q "$out" || die "verify beside a stranger's file"
rm "$WORK/out/"*

# attempt SIGNAL STAGE: nxpack gets it when it is so far; its status, 0 if it was quicker
attempt() {
    local line= status=0
    rm -f "$WORK/progress" && mkfifo "$WORK/progress"
    bash -c 'exec "$@" --progress-fd 5 5>"$0"' "$WORK/progress" "$nxpack" --no-train --volume-size 4M \
        "$GUEST/domain.xml" "$out" >"$WORK/said" 2>&1 </dev/null &
    local pid=$!
    exec 6<"$WORK/progress"
    until [[ $line = *"\"$2\""* ]]; do
        kill -0 $pid 2>/dev/null || break
        read -r -t 0.1 line <&6
    done
    kill -"$1" $pid 2>/dev/null
    { wait $pid; } 2>/dev/null || status=$?
    exec 6<&-
    [[ $status = 0 || $line = *"\"$2\""* ]] || die "nxpack does not come to $2: $(cat "$WORK/said")"
    return $status
}
# ended SIGNAL STAGE STATUS: at that stage, which is short: again, if it was over
ended() {
    local status tries
    rm -rf "$WORK/before" && cp -a "$WORK/out" "$WORK/before"
    for tries in {1..20}; do
        status=0
        attempt "$1" "$2" || status=$?
        [ $status = 0 ] || break
        rm -rf "$WORK/out" && cp -a "$WORK/before" "$WORK/out"
    done
    same "status after $1 while $2" $status "$3"
}
for stage in packing writing cutting; do
    ended INT $stage 1
    files '*'
    ended KILL $stage 137
    rm -f "$WORK/out/"*.tmp
    files '*'
done
cut_tiny
before=$(sum)
for signal in INT KILL; do
    ended $signal cutting "$([ $signal = INT ] && echo 1 || echo 137)"
    [ $signal = INT ] || rm -f "$WORK/out/"*.tmp
    files "${names[@]}"
    same "the package that is there, after $signal" "$(sum)" "$before"
done
echo "writing: no volume is left that does not belong there"

for size in 0 1M 2097151 x -1 4X 2000T 99999999999999999999; do
    STATUS=2 says "--volume-size $size: not a number from 2097152 to" "$nxpack" --volume-size=$size "$GUEST/domain.xml" "$out"
done
echo "refused: silly sizes"
