#!/bin/bash
# SPDX-License-Identifier: MIT
# A state that cannot be loaded here is foretold, or noticed, and the machine boots, with one line that says why;
# --no-cold makes a failure of it.  The packages are made from saves whose domain or state was changed.
. tests/lib/http.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
echo "accelerator: $ACCEL"
guest tiny-saved || die "the guest"
signing_key
save=$GUEST/tiny-saved.save
size=$(stat -c %s "$save")
start_nginx "$WORK/www" || exit

# changed NAME FROM TO: a package of the save with FROM replaced by TO, which is as long, everywhere in it.
changed() {
    [ ${#2} = ${#3} ] || die "$1: not of one length"
    LC_ALL=C sed "s|$2|$3|g" "$save" >"$WORK/$1.save"
    ! cmp -s "$save" "$WORK/$1.save" && [ "$(stat -c %s "$WORK/$1.save")" = "$size" ] || die "$1: nothing was changed"
    "$BUILD/nxpack" -q -k "$KEY" --no-train "$WORK/$1.save" "$WORK/www/$1.nxpk" || die "packing $1"
}

# cold NAME PATTERN [OPTION...]: it boots, one line fits the pattern; and with --no-cold it does not.
cold() {
    local name=$1 pattern=$2 lines
    shift 2
    new_cache
    boot --trust "$TRUST" "$@" "$URL_BASE/$name.nxpk"
    told 60 'instead of resuming it' # not before: the QEMU that refuses the state has this serial port, too
    talk 90 'expect:nxpk-guest ready' >/dev/null
    fresh_stats
    same "$name: resumed" "$(stat_of .resumed)" false
    lines=$(grep -c 'booting the machine instead of resuming it: ' "$FETCH_LOG")
    same "$name: lines that say why" "$lines" 1
    grep -qE "instead of resuming it: .*$pattern" "$FETCH_LOG" || die "$name: $(cat "$FETCH_LOG")"
    halt
    boot --no-cold --trust "$TRUST" "$@" "$URL_BASE/$name.nxpk"
    fetch_ended 30
    same "$name: status with --no-cold" "$FETCH_STATUS" 1
    grep -qE "cannot be resumed: .*$pattern" "$FETCH_LOG" || die "$name, --no-cold: $(cat "$FETCH_LOG")"
    nothing_left
    echo "$name: $(grep -o 'cannot be resumed: .*' "$FETCH_LOG")"
}

changed machine pc-i440fx-7.2 pc-i440fx-9.9
# With a machine type that is not known it cannot boot either.
new_cache
boot --trust "$TRUST" "$URL_BASE/machine.nxpk"
fetch_ended 30
same "machine: status of the boot" "$FETCH_STATUS" 1
grep -q 'instead of resuming it: .*does not know the machine type pc-i440fx-9.9' "$FETCH_LOG" || die "$(cat "$FETCH_LOG")"
nothing_left
new_cache
boot --no-cold --trust "$TRUST" "$URL_BASE/machine.nxpk"
fetch_ended 30
same "machine: status" "$FETCH_STATUS" 1
grep -q 'cannot be resumed: .*does not know the machine type pc-i440fx-9.9' "$FETCH_LOG" || die "$(cat "$FETCH_LOG")"
at_most "machine: bytes fetched" "$(stat_of .bytes)" 70000

changed cpu "<model fallback='forbid'>qemu64</model>" "<model fallback='allow'>Haswell</model>"
cold cpu 'its processor Haswell has .*cannot be emulated'
at_most "cpu: bytes fetched before the refusal" "$(stat_of .bytes)" 70000
changed kvm "<domain type='qemu'>" "<domain type='kvm' >"
cold kvm 'saved under KVM'

# In the description of the processor's state: its version is one that no QEMU knows.
section=cpu_common # then u32 instance, u32 version
offset=$(LC_ALL=C grep -obaF $section "$save" | head -n 1 | cut -d : -f 1)
[ -n "$offset" ] || die "there is no section $section"
cp -p "$save" "$WORK/state.save"
printf '\xff' | dd of="$WORK/state.save" bs=1 seek=$((offset + ${#section} + 4 + 3)) conv=notrunc status=none
"$BUILD/nxpack" -q -k "$KEY" --no-train "$WORK/state.save" "$WORK/www/state.nxpk" || die "packing state"
cold state 'QEMU does not take the saved state: .*cpu_common'

cp -p "$save" "$WORK/www/plain.save"
"$BUILD/nxpack" -q -k "$KEY" --no-train "$save" "$WORK/www/plain.nxpk" || die "packing plain"
cold plain 'change it' --memory 256M
# --cold is no failure, and asks for no reason.
new_cache
boot --cold --trust "$TRUST" "$URL_BASE/plain.nxpk"
talk 90 'expect:nxpk-guest ready' >/dev/null
same "plain --cold: resumed" "$(stat_of .resumed)" false
! grep -q 'instead of resuming' "$FETCH_LOG" || die "--cold gives a reason: $(cat "$FETCH_LOG")"
halt

# Anybody may have made what is not signed: from the web it boots, whatever the user allows; a file of his own resumes.
"$BUILD/nxpack" -q --no-train "$save" "$WORK/www/unsigned.nxpk" || die "packing unsigned"
new_cache
boot --allow-unsigned "$URL_BASE/unsigned.nxpk"
told 60 'instead of resuming it: it is not signed'
talk 90 'expect:nxpk-guest ready' >/dev/null
fresh_stats
same "unsigned: resumed" "$(stat_of .resumed)" false
halt
boot --allow-unsigned --no-cold "$WORK/www/unsigned.nxpk"
talk 60 'poke:nxpk# ' >/dev/null
halt
