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

# ratio A B
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.3f\n", a / b }'; }

# The median of the numbers on stdin.
median() { sort -n | awk '{ v[NR] = $1 } END { printf "%.2f\n", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

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
    RATIO=$(printf '%s\n' "${ratios[@]}" | median)
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

# local_machine BACKING FORMAT: QEMU with the command line that nxfetch would run for $PACKAGE, on an overlay over a disk that
# is here: as boot of tests/lib/qemu.sh, which is sourced.  local_machine_off ends it.
local_machine() {
    local info memory cpus
    info=$("$BUILD/nxpack" info --json "$PACKAGE") || return
    memory=$(jq -r '.machine.memory / 1048576 | floor' <<<"$info")M
    cpus=$(jq -r .machine.cpus <<<"$info")
    BOOTS=$((BOOTS + 1))
    SERIAL=$WORK/serial-$BOOTS TRANSCRIPT=$WORK/guest-$BOOTS.log
    qemu-img create -q -f qcow2 -b "$1" -F "$2" "$WORK/overlay.qcow2" || return
    BOOT_START=$EPOCHREALTIME
    qemu-system-x86_64 -M pc-i440fx-7.2,accel=tcg -m "$memory" -smp "$cpus" -nodefaults -no-user-config -display none \
        -drive "if=none,id=d0,format=qcow2,file=$WORK/overlay.qcow2" -device virtio-blk-pci,drive=d0 \
        -netdev user,id=n0 -device virtio-net-pci,netdev=n0 \
        -chardev "socket,id=s0,path=$SERIAL,server=on,wait=off" -serial chardev:s0 >"$WORK/qemu.log" 2>&1 </dev/null &
    FETCH_PID=$!
}

local_machine_off() {
    kill -TERM "$FETCH_PID"
    wait "$FETCH_PID"
    FETCH_PID=
}
