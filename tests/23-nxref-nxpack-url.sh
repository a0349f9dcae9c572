#!/bin/bash
# SPDX-License-Identifier: MIT
# nxref, and nxpack info of a URL, against a web server: what is pinned, and what is refused.
set -u
cd "$(dirname "$0")/.." || exit 1
tree=$PWD
. tests/lib/pack.sh
. tests/lib/http.sh
trap 'cd "$tree"; stop_servers; rm -rf "$work"' EXIT

root=$work/www
mkdir -p "$root/mirror" "$work/out"
content "$work/disk.raw" 8M
domain raw:"$work/disk.raw" >"$work/in.xml"
"$NXPACK" keygen -q "$work/a.pem" >/dev/null
"$NXPACK" keygen -q "$work/b.pem" >/dev/null
"$NXPACK" -q -k "$work/a.pem" "$work/in.xml" "$root/a.nxpk"
"$NXPACK" -q "$work/in.xml" "$root/unsigned.nxpk"
cp "$root/a.nxpk" "$root/mirror/a.nxpk"
cp "$root/a.nxpk" "$root/mirror/b.nxpk" && "$NXPACK" sign -q -k "$work/b.pem" "$root/mirror/b.nxpk"
"$NXPACK" -q -k "$work/a.pem" --serial 2 "$work/in.xml" "$root/mirror/other.nxpk"
head -c 100000 "$root/a.nxpk" >"$root/cut.nxpk"
head -c 300 "$root/a.nxpk" >"$root/cut-early.nxpk"
: >"$root/empty.nxpk"
cp "$work/disk.raw" "$root/disk.nxpk"
sed 's/<memory/<memOry/' "$root/a.nxpk" >"$root/forged.nxpk"

start_nxserve "$root" || exit 1
url=$URL_BASE
cd "$work" || exit 1
ref() { "$NXREF" -q "$@"; }
manifest=$("$NXPACK" info --json "$root/a.nxpk" | jq -r .manifest)

# ---- what a reference says ----
ok "nxref" ref "$url/a.nxpk" out/a.netx
is "its URL" 1 "$(grep -c "$url/a.nxpk" out/a.netx)"
is "its digest" 1 "$(grep -c "$manifest" out/a.netx)"
is "its signer" 1 "$(grep -c "$(sed -n 2p a.pub.pem)" out/a.netx)"
ok "is XML" xmllint --noout out/a.netx
ok "-k public" ref -k a.pub.pem "$url/a.nxpk" out/a.netx
ok "-k private" ref -k a.pem "$url/a.nxpk" out/a.netx
ok "replaced, with a mirror" ref "$url/a.nxpk" "$url/mirror/a.nxpk" out/a.netx
is "both URLs in order" "$url/a.nxpk $url/mirror/a.nxpk" "$(grep -o "$url/[a-z/]*.nxpk" out/a.netx | xargs)"
ok "vmnetx+http" ref "vmnetx+$url/a.nxpk" out/v.netx
is "without the scheme's prefix" 0 "$(grep -c vmnetx+http out/v.netx)"
ok "an unsigned package" ref "$url/unsigned.nxpk" out/u.netx
ok "info of a URL" "$NXPACK" info "$url/a.nxpk"
is "info of a URL: as of the file" "$("$NXPACK" info --json "$root/a.nxpk")" "$("$NXPACK" info --json "$url/a.nxpk")"
"$NXREF" "${url/:\/\//://me:secret@}/a.nxpk" out/s.netx 2>err || cat err
is "a warning of a password, without it" "1 0" "$(grep -c "warning: $url/a.nxpk: the reference has its user name and password" err) $(grep -c secret err)"
only out a.netx s.netx u.netx v.netx
rm out/*

# ---- what is refused ----
no() {
    refused "nxref: $*" 1 "$pattern" "$NXREF" "$@" out/x.netx
    only out
}
pattern='/a.nxpk: is signed by [0-9a-f]{64}, not by [0-9a-f]{64}'; no -k b.pub.pem "$url/a.nxpk"
pattern='/unsigned.nxpk: is not signed'; no -k a.pub.pem "$url/unsigned.nxpk"
pattern='/mirror/other.nxpk: is not the package at'; no "$url/a.nxpk" "$url/mirror/other.nxpk"
pattern='/mirror/b.nxpk: is signed otherwise than'; no "$url/a.nxpk" "$url/mirror/b.nxpk"
pattern='404'; no "$url/none.nxpk"
no "$url/a.nxpk" "$url/none.nxpk"
pattern='/cut.nxpk: truncated'; no "$url/cut.nxpk"
pattern='/cut-early.nxpk: truncated'; no "$url/cut-early.nxpk"
pattern='/empty.nxpk: '; no "$url/empty.nxpk"
pattern='/disk.nxpk: not an nxpk package'; no "$url/disk.nxpk"
pattern='/forged.nxpk: domain.xml is damaged'; no "$url/forged.nxpk"
pattern='nokey.pem: No such file'; no -k nokey.pem "$url/a.nxpk"
refused "nxpack info: 404" 1 '404' "$NXPACK" info "$url/none.nxpk"
refused "into nowhere" 1 'nowhere/x.netx: .*No such file' "$NXREF" "$url/a.nxpk" nowhere/x.netx

refused "usage: nothing" 2 'URL, mirrors and REFERENCE.netx wanted' "$NXREF"
refused "usage: no file" 2 'URL, mirrors and REFERENCE.netx wanted' "$NXREF" "$url/a.nxpk"
refused "usage: two URLs" 2 'the last argument is a URL' "$NXREF" "$url/a.nxpk" "$url/b.nxpk"
refused "usage: no URL" 2 '' "$NXREF" a.nxpk out/x.netx
refused "usage: ftp" 2 '' "$NXREF" ftp://localhost/a.nxpk out/x.netx
refused "usage: option" 2 "unrecognized option '--bar'" "$NXREF" --bar
ok "help" "$NXREF" --help
only out

# ---- TLS, and a server that does not know ranges ----
cd "$tree" || exit 1
if start_nginx_tls "$root" 'location = /all.nxpk { max_ranges 0; alias '"$root"'/a.nxpk; }'; then
    url=$URL_BASE ca=$(realpath "$CA_FILE")
    cd "$work" || exit 1
    pattern='certificate'; no "$url/a.nxpk"
    ok "TLS with --ca-cert" ref --ca-cert "$ca" "$url/a.nxpk" out/t.netx
    rm -f out/*
    pattern='range'; no --ca-cert "$ca" "$url/all.nxpk"
fi

finish
