#!/bin/bash
# SPDX-License-Identifier: MIT
# Certificates, good and bad, from a real nginx: what is not believed is refused at once, with what to do about it; and
# --insecure takes them all, for what comes is verified anyway.
. tests/lib/http.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh

signing_key
head -c 1M /dev/urandom >"$WORK/disk.raw"
sed "s|@DIR@|$WORK|" tests/guests/tiny.xml >"$WORK/domain.xml"
"$BUILD/nxpack" -q -k "$KEY" "$WORK/domain.xml" "$WORK/www/a.nxpk" || die nxpack

pki=$WORK/pki
mkdir -p "$pki/new"

# authority NAME: a CA of our own.
authority() {
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=$1" -keyout "$pki/$1.key" -out "$pki/$1.pem" 2>>"$pki/log" ||
        die "$(cat "$pki/log")"
}

# certificate NAME CA ALTNAME FROM TO
certificate() {
    : >"$pki/index.txt"
    cat >"$pki/ca.cnf" <<END
[ca]
default_ca = ours
[ours]
database = $pki/index.txt
new_certs_dir = $pki/new
rand_serial = yes
default_md = sha256
policy = any
x509_extensions = extensions
[any]
commonName = supplied
[extensions]
subjectAltName = $3
END
    openssl req -newkey rsa:2048 -nodes -subj "/CN=$1" -keyout "$pki/$1.key" -out "$pki/$1.csr" 2>>"$pki/log" &&
        openssl ca -batch -notext -config "$pki/ca.cnf" -cert "$pki/$2.pem" -keyfile "$pki/$2.key" -startdate "$4" -enddate "$5" \
            -in "$pki/$1.csr" -out "$pki/$1.pem" 2>>"$pki/log" || die "$(cat "$pki/log")"
}

# What openssl calls a date, so many days from now.
day() { date -u -d "$1 days" +%y%m%d%H%M%SZ; }

authority ours
authority theirs
certificate good ours DNS:localhost "$(day -1)" "$(day 2)"
certificate expired ours DNS:localhost "$(day -3)" "$(day -1)"
certificate early ours DNS:localhost "$(day 1)" "$(day 2)"
certificate elsewhere ours DNS:other.example "$(day -1)" "$(day 2)"
certificate unknown theirs DNS:localhost "$(day -1)" "$(day 2)"

# serve NAME: by nginx, with this certificate.
serve() {
    local status=0
    http_start_nginx "$WORK/www" "include $PWD/nginx/nxpk.conf; ssl_certificate $pki/$1.pem;
        ssl_certificate_key $pki/$1.key;" 'ssl http2' || status=$?
    [ $status = 0 ] || { [ $status = 77 ] && exit 77; die "nginx"; }
    url=https://localhost:$SERVER_PORT/a.nxpk
}

# refused WHAT TEXT OPTION...: one line, at once, that says what is wrong and what to do.
refused() {
    local status=0 start=$SECONDS requests
    timeout 30 "$BUILD/nxfetch" pull "${@:3}" "$url" >"$WORK/out" 2>"$WORK/err" || status=$?
    [ $status = 1 ] && [ "$(wc -l <"$WORK/err")" = 1 ] && grep -qE "^nxfetch: $url: .*($2)\$" "$WORK/err" ||
        die "$1: status $status, $(cat "$WORK/err")"
    [ $((SECONDS - start)) -le 20 ] || die "$1: it was tried again and again"
    requests=$(wc -l <"$SERVER_ACCESS_LOG")
    same "$1: requests that the server has seen" "$requests" 0
    echo "$1: $(cut -d : -f 5- "$WORK/err")"
}

takes() {
    new_cache
    "$BUILD/nxfetch" pull "$@" "$url" >"$WORK/out" 2>"$WORK/err" || die "nxfetch pull $*: $(cat "$WORK/err")"
}

new_cache
serve good
refused "an authority that this host does not know" "--ca-cert FILE names another authority"
refused "another authority" "--ca-cert FILE names another authority" --ca-cert "$pki/theirs.pem"
named=$url url=https://127.0.0.1:$SERVER_PORT/a.nxpk
refused "an address instead of the name" "the certificate is for another host: use the name that it has" --ca-cert "$pki/ours.pem"
url=$named
takes --ca-cert "$pki/ours.pem"
stop_server "$SERVER_PID"

for bad in expired early elsewhere unknown; do
    case $bad in
    expired | early) remedy="the server's admin must renew it, unless the clock of this host is wrong" ;;
    elsewhere) remedy="the certificate is for another host: use the name that it has" ;;
    unknown) remedy="--ca-cert FILE names another authority" ;;
    esac
    new_cache
    serve $bad
    refused "$bad" "$remedy" --ca-cert "$pki/ours.pem"
    takes --insecure
    stop_server "$SERVER_PID"
done
