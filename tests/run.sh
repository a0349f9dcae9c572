#!/bin/bash
# SPDX-License-Identifier: MIT
# Run tests and say what happened: the programs several at a time, for most of them wait, then the scripts, one for each
# processor (JOBS), for they wait as often as they work; and at last, one after the other, those that want the machine for
# themselves: a line of their head begins with "# Alone: " and says why.  A test is a program: status 0 passed, 77 skipped,
# anything else failed.  Its output is shown when it fails, or with V=1.
# A test that hangs has failed after LIMIT seconds (status 124), so that the others come to their turn; it is ended as far as
# its own trap does that.
#   BUILD=build/gcc tests/run.sh TEST...    T=NAME: only those whose name contains NAME
#   NO_SKIP=1: one that is skipped has failed, as in CI, where all is there that they need
set -u
cd "$(dirname "$0")/.." || exit 1
export BUILD=${BUILD:-build/gcc} CK_VERBOSITY=${CK_VERBOSITY:-normal}
# For builds with SANITIZE=: what is not ours, and the engine's tests, which fork beside a server thread.
export LSAN_OPTIONS=${LSAN_OPTIONS:-suppressions=$PWD/tests/lsan.supp:print_suppressions=0}
export TSAN_OPTIONS=${TSAN_OPTIONS:-die_after_fork=0}
mkdir -p build/log
results=$(mktemp -d) || exit 1
trap 'rm -rf "$results"' EXIT

# one RESULTS TEST: its output goes to build/log, its name to the file RESULTS/passed, failed or skipped
one() {
    local name log limit start=$SECONDS status took result text
    name=${2#tests/} name=${name%.sh} log=build/log/${name//\//-}.log
    case $2 in tests/slow/*) limit=${LIMIT:-14400} ;; *) limit=${LIMIT:-2400} ;; esac
    case $2 in
    *.sh) timeout --foreground -k 30 "$limit" bash "$2" >"$log" 2>&1 </dev/null ;;
    *) timeout --foreground -k 30 "$limit" "$BUILD/$2" >"$log" 2>&1 </dev/null ;;
    esac
    status=$? took=$((SECONDS - start))
    case $status in
    0) result=passed text=$(printf 'ok      %-28s %4ds' "$name" $took) ;;
    77) result=skipped text=$(printf 'skipped %-28s %s' "$name" "$(tail -n 1 "$log")") ;;
    *) result=failed text=$(printf 'FAILED  %-28s %4ds, status %d; what failed, and the end of %s:' "$name" $took $status "$log"
                            echo; { grep -a -A 3 '^FAILED' "$log" | head -n 20; echo ...; tail -n 40 "$log"; } | sed 's/^/    /') ;;
    esac
    [ "${V:-0}" != 1 ] || text+=$'\n'$(sed 's/^/    /' "$log")
    printf '%s\n' "$text"
    echo "$name" >>"$1/$result"
}
export -f one

programs=() scripts=() alone=()
for t in "$@"; do
    case $(basename "$t" .sh) in *"${T:-}"*) ;; *) continue ;; esac
    case $t in *.sh) ;; *) programs+=("$t") && continue ;; esac
    if sed -n 1,12p "$t" | grep -q '^# Alone: '; then alone+=("$t"); else scripts+=("$t"); fi
done
# side_by_side JOBS TEST...
side_by_side() {
    local jobs=$1
    shift
    [ $# = 0 ] || printf '%s\n' "$@" | xargs -n 1 -P "$jobs" bash -c 'one "$@"' - "$results"
}
# More than four guests at once want more memory than many machines have.
jobs=$(nproc)
side_by_side $((2 * jobs)) ${programs[@]+"${programs[@]}"}
side_by_side "${JOBS:-$((jobs < 4 ? jobs : 4))}" ${scripts[@]+"${scripts[@]}"}
side_by_side 1 ${alone[@]+"${alone[@]}"}
count() { cat "$results/$1" 2>/dev/null | wc -l; }
[ ! -e "$results/failed" ] || echo "failed:" $(cat "$results/failed")
echo "$(count passed) passed, $(count failed) failed, $(count skipped) skipped"
[ $(($(count passed) + $(count failed) + $(count skipped))) = $((${#programs[@]} + ${#scripts[@]} + ${#alone[@]})) ] || {
    echo "not all have been run"
    exit 1
}
[ -z "${NO_SKIP:-}" ] || [ ! -e "$results/skipped" ] || exit 1
[ ! -e "$results/failed" ] && [ $(($(count passed) + $(count skipped))) -gt 0 ]
