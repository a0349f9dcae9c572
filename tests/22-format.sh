#!/bin/bash
# SPDX-License-Identifier: MIT
# docs/FORMAT.md against a package: what common tools say, and a reader of a few lines of shell, written from the
# document alone with dd, od, zstd, sha256sum and openssl.
set -u
BUILD=$PWD/${BUILD:-build/gcc}
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
die() {
    echo "FAILED: $*" >&2
    exit 1
}

# A disk of three chunks: text, zeros, and 1,536 bytes of noise.
mkdir "$work/out"
disk=$work/disk.raw
yes 'a machine from a web server' | head -c 65536 >"$disk"
truncate -s 131072 "$disk"
head -c 1536 /dev/urandom >>"$disk"
sed "s|@DIR@|$work|" tests/guests/tiny.xml >"$work/domain.xml"
cd "$work" || exit
"$BUILD/nxpack" keygen key.pem >keygen.log || die keygen
"$BUILD/nxpack" -q -k key.pem domain.xml out.nxpk || die nxpack

# ---- What common tools say ----
[ "$(unzip -Z1 out.nxpk | tr '\n' ' ')" = 'mimetype manifest.xml manifest.sig signer.pem domain.xml index chunks ' ] ||
    die "unzip lists $(unzip -Z1 out.nxpk)"
[ "$(unzip -tq out.nxpk)" = 'No errors detected in compressed data of out.nxpk.' ] || die "unzip -t"
[ "$(file -b out.nxpk)" = 'Zip archive data, at least v1.0 to extract, compression method=store' ] || die "$(file out.nxpk)"
[ "$(unzip -p out.nxpk mimetype)" = application/x-vmnetx-package ] || die mimetype
unzip -q out.nxpk -d out manifest.xml manifest.sig signer.pem domain.xml || die unzip
[ "$(cd out && openssl pkeyutl -verify -pubin -inkey signer.pem -rawin -in manifest.xml -sigfile manifest.sig)" = \
    'Signature Verified Successfully' ] || die "openssl does not verify the signature"
cmp -s out/signer.pem key.pub.pem || die "signer.pem is not the key"
fingerprint=$(openssl pkey -pubin -in out/signer.pem -outform DER | sha256sum | cut -d ' ' -f 1)
grep -q "$fingerprint" keygen.log || die "nxpack keygen showed another fingerprint than $fingerprint"

# ---- A reader ----
xpath() { xmllint --xpath "string(//*[local-name()='$1']/@$2)" out/manifest.xml; }
[ "$(sha256sum <out/domain.xml | cut -d ' ' -f 1)" = "$(xpath domain sha256)" ] || die "digest of domain.xml"
span() { tail -c +$(($1 + 1)) out.nxpk | head -c "$2"; }  # OFFSET SIZE
number() { od -An -v -tu"$3" -j "$2" -N "$3" "$1" | tr -d ' '; } # FILE OFFSET SIZE
cmp -s <(span "$(xpath domain offset)" "$(xpath domain size)") out/domain.xml || die "domain.xml is elsewhere"
index=$(xpath index offset) chunks=$(xpath chunks offset) chunk_size=$(xpath image chunk-size) size=$(xpath image size)

span $((index + $(xpath root offset))) "$(xpath root size)" >page
[ "$(sha256sum <page | cut -d ' ' -f 1)" = "$(xpath root sha256)" ] || die "digest of the root page"
[ "$(head -c 4 page)" = NXIX ] || die "magic"
[ "$(number page 4 1)" = 0 ] || die "level: three chunks need one"
[ "$(number page 6 2)" = 2 ] || die "children: two chunks hold data"
[ "$(number page 8 1)" = $((1 | 4)) ] || die "bitmap: chunks 0 and 2"

le64() { for i in 0 1 2 3 4 5 6 7; do printf "\\x$(printf %02x $(($1 >> (8 * i) & 255)))"; done; }
truncate -s "$size" back.raw
{
    le64 "$size"
    le64 "$chunk_size"
} >content
entry=40
for n in 0 2; do
    offset=$(number page $entry 8) stored=$(number page $((entry + 8)) 4)
    span $((chunks + offset)) "$stored" >chunk
    [ "$(od -An -v -tx1 -j $((entry + 12)) -N 32 page | tr -d ' \n')" = "$(sha256sum <chunk | cut -d ' ' -f 1)" ] ||
        die "digest of chunk $n"
    whole=$((size - n * chunk_size < chunk_size ? size - n * chunk_size : chunk_size))
    if [ "$stored" = $whole ]; then cp chunk raw; else zstd -dqc chunk >raw; fi
    [ "$(stat -c %s raw)" = $whole ] || die "chunk $n has $(stat -c %s raw) bytes, not $whole"
    dd if=raw of=back.raw bs=$chunk_size seek=$n conv=notrunc status=none
    le64 $n >>content
    openssl sha256 -binary raw >>content
    entry=$((entry + 44))
done
cmp back.raw "$disk" || die "the disk reads differently"
[ "$(sha256sum <content | cut -d ' ' -f 1)" = "$(xpath image content)" ] || die "content digest"
echo "a reader in shell, from docs/FORMAT.md alone, read the disk back"
