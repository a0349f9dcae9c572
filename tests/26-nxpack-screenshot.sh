#!/bin/bash
# SPDX-License-Identifier: MIT
# nxpack --screenshot and nxfetch --screenshot: the machine's screen as PNG, of a real machine whose picture is known; and what
# is refused.
. tests/lib/pack.sh
. tests/lib/screens.sh
NXFETCH=$(realpath "$BUILD/nxfetch")
export XDG_RUNTIME_DIR=$work/run HOME=$work XDG_CACHE_HOME=$work/cache
mkdir -m 700 "$XDG_RUNTIME_DIR"
mkdir "$work/out"
drawing_disk "$work/disk.raw"
drawing_domain "$work/disk.raw" >"$work/in.xml"
sed /video/d "$work/in.xml" >"$work/blind.xml"
sed "s/type='vga'/type='none'/" "$work/in.xml" >"$work/none.xml"
cd "$work" || exit 1

# ---- what is on it ----

ok "nxpack --screenshot" till_drawn out/a.png "$NXPACK" -q --screenshot --train=@ in.xml out/a.nxpk
only out a.nxpk a.png
is "its size" "$DRAWING_SIZE" "$(pngtopnm out/a.png | head -n 2 | tail -n 1)"
is "its colours" "$DRAWING_COLOURS" "$(colours_of out/a.png)"
picture=$(pngtopnm out/a.png | sha256sum)
ok "verify" "$NXPACK" verify -q out/a.nxpk
is "trained" true "$("$NXPACK" info --json out/a.nxpk | jq '."boot-chunks-size" > 0')"

cp out/a.nxpk out/b.other && chmod 600 out/b.other
ok "train --screenshot" till_drawn out/b.other.png "$NXPACK" train -q --screenshot --seconds=@ out/b.other
only out a.nxpk a.png b.other b.other.png
is "the same picture" "$picture" "$(pngtopnm out/b.other.png | sha256sum)"
is "it is for those who may read the package" '600 644' "$(stat -c %a out/b.other.png) $(stat -c %a out/a.png)"
rm out/b.*

ok "nxfetch --screenshot" till_drawn out/c.png "$NXFETCH" -q --display=none --no-network --allow-unsigned --until=@ --screenshot=out/c.png out/a.nxpk
is "the same picture" "$picture" "$(pngtopnm out/c.png | sha256sum)"
rm out/c.png
is "nothing is left of the run" '' "$(find "$XDG_RUNTIME_DIR" -name 'run-*')"

# ---- what is refused ----

echo old >out/a.png
before=$(hash_of out/a.nxpk)
for xml in blind none; do
    refused "no screen: $xml" 2 "$xml.xml: the machine has no screen \(<video>\)" "$NXPACK" --screenshot --train=2 $xml.xml out/a.nxpk
done
is "the package that was there" "$before" "$(hash_of out/a.nxpk)"
"$NXPACK" -q blind.xml out/blind.nxpk
refused "train: no screen" 2 'blind.nxpk: the machine has no screen' "$NXPACK" train --screenshot --seconds=6 out/blind.nxpk
refused "nxfetch: no screen" 2 '--screenshot: the machine has no screen' "$NXFETCH" --allow-unsigned --until=6 --screenshot=out/c.png out/blind.nxpk
rm out/blind.nxpk
refused "without --until" 2 'screenshot needs --until' "$NXFETCH" --screenshot=out/c.png out/a.nxpk
refused "with --no-train" 2 'screenshot and --no-train exclude each other' "$NXPACK" --screenshot --no-train in.xml out/a.nxpk
refused "with --from" 2 'from and --screenshot exclude each other' "$NXPACK" train --screenshot --from=x.json out/a.nxpk
refused "into nowhere" 1 'nowhere/c.png: ' "$NXFETCH" -q --display=none --no-network --allow-unsigned --until=1 --screenshot=nowhere/c.png out/a.nxpk
is "the picture that was there" old "$(cat out/a.png)"
mkdir out/d.png
refused "where a folder is" 1 'd.nxpk is written, but not its screenshot: ' "$NXPACK" -q --screenshot --train=1 in.xml out/d.nxpk
only out a.nxpk a.png d.nxpk d.png
finish
