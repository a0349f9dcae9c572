#!/bin/bash
# SPDX-License-Identifier: MIT
# docs/admin.md, command for command, taken out of the document itself: in a file system and a network of its own, with Debian's
# real servers as Debian sets them up.  Only systemctl is a stand-in (tests/lib/systemctl), for no systemd runs here.
#   48-admin-guide.sh                 the test
#   48-admin-guide.sh inside WORK     the same, called by itself in there
set -u
cd "$(dirname "$0")/.." || exit 1
guide=docs/admin.md

. tests/lib/guide.sh

if [ "${1:-}" != inside ]; then
    . tests/lib/http.sh
    . tests/lib/pack.sh
    trap 'stop_servers; rm -rf "$work"' EXIT
    [ "$(id -u)" = 0 ] || { echo 'only root can try what an admin does'; exit 77; }
    for server in nginx apache2 lighttpd caddy varnishd logrotate promtool; do
        http_find $server >/dev/null || { echo "$server is not installed"; exit 77; }
    done
    head -c 5M /dev/urandom >"$work/disk.raw"
    domain raw:"$work/disk.raw" >"$work/debian.xml"
    "$NXPACK" keygen -q "$work/a.pem" >/dev/null
    "$NXPACK" -q -k "$work/a.pem" -n debian "$work/debian.xml" "$work/debian.nxpk" || exit 1
    head -c 5M /dev/urandom >"$work/disk.raw"
    "$NXPACK" -q -k "$work/a.pem" -n museum --volume-size 2M "$work/debian.xml" "$work/museum.nxpk" || exit 1
    make_tls_certificate || exit 1
    # A certificate for the far server, which the guide's cache has to believe.
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=packages.example.org -addext subjectAltName=DNS:packages.example.org \
        -keyout "$work/far.key" -out "$work/far.pem" 2>/dev/null || exit 1
    unshare --mount --net --pid --fork --kill-child --propagation private bash "$0" inside "$work"
    exit
fi

# ---- inside: processes, network and mounts are our own ------------------------

work=$2
if [ "${3:-}" != rooted ]; then
    merged=$work/merged
    mkdir "$work/over" "$merged"
    ip link set lo up && echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start || exit 1 # units give that right to users
    mount -t tmpfs -o mode=755 over "$work/over" || exit 1
    mkdir "$work/over/"{root,root-work,tree,tree-work,in}
    cp "$work"/{debian.nxpk,museum.nxpk*,far.key,far.pem} "$work/over/in/"
    mount -t overlay -o "lowerdir=/,upperdir=$work/over/root,workdir=$work/over/root-work" over "$merged" &&
        mount -t proc proc "$merged/proc" && mount --rbind /dev "$merged/dev" &&
        mount -t tmpfs tmp "$merged/tmp" && mount -t tmpfs -o mode=755 run "$merged/run" &&
        mkdir -p "$merged$PWD" && # after /tmp, for the tree may stand there
        mount -t overlay -o "lowerdir=$PWD,upperdir=$work/over/tree,workdir=$work/over/tree-work" over "$merged$PWD" || exit 1
    mkdir "$merged/tmp/in" && mount --bind "$work/over/in" "$merged/tmp/in" && chmod 1777 "$merged/tmp" || exit 1
    exec chroot "$merged" bash "$PWD/tests/48-admin-guide.sh" inside /tmp/in rooted
fi
unset MAKEFLAGS MAKELEVEL TMPDIR
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root XDG_CACHE_HOME=/tmp/cache
case $BUILD in *clang*) export CC=clang ;; esac
mkdir -p /run/lock /run/apache2 /usr/local/sbin
install -m 755 tests/lib/systemctl /usr/local/sbin/systemctl
cp "$work"/{debian.nxpk,museum.nxpk*} . # the tree's own stays as it is: all of this is an overlay
cat "$work/far.pem" >>/etc/ssl/certs/ca-certificates.crt
rm -f /etc/nginx/sites-enabled/nxpk /etc/nginx/conf.d/nxpk* # whoever runs this may have followed the guide
known_as() { printf '%s localhost\n%s packages.example.org\n' 127.0.0.1 "$1" >/etc/hosts; }

failed=0 ran=()
# The far server: a static one elsewhere, as the guide makes it.
far_server() {
    known_as 127.0.0.2
    mkdir -p /tmp/far
    cat >/tmp/far/nginx.conf <<END
daemon on;
user www-data;
pid /tmp/far/pid;
error_log /tmp/far/error.log;
events {}
http {
    include /etc/nginx/mime.types;
    access_log /tmp/far/access.log;
    client_body_temp_path /tmp/far/body;
    server {
        listen 127.0.0.2:80;
        listen 127.0.0.2:443 ssl;
        ssl_certificate $work/far.pem;
        ssl_certificate_key $work/far.key;
        root /srv/nxpk;
        include /usr/local/share/nxpk/nginx/nxpk.conf;
    }
}
END
    rm -f /etc/nginx/sites-enabled/default # which is on port 80 of all addresses, also of the far server's
    nginx -c /tmp/far/nginx.conf
}
# Nothing is to go on from one server to the next, as on hosts of their own.
stop_all() {
    local name pid
    for name in nginx apache2 lighttpd caddy nxserve varnish; do systemctl stop $name; done
    pid=$(cat /tmp/far/pid 2>/dev/null) && kill "$pid" && timeout 10 tail --pid="$pid" -f /dev/null
    rm -rf /tmp/far /tmp/cache
    rm -f /etc/nginx/sites-enabled/nxpk /etc/nginx/conf.d/nxpk-cache.conf
    known_as 127.0.0.1
}
# follow SECTION: run what the guide has there
follow() {
    echo "$SECONDS s: $1"
    ran+=("$1")
    guide_script "$guide" "$1" >/tmp/commands
    [ "$(guide_commands "$guide" "$1" | wc -l)" -gt 0 ] || { echo "FAILED: the guide has no section \"$1\" with commands"; failed=$((failed + 1)); return 1; }
    bash /tmp/commands >/tmp/said 2>&1 </dev/null && return
    echo "FAILED: \"$1\""
    tail -n 15 /tmp/said
    tail -n 5 /run/stand-in/*.log 2>/dev/null
    failed=$((failed + 1))
}
known_as 127.0.0.1
follow Install
follow 'The packages'
for server in nginx Apache lighttpd Caddy; do
    follow $server && { follow 'Is it right?' || echo "  (by $server)"; }
    # It is this one that has answered.
    curl -sI http://packages.example.org/debian.nxpk | grep -qi "^server: $server" || { echo "FAILED: $server does not answer"; failed=$((failed + 1)); }
    [ $server != nginx ] || follow Volumes
    stop_all
done
follow 'nxserve as a service' && follow 'Its log' && follow 'Its figures'
stop_all
for cache in nginx Varnish; do
    far_server
    follow "$cache as the cache"
    # By way of the cache, each byte once.
    for tries in {1..50}; do # the far server writes a line when it has answered
        asked=$(awk '$9 == 200 || $9 == 206 { n += $10 } END { print n }' /tmp/far/access.log)
        [ "$asked" = "$(stat -c %s debian.nxpk)" ] && break
        sleep 0.2
    done
    [ $tries -lt 50 ] || { echo "FAILED: $cache as the cache: $asked bytes of $(stat -c %s debian.nxpk)"; failed=$((failed + 1)); }
    nxfetch -q pull http://127.0.0.1:8081/museum.nxpk || { echo "FAILED: volumes by way of $cache"; failed=$((failed + 1)); }
    stop_all
done

# Nothing in the guide was left out.
left=$(comm -23 <(guide_sections "$guide" | sort -u) <(printf '%s\n' "${ran[@]}" | sort -u))
[ -z "$left" ] || { echo "FAILED: not tried: $left"; failed=$((failed + 1)); }
echo "${#ran[@]} sections followed, $failed failed"
[ $failed = 0 ]
