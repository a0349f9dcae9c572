# SPDX-License-Identifier: MIT
# What the benchmarks share.  Sourced by bash with the tree's root as its working directory.
# Machines are noisy: commands are run in pairs, one of each in turn, and what counts is the median of the ratios.

RUNS=${RUNS:-$([ -n "${QUICK:-}" ] && echo 1 || echo 5)}

# seconds COMMAND...: wall-clock seconds of a command on stdout; its own output goes to stderr.
seconds() {
    local start=$EPOCHREALTIME
    "$@" >&2 || return
    since "$start"
}

# since EPOCHREALTIME: the seconds since then.
since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.2f\n", b - a }'; }

# ratio A B; nothing if one of them is missing
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (a != "" && b > 0) printf "%.3f\n", a / b }'; }

# median [DIGITS]: of the numbers on stdin, with two digits behind the point; nothing if one of them is none.
median() {
    sort -n | awk -v digits="${1:-2}" '!/^-?[0-9.]+$/ { bad = 1 } { v[NR] = $1 }
        END { if (!bad && NR) printf "%." digits "f\n", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# pairs A B: run the functions A and B (each prints a figure) RUNS times in turn, after one run of each that does not
# count (without QUICK).  Sets MEDIAN_A, MEDIAN_B and RATIO, the median of A/B.
pairs() {
    local i a b as=() bs=() ratios=()
    [ -n "${QUICK:-}" ] || { "$1" >/dev/null && "$2" >/dev/null; } || return
    for ((i = 0; i < RUNS; i++)); do
        a=$("$1") && b=$("$2") || return
        as+=("$a") bs+=("$b")
        ratios+=("$(ratio "$a" "$b")")
    done
    MEDIAN_A=$(printf '%s\n' "${as[@]}" | median)
    MEDIAN_B=$(printf '%s\n' "${bs[@]}" | median)
    RATIO=$(printf '%s\n' "${ratios[@]}" | median 3)
}

# row WHAT OURS PEER RATIO [LIMIT]: LIMIT is what RATIO may be at most, or with a + in front at least.
row() {
    local reached=
    [ -z "${5:-}" ] || reached=$(awk -v ratio="$4" -v limit="$5" 'BEGIN {
        least = sub(/^\+/, "", limit)
        good = ratio != "" && (least ? ratio + 0 >= limit + 0 : ratio + 0 <= limit + 0)
        print (good ? "reached" : "NOT reached") " (" (least ? "≥ " : "≤ ") limit ")"
    }')
    printf '| %-50s | %10s | %10s | %6s | %s |\n' "${@:1:4}" "$reached"
}

# Debian's disk as a raw file: its path.
debian_raw() {
    local raw=$PWD/build/bench/debian.raw key=$PWD/build/bench/debian.key
    mkdir -p build/bench
    if ! cmp -s "$GUEST/key" "$key"; then
        rm -f "$key" build/bench/debian*.qcow2
        qemu-img convert -O raw "$GUEST/disk.qcow2" "$raw" && cp "$GUEST/key" "$key" || return
    fi
    echo "$raw"
}

# change_files DISK.raw: others in the bytes of whole files, chosen by the digest of their name, in place and so that they compress as
# before: each byte from 64 to 127 becomes the next one.  1 % of the bytes in all files from 4 KiB to 4 MiB.
change_files() {
    local dir mnt all left size path status
    dir=$(mktemp -d) && mnt=$dir/mnt && mkdir "$mnt" && mount -o loop,offset=1048576,noatime "$1" "$mnt" || return
    all=$(find "$mnt" -xdev -type f -printf '%s\n' | awk '{ n += $1 } END { printf "%.0f", n }')
    left=$((all / 100))
    find "$mnt" -xdev -type f -links 1 -size +4095c -size -4194305c -printf '%s %P\n' >"$dir/files"
    while read -r size path; do
        echo "$(sha256sum <<<"$path" | cut -c 1-16) $size $path"
    done <"$dir/files" | sort | while read -r _ size path && [ $left -gt 0 ]; do
        tr '\100-\177' '\101-\177\100' <"$mnt/$path" >"$dir/changed"
        dd if="$dir/changed" of="$mnt/$path" bs=1M conv=notrunc status=none
        left=$((left - size))
    done
    echo "of $all bytes in files, $((all / 100)) are changed" >&2
    umount "$mnt"
    status=$?
    rm -rf "$dir"
    return $status
}

# A new version of Debian's disk, of whose files' bytes 1 % have changed: its path.
changed_disk() {
    local raw new=$PWD/build/bench/debian-changed.raw
    raw=$(debian_raw) || return
    if [ ! -s "$new" ] || [ "$new" -ot "$raw" ]; then
        cp --sparse=always "$raw" "$new.making" && change_files "$new.making" && mv "$new.making" "$new" || return
    fi
    echo "$new"
}

# casync's chunks of both versions, old.caibx and new.caibx: their folder.
casync_store() {
    local raw new casync=$PWD/build/bench/casync
    raw=$(debian_raw) && new=$(changed_disk) || return
    if [ ! "$casync/new.caibx" -nt "$new" ]; then
        rm -rf "$casync" && mkdir "$casync" &&
            casync make --store="$casync/chunks.castr" "$casync/old.caibx" "$raw" >&2 &&
            casync make --store="$casync/chunks.castr" "$casync/new.caibx" "$new" >&2 || return
    fi
    echo "$casync"
}

# $PACKAGE with what it touches until it has settled laid first: its path.
trained_package() {
    local trained=${PACKAGE%.nxpk}-trained.nxpk
    if ! cmp -s "$PACKAGE.key" "$trained.key"; then
        cp "$PACKAGE" "$trained" && "$BUILD/nxpack" train -k "$KEY" "$trained" >&2 && cp "$PACKAGE.key" "$trained.key" || return
    fi
    echo "$trained"
}

# compressed_save NAME xz|zstd: of that guest, as small as it can be made: its path.
compressed_save() {
    local save=$PWD/build/guests/$1/$1.save made
    made=$save.$2
    if [ ! -s "$made" ] || [ "$made" -ot "$save" ]; then
        case $2 in
        xz) xz -T 2 -c "$save" ;;
        zstd) zstd -q -T2 -19 -c "$save" ;;
        esac >"$made.new" && mv "$made.new" "$made" || return
    fi
    echo "$made"
}

# local_machine STORAGE FORMAT: QEMU with the command line that nxfetch has for $GUEST's machine, but for its first disk, which is read
# from here: STORAGE is the members of a blockdev.  As boot of tests/lib/qemu.sh, which is sourced.  local_machine_off ends it.
local_machine() {
    local dir=$WORK/local argv
    BOOTS=$((BOOTS + 1))
    SERIAL=$WORK/serial-$BOOTS TRANSCRIPT=$WORK/guest-$BOOTS.log
    mkdir -p "$dir"
    qemu-img create -q -f qcow2 "$dir/disk0.qcow2" "$(qemu-img info --output=json "$GUEST/disk.qcow2" | jq '."virtual-size"')" &&
        "$BUILD/tools/machine-argv" -s "$dir/serial" "$GUEST/domain.xml" "$dir" >"$dir/argv" || return
    sed -i -e '/^-S$/d' -e "s|^file,id=charserial0,.*|socket,id=charserial0,path=$SERIAL,server=on,wait=off|" \
        -e "s|^{.*\"node-name\":\"nxpk-1-storage\".*|{$1,\"node-name\":\"nxpk-1-storage\",\"read-only\":true}|" \
        -e "/\"node-name\":\"nxpk-1-format\"/s|\"driver\":\"raw\"|\"driver\":\"$2\"|" "$dir/argv"
    mapfile -t argv <"$dir/argv"
    BOOT_START=$EPOCHREALTIME
    "${argv[@]}" >"$WORK/qemu.log" 2>&1 </dev/null &
    FETCH_PID=$!
}

local_machine_off() {
    kill -TERM "$FETCH_PID"
    wait "$FETCH_PID"
    FETCH_PID=
}
