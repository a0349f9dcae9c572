#!/bin/bash
# SPDX-License-Identifier: MIT
# nxpack ended at each of its stages, and at MOMENTS random moments: by Ctrl-C and the like it leaves nothing, by SIGKILL no more than
# temporary files that are called so; the package is there whole or not at all, and one that is trained in place stays as it was.
. tests/lib/guests.sh
. tests/lib/qemu.sh
SIGNALS=${SIGNALS:-INT KILL} MOMENTS=${MOMENTS:-0}
nxpack=$PWD/$BUILD/nxpack
guest tiny-saved || die "the guest"
save=$(packed_from)
signing_key
cd "$WORK" || exit
mkdir out
"$nxpack" -q --no-train -k "$KEY" "$save" whole.nxpk || die "packing"
whole=$(sha256sum <whole.nxpk)
count=0

# packing STAGE COMMAND...: nxpack, which then has told that it is so far, or has a machine running, as PACK_PID
packing() {
    local stage=$1 line=
    shift
    rm -f progress
    mkfifo progress
    bash -c 'exec "$@" --progress-fd 5 5>progress' - "$@" >said 2>&1 </dev/null &
    PACK_PID=$!
    exec 6<progress
    until [[ $line = *"\"$stage\""* ]] || { [ "$stage" = training ] && [ "$(ours qemu-system)" ]; }; do
        kill -0 "$PACK_PID" 2>/dev/null || die "it does not come to $stage: $(cat said)"
        read -r -t 0.1 line <&6
    done
}

# ended SIGNAL STATUS: by this signal; soon, with this status and all its children
ended() {
    local start=$EPOCHREALTIME status=0 took
    kill -"$1" "$PACK_PID"
    { wait "$PACK_PID"; } 2>/dev/null || status=$?
    same "status after $1" $status "$2"
    exec 6<&-
    until (nothing_left) >left 2>&1; do
        took=$(((${EPOCHREALTIME/./} - ${start/./}) / 1000))
        [ $took -lt 15000 ] || die "after $1: $(cat left)"
        sleep 0.05
    done
    took=$(((${EPOCHREALTIME/./} - ${start/./}) / 1000))
    at_most "milliseconds after $1" $took 15000
    [ "$1" = KILL ] || grep -q '^nxpack: .*interrupted$' said || die "after $1 it says: $(cat said)"
    count=$((count + 1))
}

# Nothing in out/ but what is named here, and, after SIGKILL, temporary files that are called so.
remains() {
    local signal=$1 left
    shift
    [ "$signal" != KILL ] || rm -f out/*.tmp
    left=$(ls -A out)
    same "files left after $signal" "$left" "$*"
}

for signal in $SIGNALS; do
    [ $signal = KILL ] && status=137 || status=1
    # Reading the save, compressing, writing the file, and running it to train.
    for stage in splitting packing writing training; do
        packing $stage "$nxpack" -k "$KEY" "$save" out/new.nxpk
        ended $signal $status
        remains $signal
    done
    cp whole.nxpk out/old.nxpk
    packing training "$nxpack" train -k "$KEY" out/old.nxpk
    ended $signal $status
    remains $signal old.nxpk
    same "the package that was to be trained" "$(sha256sum <out/old.nxpk)" "$whole"
    rm out/old.nxpk
done
echo "$count times ended: nothing is left, and no package is broken"

# A save is read twice: what changes in between is noticed.
cp "$save" changing.save
packing splitting "$nxpack" -k "$KEY" --no-train --ignore-times --level 15 --threads 1 changing.save out/new.nxpk
touch changing.save
status=0
{ wait "$PACK_PID"; } 2>/dev/null || status=$?
exec 6<&-
same "status when the save is written to" $status 1
grep -q 'changing.save: was written while it was read' said || die "when the save is written to it says: $(cat said)"
remains INT

for _ in $(seq "$MOMENTS"); do
    wait=$((RANDOM * 6000 / 32768))
    "$nxpack" -q -k "$KEY" "$save" out/new.nxpk >said 2>&1 &
    pid=$!
    sleep $((wait / 1000)).$(printf %03d $((wait % 1000)))
    kill -KILL $pid 2>/dev/null
    { wait $pid; } 2>/dev/null
    until (nothing_left) >left 2>&1; do sleep 0.05; done
    [ ! -e out/new.nxpk ] || "$nxpack" verify -q out/new.nxpk || die "killed after $wait ms: a broken package"
    rm -f out/new.nxpk
    remains KILL
done
[ "$MOMENTS" = 0 ] || echo "$MOMENTS times killed at random: whole, or not there"
