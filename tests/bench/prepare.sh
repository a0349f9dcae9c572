#!/bin/bash
# SPDX-License-Identifier: MIT
# What the benchmarks need and keep: the guests, the recorded boot, the trained package, a new version of the disk, compressed saves.
# Two are made at a time, for a boot under TCG has one processor; but a boot is recorded alone, for its pauses are to be the guest's own.
. tests/lib/guests.sh
. tests/bench/lib.sh
bash tests/bench/record.sh || exit
saved=(debian-saved debian-saved-1g debian-saved-2g debian-saved-4g)
[ -z "${QUICK:-}" ] || saved=(debian-saved)

make_it() {
    case $1 in
    trained) package debian && trained_package ;;
    newversion) package debian && casync_store ;;
    debian-saved) guest "$1" && compressed_save "$1" xz && { [ -n "${QUICK:-}" ] || compressed_save "$1" zstd; } ;;
    *) guest "$1" ;;
    esac
}

making=0
for what in trained newversion "${saved[@]}"; do
    [ $making -lt 2 ] || { wait -n && making=$((making - 1)); } || exit
    make_it "$what" &
    making=$((making + 1))
done
for ((; making > 0; making--)); do wait -n || exit; done
