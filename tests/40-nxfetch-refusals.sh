#!/bin/bash
# SPDX-License-Identifier: MIT
# What nxfetch refuses, as a table: each case is one run of the real program against a real server or file, and must
# end with status 1, one clear line on stderr, and nothing left behind.
. tests/lib/http.sh
. tests/lib/qemu.sh

# Four bytes of a stream, the CRC that ZIP keeps, raw and as od shows them.
crc() { gzip -c | tail -c 8 | head -c 4; }
hex() { od -An -v -tx1 | tr -d '\n'; }

# forge FROM TO: another manifest, with the checksum of its member put right, as somebody who means it would.
forge() {
    local old new front before
    unzip -p "$1" manifest.xml >"$WORK/manifest.xml" || return
    sed 's/nxpk-tiny/nxpk-TINY/' "$WORK/manifest.xml" >"$WORK/forged.xml"
    sed '0,/nxpk-tiny/s//nxpk-TINY/' "$1" >"$2"
    old=$(crc <"$WORK/manifest.xml" | hex)
    front=$(head -c 65536 "$2" | hex)
    before=${front%%"$old"*}
    [ "$before" != "$front" ] || return
    crc <"$WORK/forged.xml" | dd of="$2" bs=1 seek=$((${#before} / 3)) conv=notrunc status=none
}

# A small machine whose disk is random, so that nothing of it compresses or is a hole.
make_packages() {
    local www=$WORK/www
    head -c 3M /dev/urandom >"$WORK/disk.raw"
    sed "s|@DIR@|$WORK|" tests/guests/tiny.xml >"$WORK/domain.xml"
    "$BUILD/nxpack" keygen "$WORK/author.pem" && "$BUILD/nxpack" keygen "$WORK/other.pem" || return
    "$BUILD/nxpack" -k "$WORK/author.pem" "$WORK/domain.xml" "$www/good.nxpk" || return
    cp "$www/good.nxpk" "$www/other.nxpk" && "$BUILD/nxpack" sign -k "$WORK/other.pem" "$www/other.nxpk" || return
    cp "$www/good.nxpk" "$www/unsigned.nxpk" && "$BUILD/nxpack" sign --remove "$www/unsigned.nxpk" || return

    # Damage: the front only; cut within the chunks; one byte of the manifest's name; one of the disk.
    head -c 300 "$www/good.nxpk" >"$www/front.nxpk"
    head -c 2000000 "$www/good.nxpk" >"$www/cut.nxpk"
    forge "$www/good.nxpk" "$www/forged.nxpk"
    cp "$www/good.nxpk" "$www/rotten.nxpk"
    dd if=/dev/zero of="$www/rotten.nxpk" bs=1 seek=1000000 count=64 conv=notrunc status=none
    echo 'this is no package' >"$www/text.nxpk"
    echo '<html>gone</html>' >"$www/page.nxpk"
    : >"$www/empty.nxpk"
    echo '<image xmlns="http://olivearchive.org/xmlns/vmnetx/reference"' >"$www/broken.netx"
}
make_packages 2>"$WORK/make.log" || die "the packages cannot be made"
TRUST=$WORK/author.pub.pem

start_nxserve "$WORK/www" || die "nxserve"
url=$URL_BASE
"$BUILD/nxref" -k "$TRUST" "$url/good.nxpk" "$WORK/good.netx" || die "nxref"
# References that are right in themselves, to a package that is not what they were made for.
sed "s|good.nxpk|other.nxpk|" "$WORK/good.netx" >"$WORK/other-signer.netx"
sed "s|good.nxpk|unsigned.nxpk|" "$WORK/good.netx" >"$WORK/lost-signature.netx"

cases=0 failed=0

# refused NAME TEXT COMMAND...: TEXT is an extended regular expression for the whole line after "nxfetch: ".
refused() {
    local name=$1 text=$2 status=0 lines
    shift 2
    cases=$((cases + 1))
    new_cache
    timeout -k 5 60 "$@" >"$WORK/out" 2>"$WORK/err" </dev/null || status=$?
    lines=$(wc -l <"$WORK/err")
    if [ $status != 1 ] || [ "$lines" != 1 ] || ! grep -qE "^nxfetch: ($text)\$" "$WORK/err"; then
        failed=$((failed + 1))
        echo "$name: status $status, $lines lines, which should be: $text"
        sed 's/^/    /' "$WORK/err"
    fi
    nothing_left
}

fetch() { echo "$BUILD/nxfetch" --accel tcg --display none --no-complete; }
nxfetch=($(fetch))
trusting=("${nxfetch[@]}" --trust "$TRUST")

# ---- locations ----
refused 'no such file' '/nonexistent.nxpk: No such file or directory' "${nxfetch[@]}" /nonexistent.nxpk
refused 'no such file here' 'absent.nxpk: No such file or directory' "${nxfetch[@]}" absent.nxpk
refused 'nor here' '\.\./ab.sent/a.nxpk: No such file or directory' "${nxfetch[@]}" ../ab.sent/a.nxpk
refused 'a verb mistyped' 'instal: No such file or directory; nxfetch --help shows the verbs' "${nxfetch[@]}" instal
for address in example.invalid/a.nxpk localhost:80/a.nxpk; do
    refused 'an address without its scheme' "$address: No such file or directory; an address on the web begins with https:// or http://" "${nxfetch[@]}" $address
done
refused 'a folder' "$WORK: not a file" "${nxfetch[@]}" "$WORK"
refused 'text' '.*/text.nxpk: neither a package nor a reference' "${nxfetch[@]}" "$WORK/www/text.nxpk"
refused 'an empty file' '.*/empty.nxpk: neither a package nor a reference' "${nxfetch[@]}" "$WORK/www/empty.nxpk"
refused 'a broken reference' '.*/broken.netx:[0-9]+: .*' "${nxfetch[@]}" "$WORK/www/broken.netx"
refused 'a broken reference on the web' '.*/broken.netx:[0-9]+: .*' "${nxfetch[@]}" "$url/broken.netx"

# ---- servers ----
refused '404' ".*/absent.nxpk.*404.*" "${trusting[@]}" "$url/absent.nxpk"
refused '404 of a reference' ".*/absent.netx.*404.*" "${trusting[@]}" "$url/absent.netx"
refused 'nobody listens' '.*127.0.0.1:9.*' "${trusting[@]}" http://127.0.0.1:9/x.nxpk
refused 'no such host' '.*nxpk.invalid.*' "${trusting[@]}" http://nxpk.invalid/x.nxpk
refused 'text on the web' '.*/text.nxpk.*not.*package.*' "${trusting[@]}" "$url/text.nxpk"
refused 'a page on the web' '.*/page.nxpk.*not.*package.*' "${trusting[@]}" "$url/page.nxpk"
refused 'nothing on the web' '.*/empty.nxpk.*' "${trusting[@]}" "$url/empty.nxpk"
status=0
start_nginx_plain "$WORK/www" 'max_ranges 0;' || status=$?
if [ $status = 0 ]; then
    refused 'a server without ranges' ".*/good.nxpk.*range.*" "${trusting[@]}" "$URL_BASE/good.nxpk"
    refused 'the same, pull' ".*/good.nxpk.*range.*" "$BUILD/nxfetch" pull "$URL_BASE/good.nxpk"
fi
status=0
start_nginx_tls "$WORK/www" || status=$?
if [ $status = 0 ]; then
    refused 'an unknown certificate' ".*/good.nxpk.*certificate.*" "${trusting[@]}" "$URL_BASE/good.nxpk"
    refused 'a CA file that is none' ".*" "${trusting[@]}" --ca-cert /dev/null "$URL_BASE/good.nxpk"
fi

# ---- damage ----
for place in "$WORK/www" "$url"; do
    refused "cut off in its front, $place" '.*/front.nxpk.*(truncated|ends|cut|whole).*' "${trusting[@]}" "$place/front.nxpk"
    refused "a forged manifest, $place" '.*/forged.nxpk.*signature.*' "${trusting[@]}" "$place/forged.nxpk"
    refused "cut off in its chunks, $place" '.*/cut.nxpk.*(truncated|ends|cut|whole|shorter).*' "${trusting[@]}" "$place/cut.nxpk"
done
refused 'a rotten chunk, pull' '.*/rotten.nxpk.*' "$BUILD/nxfetch" pull "$url/rotten.nxpk"

# ---- trust ----
refused 'a stranger' ".*/good.nxpk: signed by [0-9a-f]{64}, who is not known here; to run it: nxfetch --trust [0-9a-f]{64} .*/good.nxpk; to trust this signer for good: nxfetch trust add [0-9a-f]{64}" \
    "${nxfetch[@]}" "$url/good.nxpk"
refused 'another signer' ".*/other.nxpk: signed by [0-9a-f]{64}, which no --trust names" "${trusting[@]}" "$url/other.nxpk"
refused 'another signer of a file' ".*/other.nxpk: signed by [0-9a-f]{64}, which no --trust names" "${trusting[@]}" "$WORK/www/other.nxpk"
refused 'unsigned' ".*/unsigned.nxpk: not signed, so .* nxfetch --allow-unsigned .*/unsigned.nxpk" "${nxfetch[@]}" "$url/unsigned.nxpk"
refused 'not the pinned signer' ".*/other.nxpk: signed by [0-9a-f]{64}, but the reference names the signer [0-9a-f]{64}" \
    "${nxfetch[@]}" "$WORK/other-signer.netx"
refused 'pinned, but unsigned' ".*/unsigned.nxpk: not signed, but the reference names the signer [0-9a-f]{64}" \
    "${nxfetch[@]}" --allow-unsigned "$WORK/lost-signature.netx"
refused 'mounting what a stranger signed' ".*/good.nxpk: signed by .*" "$BUILD/nxfetch" mount "$url/good.nxpk" "$WORK/www"

# ---- this host ----
mkdir "$WORK/bin"
refused 'no QEMU' 'qemu-system-x86_64 is not installed: install the package qemu-system-x86 .*' \
    env PATH="$WORK/bin" "${trusting[@]}" "$url/good.nxpk"
if ! grep -qwE 'vmx|svm' /proc/cpuinfo; then
    refused 'no KVM' 'KVM cannot be used: .*; --accel tcg emulates instead' \
        "$BUILD/nxfetch" --accel kvm --trust "$TRUST" "$url/good.nxpk"
fi
refused 'an address that cannot be had' '--forward: 192\.0\.2\.1 port 80: .*; this host has no such address' "${trusting[@]}" -q --forward 192.0.2.1:80:80 "$url/good.nxpk"
refused 'a port that is in use' "--forward: 127\.0\.0\.1 port $SERVER_PORT: Address already in use; take another number" "${trusting[@]}" -q --forward "$SERVER_PORT:80" "$url/good.nxpk"
refused 'a file in the place of the socket' "--serial: $WORK/domain.xml: is there already, and is no socket" \
    "${trusting[@]}" --serial "unix:$WORK/domain.xml" "$url/good.nxpk"
refused 'a mount point that is none' '/nonexistent/dir: No such file or directory' \
    "$BUILD/nxfetch" mount --trust "$TRUST" "$url/good.nxpk" /nonexistent/dir
refused 'a mount over the cache' "$WORK/home: the cache, $WORK/home/no/cache, stands in it and would be hidden: .*" \
    "$BUILD/nxfetch" mount --trust "$TRUST" --cache-dir "$WORK/home/no/cache" "$url/good.nxpk" "$WORK/home"
refused 'offline, and never seen' '.*/good.nxpk.*(cache|offline).*' "${trusting[@]}" --offline "$url/good.nxpk"

[ $failed = 0 ] || die "$failed of $cases refusals are not as they should be"

# A cache that cannot be written is a pity, but no reason to stop.
new_cache
echo 'in the way' >"$XDG_CACHE_HOME/file"
boot --trust "$TRUST" --cache-dir "$XDG_CACHE_HOME/file/cache" "$url/good.nxpk"
deadline=$((SECONDS + 30))
until grep -q ' runs' "$FETCH_LOG"; do
    kill -0 "$FETCH_PID" 2>/dev/null && [ $SECONDS -lt $deadline ] || die "an unwritable cache stops it: $(cat "$FETCH_LOG")"
    sleep 0.1
done
grep -q "$XDG_CACHE_HOME/file" "$FETCH_LOG" || die "nothing is said of the cache: $(cat "$FETCH_LOG")"
halt

# What a killed nxfetch leaves, its mount above all, the next one removes.
new_cache
boot --trust "$TRUST" "$WORK/www/good.nxpk"
deadline=$((SECONDS + 30))
until grep -q ' runs' "$FETCH_LOG"; do
    [ $SECONDS -lt $deadline ] || die "it does not run: $(cat "$FETCH_LOG")"
    sleep 0.1
done
kill -KILL "$FETCH_PID"
fetch_ended 10 2>/dev/null
grep -qF " $WORK/" /proc/self/mounts || die "this test should find a mount that was left"
"$BUILD/nxfetch" -q mount --trust "$TRUST" "$WORK/www/good.nxpk" "$WORK/home" >"$WORK/out" 2>&1 &
FETCH_PID=$!
until grep -q '^mounted' "$WORK/out"; do
    kill -0 "$FETCH_PID" 2>/dev/null || die "mount: $(cat "$WORK/out")"
    sleep 0.1
done
cmp -s "$WORK/home/disk0" "$WORK/disk.raw" || die "mount shows another disk"
umount "$WORK/home" || die "umount"
fetch_ended 10
same "the status after umount" "$FETCH_STATUS" 0
boot --trust "$TRUST" "$WORK/www/good.nxpk"
until grep -q ' runs' "$FETCH_LOG"; do
    kill -0 "$FETCH_PID" 2>/dev/null || die "after a kill: $(cat "$FETCH_LOG")"
    sleep 0.1
done
halt

# The command line's mistakes: status 2 and where to find help.
usage() {
    local text=$1 status=0
    shift
    "$BUILD/nxfetch" "$@" >"$WORK/out" 2>"$WORK/err" || status=$?
    [ $status = 2 ] && [ "$(wc -l <"$WORK/err")" = 2 ] && grep -qF -- "$text" "$WORK/err" &&
        grep -qx "Try 'nxfetch --help'." "$WORK/err" || die "nxfetch $*: status $status: $(cat "$WORK/err")"
}
usage 'which machine?'
usage '--bogus is not an option' --bogus
usage 'not an http:// or https:// URL' ftp://example.org/x.nxpk
usage 'is not a size' --memory 512 x.nxpk
"$BUILD/nxfetch" --help | grep -q '^Usage: nxfetch' || die "--help"
"$BUILD/nxfetch" --version | grep -qE '^nxfetch [0-9.]+$' || die "--version"
echo "$cases refusals, each one line, nothing left"
