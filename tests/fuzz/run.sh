#!/bin/sh
# SPDX-License-Identifier: MIT
# Fuzz the parsers with clang's libFuzzer, ASan and UBSan: each target first over its corpus, then for SECONDS (default 10).
#   tests/fuzz/run.sh [NAME]            only the targets whose name contains NAME
#   tests/fuzz/run.sh --merge [NAME]    instead, put what is new in build/fuzz into the corpus, as little as covers the same
# A target X is fuzz-X.c, with X.dict, corpus/X/ (minimised) and found/X/ (inputs that were bugs once: never removed).
# What a run finds stays in build/fuzz/X/; a crash ends it with its reproducer's name.
set -eu
cd "$(dirname "$0")/../.."
merge=
[ "${1:-}" != --merge ] || { merge=yes; shift; }
wanted=${1:-}
seconds=${SECONDS_EACH:-${SECONDS:-10}}
case $seconds in 0 | '') seconds=10 ;; esac
input_max=65536  # bytes
corpus_max=4096  # of what is kept in the tree
out=build/fuzz
mkdir -p $out
echo "fuzz: building with clang"
make --no-print-directory -j"$(nproc)" CC=clang FUZZ=1 CFLAGS='-O1 -g' LDFLAGS=-fsanitize=fuzzer \
    SANITIZE=fuzzer-no-link,address,undefined B=$out/build fuzz-programs >$out/build.log 2>&1 ||
    { tail -20 $out/build.log >&2; exit 1; }

# Seeds from what our tests hold and have made, where it is there; the corpus has grown from these.
seeds() {
    dir=$out/$1/seeds
    mkdir -p "$dir"
    package=$(ls build/*/packages/*.nxpk build/demo/*.nxpk 2>/dev/null | head -n 1 || true)
    save=$(ls build/guests/tiny-saved/*.save 2>/dev/null | head -n 1 || true)
    case $1 in
    domain) cp tests/data/domains/*.xml tests/guests/*.xml "$dir" 2>/dev/null || true ;;
    head) [ -z "$package" ] || head -c 65536 "$package" >"$dir/package" ;;
    manifest) [ -z "$package" ] || unzip -p "$package" manifest.xml >"$dir/manifest.xml" ;;
    index) printf '\000\000NXIX' >"$dir/page" ;;
    chunk) head -c 4096 Makefile | zstd -q -c >"$dir/frame" ;;
    devicestate) head -c 4096 Makefile | zstd -q -c --no-check >"$dir/frame" ;;
    savefile) [ -z "$save" ] || head -c 8000 "$save" >"$dir/save" ;;
    migration)
        [ -z "$save" ] || tail -c "+$(($(LC_ALL=C grep -obaF QEVM "$save" | tail -n 1 | cut -d : -f 1) + 1))" "$save" |
            head -c 65536 >"$dir/save" ;;
    key)
        openssl genpkey -algorithm ed25519 -out "$dir/private"
        openssl pkey -in "$dir/private" -pubout -out "$dir/public"
        openssl pkey -in "$dir/private" -aes256 -passout pass:x -out "$dir/encrypted"
        openssl ecparam -name prime256v1 -genkey -noout -out "$dir/ec" ;;
    esac
}

for source in tests/fuzz/fuzz-*.c; do
    name=$(basename "$source" .c)
    name=${name#fuzz-}
    case $name in *"$wanted"*) ;; *) continue ;; esac
    ours=$out/$name kept=tests/fuzz/corpus/$name fuzzer=$out/build/fuzz/fuzz-$name
    mkdir -p "$ours/corpus" "$kept"
    seeds "$name"
    if [ "$merge" ]; then
        rm -rf "$ours/merged"
        mkdir "$ours/merged"
        "$fuzzer" -merge=1 -max_len=$corpus_max -verbosity=0 "$ours/merged" "$kept" "$ours/corpus" "$ours/seeds" >"$ours/log" 2>&1 ||
            { tail -n 20 "$ours/log" >&2; exit 1; }
        rm -rf "$kept"
        mv "$ours/merged" "$kept"
        echo "fuzz: $name: $(ls "$kept" | wc -l) inputs, $(du -b --apparent-size -s "$kept" | cut -f 1) bytes"
        continue
    fi
    echo "fuzz: $name for $seconds s"
    set -- "$kept" "$ours/seeds"
    [ ! -d "tests/fuzz/found/$name" ] || set -- "$@" "tests/fuzz/found/$name"
    "$fuzzer" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -max_len=$input_max -verbosity=0 \
        -print_final_stats=1 -dict="tests/fuzz/$name.dict" -artifact_prefix="$ours/" "$ours/corpus" "$@" >"$ours/log" 2>&1 || {
        tail -n 40 "$ours/log" >&2
        echo "fuzz: $name: found something: see $ours/" >&2
        exit 1
    }
    grep -E 'number_of_executed_units|new_units_added' "$ours/log" | sed "s/^/  /"
done
