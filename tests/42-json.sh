#!/bin/bash
# SPDX-License-Identifier: MIT
# --json: what each verb that has it prints is one JSON value with what its manual page says, and so is a failure, whose line
# on stderr and exit status stay as they are.
. tests/lib/http.sh
. tests/lib/pack.sh
trap 'stop_servers; rm -rf "$work"' EXIT
NXFETCH=$(realpath -m "$BUILD")/nxfetch NXSERVE=$(realpath -m "$BUILD")/nxserve
export HOME=$work XDG_CACHE_HOME=$work/cache XDG_CONFIG_HOME=$work/config
mkdir "$work/www"
content "$work/disk.raw" 2M
domain raw:"$work/disk.raw" >"$work/in.xml"

# json FILTER WANTED COMMAND...: it succeeds, says nothing on stderr, and jq finds that in its output
json() {
    local filter=$1 wanted=$2 status=0
    shift 2
    "$@" >"$work/out" 2>"$work/err" </dev/null || status=$?
    is "$*: status, stderr" '0 ' "$status $(cat "$work/err")"
    is "$*: one value" 1 "$(jq -s length "$work/out" 2>&1)"
    is "$*: $filter" "$wanted" "$(jq -c "$filter" "$work/out" 2>&1)"
}
# json_fails STATUS CODE TEXT COMMAND...: it fails, with the same words in JSON and on stderr
json_fails() {
    local wanted=$1 code=$2 text=$3 status=0
    shift 3
    "$@" >"$work/out" 2>"$work/err" </dev/null || status=$?
    is "$*: status" "$wanted" $status
    is "$*: its members" '["error"] ["code","message"]' "$(jq -c 'keys, (.error | keys)' "$work/out" 2>&1 | tr '\n' ' ' | sed 's/ $//')"
    is "$*: code" "$code" "$(jq -r .error.code "$work/out")"
    is "$*: the same words" "$(basename "$1"): $(jq -r .error.message "$work/out")" "$(grep -v '^Try ' "$work/err")"
    grep -qF -- "$text" "$work/err" || fail "$*" "wanted: $text" "got:    $(cat "$work/err")"
}

# ---- nxpack ----
json '[keys, .private, .public, (.fingerprint | length)]' "[[\"fingerprint\",\"private\",\"public\"],\"$work/a.pem\",\"$work/a.pub.pem\",64]" \
    "$NXPACK" keygen --json "$work/a.pem"
signer=$(jq -r .fingerprint "$work/out")
json_fails 1 system 'never overwritten' "$NXPACK" keygen --json "$work/a.pem"
json_fails 1 system 'never overwritten' "$NXPACK" keygen --js "$work/a.pem" # as getopt_long() has it
json_fails 2 usage 'means nothing' "$NXFETCH" power --js --offline off
json '[.name, .signer, .suspended, (.images | length)]' "[\"demo\",\"$signer\",false,1]" \
    "$NXPACK" -q --json -k "$work/a.pem" -n demo "$work/in.xml" "$work/www/demo.nxpk"
cp "$work/out" "$work/packed"
"$NXPACK" info --json "$work/www/demo.nxpk" | cmp - "$work/packed" || fail 'packing tells something else than info'
jq '{"nxpk-record": 1, images: [.images[] | {name, content, "chunk-size"}], touched: [range(20) | [0, 0, .]]}' "$work/packed" >"$work/record"
cp "$work/www/demo.nxpk" "$work/trained.nxpk"
json '[.name, .signer, (."boot-chunks-size" > 0)]' "[\"demo\",\"$signer\",true]" \
    "$NXPACK" train -q --json -k "$work/a.pem" --from "$work/record" "$work/trained.nxpk"
json_fails 1 system 'absent.xml' "$NXPACK" --json "$work/absent.xml" "$work/absent.nxpk"
size=$(stat -c %s "$work/www/demo.nxpk")
json '[.name, .signer, .size]' "[\"demo\",\"$signer\",$size]" "$NXPACK" info --json "$work/www/demo.nxpk"
json '[.file, .whole, .signer, .size]' "[\"$work/www/demo.nxpk\",true,\"$signer\",$size]" "$NXPACK" verify --json -k "$work/a.pub.pem" "$work/www/demo.nxpk"
json .packageable true "$NXPACK" validate --json "$work/in.xml"
json '[.domain, ."device-state", .images[0].format, (.images[0].file | split("/")[-1])]' '["domain.xml",null,"qcow2","disk0.qcow2"]' \
    "$NXPACK" unpack --json --format qcow2 "$work/www/demo.nxpk" "$work/unpacked"
[ -s "$(jq -r .images[0].file "$work/out")" ] || fail 'the unpacked file is not there' "$(cat "$work/out")"
cp "$work/www/demo.nxpk" "$work/www/unsigned.nxpk"
json '[keys, .signer]' '[["file","signer"],null]' "$NXPACK" sign --json --remove "$work/www/unsigned.nxpk"
json .signer null "$NXPACK" verify --json "$work/www/unsigned.nxpk"
json .signer "\"$signer\"" "$NXPACK" sign -k "$work/a.pem" --json "$work/www/unsigned.nxpk"
"$NXPACK" sign -q --remove "$work/www/unsigned.nxpk"
json_fails 1 trust 'is not signed' "$NXPACK" verify --json -k "$work/a.pub.pem" "$work/www/unsigned.nxpk"
json_fails 2 usage 'too few arguments' "$NXPACK" info --json
json_fails 2 usage 'not a number' "$NXPACK" verify --threads x --json "$work/www/demo.nxpk" # a mistake before it
cp "$work/www/demo.nxpk" "$work/www/rotten.nxpk"
dd if=/dev/zero of="$work/www/rotten.nxpk" bs=1 seek=$((size / 2)) count=64 conv=notrunc status=none
json_fails 1 format 'rotten.nxpk' "$NXPACK" verify --json "$work/www/rotten.nxpk"

# ---- nxserve ----
json_fails 1 system absent "$NXSERVE" --json --port 0 "$work/absent"
json_fails 2 usage 'exclude each other' "$NXSERVE" --json --access-log - "$work/www"
json_fails 2 usage 'takes no options' "$NXSERVE" --json config nginx
"$NXSERVE" --json -q --port 0 --metrics 0 "$work/www" >"$work/served" 2>"$work/err" &
http_started $!
served() { jq -e .url "$work/served" >/dev/null 2>&1; }
wait_for 20 $! served || fail 'nxserve --json says nothing' "$(cat "$work/err")"
is 'nxserve: its members' '["dir","metrics","port","url"]' "$(jq -c keys "$work/served")"
is 'nxserve: where it is' "$size" "$(curl -sSI "$(jq -r .url "$work/served")demo.nxpk" | tr -d '\r' | awk 'tolower($1) == "content-length:" { print $2 }')"
is 'nxserve: its port' "$(jq -r .url "$work/served")" "http://127.0.0.1:$(jq .port "$work/served")/"
curl -sS "$(jq -r .metrics "$work/served")" | grep -q ^nxserve_connections || fail 'no figures there' "$(cat "$work/served")"

# ---- nxref ----
start_nxserve "$work/www" || exit 1
url=$URL_BASE/demo.nxpk
json '[.reference, .signer, .urls]' "[\"$work/demo.netx\",\"$signer\",[\"$url\"]]" "$NXREF" --json -k "$work/a.pub.pem" "$url" "$work/demo.netx"
digest=$("$NXPACK" info --json "$work/www/demo.nxpk" | jq -r .manifest)
is 'the reference pins it' "$digest" "$(jq -r .manifest "$work/out")"
json '[.page, .machines]' "[\"$work/index.html\",1]" "$NXREF" --json --html "$work/index.html" "$url"
json_fails 1 server 'not found' "$NXREF" --json "$URL_BASE/absent.nxpk" "$work/absent.netx"
json_fails 2 usage 'URL' "$NXREF" check --json
"$NXREF" check --json "$url" >"$work/out" 2>"$work/err"
is 'nxref check' '["errors","findings"]' "$(jq -c '[keys[] | select(. == "errors" or . == "findings")]' "$work/out")"

# ---- nxfetch ----
json '[.name, .signer]' "[\"demo\",\"$signer\"]" "$NXFETCH" info --json "$url"
end=$(jq .size "$work/out") # without what the ZIP has behind it
[ "$end" -gt $((size - 2000)) ] || fail "info's size" "$end of $size"
json '[keys, .location, .name, .digest, .signer, .size]' "[[\"digest\",\"location\",\"name\",\"serial\",\"signer\",\"size\"],\"$url\",\"demo\",\"$digest\",\"$signer\",$end]" \
    "$NXFETCH" pull --json "$url"
json '[.signers[0].fingerprint, .signers[0].trusted, .signers[0].name, .signers[0].network, .forgotten]' "[\"$signer\",true,\"anna\",false,null]" \
    "$NXFETCH" trust add --json --name anna --no-network "$work/a.pub.pem"
json '.signers | length' 1 "$NXFETCH" trust list --json
cp "$work/out" "$work/list"
json '[.fingerprint, .urls]' "[\"$signer\",[]]" "$NXFETCH" trust show --json "$signer"
json '.signers[0] | [.fingerprint, .trusted]' "[\"$signer\",false]" "$NXFETCH" trust remove --json "$signer"
json '.signers' '[]' "$NXFETCH" trust list --json
json '.signers | map([.fingerprint, .name])' "[[\"$signer\",\"anna\"]]" "$NXFETCH" trust import --json "$work/list"
json_fails 1 trust 'nothing has run from there' "$NXFETCH" trust remove --json "$url"
json '[(.bytes > 0), .packages]' '[true,1]' "$NXFETCH" cache show --json
json '[(.good > 0), .bad]' '[true,0]' "$NXFETCH" cache verify --json
json .freed 0 "$NXFETCH" cache prune --json 1G
json '.freed > 0' true "$NXFETCH" cache clear --json
json_fails 1 server 'not found' "$NXFETCH" info --json "$URL_BASE/absent.nxpk"
json_fails 1 format rotten.nxpk "$NXFETCH" pull --json "$URL_BASE/rotten.nxpk"
json_fails 1 network 'not in the cache' "$NXFETCH" info --json --offline "$URL_BASE/other.nxpk"
json_fails 1 network 127.0.0.1 "$NXFETCH" info --json http://127.0.0.1:9/x.nxpk
json_fails 1 system 'No such file' "$NXFETCH" info --json "$work/absent.nxpk"
json_fails 2 usage 'is not an option' "$NXFETCH" info --json --bogus x.nxpk
json_fails 2 usage 'which machine' "$NXFETCH" --json
json_fails 2 usage 'exclude each other' "$NXFETCH" --json --serial=stdio "$url"
XDG_CONFIG_HOME=$work/nobody json_fails 1 trust 'not known here' "$NXFETCH" --json --display none "$url"
# A machine: when it has ended.
json '[.state, .verb, .name, .location, .resumed, (.seconds > 1)]' "[\"ended\",\"run\",\"demo\",\"$url\",false,true]" \
    "$NXFETCH" -q --json --accel tcg --display none --until 1 --trust "$work/a.pub.pem" "$url"
# A mount: when it is there.
bytes=$("$NXPACK" info --json "$work/www/demo.nxpk" | jq '.images[0].size')
mkdir "$work/mnt"
"$NXFETCH" mount -q --json --trust "$work/a.pub.pem" "$url" "$work/mnt" >"$work/mounted" 2>"$work/err" &
mount=$!
mounted() { jq -e .mounted "$work/mounted" >/dev/null 2>&1; }
wait_for 30 $mount mounted || fail 'mount --json says nothing' "$(cat "$work/err")"
is 'mount' "[$mount,\"$work/mnt\",[\"disk0\",\"$work/mnt/disk0\",$bytes]]" "$(jq -c '[.pid, .mounted, (.images[0] | [.name, .file, .size])]' "$work/mounted")"
cmp -n "$(stat -c %s "$work/disk.raw")" "$work/disk.raw" "$(jq -r '.images[0].file' "$work/mounted")" || fail 'its disk'
json '[.pid, .power]' "[$mount,\"stop\"]" "$NXFETCH" power --json stop
wait $mount
is 'its status, and one value' '0 1' "$? $(jq -s length "$work/mounted")"
# Without it stdout stays empty when something fails.
"$NXFETCH" info "$URL_BASE/absent.nxpk" >"$work/out" 2>/dev/null
is 'without --json' '' "$(cat "$work/out")"
finish
