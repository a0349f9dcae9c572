# SPDX-License-Identifier: MIT
# An author with a real libvirt: a user without rights, with a home and a session daemon of its own.  Sourced by bash
# with the tree's root as its working directory.
#
#     . tests/lib/libvirt.sh
#     fuse_for_all "$@"            # first of all, if the author is to train: it may run the test anew
#     session_start                # SESSION, the author's home; $SESSION/bin has nxpack and nxfetch; or it skips the test
#     as_author nxpack list        # any command, in SESSION
#     virsh start debian
#     session_stop                 # with all its machines
#
# libvirtd is the system's own as root, so root becomes nobody for it.

BUILD=${BUILD:-build/gcc}
SESSION= LIBVIRTD=

# In a container /dev/fuse may be root's alone: then the test runs anew where another one, for all, is in its place.
fuse_for_all() {
    [ "$(id -u)" = 0 ] && [ -z "${NX_FUSE_FOR_ALL:-}" ] || return 0
    [ $((0$(stat -c %a /dev/fuse) & 6)) != 6 ] || return 0
    NX_FUSE_FOR_ALL=yes exec unshare --mount bash -c '
        mount -t tmpfs -o mode=755,dev fuse /mnt && mknod -m 666 /mnt/fuse c 10 229 &&
            mount --bind /mnt/fuse /dev/fuse && umount -l /mnt || { echo "no /dev/fuse for others than root"; exit 77; }
        exec bash "$@"' - "$0" "$@"
}

# Not below TMPDIR: a test's is its own, and the author could not enter it; and short, for libvirt makes sockets far below.
session_start() {
    local program tries user=()
    for program in libvirtd virsh qemu-system-x86_64; do
        command -v $program >/dev/null || [ -x /usr/sbin/$program ] || { echo "no $program"; exit 77; }
    done
    SESSION=$(mktemp -d /tmp/nxs.XXXXXX) || exit
    mkdir -p "$SESSION"/{run,bin} && chmod 700 "$SESSION/run"
    cp "$BUILD"/{nxpack,nxfetch,nxref,nxserve} "$SESSION/bin/"
    if [ "$(id -u)" = 0 ]; then
        user=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
        chown -R nobody:nogroup "$SESSION"
    fi
    AUTHOR=("${user[@]}" env -i -C "$SESSION" PATH="$SESSION/bin:$PATH:/usr/sbin" HOME="$SESSION"
        XDG_RUNTIME_DIR="$SESSION/run" LIBVIRT_AUTOSTART=0 LC_ALL=C.UTF-8)
    "${AUTHOR[@]}" libvirtd >"$SESSION/libvirtd.log" 2>&1 &
    LIBVIRTD=$!
    for ((tries = 200; tries > 0; tries--)); do
        ! virsh uri >/dev/null 2>&1 || return 0
        kill -0 $LIBVIRTD 2>/dev/null || break
        sleep 0.1
    done
    echo "FAILED: libvirtd does not start: $(tail -n 1 "$SESSION/libvirtd.log")"
    exit 1
}

as_author() { "${AUTHOR[@]}" "$@"; }
virsh() { as_author virsh -q -c qemu:///session "$@"; }

session_stop() {
    local domain
    if [ -n "$LIBVIRTD" ]; then
        for domain in $(virsh list --name 2>/dev/null); do
            virsh destroy "$domain" >/dev/null 2>&1
        done
        kill "$LIBVIRTD" 2>/dev/null
        wait "$LIBVIRTD" 2>/dev/null
        LIBVIRTD=
    fi
    case $SESSION in /tmp/nxs.*) rm -rf "$SESSION" ;; esac
}

# serial_socket DOMAIN: its serial port is a socket, $SESSION/serial/DOMAIN, from its next start on, so that the test can talk
# to the guest.
serial_socket() {
    local source="<source mode='bind' path='$SESSION/serial/$1'/>"
    as_author mkdir -p serial
    virsh dumpxml --inactive --security-info "$1" | sed -E "s|<(serial\|console) type='pty'>|<\1 type='unix'>$source|" >"$SESSION/.$1.xml"
    chmod 644 "$SESSION/.$1.xml"
    virsh define "$SESSION/.$1.xml"
}
