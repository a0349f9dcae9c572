#!/bin/bash
# SPDX-License-Identifier: MIT
# A cold boot of Debian over slow links, as a replay of its reads (record.sh, tests/tools/replay.c): what it takes longer than
# from the qcow2 on the local disk, by nxfetch and by its peers; from the start of the programs to the login prompt.
#
#     LINKS='100M/40 20M/100' SYSTEMS='ours asked trained' RUNS=3 TLS=1 tests/bench/run.sh trace
#
# A link is RATE/ROUND TRIP: local, 1G/2, 100M/40, 20M/100 (bit/s, ms).  On 100M/40 there are RUNS rounds of all systems,
# on the others OTHER_RUNS; beside each replay that on the local qcow2 goes on at the same time, so that both
# have the same noise, and what counts is the difference.  All go at once, for they mostly wait; but on 100M/40, and without
# QUICK=1, the other ways of nxfetch begin when the trained one has its boot set and the peers have begun.  Each has a link
# of its own.  The guest's pauses are as long as they were for nxfetch, which goes on in them; for the peers, which do not, they are cut.  Servers and caches
# are new in each run; the page cache has the server's files.  Requests and bytes of bodies are those of nginx's access log
# until the login prompt.
#
# A peer that has not come to the prompt after LIMIT seconds has no figures: QEMU's http driver can stand still for ever (seen on
# loopback, with nothing under way and its connections closed by the server long ago).
#
# With TIMES=FILE each replay writes to FILE-SYSTEM when its reads began and how long they took.
#
# The replay is a model (tests/tools/replay.c).  Of whole boots on 100M/40, on the same noisy machine, one took 31 s longer with
# QEMU's http driver on the zstd qcow2, where the replay takes 39 s longer.
. tests/lib/http.sh
. tests/lib/relay.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
. tests/bench/lib.sh
TRACE=${TRACE:-build/guests/debian/trace}
[ -n "${LINKS:-}${SYSTEMS:-}${QUICK:-}${TLS:-}" ] || then_tls=yes
SYSTEMS=${SYSTEMS:-ours trained trained_asked warm qcow2 raw nbdkit download}
# ms that the guest thinks, at most (replay's -x), where nothing goes on meanwhile, or nothing is to be reached.
LONGEST=${LONGEST:-150}
# Seconds; the slowest peer needs 190 on 20M/100, 80 on 100M/40, and 30 on the others.
limit_of() { case $1 in 20M*) echo "${LIMIT:-300}" ;; 100M*) echo "${LIMIT:-150}" ;; *) echo "${LIMIT:-75}" ;; esac; }
BEGIN_LATER=10 # s
LINKS=${LINKS:-$([ -n "${QUICK:-}" ] && echo 100M/40 || echo 100M/40 local 1G/2 20M/100)}

package debian >&2 || exit
[ "$TRACE" != build/guests/debian/trace ] || bash tests/bench/record.sh >&2 || exit
raw=$(debian_raw) || exit
qcow2=$PWD/build/bench/debian-zstd.qcow2
[ -s "$qcow2" ] || qemu-img convert -c -O qcow2 -o compression_type=zstd "$raw" "$qcow2" || exit
trained=$(trained_package) || exit
publish "$PACKAGE" "$trained" "$qcow2" "$raw"
cat "$WORK"/www/* "$GUEST/disk.qcow2" >/dev/null

# ---- the systems: each takes DIR, a folder of its own, and sets TARGET, which the replay reads ----

# storage_daemon NAME BLOCKDEV...: QEMU's block layer without its machine; the last node is n0.
storage_daemon() {
    local dir=$1 options=() node
    shift
    for node in "$@"; do options+=(--blockdev "$node,read-only=on"); done
    qemu-storage-daemon --daemonize --pidfile "$dir/daemon.pid" "${options[@]}" \
        --nbd-server "addr.type=unix,addr.path=$dir/nbd,max-connections=0" --export type=nbd,id=e0,node-name=n0,name= >&2 || return
    TARGET=nbd+unix:///?socket=$dir/nbd
}

start_local() { storage_daemon "$1" "driver=file,node-name=f0,filename=$GUEST/disk.qcow2" "driver=qcow2,node-name=n0,file=f0"; }

start_mounted() { # DIR PACKAGE OPTION...
    mkdir "$1/mount" && mkfifo "$1/ready"
    XDG_CACHE_HOME=$1/cache "$BUILD/nxfetch" mount "${@:3}" --trust "$TRUST" --stats "$1/stats.json" --ready-fd 3 \
        ${TLS:+--ca-cert "$CA_FILE"} "$URL_BASE/${2##*/}" "$1/mount" 3>"$1/ready" >"$1/nxfetch.log" 2>&1 </dev/null &
    echo $! >"$1/nxfetch.pid"
    disown
    read -r <"$1/ready" || { cat "$1/nxfetch.log" >&2; return 1; }
    storage_daemon "$1" "driver=file,node-name=f0,filename=$1/mount/disk0" driver=raw,node-name=n0,file=f0
}
start_ours() { start_mounted "$1" "$PACKAGE"; } # as it comes: the rest is fetched in the background
start_asked() { start_mounted "$1" "$PACKAGE" --no-complete; }
start_trained() { start_mounted "$1" "$trained"; }
start_trained_asked() { start_mounted "$1" "$trained" --no-complete; }
prepare_warm() { XDG_CACHE_HOME=$1/cache "$BUILD/nxfetch" -q pull ${TLS:+--ca-cert "$CA_FILE"} "$URL_BASE/${PACKAGE##*/}" >&2; }
start_warm() { start_mounted "$1" "$PACKAGE"; }

# With time for a slow line: QEMU itself gives up after 5 s.
http_node() { echo "driver=http${TLS:+s,sslverify=off},node-name=$1,url=$URL_BASE/${2##*/},timeout=60"; }
start_raw() { storage_daemon "$1" "$(http_node h0 "$raw")" driver=raw,node-name=n0,file=h0; }
start_qcow2() { storage_daemon "$1" "$(http_node h0 "$qcow2")" driver=qcow2,node-name=n0,file=h0; }

start_nbdkit() {
    TMPDIR=$1 nbdkit -r -U "$1/curl" -P "$1/nbdkit.pid" --filter=readahead --filter=cache --filter=retry \
        curl "$URL_BASE/${raw##*/}" cache-on-read=true ${TLS:+sslverify=false} >&2 || return
    storage_daemon "$1" "driver=nbd,node-name=n0,server.type=unix,server.path=$1/curl"
}

start_download() {
    curl -sSf ${TLS:+--cacert "$CA_FILE"} -o "$1/disk.qcow2" "$URL_BASE/${qcow2##*/}" &&
        storage_daemon "$1" "driver=file,node-name=f0,filename=$1/disk.qcow2" driver=qcow2,node-name=n0,file=f0
}

# End what was started in DIR.
stop() {
    local file pid
    for file in daemon nxfetch nbdkit; do
        pid=$(cat "$1/$file.pid" 2>/dev/null) || continue
        kill -TERM "$pid" 2>/dev/null
        timeout 20 tail -s 0.05 --pid="$pid" -f /dev/null || { [ -n "${hung:-}" ] && kill -KILL "$pid"; } || die "$file does not end"
    done
    rm -rf "$1"
}

# ---- a run ----

# run SYSTEM DIR: seconds to the login prompt on stdout; what the replay says is in DIR.json.
run() {
    local start=$EPOCHREALTIME
    "start_$1" "$2" && timeout -k 5 "$limit" "$BUILD/tools/replay" -c "$raw" ${longest:+-x "$longest"} ${TIMES:+-t "$TIMES-$1"} "$TRACE" "$TARGET" >"$2.json" && since "$start" || return
    [ ! -s "$2/stats.json" ] || cp "$2/stats.json" "$WORK/$1.stats"
    stop "$2" >&2
}

start_link() { # RATE/ROUND TRIP: with a folder of its own
    HTTP_DIR=$(mktemp -d "$WORK/http.XXXXXX")
    if [ -n "${TLS:-}" ]; then start_nginx_tls "$WORK/www"; else start_nginx "$WORK/www"; fi || return
    NGINX_PID=$SERVER_PID NGINX_LOG=$SERVER_ACCESS_LOG
    case $1 in
    local) RELAY_PID= ;;
    *) start_relay -r "$(numfmt --from=si "${1%/*}" | awk '{ print $1 / 8 }')" -d "$(awk -v ms="${1#*/}" 'BEGIN { print ms / 2 }')" || return
        [ -z "${TLS:-}" ] || URL_BASE=${URL_BASE/http:/https:} ;;
    esac
}

# The access log is complete once nginx has ended in order.
stop_link() {
    [ -z "$RELAY_PID" ] || stop_server "$RELAY_PID"
    kill -QUIT "$NGINX_PID" && wait "$NGINX_PID"
    HTTP_PIDS=()
}

is_peer() { case $1 in qcow2 | raw | nbdkit | download) ;; *) return 1 ;; esac; }

figures() { echo "$WORK/${1/\//-}.$2"; }

# measure LINK SYSTEM, in a shell of its own: one more line in its figures: seconds added, bytes, requests, seconds in all,
# and the local disk's.
measure() (
    FETCH_PID=
    trap stop_servers EXIT
    limit=$(limit_of "$1")
    dir=$(mktemp -d "$WORK/$2.XXXXXX") && mkdir "$dir/local" "$dir/it" && start_link "$1" || exit
    [ "$(type -t "prepare_$2")" != function ] || "prepare_$2" "$dir/it" || exit
    run local "$dir/local" >"$dir/seconds" &
    ours=$(run "$2" "$dir/it") || hung=$?
    wait $! || exit
    if [ "${hung:-0}" = 124 ]; then
        stop "$dir/it" >&2
        is_peer "$2" || { echo "$1 $2: not at the prompt after $limit s" >&2; exit 1; }
        touch "$(figures "$1" "$2")"
        echo "$1 $2: not at the prompt after $limit s" >&2
        exit 0
    fi
    [ -z "${hung:-}" ] || exit
    beside=$(cat "$dir/seconds")
    stop_link
    awk -v ours="$ours" -v beside="$beside" '{ bytes += $10 }
        END { printf "%.2f %.0f %d %.2f %.2f\n", ours - beside, bytes, NR, ours, beside }' "$NGINX_LOG" >>"$(figures "$1" "$2")" || exit
    echo "$1 $2: $(tail -n 1 "$(figures "$1" "$2")"); $(cat "$dir/it.json")" >&2
)

# One of each; those of one word after the other, those in quotes beside each other.
round() { # LINK SYSTEMS...
    local link=$1 systems system pids pid
    shift
    for systems in "$@"; do
        pids=()
        for system in $systems; do
            measure "$link" "$system" &
            pids+=($!)
        done
        for pid in "${pids[@]}"; do wait "$pid" || die "$link $systems"; done
    done
}

# of LINK SYSTEM COLUMN: the median of what was measured: by the columns of measure; nothing if nothing was
of() {
    local all
    [ -s "$(figures "$1" "$2")" ] && all=$(cut -d ' ' -f "$3" "$(figures "$1" "$2")") || return 0
    case $3 in
    2 | 3) median <<<"$all" | cut -d . -f 1 ;;
    *) median <<<"$all" ;;
    esac
}

declare -A CALLED=([ours]='nxfetch, untrained' [asked]='nxfetch --no-complete, untrained' [trained]='nxfetch, trained'
    [trained_asked]='nxfetch --no-complete, trained' [warm]='nxfetch, all in its cache' [qcow2]='QEMU http, zstd qcow2' [raw]='QEMU http, raw' [nbdkit]='nbdkit curl, raw'
    [download]='download, then boot')

report() { # LINK
    local system best link=$1 shown=$1${TLS:+ https}
    for system in $SYSTEMS; do
        [ $system != warm ] || continue
        if is_peer $system; then columns() { row "$1" '' "$2" ''; }; else columns() { row "$1" "$2" '' ''; }; fi
        if [ -e "$(figures "$link" "$system")" ] && [ ! -s "$(figures "$link" "$system")" ]; then
            row "$shown ${CALLED[$system]}: stood still for $(limit_of "$link") s" '' '' ''
            continue
        fi
        columns "$shown ${CALLED[$system]}: seconds added" "$(of "$link" $system 1)"
        columns '  bytes' "$(of "$link" $system 2)"
        columns '  requests' "$(of "$link" $system 3)"
    done
    best=$(for system in qcow2 raw nbdkit download; do of "$link" $system 1; done | sort -n | head -n 1)
    against_best ours 0.5
    against_best trained 0.2
    [ -z "$(of "$link" warm 1)" ] || row "$shown ${CALLED[warm]}: seconds to login" "$(of "$link" warm 4)" "$(of "$link" warm 5)" \
        "$(ratio "$(of "$link" warm 4)" "$(of "$link" warm 5)")" 1.03
    [ "$link" = 100M/40 ] && [ -n "$(of "$link" trained 1)" ] || return 0
    row "$shown ${CALLED[trained]}: seconds, of one" "$(of "$link" trained 1)" 1 "$(of "$link" trained 1)" 1
    [ -n "$(of "$link" trained_asked 1)" ] || return 0
    local bytes boot_set
    bytes=$(of "$link" trained_asked 2) boot_set=$(jq .boot_bytes "$WORK/trained_asked.stats")
    row "$shown ${CALLED[trained_asked]}: bytes, of the boot set" "$bytes" "$boot_set" "$(ratio "$bytes" "$boot_set")" 1.1
}

against_best() { # SYSTEM LIMIT: it holds on one link
    local ours limit=$2
    ours=$(of "$link" "$1" 1)
    [ "$link" = 100M/40 ] || limit=
    [ -z "$best" ] || [ -z "$ours" ] ||
        row "$shown ${CALLED[$1]}: of the best peer's" "$ours" "$best" "$(ratio "$ours" "$best")" "$limit"
}

boot= ways=() peers=()
for system in $SYSTEMS; do
    case $system in
    trained) boot=trained ;;
    ours | asked | trained_asked | warm) ways+=("$system") ;;
    *) peers+=("$system") ;;
    esac
done
for link in $LINKS; do
    runs=${OTHER_RUNS:-1}
    if [ "$link" = 100M/40 ]; then runs=$RUNS; else ways=("${ways[@]/warm/}"); fi # a warm one knows no link
    for ((n = 0; n < runs; n++)); do
        if [ "$link" != 100M/40 ]; then
            longest=$LONGEST round "$link" "$boot ${ways[*]} ${peers[*]}"
        else
            longest=$LONGEST round "$link" "${peers[*]}" &
            beside=($!)
            longest= round "$link" "$boot" &
            beside+=($!)
            [ -n "${QUICK:-}" ] || sleep $BEGIN_LATER
            longest= round "$link" "${ways[*]}"
            for pid in "${beside[@]}"; do wait "$pid" || exit; done
        fi
    done
    report "$link"
done
# QEMU's own https driver, and ours, once.
[ -z "${then_tls:-}" ] || TLS=1 LINKS=100M/40 RUNS=1 SYSTEMS='ours trained qcow2 raw download' bash tests/bench/trace.sh
