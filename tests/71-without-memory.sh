#!/bin/bash
# SPDX-License-Identifier: MIT
# nxpack, nxref --html, nxref check and nxfetch pull while memory runs out: an error and nothing left, or the right result.  NX_ATTEMPTS=0 fails every
# single allocation (tests/slow/71-without-memory.sh); a number, about so many in each case.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/lib/http.sh
. tests/lib/pack.sh
. tests/lib/failmalloc.sh
trap 'stop_servers; rm -rf "$work"' EXIT
most=${NX_ATTEMPTS:-25}
mkdir -p "$work/in" "$work/www" "$work/home" && mkdir -m 700 "$work/run"
export HOME=$work/home XDG_RUNTIME_DIR=$work/run XDG_CACHE_HOME=$work/cache
unset XDG_DATA_HOME XDG_CONFIG_HOME

# Two disks of 200 KiB; and the same suspended.
head -c 200000 /dev/urandom >"$work/in/a.raw"
cp "$work/in/a.raw" "$work/in/b.raw" && truncate -s 1M "$work/in/b.raw" "$work/in/a.raw"
qemu-img convert -f raw -O qcow2 "$work/in/b.raw" "$work/in/b.qcow2"
domain raw:"$work/in/a.raw" qcow2:"$work/in/b.qcow2" >"$work/in/domain.xml"
sed -e "s|machine='pc'|machine='pc-i440fx-7.2'|" -e "s|<memory.*|<memory unit='MiB'>1</memory>|" \
    "$work/in/domain.xml" >"$work/in/saved.xml"
"$BUILD/tools/make-save" "$work/in/saved.xml" >"$work/in/machine.save"
"$NXPACK" keygen "$work/in/key.pem" 2>"$work/.err" >&2
"$NXPACK" -q -k "$work/in/key.pem" "$work/in/domain.xml" "$work/www/p.nxpk" || exit 1
"$NXPACK" -q -k "$work/in/key.pem" --no-train "$work/in/machine.save" "$work/www/s.nxpk" || exit 1

# Without memory OpenSSL 3.0 and libarchive 3.6 crash at some places of theirs.
crash_is_known() {
    # libseccomp then runs in a circle, and libcurl forgets its request.
    [ "$scope" = all ] && grep -v 'failmalloc\.so\|/libc\.so' "$TRACE" | head -n 1 |
        case $STATUS in 124) grep -q 'libseccomp\|libcurl' ;; *) grep -q 'libcrypto\|libarchive' ;; esac
}

contents() { "$NXPACK" info --json "$1" | jq -c '[.images[].content]'; }


prepare() { rm -rf "$work/out" && mkdir "$work/out"; }
is_right() { [ "$(ls -A "$work/out")" = p.nxpk ] && "$NXPACK" verify -q "$work/out/p.nxpk" && [ "$(contents "$work/out/p.nxpk")" = "$wanted" ]; }
is_clean() {
    LEFT=$(ls -A "$work/out"; ls -A "$work/run")
    # libarchive's writer ends the process itself.
    [ -z "$LEFT" ] || grep -q 'Fatal Internal Error in libarchive' "$work/.err"
}
for scope in ${NX_SCOPES:-own all}; do
    wanted=$(contents "$work/www/p.nxpk")
    without_memory "nxpack" $scope "$most" "$NXPACK" -q -k "$work/in/key.pem" --threads 1 "$work/in/domain.xml" "$work/out/p.nxpk"
    # libnbd has just started qemu-nbd by some of these, and must not wait for it.
    [ $scope = own ] || without_memory "nxpack" libnbd.so 0 "$NXPACK" -q -k "$work/in/key.pem" --threads 1 "$work/in/domain.xml" "$work/out/p.nxpk"
    wanted=$(contents "$work/www/s.nxpk")
    without_memory "nxpack of a save" $scope "$most" "$NXPACK" -q -k "$work/in/key.pem" --threads 1 --no-train \
        "$work/in/machine.save" "$work/out/p.nxpk"
done

# ---- reading ----

prepare() { :; }
is_clean() { true; }
is_right() { cmp -s "$work/.out" "$work/wanted"; }
for scope in ${NX_SCOPES:-own all}; do
    "$NXPACK" verify "$work/www/s.nxpk" >"$work/wanted" 2>/dev/null
    without_memory "nxpack verify" $scope "$most" "$NXPACK" verify "$work/www/s.nxpk"
    "$NXPACK" info "$work/www/s.nxpk" >"$work/wanted"
    without_memory "nxpack info" $scope "$most" "$NXPACK" info "$work/www/s.nxpk"
done


pnmtopng -quiet <(ppmmake red 64 40) >"$work/www/p.png"
prepare() { rm -rf "$work/out" && mkdir "$work/out"; }
is_clean() { LEFT=$(ls -A "$work/out"); [ -z "$LEFT" ]; }
is_right() { cmp -s "$work/out/page.html" "$work/wanted"; }
for scope in ${NX_SCOPES:-own all}; do
    offer=("$NXREF" -q --html="$work/out/page.html" --base=https://h/ "$work/www/p.nxpk" "$work/www/s.nxpk")
    prepare && "${offer[@]}" && cp "$work/out/page.html" "$work/wanted"
    without_memory "nxref --html" $scope "$most" "${offer[@]}"
done

start_nxserve "$work/www" || exit 1
# A report is right or there is none, but why: what is missing for want of memory is not the server's fault.
is_clean() { LEFT=$(jq -c 'del(.error)' "$work/.out" 2>&1); [ -z "$LEFT" ] || [ "$LEFT" = '{}' ]; }
is_right() { [ "$(jq -c '[.findings[].id] - ["slow"]' "$work/.out")" = '["no-tls"]' ]; }
# (libcurl calls some of its own lack of memory a failure of the line.)
scope=own
without_memory "nxref check" $scope "$most" "$NXREF" check --json "$URL_BASE/s.nxpk"

nxfetch=$(realpath "$BUILD")/nxfetch
prepare() { rm -rf "$work/cache"; }
# All of it is in the cache: nothing is left for the next one to fetch.
is_right() {
    "$nxfetch" pull --stats "$work/stats.json" "$URL_BASE/s.nxpk" 2>"$work/.again" && [ -z "$(ls -A "$work/run")" ] &&
        [ "$(jq .chunks_fetched "$work/stats.json")" = 0 ] && "$nxfetch" cache verify >/dev/null 2>>"$work/.again" ||
        { { jq -c '[.chunks_fetched, .index_bytes]' "$work/stats.json"; cat "$work/.again"; } >>"$work/.err"; return 1; }
}
is_clean() {
    LEFT=$(ls -A "$work/run"; grep "$work" /proc/mounts)
    [ -z "$LEFT" ] && "$nxfetch" pull "$URL_BASE/s.nxpk" 2>"$work/.again" || LEFT="$LEFT $(cat "$work/.again")"
    [ -z "$LEFT" ]
}
for scope in ${NX_SCOPES:-own all}; do
    without_memory "nxfetch pull" $scope "$most" "$nxfetch" pull "$URL_BASE/s.nxpk"
done
finish
