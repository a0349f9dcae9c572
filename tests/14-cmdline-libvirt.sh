#!/bin/bash
# SPDX-License-Identifier: MIT
# Is our command line in libvirt's layout?  A real libvirt (its session daemon, unprivileged) defines and starts
# the machines in tests/data/domains; its log has the command line that it used, which must be ours
# in everything that a saved state refers to: devices with their ids, buses and addresses, in this order.
set -u
cd "$(dirname "$0")/.." || exit 1
ARGV=$PWD/$BUILD/tools/machine-argv
for program in libvirtd virsh qemu-system-x86_64 jq; do
    command -v $program >/dev/null || [ -x /usr/sbin/$program ] || { echo "no $program"; exit 77; }
done
work=$(mktemp -d "${TMPDIR:-/tmp}/nxpk-libvirt.XXXXXX") || exit 1
daemon=
stop() {
    if [ -n "$daemon" ]; then
        kill "$daemon" 2>/dev/null
        wait "$daemon" 2>/dev/null
    fi
    rm -rf "$work"
}
trap stop EXIT
failed=0 compared=0

fail() {
    failed=$((failed + 1))
    echo "FAILED: $1"
}

# libvirtd is the system's own as root, so root becomes nobody for it.
mkdir -p "$work/run" "$work/home/images/.config/libvirt/qemu/nvram"
chmod 700 "$work/run"
user=()
if [ "$(id -u)" = 0 ]; then
    user=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
    chown -R nobody:nogroup "$work"
fi
as_user=("${user[@]}" env -i PATH="$PATH:/usr/sbin" HOME="$work/home" XDG_RUNTIME_DIR="$work/run"
    LIBVIRT_AUTOSTART=0)
virsh() { "${as_user[@]}" virsh -q -c qemu:///session "$@"; }

"${as_user[@]}" libvirtd >"$work/libvirtd.log" 2>&1 &
daemon=$!
until virsh uri >/dev/null 2>&1; do
    kill -0 $daemon 2>/dev/null || { echo "libvirtd does not start: $(tail -n 1 "$work/libvirtd.log")"; exit 77; }
    sleep 0.1
done

# The domain for libvirt, with its images, small and empty, below our folder.  <firmware> goes: libvirt writes it
# for a running domain, but does not take it back.
make_images() {
    local path
    sed "s:/home/author:$work/home/images:g; /<firmware>/,/<\/firmware>/d" "$1" >"$work/domain.xml"
    for path in $(sed -n "s/.*<source file=['\"]\([^'\"]*\)['\"].*/\1/p" "$work/domain.xml"); do
        case $path in
        *.qcow2) "${as_user[@]}" qemu-img create -q -f qcow2 "$path" 1M ;;
        */d.img) "${as_user[@]}" truncate -s 1474560 "$path" ;;
        *) "${as_user[@]}" truncate -s 1M "$path" ;;
        esac
    done
}

# "OPTION VALUE" lines of what is compared; JSON with its keys sorted.  What differs on purpose is left out:
# times of day; hpet=off, which libvirt 9 says as -no-hpet; write-cache=on, QEMU's default.
canonical() {
    local option value
    grep -E '^-(device|netdev|machine|cpu|m|smp|uuid|rtc|global|boot|watchdog-action) ' |
        while read -r option value; do
            case $value in
            {*) value=$(jq -cS 'if ."write-cache" == "on" then del(."write-cache") else . end' <<<"$value") ;;
            esac
            echo "$option $value"
        done | sed -E 's/,hpet=off//; s/base=[0-9-]+T[0-9:]+/base=TIME/'
}
libvirts() { sed -n "s/ \\\\\$//; s/'//g; /^-/p" "$1"; }
ours() { awk '/^-/ { if (line) print line; line = $0; next } { line = line " " $0 } END { print line }' "$1"; }

for domain in tests/data/domains/*-running.xml tests/data/domains/*-kept.xml; do
    file=$(basename "$domain" .xml)
    make_images "$domain"
    name=$(sed -n 's:.*<name>\(.*\)</name>.*:\1:p' "$domain" | head -n 1)
    if ! virsh define "$work/domain.xml" >"$work/out" 2>&1 ||
        ! virsh start --paused "$name" >"$work/out" 2>&1; then
        fail "$file: libvirt: $(tr '\n' ' ' <"$work/out")"
        continue
    fi
    virsh dumpxml --inactive "$name" >"$work/inactive.xml"
    virsh destroy "$name" >/dev/null
    libvirts "$work/home/.cache/libvirt/qemu/log/$name.log" | canonical >"$work/theirs"
    # -k: so that the CPU's Hyper-V features, which libvirt writes for TCG too, are in it.
    "$ARGV" -k "$work/inactive.xml" "$work" >"$work/argv" || { fail "$file"; continue; }
    ours "$work/argv" | canonical >"$work/ours"
    [ -s "$work/theirs" ] || fail "$file: libvirt's log has no command line"
    diff "$work/theirs" "$work/ours" || fail "$file: libvirt's (<) and ours (>) differ"
    compared=$((compared + 1))
done
echo "$compared machines compared with libvirt $(virsh version --daemon | sed -n 's/.*daemon: //p'), $failed failed"
[ $failed = 0 ] && [ $compared -gt 0 ]
