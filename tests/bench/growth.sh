#!/bin/bash
# SPDX-License-Identifier: MIT
# What grows, and what must not: the start-up index with the size of a sparse disk; the time until QEMU is started with
# the number of machines of one package on this host.
. tests/lib/http.sh
. tests/lib/relay.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
. tests/bench/lib.sh
signing_key
start_nginx "$WORK/www" >&2 || exit
sizes=(1 10 100 1024)
[ -z "${QUICK:-}" ] || sizes=(10 1024)

# 3,000 pieces of 4 KiB, all alike, and a MiB at each end, on a disk of so many GiB.
sparse_package() { # GIB
    local disk=$WORK/disk.raw
    rm -f "$disk"
    truncate -s "${1}G" "$disk" || return
    perl -e 'my ($path, $size) = @ARGV;
        open(my $disk, "+<", $path) or die; open(my $random, "<", "/dev/urandom") or die;
        read($random, my $end, 1 << 20); my $piece = substr($end, 0, 4096);
        sub put { sysseek($disk, $_[0], 0) and syswrite($disk, $_[1]) or die $! }
        put(0, $end); put($size - length $end, $end);
        put(int($size / 3002 / 65536 * $_) * 65536, $piece) for 1 .. 3000;' "$disk" $(($1 << 30)) || return
    sed "s|@DIR@|$WORK|; s|nxpk-tiny|nxpk-sparse-$1|" tests/guests/tiny.xml >"$WORK/domain.xml"
    "$BUILD/nxpack" -q -k "$KEY" "$WORK/domain.xml" "$WORK/www/sparse-$1.nxpk"
}

for gib in "${sizes[@]}"; do
    sparse_package $gib || die "a disk of $gib GiB"
    new_cache
    STATS=$WORK/stats-$gib.json
    mount_package "$URL_BASE/sparse-$gib.nxpk" --no-complete --trust "$TRUST" --stats "$STATS"
    halt
    requests=$(stat_of .requests_before_qemu) index=$(stat_of .index_bytes_before_qemu)
    row "sparse disk of $gib GiB: requests to start, of 2" "$requests" 2 "$(ratio "$requests" 2)" 1
    row '  bytes of index, of 64 KiB' "$index" 65536 "$(ratio "$index" 65536)" 1
done

# ---- many machines: nothing that can boot is on their disk, so that they idle in their firmware ----

# Hundredths of a second after the system's start when a process began.
began() { sed 's/.*) //' "/proc/$1/stat" | cut -d ' ' -f 20; }

machines=() started=() ran=() requests=()
at_end() {
    local status=$?
    [ ${#machines[@]} = 0 ] || kill -TERM "${machines[@]}" 2>/dev/null
    (exit $status)
    end_of_test
}
trap at_end EXIT
one_more() {
    boot --trust "$TRUST" --memory 32M --no-network "$URL_BASE/sparse-10.nxpk"
    machines+=("$FETCH_PID")
    local deadline=$((SECONDS + 60))
    until [ "$(jq -r '.times.qemu_started >= 0' "$STATS" 2>/dev/null)" = true ]; do
        kill -0 "$FETCH_PID" && [ $SECONDS -lt $deadline ] || die "machine ${#machines[@]}: $(cat "$FETCH_LOG")"
        sleep 0.05
    done
    started+=("$(awk -v a="$(began "$FETCH_PID")" -v b="$(began "$(part qemu)")" 'BEGIN { printf "%.2f", (b - a) / 100 }')")
    ran+=("$(stat_of .times.qemu_started)") requests+=("$(stat_of .requests)")
}

# machines_row WHICH FIRST COUNT [LIMIT]: their medians
machines_row() {
    local took
    took=$(printf '%s\n' "${started[@]:$2 - 1:$3}" | median)
    row "$1: seconds until QEMU is started, of 0.1" "$took" 0.1 "$(ratio "$took" 0.1)" "${4:-}"
    row '  seconds until it runs' "$(printf '%s\n' "${ran[@]:$2 - 1:$3}" | median)" '' ''
    row '  requests' "$(printf '%s\n' "${requests[@]:$2 - 1:$3}" | median | cut -d . -f 1)" '' ''
}

new_cache
for ((n = 1; n <= 50; n++)); do one_more; done
machines_row 'machine 1' 1 1
machines_row 'machine 2' 2 1 1
machines_row 'machines 6 to 10' 6 5 1
machines_row 'machines 41 to 50' 41 10 1
start_relay "${LINE_100M[@]}" || exit
one_more # at an address that is new to the cache
one_more
machines_row 'machine 52, over 100 Mbit/s and 40 ms' 52 1 1
pss=0
for pid in "${machines[@]}"; do
    for each in "$pid" $(FETCH_PID=$pid part nxfetch); do
        pss=$((pss + $(awk '/^Pss:/ { print $2 }' "/proc/$each/smaps_rollup")))
    done
done
row 'nxfetch for 52 machines: memory for each, KiB (Pss)' $((pss / 52)) '' ''
for pid in "${machines[@]}"; do kill -INT "$pid"; done
for pid in "${machines[@]}"; do FETCH_PID=$pid fetch_ended 30; done
machines=()
nothing_left
