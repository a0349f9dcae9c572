#!/bin/bash
# SPDX-License-Identifier: MIT
# The network goes away while a cold guest boots, and again while it works: for a second, and for OUTAGE, silent or
# refusing.  The machine waits, its user is told, and no error reaches the guest.
# GUEST: i686 has an IDE disk, whose driver would lose patience after 30 s if its clock did not stand still; tiny a virtio one.
. tests/lib/http.sh
. tests/lib/relay.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
GUEST_NAME=${GUEST:-i686} OUTAGE=${OUTAGE:-12}
echo "accelerator: $ACCEL; $GUEST_NAME, $OUTAGE s"
start_nginx "$WORK/www" || exit
start_relay -r 1000000 -d 2 || die "the relay does not start"
package "$GUEST_NAME" || die "packing"
publish "$PACKAGE"

chunks() { jq '[.images[]?.chunks_fetched] | add // 0' "$STATS" 2>/dev/null || echo 0; }
has_chunks() { [ "$(chunks)" -ge "$1" ]; }
more_chunks() { wait_for 60 "$FETCH_PID" has_chunks $(($(chunks) + $1)) || die "it reads nothing more"; }

new_cache
boot -v --trust "$TRUST" "$URL_BASE/$GUEST_NAME.nxpk"
more_chunks 1 # its firmware
outage 1 stop
more_chunks 20 # its loader
outage "$OUTAGE" cut
talk $((100 + OUTAGE)) 'expect:nxpk-guest ready'
echo "ready after $(boot_seconds) s, two outages among them"

# It reads its disk.
talk $((200 + 2 * OUTAGE)) run:check-data >"$WORK/said" &
talking=$!
more_chunks 10
outage 1 cut
more_chunks 10
outage "$OUTAGE" stop
wait $talking || die "the guest did not go on"
grep -q 'check-data OK' "$WORK/said" || die "its disk: $(cat "$WORK/said")"
talk 30 'run:dmesg' >"$WORK/dmesg.log"
! grep -iE 'i/o error|ext4-fs error|failed command|timed out|exception' "$WORK/dmesg.log" || die "the guest has seen it"
! grep 'read error' "$FETCH_LOG" || die "an error went to the guest"
grep 'the network' "$FETCH_LOG" | tail -n 1 | grep -q 'answers again' ||
    die "the user was not told that it goes on: $(cat "$FETCH_LOG")"
case $GUEST_NAME in
i686) at_least "times that it stood still" "$(grep -c 'the machine stands still' "$FETCH_LOG")" 2 ;;
*) ! grep 'the machine stands still' "$FETCH_LOG" || die "it stood still, although its disk is patient" ;;
esac
halt
echo "$OUTAGE s while it booted, $OUTAGE s while it worked: it went on"
