# SPDX-License-Identifier: MIT
# For the tests of nxpack and nxref.  Sourced by bash with the tree's root as its working
# directory; makes $work, which goes away at the end, and works with absolute paths.
BUILD=${BUILD:-build/gcc}
NXPACK=$(realpath -m "$BUILD")/nxpack
NXREF=$(realpath -m "$BUILD")/nxref
work=$(mktemp -d "${TMPDIR:-/tmp}/nxpk-pack.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
failed=0 checks=0

fail() {
    failed=$((failed + 1))
    echo "FAILED: $1"
    shift
    [ $# = 0 ] || printf '  %s\n' "$@"
}

# ok WHAT COMMAND...: it succeeds
ok() {
    local what=$1 out
    shift
    checks=$((checks + 1))
    out=$("$@" 2>&1) || fail "$what: status $?" "$out"
}

# is WHAT WANTED GOT
is() {
    checks=$((checks + 1))
    [ "$2" = "$3" ] || fail "$1" "wanted: $2" "got:    $3"
}

# refused WHAT STATUS PATTERN COMMAND...: it ends with the status and one line on stderr (and for
# status 2 "Try ..."), which fits the extended regular expression.
refused() {
    local what=$1 status=$2 pattern=$3 got lines
    shift 3
    checks=$((checks + 1))
    "$@" >"$work/.out" 2>"$work/.err" </dev/null
    got=$?
    lines=$(grep -vc "^Try '\|: warning: " "$work/.err")
    [ $got = "$status" ] || fail "$what: status $got, wanted $status" "$(cat "$work/.err")"
    [ "$lines" = 1 ] || fail "$what: $lines lines on stderr, wanted one" "$(cat "$work/.err")"
    grep -Eq -- "$pattern" "$work/.err" || fail "$what" "wanted: $pattern" "got:    $(cat "$work/.err")"
}

# Nothing in the folder beside these names: what fails leaves nothing behind.
only() {
    local dir=$1
    shift
    is "files in $dir" "$(printf '%s\n' "$@" | sort)" "$(ls -A "$dir" | sort)"
}

# domain FORMAT:PATH...: a domain XML with these disks on stdout.  FORMAT - leaves the driver out.
domain() {
    local letter=a disk
    cat <<'EOF'
<domain type='qemu'>
  <name>tested</name>
  <memory unit='MiB'>64</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices>
EOF
    for disk; do
        echo "    <disk type='file' device='disk'>"
        [ "${disk%%:*}" = - ] || echo "      <driver name='qemu' type='${disk%%:*}'/>"
        echo "      <source file='${disk#*:}'/>"
        echo "      <target dev='vd$letter' bus='virtio'/>"
        echo "    </disk>"
        letter=$(tr a-y b-z <<<"$letter")
    done
    echo "  </devices>"
    echo "</domain>"
}

# content FILE SIZE [SEED]: a raw image with data, text, holes and zeros in it, always the same
content() {
    local seed=${3:-1}
    rm -f "$1"
    truncate -s "$2" "$1"
    openssl enc -aes-128-ctr -K "$(printf %032d "$seed")" -iv 0 -nosalt </dev/zero 2>/dev/null | head -c 700000 |
        dd of="$1" bs=64k seek=3 conv=notrunc status=none iflag=fullblock
    yes "line of text number $seed" | head -c 900000 | dd of="$1" bs=1k seek=2001 conv=notrunc status=none iflag=fullblock
    head -c 300000 /dev/zero | dd of="$1" bs=1k seek=3500 conv=notrunc status=none iflag=fullblock
    # one byte in the middle of nowhere, and the last byte of all
    printf x | dd of="$1" bs=1 seek=5000001 conv=notrunc status=none
    printf "$seed" | dd of="$1" bs=1 seek=$(($(stat -c %s "$1") - 1)) conv=notrunc status=none
}

hash_of() { sha256sum <"$1" | cut -d' ' -f1; }

finish() {
    echo "$checks checks, $failed failed"
    [ $failed = 0 ] && [ $checks -gt 0 ]
}
