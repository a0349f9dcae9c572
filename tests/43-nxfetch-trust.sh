#!/bin/bash
# SPDX-License-Identifier: MIT
# Whom nxfetch trusts, from run to run: the question on a terminal, the verbs, changed signers, old and expired versions,
# unsigned packages.  What is said of each is tests/test-trust.c's; here the real program does it.
. tests/lib/http.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh

signing_key
"$BUILD/nxpack" keygen -q "$WORK/other.pem" >"$WORK/other.print" || die keygen
alice=$(openssl pkey -pubin -in "$TRUST" -outform DER | sha256sum | cut -c 1-64)
other=$(cat "$WORK/other.print")
head -c 300000 /dev/urandom >"$WORK/disk.raw"
truncate -s 1M "$WORK/disk.raw"
sed -e "s|@DIR@|$WORK|" -e "s|</name>|&<description>Draws a triangle. $(printf '%.0s-' {1..90}) signer fe\&#10;and more</description>|" tests/guests/tiny.xml >"$WORK/domain.xml"
pack() { "$BUILD/nxpack" -q "$@" "$WORK/domain.xml" "$WORK/www/a.nxpk" || die "nxpack $*"; }
start_nxserve "$WORK/www" || die nxserve
url=$URL_BASE/a.nxpk
new_cache
store=$HOME/.config/nxpk/trust.json

# refused PATTERN OPTION...: status 1, and one line that fits.
refused() {
    local pattern=$1 status=0
    shift
    timeout -k 5 60 "$BUILD/nxfetch" --accel tcg --display none "$@" >"$WORK/out" 2>"$WORK/err" </dev/null || status=$?
    [ $status = 1 ] && [ "$(wc -l <"$WORK/err")" = 1 ] && grep -qE -- "$pattern" "$WORK/err" ||
        die "nxfetch $*: status $status: $(cat "$WORK/err")" "wanted: $pattern"
}
# allowed OPTION...: it runs; LOG is what was said.
allowed() {
    timeout -k 5 60 "$BUILD/nxfetch" --accel tcg --display none --until=1 "$@" >"$WORK/out" 2>"$WORK/err" </dev/null ||
        die "nxfetch $*: status $?: $(cat "$WORK/err")"
    grep -q ' runs' "$WORK/err" || die "nxfetch $*: it does not run: $(cat "$WORK/err")"
}
# asked ANSWER OPTION...: on a terminal of its own, which only its foreground may read; what the terminal showed is in $WORK/shown, the status the command's.
asked() {
    local answer=$1 said pid in out
    shift
    coproc script -qec "timeout --foreground -k 5 60 $BUILD/nxfetch --accel tcg --display none --until=1 $*" /dev/null
    pid=$COPROC_PID in=${COPROC[0]} out=${COPROC[1]} # bash forgets them when it ends
    : >"$WORK/shown"
    while IFS= read -r -d : -t 60 said <&"$in"; do
        printf '%s:' "$said" >>"$WORK/shown"
        [[ $said != *'or [N]ot' ]] || echo "$answer" >&"$out"
    done
    printf %s "$said" >>"$WORK/shown"
    wait "$pid"
}
trust() { "$BUILD/nxfetch" trust "$@" >"$WORK/out" 2>"$WORK/err"; }

# ---- asked, once and always ----

pack -k "$KEY" --serial 5 --name "Tiny $(printf '\342\200\256')evil"
refused "a.nxpk: signed by $alice, who is not known here.*nxfetch trust add $alice" "$url"
[ ! -e "$store" ] || die "a refusal is noted"
status=0
asked n "$url" || status=$?
same "the status of no" "$status" 1
grep -qE '^  about       Draws a triangle\. -{46}\.\.\.' "$WORK/shown" || die "the description: $(cat "$WORK/shown")"
for text in 'Tiny ?evil' "$url" "$alice" '128.0 MiB of memory, 1 CPU, .*network.*; it boots'; do
    grep -q "$text" "$WORK/shown" || die "the question does not say \"$text\": $(cat "$WORK/shown")"
done
asked o "$url" || die "once: $(cat "$WORK/shown")"
grep -q ' runs' "$WORK/shown" || die "once: $(cat "$WORK/shown")"
refused 'who is not known here' "$url"
grep -q 'trusted from now on' "$WORK/shown" && die "once is for good: $(cat "$WORK/shown")"
asked a "$url" || die "always: $(cat "$WORK/shown")"
grep -q "${alice:0:16}….* is trusted from now on; to take it back: nxfetch trust remove ${alice:0:16}" "$WORK/shown" || die "always: $(cat "$WORK/shown")"
allowed "$url"
allowed "$WORK/www/a.nxpk" # wherever it lies
same "the store's mode" "$(stat -c %a "$store")" 600

# ---- the verbs ----

trust list || die "trust list: $(cat "$WORK/err")"
same "trust list" "$(cut -c 1-64 "$WORK/out")" "$alice"
trust show "$url" || die "trust show: $(cat "$WORK/err")"
grep -q 'has run here: Tiny ?evil, version 5' "$WORK/out" && grep -q "from: $url" "$WORK/out" || die "trust show: $(cat "$WORK/out")"
trust show --json "${alice:0:10}" || die "trust show: $(cat "$WORK/err")"
same "trust show --json" "$(jq -r '.trusted, .network, .urls[0]' "$WORK/out" | tr '\n' ' ')" "true true $url "
trust list --json && cp "$WORK/out" "$WORK/list.json"
trust remove "$alice" || die "trust remove: $(cat "$WORK/err")"
trust remove "$alice" && die "removed twice"
for wrong in no-such-key.pem "${alice:0:7}"; do
    trust remove "$wrong" && die "removed: $wrong"
    grep -q "$wrong: neither a file with a key, nor a fingerprint, nor the first 8 letters" "$WORK/err" || die "$wrong: $(cat "$WORK/err")"
done
refused '^nxfetch: --trust: no-such-key.pem: ' --trust no-such-key.pem "$url"
refused 'who is not known here' "$url"
trust import "$WORK/list.json" || die "import: $(cat "$WORK/err")"
allowed "$url"
trust remove "${alice:0:8}" || die "trust remove: $(cat "$WORK/err")"
cat "$TRUST" "$WORK/other.pub.pem" >"$WORK/both.pem"
trust import "$WORK/both.pem" || die "import: $(cat "$WORK/err")"
same "two keys" "$(cut -c 1-64 "$WORK/out" | sort | tr '\n' ' ')" "$(printf '%s\n' "$alice" "$other" | sort | tr '\n' ' ')"
trust remove "$alice" && trust remove "$other" || die "trust remove: $(cat "$WORK/err")"
"$BUILD/nxref" -k "$TRUST" "$url" "$WORK/a.netx" || die nxref
trust import "$WORK/a.netx" || die "import: $(cat "$WORK/err")"
allowed "$url"
trust add --no-network --name Alice "$TRUST" || die "trust add: $(cat "$WORK/err")"
allowed -vv "$url"
grep -q '"type":"user"' "$WORK/err" && die "it has a network"
allowed -vv --network "$url"
grep -q '"type":"user"' "$WORK/err" || die "--network gives none: $(grep -i net "$WORK/err")"

# ---- what must not change ----

trust list && cp "$store" "$WORK/before.json"
pack -k "$KEY" --serial 4 --name "Tiny $(printf '\342\200\256')evil"
refused "version 4 of 'Tiny .evil', but its signer's version 5 was run here before.*--allow-older" "$url"
allowed --allow-older "$url"
allowed "$WORK/www/a.nxpk"
"$BUILD/nxref" -k "$TRUST" "$url" "$WORK/a.netx" || die nxref
allowed "$WORK/a.netx"
pack -k "$WORK/other.pem"
trust add "$WORK/other.pub.pem" || die "trust add"
refused "ITS SIGNER HAS CHANGED: it is signed by $other now, and was signed by $alice .*nxfetch trust remove $url" "$url"
pack
refused 'ITS SIGNER HAS CHANGED: it is not signed now' --allow-unsigned "$url"
pack -k "$WORK/other.pem"
trust remove "$url" || die "trust remove: $(cat "$WORK/err")"
allowed "$url"
cmp -s "$store" "$WORK/before.json" && die "nothing was noted"
pack -k "$WORK/other.pem" --expires 2026-01-01
refused 'expired at 2026-01-01T23:59:59Z.*--allow-older' "$url"
allowed --allow-older "$url"
pack -k "$WORK/other.pem" --expires 2999-01-01
allowed "$url"
"$BUILD/nxpack" -q --expires tomorrow "$WORK/domain.xml" "$WORK/x.nxpk" 2>"$WORK/err" && die "--expires tomorrow"
grep -q 'expires tomorrow: not a date like' "$WORK/err" || die "$(cat "$WORK/err")"

# ---- unsigned ----

trust remove "$url" || die "trust remove"
pack
refused 'not signed, so anybody may have made it.*--allow-unsigned' "$url"
refused 'not signed, so anybody may have made it.*--allow-unsigned' "$WORK/www/a.nxpk"
allowed --allow-unsigned "$url"
allowed --allow-unsigned "$WORK/www/a.nxpk"

# ---- a store that is damaged, or cannot be written ----

echo '{' >"$store"
refused "$store: .*it says whom you trust" --trust "$TRUST" "$url"
rm "$store" "$store.lock" && rmdir "${store%/*}" && echo x >"${store%/*}"
pack -k "$KEY"
allowed --trust "$TRUST" "$url"
nothing_left
