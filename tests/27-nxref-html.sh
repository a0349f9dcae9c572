#!/bin/bash
# SPDX-License-Identifier: MIT
# nxref --html: what stands on the page for packages and references, here and on the web; that a hostile one gets nothing but
# text onto it; and what is refused.  How it looks: tests/28-nxref-page.sh.
set -u
cd "$(dirname "$0")/.." || exit 1
tree=$PWD
. tests/lib/pack.sh
. tests/lib/http.sh
. tests/lib/screens.sh
trap 'cd "$tree"; stop_servers; rm -rf "$work"' EXIT

root=$work/www
mkdir -p "$root/pictures" "$work/out"
content "$work/disk.raw" 8M
drawing_domain "$work/disk.raw" 'A Debian' 'First line.

  	
Second &lt;line&gt;.' >"$work/in.xml"
"$NXPACK" keygen -q "$work/a.pem" >/dev/null
"$NXPACK" keygen -q "$work/b.pem" >/dev/null
export SOURCE_DATE_EPOCH=1800000000 # 2027-01-15
"$NXPACK" -q -k "$work/a.pem" --expires=2030-12-31 "$work/in.xml" "$root/a.nxpk"
"$NXPACK" -q "$work/in.xml" "$root/unsigned.nxpk"
pnmtopng -quiet <(ppmmake red 64 40) >"$root/a.png"

start_nxserve "$root" || exit 1
url=$URL_BASE
cd "$work" || exit 1
page() { "$NXREF" -q --html=out/p.html "$@"; }
made() { # WHAT OPERAND...: the page is made, is well-formed XML, and HTML without a warning
    local what=$1
    shift
    ok "$what" page "$@"
    ok "$what: is XML" xmllint --noout --nonet out/p.html
    # Debian's tidy does not know yet that a <dl> may have groups (https://html.spec.whatwg.org/#the-dl-element).
    is "$what: is HTML" '' "$(sed -E 's,^<div>(<dt>.*</dd>)</div>$,\1,' out/p.html | tidy -q -e --drop-empty-elements no 2>&1)"
}
# xpath EXPRESSION: with h(NAME) for an element's name, since they are in a namespace
xpath() { xmllint --nonet --xpath "$(sed -E 's/h\(([a-z0-9]+)\)/*[local-name()="\1"]/g' <<<"$1")" out/p.html; }
string() { xpath "string($1)"; }
command_of() { string '//h(div)[@class="terminal"]//h(code)'; }
runs() { string '//h(a)[@class="run"]/@href'; }
human() { awk -v n="$1" 'BEGIN { for (u = 0; n >= 1024; u++) n /= 1024; printf "%.1f %s\n", n, substr("KiBMiBGiB", u * 3 - 2, 3) }'; }
picture() { string '//h(img)/@src' | sed 's/^data:image\/png;base64,//' | base64 -d | sha256sum; }

# ---- a package here that will be published ----

base=https://images.example.org/vm
made "a package" --base=$base "$root/a.nxpk"
is "its name" 'A Debian' "$(string '//h(h1)')"
is "its title" 'A Debian' "$(string '//h(title)')"
is "its description" 'First line.|Second <line>.' "$(string '//h(p)[@class="description"][1]')|$(string '//h(p)[@class="description"][2]')"
is "its paragraphs" 2 "$(xpath 'count(//h(p)[@class="description"])')"
is "Run" "vmnetx+$base/a.nxpk" "$(runs)"
is "Download" "$base/a.nxpk" "$(string '//h(a)[@class="other"]/@href')"
is "the command" "nxfetch $base/a.nxpk" "$(command_of)"
is "the signer" "$("$NXPACK" info --json "$root/a.nxpk" | jq -r .signer)" "$(string '//h(p)[@class="fingerprint"]')"
is "the picture" "$(sha256sum <"$root/a.png")" "$(picture)"
is "its alt text" 'The screen of A Debian after its start' "$(string '//h(img)/@alt')"
is "its size" '64 40' "$(string '//h(img)/@width') $(string '//h(img)/@height')"
fact() { string "//h(dt)[.='$1']/../h(dd)"; }
is "memory" '32.0 MiB' "$(fact Memory)"
is "disk" '8.0 MiB' "$(fact Disk)"
is "machine" 'x86_64, 1 CPU' "$(fact Machine)"
is "created" 2027-01-15 "$(fact 'Packed on')"
is "expires" 2030-12-31 "$(fact 'Good until')"
is "no boot set" "Boots at once, and fetches what it reads of $(human "$(stat -c %s "$root/a.nxpk")")" "$(string '//h(div)[@class="start"]')"
is "no script" 0 "$(xpath 'count(//h(script))')"
css=$(string '//h(style)' | sed -z 's/\n$//'; echo .) # the dot keeps the line's end
digest=$(printf %s "${css%.}" | openssl dgst -sha256 -binary | base64)
is "the policy" "default-src 'none'; style-src 'sha256-$digest'; img-src data:; base-uri 'none'; form-action 'none'" \
    "$(string '//h(meta)[@http-equiv="Content-Security-Policy"]/@content')"
is "no link to install from" 0 "$(xpath 'count(//h(section)//h(a))')"
# What has to be installed is what tests/debian-packages says.
for package in $(sed -n '/^# To build/,/^# To test/ { /^#/d; p }' "$tree/tests/debian-packages"); do
    grep -q " $package\( \|$\)" <<<"$(string '//h(section)//h(code)')" || fail "$package is not among what is to be installed"
done
first=$(hash_of out/p.html)
ok "again" page --base=$base/ "$root/a.nxpk"
is "the same page" "$first" "$(hash_of out/p.html)"

# What a start fetches: up to the end of the boot set.
cat >r.json <<EOF
{"nxpk-record":1,"images":[{"name":"disk0","content":"$("$NXPACK" info --json "$root/a.nxpk" | jq -r '.images[0].content')","chunk-size":65536}],"touched":[[0,0,3],[1,0,4]]}
EOF
cp "$root/a.nxpk" t.nxpk
"$NXPACK" train -q -k a.pem --from r.json t.nxpk || fail "training"
made "a trained one" --base=$base t.nxpk
start=$(unzip -p t.nxpk manifest.xml | xmllint --xpath 'string(//*[local-name()="index"]/@offset)' -)
start=$((start + $("$NXPACK" info --json t.nxpk | jq '."boot-index-size" + ."boot-chunks-size"')))
is "what a start fetches" "Boots after fetching $(human $start) of $(human "$(stat -c %s t.nxpk)")" "$(string '//h(div)[@class="start"]/h(p)')"
is "no picture" 0 "$(xpath 'count(//h(img))')"

# ---- on the web, and references ----

made "a URL" "vmnetx+$url/a.nxpk"
is "Run of a URL" "vmnetx+$url/a.nxpk" "$(runs)"
is "the command of a URL" "nxfetch $url/a.nxpk" "$(command_of)"
is "the picture of a URL" "$(sha256sum <"$root/a.png")" "$(picture)"
"$NXREF" -q "$url/a.nxpk" here.netx
"$NXREF" -q "$url/a.nxpk" "$root/there.netx"
made "a reference" here.netx
is "Run of a reference" ./here.netx "$(runs)"
is "the command of a reference" "nxfetch $url/a.nxpk" "$(command_of)"
is "the picture beside its package" "$(sha256sum <"$root/a.png")" "$(picture)"
pnmtopng -quiet <(ppmmake blue 8 8) >here.png
made "a reference with a base" --base=$base -k a.pub.pem here.netx
is "Run of a reference with a base" "vmnetx+$base/here.netx" "$(runs)"
is "its command" "nxfetch $base/here.netx" "$(command_of)"
is "its words" 'Reference (.netx)' "$(string '//h(a)[@class="other"]')"
is "the picture beside it" "$(sha256sum <here.png)" "$(picture)"
made "a reference on the web" "$url/there.netx"
is "Run of a reference on the web" "vmnetx+$url/there.netx" "$(runs)"
cp "$root/unsigned.nxpk" "$root/odd.nxpk"
echo '<svg onload="alert(1)"/>' >"$root/odd.png"
made "a picture that is none" "$url/odd.nxpk"
is "is left out" 0 "$(xpath 'count(//h(img))')"
"$NXREF" --html=out/p.html "$url/odd.nxpk" 2>&1 | grep -q 'warning: no screenshot: .*/odd.png: not a PNG picture' || fail "a picture that is none: it is not told"
rm "$root/odd.png"
is "no picture: no words" "nxref: out/p.html: offers 1 machine" "$("$NXREF" --html=out/p.html "$url/odd.nxpk" 2>&1)"
is "unsigned: the command" "nxfetch --allow-unsigned $url/odd.nxpk" "$(command_of)"
is "unsigned: the words" 'Not signed' "$(string '//h(div)[@class="signer unsigned"]/h(h2)')"

# ---- several ----

made "several" --base=$base --title='All & "everything" <b>' --install-from=https://git.example.org/nxpk.git "$root/a.nxpk" here.netx "$url/unsigned.nxpk"
is "their title" 'All & "everything" <b>' "$(string '//h(h1)')"
is "machines" 3 "$(xpath 'count(//h(article)[h(div)/h(h2)])')"
for i in 1 2 3; do
    is "link to machine $i" "A Debian" "$(string "//h(nav)//h(a)[@href='#machine-$i']")"
    is "machine $i" 1 "$(xpath "count(//h(article)[@id='machine-$i' and @aria-labelledby='name-$i'][.//h(h2)[@id='name-$i']])")"
done
is "names in Run" 'Run A Debian' "$(string '//h(a)[@class="run"]/@aria-label')"
is "how to install" 'git clone https://git.example.org/nxpk.git nxpk && cd nxpk' "$(string '//h(section)//h(code)' | head -n 1)"

# ---- hostile ----

evil='"&gt;&lt;/title&gt;&lt;/style&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;!-- &amp;amp; %s $(touch pwned) &#x202e;nxfetch ]]&gt; &#x85;'
drawing_domain "$work/disk.raw" "$evil" "&lt;/p&gt;&lt;img src=x onerror='alert(1)'&gt;
$evil
javascript:alert(1)" >evil.xml
name="a'b;touch pwned&\$(touch pwned)\`x\"<>.nxpk"
"$NXPACK" -q -k a.pem evil.xml "$name" || fail "packing"
# A plain one, with the same checks: no element of it is the package's.
tags() { xpath '//*' | grep -oE '<[a-zA-Z]+' | sort | uniq -c; }
plain_domain=$(drawing_domain "$work/disk.raw" plain 'a
b
c') && echo "$plain_domain" >plain.xml && "$NXPACK" -q -k a.pem plain.xml plain.nxpk
made "a plain one" --base=$base plain.nxpk
wanted=$(tags)
made "a hostile one" --base=$base "$name"
is "its elements" "$wanted" "$(tags)"
is "its name is text" '"></title></style><script>alert(1)</script><!-- &amp; %s $(touch pwned) ?nxfetch ]]> ?' "$(string '//h(h1)')"
is "its alt text" '' "$(string '//h(img)/@alt')"
is "attributes that could run something" 0 "$(xpath 'count(//@*[starts-with(name(), "on")])+count(//@style)')"
# Its command, pasted into shells, gives nxfetch one word, and does nothing else.
mkdir bin && printf '#!/bin/sh\nprintf "%%s\\n" "$#" "$@"\n' >bin/nxfetch && chmod +x bin/nxfetch
pasted() { # URL: for each shell
    local shell
    for shell in sh bash; do
        is "pasted into $shell" "1 $1" "$(PATH=$work/bin:$PATH $shell -c "$(command_of)" | xargs -0 echo | tr '\n' ' ' | sed 's/ *$//')"
    done
    [ ! -e pwned ] || fail "a pasted command did something else"
}
pasted "$base/a'b%3Btouch%20pwned%26%24(touch%20pwned)%60x%22%3C%3E.nxpk"
# A reference can name any URL; nxserve does not mind what stands behind "?".
sed "s|a.nxpk|a.nxpk?x=\&quot;\&gt;\&lt;script\&gt;'\&amp;touch\${IFS}pwned;\`touch\${IFS}pwned\`ü|" here.netx >evil.netx
made "a hostile reference" evil.netx
is "no element of it" 0 "$(xpath 'count(//h(script))')"
pasted "$url/a.nxpk?x=%22%3E%3Cscript%3E'&touch\$%7BIFS%7Dpwned;%60touch\$%7BIFS%7Dpwned%60%C3%BC"

# ---- what is refused ----

rm -f out/*
no() { # STATUS PATTERN ARGUMENT...
    local status=$1 pattern=$2
    shift 2
    refused "nxref --html $*" "$status" "$pattern" "$NXREF" --html=out/p.html "$@"
    only out
}
no 2 'www/a.nxpk: is a file here: say with --base' "$root/a.nxpk"
no 2 'packages or references, for the page wanted'
no 2 'too many arguments' $(seq 65)
refused "--base of a reference" 2 'are for --html' "$NXREF" --base=$base "$url/a.nxpk" out/x.netx
no 2 '--base: ftp://h/: not an http' --base=ftp://h/ "$root/a.nxpk"
no 2 '--base: https://h/: this address has a user name or password in it' --base=https://me:secret@h/ "$root/a.nxpk"
no 2 '/a.nxpk: this address has a user name' "${url/\/\//\/\/me:secret@}/a.nxpk"
no 2 '--install-from: .*not an http' --install-from=javascript:alert "$url/a.nxpk"
no 2 'title is not UTF-8' --title=$'\xff' "$url/a.nxpk"
no 1 'a.nxpk: is signed by [0-9a-f]{64}, not by' -k b.pub.pem "$url/a.nxpk"
no 1 'unsigned.nxpk: is not signed' -k a.pub.pem "$url/a.nxpk" "$url/unsigned.nxpk"
no 1 '404' "$url/a.nxpk" "$url/none.nxpk"
no 1 'none.nxpk: No such file' --base=$base none.nxpk
no 1 'disk.raw: ' --base=$base disk.raw
echo '<html>gone</html>' >p.netx
no 1 'p.netx:1: ' p.netx
sed "s|a.nxpk|unsigned.nxpk|" here.netx >other.netx
no 1 'other.netx: was made for another package than that at .*/unsigned.nxpk' other.netx
sed "s|sha256=\"[0-9a-f]*\"|sha256=\"$("$NXPACK" info --json "$root/unsigned.nxpk" | jq -r .manifest)\"|; s|a.nxpk|unsigned.nxpk|" here.netx >other.netx
no 1 'unsigned.nxpk: is not signed' other.netx
sed "s|a.nxpk|gone.nxpk|" here.netx >gone.netx
no 1 'gone.netx: .*404' gone.netx
sed "s|//127|//me:secret@127|" here.netx >secret.netx
no 2 'secret.netx: .*a user name or password' secret.netx
cp "$root/a.nxpk" cut.nxpk && head -c 60 "$root/a.png" >cut.png
no 1 'cut.png: ' --base=$base cut.nxpk
refused "into nowhere" 1 'nowhere/p.html: .*No such file' "$NXREF" --html=nowhere/p.html "$url/a.nxpk"
echo old >out/p.html
refused "a page that is there" 1 '404' "$NXREF" --html=out/p.html "$url/none.nxpk"
is "stays" old "$(cat out/p.html)"
only out p.html
finish
