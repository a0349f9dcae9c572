#!/bin/bash
# SPDX-License-Identifier: MIT
# nxfetch screenshot and nxfetch power, of real machines: one whose picture is known, reset; and a resumed Debian, whose systemd hears
# the power button and shuts down.
. tests/lib/http.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
. tests/lib/screens.sh
echo "accelerator: $ACCEL"
NXFETCH=$(realpath "$BUILD/nxfetch")
signing_key || die "a key"
drawing_disk "$WORK/disk.raw"
drawing_domain "$WORK/disk.raw" drawing >"$WORK/in.xml"
"$BUILD/nxpack" -q -k "$KEY" "$WORK/in.xml" "$WORK/drawing.nxpk" || die "packing"
new_cache
cd "$WORK" || exit 1

# ---- a picture, whenever it is asked for ----

FETCH_LOG=$WORK/drawing.log
"$NXFETCH" -v --accel "$ACCEL" --display none --trust "$TRUST" drawing.nxpk >"$FETCH_LOG" 2>&1 </dev/null &
FETCH_PID=$!
shot() { "$NXFETCH" screenshot "$@" 2>"$WORK/err"; }
is_drawn() { shot a.png && [ "$(pngtopnm a.png | ppmhist -noheader 2>/dev/null | wc -l)" = "$DRAWING_COLOURS" ]; }
wait_for 60 "$FETCH_PID" is_drawn || die "no picture: $(cat "$WORK/err" "$FETCH_LOG")"
same "its size" "$(pngtopnm a.png | head -n 2 | tail -n 1)" "$DRAWING_SIZE"
same "what is said of it" "$(cat "$WORK/err")" "nxfetch: a.png: a picture of the machine's screen"
# By name and by pid; over one that is there; several at a time, of which some may be told to try again.
shot a.png drawing && shot "$WORK/b.png" "$FETCH_PID" || die "a second picture: $(cat "$WORK/err")"
cmp -s a.png b.png || die "two pictures of what stands still differ"
for i in 1 2 3 4; do "$NXFETCH" -q screenshot "many-$i.png" >"many-$i.err" 2>&1 & pids[i]=$!; done
good=0
for i in 1 2 3 4; do
    if wait "${pids[i]}"; then
        cmp -s a.png "many-$i.png" || die "picture $i is another one"
        good=$((good + 1))
    else
        grep -q 'another picture is being taken: try again' "many-$i.err" || die "picture $i: $(cat "many-$i.err")"
    fi
done
[ $good -ge 1 ] || die "of four pictures none was taken"
# What cannot be written is the asker's failure, not the machine's.
mkdir folder.png
for file in nowhere/a.png folder.png; do
    ! shot $file || die "a picture in $file"
    grep -Eq "^nxfetch: drawing, pid $FETCH_PID: .*$file" "$WORK/err" || die "$file: $(cat "$WORK/err")"
done
same "it runs on" "$("$NXFETCH" status --json | jq -r '.[0].state')" running
same "nothing beside the pictures" "$(find . -maxdepth 1 -name '*.png*' | sort | grep -v many | tr '\n' ' ')" './a.png ./b.png ./folder.png '

# ---- the buttons ----

"$NXFETCH" power reset || die "power reset"
told 20 'the machine starts anew'
wait_for 60 "$FETCH_PID" is_drawn || die "it does not draw again: $(cat "$WORK/err" "$FETCH_LOG")"
"$NXFETCH" power off || die "power off" # it has no system that could hear
told 20 'power button was pressed'
same "it runs on" "$("$NXFETCH" status --json | jq -r '.[0].state')" running
"$NXFETCH" power stop || die "power stop"
fetch_ended 20
same "status after power stop" "$FETCH_STATUS" 0
nothing_left
echo "a picture by name and pid, $good of 4 at a time; reset; power button; stop"

cd "$OLDPWD" || exit 1
package debian-saved || die "packing"
publish "$PACKAGE"
start_nxserve "$WORK/www" || die "nxserve"
boot -v --no-cold --trust "$TRUST" "$URL_BASE/debian-saved.nxpk"
talk 60 'poke:root@nxpk-debian:~# '
same "its state" "$("$NXFETCH" status --json | jq -r '.[0] | "\(.state) \(.resumed)"')" "running true"
# Of what it has read most was in the boot set, fetched before.
"$NXFETCH" status --json | jq '.[0]' >"$WORK/status"
jq -e '(.images | has("memory")) and .images.memory.role == "memory" and (.images.memory.map.units | .read > .awaited)' "$WORK/status" >/dev/null ||
    die "its memory: $(jq -c '.images | map_values(del(.map.runs))' "$WORK/status")"
"$NXFETCH" power off || die "power off"
fetch_ended 150
same "status after the system has shut down" "$FETCH_STATUS" 0
nothing_left
echo "Debian shuts down by its power button; hit rate of its memory: $(jq .images.memory.hit_rate "$WORK/status")"
