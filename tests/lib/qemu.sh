# SPDX-License-Identifier: MIT
# Machines in tests: start nxfetch, talk to its guest, stop it, and see that nothing is left.  Sourced by bash
# with the tree's root as its working directory, after tests/lib/http.sh if that is used.
#
#     . tests/lib/qemu.sh
#     boot --trust "$TRUST" "$URL_BASE/tiny.nxpk"
#     talk 60 expect:'nxpk-guest ready' run:check-data       # the steps: tests/tools/guest-talk.c
#     halt                                                   # Ctrl-C; or: power_off
#
# A private home, cache, runtime and temporary folder stand below $WORK, which goes when the test ends.
# Real guests are always run with TCG here (ACCEL=kvm or auto for something else), and the tests say so.

BUILD=${BUILD:-build/gcc}
ACCEL=${ACCEL:-tcg}
WORK=$(mktemp -d "${TMPDIR:-/tmp}/nxpk-test.XXXXXX") || exit 1
mkdir -p "$WORK"/{home,www} && mkdir -m 700 "$WORK"/{run,tmp}
export HOME=$WORK/home XDG_RUNTIME_DIR=$WORK/run TMPDIR=$WORK/tmp XDG_CACHE_HOME=
unset XDG_DATA_HOME XDG_CONFIG_HOME XDG_STATE_HOME DISPLAY WAYLAND_DISPLAY
FETCH_PID=
FETCH=("$BUILD/nxfetch")
BOOTS=0
trap end_of_test EXIT

end_of_test() {
    local status=$?
    if [ -n "$FETCH_PID" ]; then
        kill -TERM "$FETCH_PID" 2>/dev/null
        timeout 10 tail --pid="$FETCH_PID" -f /dev/null || kill -KILL "$FETCH_PID"
    fi
    if [ "$(type -t stop_servers)" = function ]; then stop_servers; fi
    [ $status = 0 ] || [ $status = 77 ] || show_logs
    case $WORK in */nxpk-test.*)
        grep -F " $WORK/" /proc/self/mounts | cut -d ' ' -f 2 | xargs -r -n 1 umount -l 2>/dev/null
        rm -rf "$WORK" ;;
    esac
    exit $status
}

show_logs() {
    local log
    for log in "$WORK"/*.log; do
        [ -s "$log" ] && { echo "--- ${log##*/}:"; tail -n 15 "$log" | tr -d '\r'; }
    done
}

die() {
    echo "FAILED: $*" >&2
    exit 1
}

# same WHAT GOT WANTED
same() { [ "$2" = "$3" ] || die "$1: got $2, not $3"; }

# at_most WHAT GOT LIMIT (whole numbers)
at_most() { [ "$2" -le "$3" ] || die "$1: $2 is more than $3"; }
at_least() { [ "$2" -ge "$3" ] || die "$1: $2 is less than $3"; }

# An empty cache for the boots that follow.
new_cache() {
    XDG_CACHE_HOME=$(mktemp -d "$WORK/cache-XXXXXX") || die "a cache"
}

# publish FILE...: into $WORK/www, for the servers.
publish() {
    local file
    for file in "$@"; do
        ln -f "$file" "$WORK/www/" 2>/dev/null || cp "$file" "$WORK/www/" || die "cannot publish $file"
    done
}

# boot [OPTION...] LOCATION: nxfetch in the background: FETCH_PID, FETCH_LOG, STATS, SERIAL (the socket).  It fetches only
# what is read, unless COMPLETE=yes.
boot() {
    [ -n "$XDG_CACHE_HOME" ] || new_cache
    BOOTS=$((BOOTS + 1))
    SERIAL=$WORK/serial-$BOOTS STATS=$WORK/stats-$BOOTS.json
    FETCH_LOG=$WORK/nxfetch-$BOOTS.log TRANSCRIPT=$WORK/guest-$BOOTS.log
    local completing=(--no-complete)
    [ "${COMPLETE:-no}" = no ] || completing=()
    "$BUILD/nxfetch" --accel "$ACCEL" --display none --serial "unix:$SERIAL" --stats "$STATS" "${completing[@]}" \
        "$@" >"$FETCH_LOG" 2>&1 </dev/null &
    FETCH_PID=$!
    BOOT_START=$EPOCHREALTIME
}

# talk SECONDS STEP...
talk() {
    "$BUILD/tools/guest-talk" -o "$TRANSCRIPT" -p "$FETCH_PID" "$SERIAL" "$@" ||
        die "boot $BOOTS: talking to the guest"
}

# part NAME: the pid of nxfetch's child of that name: qemu, or nxfetch, which is the engine.
part() {
    local pid
    for pid in $(cat "/proc/$FETCH_PID/task/$FETCH_PID/children" 2>/dev/null); do
        case $(cat "/proc/$pid/comm" 2>/dev/null) in "$1"*) echo "$pid" ;; esac
    done
}

# Seconds since boot, with one decimal.
boot_seconds() {
    local us=$((${EPOCHREALTIME/./} - ${BOOT_START/./}))
    echo "$((us / 1000000)).$((us / 100000 % 10))"
}

# A number that nxfetch counted: stat .chunks_fetched
stat_of() { jq -er "$1 | if . == null then empty else tostring end" "$STATS" || die "$STATS has no $1"; }

# Let nxfetch write its numbers once more.
fresh_stats() {
    local before deadline=$((SECONDS + 5))
    before=$(stat -c %i.%y "$STATS" 2>/dev/null)
    until [ "$(stat -c %i.%y "$STATS" 2>/dev/null)" != "$before" ] || [ $SECONDS -ge $deadline ]; do sleep 0.1; done
}

# told SECONDS TEXT: wait until nxfetch has said it.
told() {
    local deadline=$((SECONDS + $1))
    until grep -q -- "$2" "$FETCH_LOG" 2>/dev/null; do
        kill -0 "$FETCH_PID" 2>/dev/null && [ $SECONDS -lt $deadline ] || grep -q -- "$2" "$FETCH_LOG" ||
            die "nxfetch does not say \"$2\": $(cat "$FETCH_LOG")"
        sleep 0.1
    done
}

# Wait for nxfetch to end within SECONDS, and those that a busy machine takes; it must neither crash nor hang.
fetch_ended() {
    local deadline=$((SECONDS + $1 + 10)) status=0
    while kill -0 "$FETCH_PID" 2>/dev/null; do
        [ $SECONDS -lt $deadline ] || die "nxfetch still runs after $(($1 + 10)) s"
        sleep 0.05
    done
    wait "$FETCH_PID" || status=$?
    FETCH_PID=
    FETCH_STATUS=$status
}

# halt: Ctrl-C.
halt() {
    kill -INT "$FETCH_PID" || die "nxfetch has ended already"
    fetch_ended 20
    case $FETCH_STATUS in 0 | 1 | 130) ;; *) die "nxfetch ended with status $FETCH_STATUS after Ctrl-C" ;; esac
    nothing_left
}

# power_off: the guest (a small one, at its prompt) switches itself off; nxfetch ends by itself.
power_off() {
    talk 30 'poke:nxpk# ' 'send:poweroff -f' off:
    fetch_ended 20
    same "nxfetch's status after the guest went off" "$FETCH_STATUS" 0
    nothing_left
}

# mount_package LOCATION [OPTION...]: nxfetch (or ${FETCH[@]}) mount, which stays until halt: IMAGE, the one file that it shows.
mount_package() {
    local dir=$WORK/mount deadline=$((SECONDS + 30))
    mkdir -p "$dir"
    FETCH_LOG=$WORK/mount.log
    : >"$FETCH_LOG" # or we read what the one before has said
    "${FETCH[@]}" mount "${@:2}" "$1" "$dir" >"$FETCH_LOG" 2>&1 </dev/null &
    FETCH_PID=$!
    until grep -qxF "mounted $dir" "$FETCH_LOG"; do
        kill -0 "$FETCH_PID" 2>/dev/null && [ $SECONDS -lt $deadline ] || die "nxfetch mount does not mount: $(cat "$FETCH_LOG")"
        sleep 0.1
    done
    IMAGE=$(find "$dir" -mindepth 1 -type f)
    [ -f "$IMAGE" ] || die "nxfetch mount shows not one file, but: $IMAGE"
}

# ours [NAME]: the pids of this test's processes (by their TMPDIR, or a path of ours in their arguments) of these names.
ours() {
    local proc
    for proc in /proc/[0-9]*; do
        case $(cat "$proc/comm" 2>/dev/null) in ${1:-nxfetch}* | ${1:-qemu}* | ${1:-fusermount}*)
            if { tr '\0' '\n' <"$proc/environ"; } 2>/dev/null | grep -qxF "TMPDIR=$TMPDIR" ||
                grep -qaF "$WORK/" "$proc/cmdline" 2>/dev/null; then
                echo "${proc#/proc/}"
            fi ;;
        esac
    done
}

# No mount, no process, no temporary file of ours, nothing that the machine has written.
nothing_left() {
    local pid left
    ! grep -F " $WORK/" /proc/self/mounts || die "a mount is left"
    for pid in $(ours); do
        die "a process is left: $(tr '\0' ' ' <"/proc/$pid/cmdline")"
    done
    left=$(find "$XDG_RUNTIME_DIR" "$TMPDIR" "$XDG_CACHE_HOME"/nxpk/overlays ! -type d 2>/dev/null)
    [ -z "$left" ] || die "files are left: $left"
    left=$(find "$XDG_RUNTIME_DIR" "$TMPDIR" "$XDG_CACHE_HOME"/nxpk/overlays -name 'run-*' 2>/dev/null)
    [ -z "$left" ] || die "folders are left: $left"
}
