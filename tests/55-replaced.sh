#!/bin/bash
# SPDX-License-Identifier: MIT
# The package is replaced on the server while its machine runs: the machine goes on with what is here, and waits for what
# is not; its user is told what happened.  When the old package comes back, the machine never knew.
. tests/lib/http.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
echo "accelerator: $ACCEL"

package tiny || die "packing"
cp -p "$PACKAGE" "$WORK/old.nxpk" && cp -p "$PACKAGE" "$WORK/www/a.nxpk" || die "copying"
head -c 64M /dev/urandom >"$WORK/disk.raw"
sed "s|@DIR@|$WORK|" tests/guests/tiny.xml >"$WORK/domain.xml"
"$BUILD/nxpack" -q -k "$KEY" "$WORK/domain.xml" "$WORK/new.nxpk" || die nxpack
start_nginx "$WORK/www" || exit

# put FILE: in the place of the package, as an admin should.
put() { cp -p "$1" "$WORK/www/.next" && mv "$WORK/www/.next" "$WORK/www/a.nxpk"; }

new_cache
boot --trust "$TRUST" "$URL_BASE/a.nxpk"
talk 100 'expect:nxpk-guest ready'
put "$WORK/new.nxpk"
[ "$(talk 30 'run:echo alive; cat /proc/uptime | wc -l')" = "alive
1" ] || die "it does not go on"
talk 100 run:check-data >"$WORK/said" &
talking=$!
told 30 "$URL_BASE/a.nxpk: the file has changed on the server"
told 30 'has not the bytes that the author signed: the file there is damaged or another version'
told 30 'waiting for the network: .* has not the bytes that the author signed'
kill -0 $talking 2>/dev/null || die "the guest was given something: $(cat "$WORK/said")"
put "$WORK/old.nxpk"
wait $talking || die "the guest did not go on"
grep -q 'check-data OK' "$WORK/said" || die "its disk: $(cat "$WORK/said")"
told 5 'the network answers again'
talk 30 'run:! dmesg | grep -iE "i/o error|ext4-fs error"' >/dev/null || die "the guest has seen an error"
! grep 'read error' "$FETCH_LOG" || die "an error went to the guest"
power_off

# For good: after a minute the user hears that the guest has got an error, and why (tests/slow/55-replaced.sh).
[ -n "${FOR_GOOD:-}" ] || exit 0
new_cache
boot --trust "$TRUST" "$URL_BASE/a.nxpk"
talk 100 'expect:nxpk-guest ready'
put "$WORK/new.nxpk"
"$BUILD/tools/guest-talk" -p "$FETCH_PID" "$SERIAL" 200 run:check-data >"$WORK/said" 2>&1 &
talking=$!
told 150 'the guest gets a read error: .*/a.nxpk: the chunk at offset [0-9]* has not the bytes that the author signed'
halt
wait $talking
! grep -q 'check-data OK' "$WORK/said" || die "check-data was happy with another disk"
