#!/bin/bash
# SPDX-License-Identifier: MIT
# A real Debian 12, packed from qcow2 with the domain XML that libvirt made, on nginx and on Apache with our
# snippets: it boots to its login prompt having fetched at most 35 % of the package, somebody logs in, the second
# run fetches no chunk but what it reads for the first time, and its disk read through nxfetch mount is the original.
. tests/lib/http.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
echo "accelerator: $ACCEL"

package debian || die "packing"
publish "$PACKAGE"
size=$(stat -c %s "$PACKAGE")

to_login() {
    talk 180 'expect:nxpk-debian login:'
    echo "$server: login prompt after $(boot_seconds) s"
}

# The chunks that a record says were used.
touched() { jq -r '.touched[] | "\(.[1]) \(.[2])"' "$1" | sort -u; }

for server in nginx apache; do
    status=0
    "start_$server" "$WORK/www" || status=$?
    [ $status != 77 ] || exit 77
    [ $status = 0 ] || die "$server does not start"
    url=$URL_BASE/debian.nxpk
    new_cache
    boot --keep-mac --trust "$TRUST" --record "$WORK/first.json" "$url"
    to_login
    sleep 0.3 # its statistics are no older
    fetched=$(stat_of .bytes)
    echo "$server: $fetched of $size bytes fetched, $((fetched * 100 / size)) %, in $(stat_of .requests) requests"
    at_most "bytes at the login prompt, of $size" "$fetched" $((size * 35 / 100))

    # Let it come to rest, so that the second run has nothing to read that the first had not.
    talk 120 'poke:login:' send:root 'expect:Password:' send:nxpk 'expect:# ' \
        run:'systemctl is-system-running --wait' run:'. /etc/os-release; echo "$ID $VERSION_ID"' >"$WORK/said"
    grep -qx 'debian 12' "$WORK/said" || die "that is not Debian 12: $(cat "$WORK/said")"
    halt

    boot --keep-mac --trust "$TRUST" --record "$WORK/second.json" "$url"
    to_login
    halt
    # Debian's own readahead depends on the moment: now and then a boot reads a chunk that the one before has not.
    new=$(comm -13 <(touched "$WORK/first.json") <(touched "$WORK/second.json") | wc -l)
    at_most "chunks fetched by the second run from $server, which used $new that the first had not" \
        "$(stat_of .chunks_fetched)" $((new < 12 ? 16 * new : 192)) # with what we read ahead behind them
    echo "$server, second run: $(stat_of .chunks_fetched) chunks fetched, $new of them new, $(stat_of .bytes) bytes"
done

new_cache
mount_package "$url" --trust "$TRUST"
same "size of ${IMAGE##*/}" "$(stat -c %s "$IMAGE")" $((2 << 30))
same "checksum of ${IMAGE##*/}" "$(sha256sum "$IMAGE" | cut -d ' ' -f 1)" "$(cat "$GUEST/sha256")"
echo "mount: ${IMAGE##*/} is the original disk"
halt
