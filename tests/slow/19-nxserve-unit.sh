#!/bin/bash
# SPDX-License-Identifier: MIT
# nxserve.service under a real systemd, in a real Debian: as it is installed, on port 80 as its head says, and with a certificate
# that systemd hands it.  (tests/19-nxserve-unit.sh runs nxserve under the same restrictions without systemd.)
. tests/lib/http.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
echo "accelerator: $ACCEL"
guest debian || exit
compiler=gcc
case $BUILD in *clang*) compiler=clang ;; esac

# A disk with what make install gives, what curl and nxserve need that this Debian lacks, and something to serve.
stage=$WORK/stage
make -s CC=$compiler B="$BUILD" DESTDIR="$stage/root" PREFIX=/usr/local install >"$WORK/make.log" 2>&1 || die "make install"
mkdir -p "$stage/lib" "$stage/root/srv/nxpk" "$stage/root/etc/nxserve"
cp "$(command -v curl)" "$stage/root/usr/local/bin/"
ldd "$BUILD/nxserve" "$(command -v curl)" | sed -n 's/.* => \(.*\) (.*/\1/p' | sort -u | xargs cp -Lt "$stage/lib"
seq 500000 >"$stage/root/srv/nxpk/a.nxpk"
sum=$(sha256sum <"$stage/root/srv/nxpk/a.nxpk" | cut -d ' ' -f 1)
make_tls_certificate && cp "$CA_FILE" "$stage/root/etc/nxserve/cert" && cp "$KEY_FILE" "$stage/root/etc/nxserve/key" || die "a certificate"
chmod 600 "$stage/root/etc/nxserve/key"
sed -n '/^#     \[Service\]/,/^#$/s/^#     //p' serve/nxserve.service.in >"$stage/port80.conf"
cat >"$stage/tls.conf" <<'END'
[Service]
Environment="NXSERVE_OPTIONS=--tls-cert %d/cert --tls-key %d/key"
LoadCredential=cert:/etc/nxserve/cert
LoadCredential=key:/etc/nxserve/key
END
cat >"$stage/try" <<'END'
#!/bin/bash
# try WHAT: run in the guest
unit=/etc/systemd/system/nxserve.service.d
drop_in() {
    rm -rf $unit && mkdir $unit && cp "/mnt/$1" $unit/ && systemctl daemon-reload && systemctl restart nxserve
}
same() { [ "$2" = "$3" ] || { echo "$1: got $2, not $3"; journalctl -u nxserve --no-pager | tail -n 20; exit 1; }; }
get() { curl -sS --retry 20 --retry-delay 1 --retry-connrefused --cacert /etc/nxserve/cert "$@"; }
status() { sed -n "s/^$1:\t//p" "/proc/$(systemctl show -P MainPID nxserve)/status"; }
case $1 in
install)
    set -e
    cp -r /mnt/root/. /
    for lib in /mnt/lib/*; do [ -e "/usr/lib/x86_64-linux-gnu/${lib##*/}" ] || [ -e "/lib/x86_64-linux-gnu/${lib##*/}" ] || cp "$lib" /usr/local/lib/; done
    ldconfig
    systemctl daemon-reload
    systemctl enable --now nxserve
    ;;
plain)
    same 'bytes' "$(get http://127.0.0.1:8080/a.nxpk | sha256sum | cut -d ' ' -f 1)" "$2"
    same 'a range' "$(get -r 10-19 -o /dev/null -w '%{http_code} %{size_download}' http://127.0.0.1:8080/a.nxpk)" '206 10'
    same 'several ranges' "$(get -r 0-9,100-109 -o /dev/null -w '%{http_code}' http://127.0.0.1:8080/a.nxpk)" 206
    same 'a listing' "$(get http://127.0.0.1:8080/ | grep -c '>a.nxpk<')" 1
    same 'figures' "$(get http://127.0.0.1:9113/metrics | sed -n 's/^nxserve_requests_total{code="206"} //p')" 2
    same 'their memory' "$(get http://127.0.0.1:9113/metrics | grep -c '^process_resident_memory_bytes [1-9]')" 1
    same 'room' "$(get http://127.0.0.1:9113/metrics | sed -n 's/^nxserve_connections_limit //p')" 4096
    same 'privileges' "$(status NoNewPrivs) $(status Seccomp) $(status CapEff) $(status CapBnd)" '1 2 0000000000000000 0000000000000000'
    [ "$(status Uid | cut -f 1)" -ge 61184 ] || { echo "its user is $(status Uid)"; exit 1; }
    same 'the log' "$(grep -c 'GET /a.nxpk HTTP/1.1" 206 10 ' /var/log/nxserve/access.log)" 1
    mv /var/log/nxserve/access.log /var/log/nxserve/access.log.1
    systemctl reload nxserve
    for n in {1..50}; do [ ! -e /var/log/nxserve/access.log ] || break; sleep 0.2; done
    get -r 0-0 -o /dev/null http://127.0.0.1:8080/a.nxpk
    for n in {1..50}; do ! grep -q 'HTTP/1.1" 206 1 ' /var/log/nxserve/access.log || break; sleep 0.2; done
    same 'the log after a rotation' "$(grep -c 'HTTP/1.1" 206 1 ' /var/log/nxserve/access.log)" 1
    same 'what it says' "$(journalctl -u nxserve --no-pager -o cat | grep -c '^nxserve: ')" 0
    systemd-analyze security --no-pager --threshold=13 nxserve | tail -n 1 || exit 1
    ;;
port80)
    drop_in port80.conf
    mkdir -p /srv/packages && cp /srv/nxpk/a.nxpk /srv/packages/
    systemctl restart nxserve
    same 'port 80' "$(get http://127.0.0.1/a.nxpk | sha256sum | cut -d ' ' -f 1)" "$2"
    same 'one capability' "$(status CapEff)" 0000000000000400
    ;;
tls)
    drop_in tls.conf
    same 'HTTPS' "$(get https://localhost:8080/a.nxpk | sha256sum | cut -d ' ' -f 1)" "$2"
    ;;
stop)
    systemctl stop nxserve
    same 'stopped' "$(systemctl show -P Result nxserve) $(systemctl show -P ExecMainStatus nxserve)" 'success 0'
    ;;
esac
echo "$1 is right"
END
truncate -s 128M "$WORK/stage.img" && mkfs.ext4 -q -F -d "$stage" "$WORK/stage.img" || die "a disk"

qemu-img create -q -f qcow2 -b "$GUEST/disk.qcow2" -F qcow2 "$WORK/overlay.qcow2" || die "an overlay"
BOOTS=1 SERIAL=$WORK/serial-1 TRANSCRIPT=$WORK/guest-1.log
qemu-system-x86_64 -M pc,accel=tcg -m 768M -smp 2 -nodefaults -no-user-config -display none \
    -drive "if=virtio,format=qcow2,file=$WORK/overlay.qcow2" -drive "if=virtio,format=raw,readonly=on,file=$WORK/stage.img" \
    -chardev "socket,id=s0,path=$SERIAL,server=on,wait=off" -serial chardev:s0 >"$WORK/qemu.log" 2>&1 </dev/null &
FETCH_PID=$! # which the end of the test ends
talk 900 'expect:nxpk-debian login:' send:root 'expect:Password:' send:nxpk 'expect:# ' \
    run:'mount -o ro /dev/vdb /mnt' run:'bash /mnt/try install' run:"bash /mnt/try plain $sum" run:"bash /mnt/try port80 $sum" \
    run:"bash /mnt/try tls $sum" run:'bash /mnt/try stop'
