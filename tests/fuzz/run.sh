#!/bin/sh
# SPDX-License-Identifier: MIT
# Fuzz the parsers: each target for SECONDS (default 10), with seeds from real files, clang's libFuzzer, ASan and UBSan.
#   tests/fuzz/run.sh [NAME]        only the targets whose name contains NAME
# What a run finds stays in build/fuzz/NAME/; a crash ends it with its reproducer's name.
set -eu
cd "$(dirname "$0")/../.."
seconds=${SECONDS_EACH:-${SECONDS:-10}}
case $seconds in 0 | '') seconds=10 ;; esac
out=build/fuzz
mkdir -p $out
echo "fuzz: building with clang"
make --no-print-directory CC=clang FUZZ=1 CFLAGS='-O1 -g -fno-omit-frame-pointer' \
    SANITIZE=fuzzer-no-link,address,undefined B=$out/build $out/build/formats.a $out/build/common.a >$out/build.log 2>&1 ||
    { tail -20 $out/build.log >&2; exit 1; }
libs=$(pkg-config --libs jansson libarchive libxml-2.0 libzstd libcrypto libcurl)
cflags=$(pkg-config --cflags libxml-2.0)

# Seeds: what our own tests hold, and pieces of a real package if one was built.
seeds() {
    dir=$out/$1/seeds
    mkdir -p "$dir"
    package=$(ls build/demo/*.nxpk build/guests/*/*.nxpk 2>/dev/null | head -n 1 || true)
    case $1 in
    domain) cp tests/data/domains/*.xml tests/guests/*.xml "$dir" 2>/dev/null || true ;;
    head) [ -z "$package" ] || head -c 65536 "$package" >"$dir/package" ;;
    manifest) [ -z "$package" ] || unzip -p "$package" manifest.xml >"$dir/manifest.xml" ;;
    index) printf '\000\000NXIX' >"$dir/page" ;;
    chunk) head -c 4096 Makefile | zstd -q -c >"$dir/frame" ;;
    migration | savefile)
        save=$(ls build/guests/tiny-saved/*.save 2>/dev/null | head -n 1 || true)
        [ -z "$save" ] || head -c 60000 "$save" >"$dir/save"
        [ "$1" = savefile ] || [ -z "$save" ] || tail -c "+$(($(LC_ALL=C grep -obaF QEVM "$save" | tail -n 1 | cut -d : -f 1) + 1))" "$save" | head -c 100000 >"$dir/save" ;;
    devicestate) head -c 4096 Makefile | zstd -q -c --no-check >"$dir/frame" ;;
    record) printf '{"nxpk-record":1,"images":[{"name":"a","content":"%064d","chunk-size":4096}],"touched":[[0,0,1]]}' 0 >"$dir/record" ;;
    reference) printf '<reference xmlns="http://olivearchive.org/xmlns/vmnetx/reference"><url>http://h/x</url></reference>' >"$dir/r.netx" ;;
    esac
}

for source in tests/fuzz/fuzz-*.c; do
    name=$(basename "$source" .c)
    name=${name#fuzz-}
    case $name in *"${1:-}"*) ;; *) continue ;; esac
    mkdir -p "$out/$name/corpus"
    seeds "$name"
    clang -O1 -g -fsanitize=fuzzer,address,undefined -std=gnu11 -D_GNU_SOURCE -DNX_VERSION='"fuzz"' -I. $cflags \
        "$source" $out/build/formats.a $out/build/common.a $libs -o "$out/$name/fuzz"
    echo "fuzz: $name for $seconds s"
    "$out/$name/fuzz" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -max_len=131072 -verbosity=0 \
        -print_final_stats=1 -artifact_prefix="$out/$name/" "$out/$name/corpus" "$out/$name/seeds" >"$out/$name/log" 2>&1 || {
        tail -n 40 "$out/$name/log" >&2
        echo "fuzz: $name: found something: see $out/$name/" >&2
        exit 1
    }
    grep -E 'number_of_executed_units|new_units_added' "$out/$name/log" | sed "s/^/  /"
done
