# SPDX-License-Identifier: MIT
# For the tests of nxref check.  Sourced after tests/lib/pack.sh and tests/lib/http.sh; makes the folders $root and $other
# with the same package a.nxpk of $size bytes, and a certificate for localhost in $work/good.pem.

chmod 755 "$work"

root=$work/www other=$work/other
mkdir -p "$root" "$other"
content "$work/disk.raw" 8M
domain raw:"$work/disk.raw" >"$work/in.xml"
"$NXPACK" keygen -q "$work/a.pem" >/dev/null
"$NXPACK" -q -k "$work/a.pem" "$work/in.xml" "$root/a.nxpk" || exit 1
cp "$root/a.nxpk" "$other/a.nxpk"
size=$(stat -c %s "$root/a.nxpk")
# Old enough for Apache's ETag to be strong.
touch -d '2024-05-06 07:08:09 UTC' "$root"/* "$other"/*

# check URL [OPTION...]: the report into $report, its troubles' names into $ids, in a line.  A machine that is busy with
# other things may be slow: then once more.
report=$work/report
check() {
    local url=$1 try
    shift
    for try in 1 2 3; do
        "$NXREF" check --json "$@" "$url" >"$report" 2>"$work/err"
        status=$?
        ids=$(jq -r '[.findings[].id] | join(" ")' "$report") || fail "$url: no JSON" "$(cat "$report" "$work/err")"
        [ ! -s "$work/err" ] || fail "$url: on stderr" "$(cat "$work/err")"
        [ -z "${may_be_slow:-}" ] && has_id slow || break
    done
}
# of ID FIELD: what the report says of a trouble
of() { jq -r --arg id "$1" --arg field "$2" '.findings[] | select(.id == $id) | .[$field]' "$report"; }
has_id() { case " $ids " in *" $1 "*) ;; *) return 1 ;; esac; }

# finds WHAT ID [PATTERN]: it is among the troubles, with words that fit
finds() {
    checks=$((checks + 1))
    has_id "$2" || { fail "$1: $2 is not found" "found: $ids"; return 1; }
    [ -z "${3:-}" ] || grep -Eq -- "$3" <<<"$(of "$2" what)" || fail "$1: $2" "wanted: $3" "got:    $(of "$2" what)"
}
lacks() {
    checks=$((checks + 1))
    ! has_id "$2" || fail "$1: $2 is still found" "$(of "$2" what)"
}

# started STATUS NAME
started() {
    case $1 in
    0) return 0 ;;
    77) echo "$2 is not installed: not tried" ;;
    *) fail "$2 does not start" "$(tail -n 5 "$SERVER_LOG")" ;;
    esac
    return 1
}

stop_all() {
    local pid
    for pid in "${HTTP_PIDS[@]}"; do stop_server "$pid"; done
    HTTP_PIDS=()
}

# certificate NAME DAYS: for localhost.
certificate() {
    openssl req -x509 -newkey rsa:2048 -nodes -days "$2" -subj /CN=localhost -addext subjectAltName=DNS:localhost \
        -keyout "$work/$1.key" -out "$work/$1.pem" 2>"$work/openssl.log" || { cat "$work/openssl.log"; exit 1; }
    chmod 644 "$work/$1.key"
}
certificate good 90
nginx_tls="ssl_certificate $work/good.pem; ssl_certificate_key $work/good.key;"
good_ca=(--ca-cert "$work/good.pem")
