#!/bin/bash
# SPDX-License-Identifier: MIT
# The small guest from everywhere that a package can be: nxserve, nxserve as a CGI under Apache, a local file, a
# reference; and one with two disks.  It reads its disk whole and right, the second time from the cache, and
# leaves nothing behind.
. tests/lib/http.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
echo "accelerator: $ACCEL"

package tiny || die "packing"
disk_sum=$(cat "$GUEST/sha256")
publish "$PACKAGE"
size=$(stat -c %s "$PACKAGE")

# The guest is up, has read its files and then its whole disk, as they were made.
reads_its_disk() {
    talk 120 'expect:nxpk-guest ready' run:check-data run:check-disk >"$WORK/said" || die "the guest's checks"
    grep -q '^check-data OK' "$WORK/said" || die "check-data: $(cat "$WORK/said")"
    grep -q "^$disk_sum " "$WORK/said" || die "the guest's disk has another checksum: $(cat "$WORK/said")"
}

start_nxserve "$WORK/www" || die "nxserve"
new_cache
boot --trust "$TRUST" "$URL_BASE/tiny.nxpk"
talk 60 'expect:nxpk-guest ready'
echo "nxserve: ready after $(boot_seconds) s"
fresh_stats
same "state" "$(stat_of .state)" running
same "package_bytes" "$(stat_of .package_bytes)" "$size"
at_most "bytes to the ready line, of $size" "$(stat_of .bytes)" $((size * 60 / 100))
[ "$(stat_of .chunks_fetched)" -gt 0 ] || die "no chunk was fetched, and yet it runs"
talk 60 'poke:nxpk# ' run:check-data run:check-disk >"$WORK/said"
grep -q "^$disk_sum " "$WORK/said" || die "the guest's disk: $(cat "$WORK/said")"
power_off

boot --trust "$TRUST" "$URL_BASE/tiny.nxpk"
reads_its_disk
halt
same "chunks fetched by the second run" "$(stat_of .chunks_fetched)" 0
[ "$(stat_of .cache_hits)" -gt 0 ] || die "the second run used no chunk of the cache"
echo "nxserve, second run: no chunk fetched, $(stat_of .bytes) bytes"

# Pinned by a reference, no other trust is needed; what it pins is in the cache already.
"$BUILD/nxref" -k "$TRUST" "$URL_BASE/tiny.nxpk" "$WORK/tiny.netx" || die "nxref"
boot "$WORK/tiny.netx"
reads_its_disk
power_off
same "chunks fetched through the reference" "$(stat_of .chunks_fetched)" 0
echo "reference: boots"

new_cache
boot --trust "$TRUST" "$PACKAGE"
reads_its_disk
halt
echo "local file: boots"

status=0
start_apache "$WORK/www" --cgi || status=$?
[ $status = 0 ] || [ $status = 77 ] || die "Apache"
if [ $status = 0 ]; then
    new_cache
    boot --trust "$TRUST" "$URL_BASE/tiny.nxpk"
    reads_its_disk
    halt
    echo "CGI under Apache: boots"
fi

package two || die "packing two disks"
new_cache
boot --trust "$TRUST" "$PACKAGE"
talk 60 'expect:nxpk-second OK' 'expect:nxpk-guest ready' run:check-data
power_off
same "images in the package of two disks" "$(stat_of '.images | length')" 2
echo "two disks: both right"
