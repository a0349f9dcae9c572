#!/bin/bash
# SPDX-License-Identifier: MIT
# build/guests/debian/trace: what Debian reads from its disk until its login prompt, and when (tests/tools/replay.c).
# It is booted once, by QEMU under TCG with an overlay, as nxfetch boots it; the overlay stands on nbdkit, which logs when
# each read began and ended.  Each takes 2 ms: in less a guest hardly ever asks for a second thing before it has the first,
# and all that could overlap would look as if it were one after the other.  About half a minute.
. tests/lib/guests.sh
. tests/lib/qemu.sh
. tests/bench/lib.sh
package debian >&2 || exit
trace=$GUEST/trace
[ ! -s "$trace" ] || [ "$trace" -ot tests/bench/lib.sh ] || exit 0 # which says what machine it is
raw=$(debian_raw) || exit

nbdkit -f -r -U "$WORK/nbd" --filter=log --filter=delay file "$raw" logfile="$WORK/reads" rdelay=2ms &
nbdkit=$!
until [ -S "$WORK/nbd" ]; do
    kill -0 $nbdkit 2>/dev/null || die "nbdkit"
    sleep 0.02
done
local_machine "\"driver\":\"nbd\",\"server\":{\"type\":\"unix\",\"path\":\"$WORK/nbd\"}" raw
talk 240 'expect:nxpk-debian login:'
prompt=$(date +%H:%M:%S.%6N)
local_machine_off
kill $nbdkit && wait $nbdkit

# "DATE TIME connection=N Read id=I offset=0x… count=0x… ..." and "… ...Read id=I return=0"
awk -v prompt="$prompt" '
    BEGIN { reads = after = 0 }
    function us(time, part) {
        split(time, part, ":")
        time = (part[1] * 3600 + part[2] * 60 + part[3]) * 1000000
        return time < first ? time + 86400 * 1000000 : time
    }
    function number(text, n, i) {
        sub(/^.*=0x/, "", text)
        for (i = 1; i <= length(text); i++)
            n = n * 16 + index("0123456789abcdef", substr(text, i, 1)) - 1
        return n
    }
    function line(offset, len) { printf "%d %d %.0f %d\n", after, us($2) - released, offset, len }
    $4 == "Read" {
        if (reads == 0)
            first = released = us($2)
        line(number($6), number($7))
        which[$5] = reads++
    }
    $4 == "...Read" && $6 == "return=0" {
        done[which[$5]] = 1
        for (; done[after]; after++)
            released = us($2)
    }
    END {
        $2 = prompt
        line(0, 0)
    }' "$WORK/reads" >"$trace.new" && [ "$(wc -l <"$trace.new")" -gt 500 ] || die "no trace: $(tail -n 3 "$WORK/reads")"
mv "$trace.new" "$trace"
