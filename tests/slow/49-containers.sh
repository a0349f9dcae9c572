#!/bin/bash
# SPDX-License-Identifier: MIT
# containers/: both images are built by podman as their heads say, from a base that is made here (no registry is asked); then
# nxserve serves from one to nxfetch in the other, which boots a machine with FUSE and without.  Nobody in them is root.
# 7 minutes on two busy processors, 5 of them the building.
#   49-containers.sh                     the test
#   49-containers.sh build|run WORK      its halves, called by itself where mounts and processes, then the network, are its own
set -u
image=docker.io/library/debian:12-slim
if [ $# = 0 ]; then
    cd "$(dirname "$0")/../.." || exit 1
    . tests/lib/pack.sh
    . tests/lib/guests.sh
    . tests/lib/clean-debian.sh
    begin_clean podman
    package tiny || exit 1
    mkdir "$work/www" "$work/tree"
    cp "$PACKAGE" "$work/www/tiny.nxpk"
    cp "$TRUST" "$work/author.pub.pem"
    # The sources alone; a checkout's build folder would stay out by .containerignore.
    git ls-files -z | tar -c --null -T - | tar -x -C "$work/tree"
    mkdir "$work/tree/build" && echo 'not a source' >"$work/tree/build/big"
    status=0
    apart "$0" build "$work" || status=$?
    left=$(grep -F " $work/" /proc/self/mounts)
    [ -z "$left" ] || { echo "FAILED: mounts are left: $left"; status=1; }
    exit $status
fi

# ---- inside: in a mount namespace and with processes of our own -----------------

work=$2
. tests/lib/clean-debian.sh
CLEAN_DEBIAN=$PWD/build/clean-debian/base.tar
failed=0
fail() {
    failed=$((failed + 1))
    echo "FAILED: $1"
    shift
    [ $# = 0 ] || printf '  %s\n' "$@"
}
is() { [ "$2" = "$3" ] || fail "$1" "wanted: $2" "got:    $3"; }
die() { fail "$@"; exit 1; }
if [ "$1" = build ]; then
    mount -t proc proc /proc || exit 1
    # crun takes a host with both kinds of control groups for a mistake.
    ! mountpoint -q /sys/fs/cgroup/unified || umount /sys/fs/cgroup/unified
    # A /dev/fuse for everybody, as hosts have it that udev rules.
    mkdir -p "$work/dev" && mount -t tmpfs -o mode=755,dev dev "$work/dev" && mknod -m 666 "$work/dev/fuse" c 10 229 &&
        mount --bind "$work/dev/fuse" /dev/fuse || exit 1
    mkdir -p "$work/tmp"
fi
# All that podman keeps lies in $work.
export TMPDIR=$work/tmp HOME=$work XDG_RUNTIME_DIR=$work/tmp BUILDAH_ISOLATION=chroot CONTAINERS_CONF=$work/containers.conf
cat >"$CONTAINERS_CONF" <<'END'
[containers]
# podman's own are more than a container in a container may ask for
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
pids_limit = 0
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
END
podman() { command podman --root "$work/storage" --runroot "$work/run" --storage-driver overlay "$@"; }
end_of_test() {
    podman kill --all >/dev/null 2>&1
    podman rm --all --force --time 1 >/dev/null 2>&1
}
trap end_of_test EXIT
if [ "$1" = build ]; then
    podman import -q "$CLEAN_DEBIAN" $image >"$work/import.log" 2>&1 || die 'podman import' "$(tail -n 3 "$work/import.log")"

    for name in nxserve nxfetch; do
        start=$SECONDS
        podman build --pull=never --layers --network=host --format docker -t $name -f "containers/$name.Containerfile" "$work/tree" >"$work/$name.log" 2>&1 ||
            die "podman build $name" "$(tail -n 15 "$work/$name.log")"
        echo "$name: built in $((SECONDS - start)) s, $(podman image inspect --format '{{.Size}}' $name | awk '{ printf "%d MB", $1 / 1e6 }')"
        is "$name: the user" "$name" "$(podman image inspect --format '{{.User}}' $name)"
    done
    # .containerignore keeps a checkout's gigabytes of build/ out.
    printf 'FROM %s\nCOPY . /context\nRUN test -e /context/Makefile && ! test -e /context/build\n' $image >"$work/context"
    podman build --pull=never -f "$work/context" "$work/tree" >"$work/context.log" 2>&1 || fail 'what goes to a build' "$(tail -n 5 "$work/context.log")"
    is 'what nxserve exposes' '8080/tcp' "$(podman image inspect --format '{{range $port, $x := .Config.ExposedPorts}}{{$port}}{{end}}' nxserve)"
    [ $failed = 0 ] || exit 1
    trap - EXIT
    exec unshare --net bash "$0" run "$work"
fi

ip link set lo up || die 'no loopback'
# run OPTION...: on our loopback, which is all the network that there is
run() { podman run --network=host --cgroups=disabled "$@"; }
await() { # SECONDS WHAT COMMAND...
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $deadline ] || { fail "not in time: $what" "$(podman logs --tail 10 nxserve 2>&1)" "$(podman logs --tail 10 fetch 2>&1)"; return 1; }
        sleep 0.2
    done
}
exit_code() { podman inspect --format '{{.State.ExitCode}}' "$1"; }

# ---- nxserve, as its Containerfile says: nothing writable, no capability ---------

run -d --name nxserve -v "$work/www:/srv/nxpk:ro" --read-only --cap-drop all nxserve >"$work/started" 2>&1 || die 'nxserve' "$(cat "$work/started")"
url=http://127.0.0.1:8080/tiny.nxpk
await 30 'nxserve answers' curl -sSf -o /dev/null -r 0-9 $url || exit 1
is 'a range' '206 10' "$(curl -sS -o /dev/null -w '%{http_code} %{size_download}' -r 90-99 $url)"
is 'who serves' nxserve "$(podman exec nxserve id -un)"
is 'its capabilities' 0000000000000000 "$(podman exec nxserve sed -n 's/^CapBnd:\t//p' /proc/1/status)"
podman healthcheck run nxserve >/dev/null 2>&1 || fail 'nxserve is not healthy'
podman logs nxserve 2>&1 | grep -q 'GET /tiny.nxpk' || fail 'its log' "$(podman logs nxserve 2>&1)"
run -d --name elsewhere nxserve --port 8081 /srv/nxpk >/dev/null 2>&1
await 30 'nxserve on another port' curl -sSf -o /dev/null http://127.0.0.1:8081/
podman stop --time 10 nxserve >/dev/null 2>&1 && is 'nxserve was stopped' 0 "$(exit_code nxserve)"
! podman healthcheck run elsewhere >/dev/null 2>&1 || fail 'one that does not answer there is healthy'
podman start nxserve >/dev/null 2>&1 && await 30 'nxserve answers again' curl -sSf -o /dev/null -r 0-9 $url || exit 1

# ---- nxfetch, with a machine's serial port for output -----------------------------

# boots WHAT OPTION...: a machine, up to its prompt, in the container "fetch"
boots() {
    local what=$1 start=$SECONDS
    shift
    run -d --name fetch -v "$work/author.pub.pem:/key.pub.pem:ro" "$@" nxfetch --serial stdio --accel tcg --trust /key.pub.pem $url >"$work/started" 2>&1 ||
        { fail "$what" "$(cat "$work/started")"; return 1; }
    up() { podman logs fetch 2>&1 | grep -aq 'nxpk-guest ready'; }
    await 180 "$what: the machine is up" up || return
    is "$what: who runs it" nxfetch "$(podman exec fetch id -un)"
    echo "$what: up after $((SECONDS - start)) s"
}
# ended WHAT: as podman stop ends it, in order
ended() {
    podman stop --time 20 fetch >/dev/null 2>&1
    case $(exit_code fetch) in 0 | 1 | 130 | 143) ;; *) fail "$1: status $(exit_code fetch)" "$(podman logs --tail 5 fetch 2>&1)" ;; esac
    podman rm fetch >/dev/null
}
fetches_whole() { podman logs fetch 2>&1 | grep -a 'fetched whole first'; }
boots 'with FUSE' --device /dev/fuse --cap-add SYS_ADMIN -v cache:/home/nxfetch/.cache && {
    is 'with FUSE: a mount' 1 "$(podman exec fetch grep -c ' fuse' /proc/mounts)"
    is 'with FUSE: nothing to complain of' '' "$(fetches_whole)"
}
ended 'with FUSE'
boots 'without FUSE' --cap-drop all && {
    is 'without FUSE: no mount' 0 "$(podman exec fetch grep -c ' fuse' /proc/mounts)"
    fetches_whole >/dev/null || fail 'without FUSE: it does not say so' "$(podman logs fetch 2>&1 | head -n 5)"
}
ended 'without FUSE'
# What was fetched stays in the volume, for another container.
run --rm -v cache:/home/nxfetch/.cache nxfetch cache show >"$work/said" 2>&1
grep -q ' 1 package known' "$work/said" || fail 'the cache in a volume' "$(cat "$work/said")"
echo "$failed failed"
[ $failed = 0 ]
