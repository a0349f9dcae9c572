#!/bin/bash
# SPDX-License-Identifier: MIT
# nxfetch killed with SIGKILL at random moments of booting, resuming, running and exporting: QEMU and the engine are gone
# soon after it, and the next run works, clears what is left, and leaves nothing.  TIMES=20 of each.
. tests/lib/http.sh
. tests/lib/relay.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
echo "accelerator: $ACCEL"
TIMES=${TIMES:-20} programs=$BUILD
package tiny || die "packing"
publish "$PACKAGE"
package tiny-saved || die "packing"
publish "$PACKAGE"
start_nxserve "$WORK/www" || die "nxserve"
start_relay -r 10000000 -d 5 || die "the relay does not start"

# In a mount namespace without FUSE; the shell that makes it becomes nxfetch.
mkdir -p "$WORK/no-fuse/tools"
cat >"$WORK/no-fuse/nxfetch" <<END
#!/bin/sh
exec unshare -m sh -c 'mount --bind /dev/null /dev/fuse && exec "\$0" "\$@"' "$PWD/$BUILD/nxfetch" "\$@"
END
chmod 755 "$WORK/no-fuse/nxfetch"

slowest=0 mounts=0 overlays=0
# killed WHAT MAX_MS [OPTION...] URL: once, at most MAX_MS after its start
killed() {
    local what=$1 wait start took
    wait=$((RANDOM * RANDOM % $2))
    shift 2
    new_cache
    boot --trust "$TRUST" "$@"
    sleep "$((wait / 1000)).$(printf %03d $((wait % 1000)))"
    kill -KILL "$FETCH_PID" || die "$what ended before $wait ms: $(cat "$FETCH_LOG")"
    start=$EPOCHREALTIME
    { wait "$FETCH_PID"; } 2>/dev/null
    FETCH_PID=
    until [ -z "$(ours)" ]; do
        took=$(((${EPOCHREALTIME/./} - ${start/./}) / 1000))
        at_most "$what, killed after $wait ms: milliseconds that processes of it lived on" $took 5000
        sleep 0.05
    done
    took=$(((${EPOCHREALTIME/./} - ${start/./}) / 1000))
    [ $took -le $slowest ] || slowest=$took
    ! grep -qF " $WORK/" /proc/self/mounts || mounts=$((mounts + 1))
    [ -z "$(find "$XDG_CACHE_HOME/nxpk/overlays" -name '*.qcow2' 2>/dev/null)" ] || overlays=$((overlays + 1))
    next "$what, killed after $wait ms"
}

# The next run: the disk is right, and nothing is left of both.
next() {
    local BUILD=$programs
    boot --trust "$TRUST" --cold "$URL_BASE/tiny-saved.nxpk"
    told 60 ' runs, '
    halt
    [ -z "$(find "$XDG_RUNTIME_DIR" "$TMPDIR" "$XDG_CACHE_HOME/nxpk/overlays" -mindepth 1 2>/dev/null)" ] ||
        die "$1: left: $(find "$XDG_RUNTIME_DIR" "$TMPDIR" "$XDG_CACHE_HOME/nxpk/overlays" -mindepth 1)"
}

for what in booting resuming running exporting; do
    for _ in $(seq "$TIMES"); do
        case $what in
        booting) killed $what 1500 "$URL_BASE/tiny.nxpk" ;;
        resuming) killed $what 2500 --no-cold "$URL_BASE/tiny-saved.nxpk" ;;
        running) killed $what 8000 "$URL_BASE/tiny.nxpk" ;;
        exporting) [ "$(id -u)" != 0 ] || BUILD=$WORK/no-fuse killed $what 9000 "$URL_BASE/tiny.nxpk" ;;
        esac
    done
    echo "$what: killed $TIMES times; so far $mounts mounts and $overlays overlays were left and cleared, and processes lived on for $slowest ms at most"
done
"$BUILD/nxfetch" cache verify >"$WORK/said" || die "the cache: $(cat "$WORK/said")"
