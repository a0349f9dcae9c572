# SPDX-License-Identifier: MIT
# Programs while memory runs out (tests/preload/failmalloc.h).  Sourced by bash with the tree's root as its working
# directory, after tests/lib/pack.sh.
#
#     without_memory WHAT own|all|LIBRARY MOST COMMAND...
#
# runs the command again and again, each time without its Nth allocation: of its own ("own"), or the libraries', too
# ("all"), or of one that it is linked with (libnbd.so); at most about MOST of them, evenly (0: every one).  It must end with status 1 and words on stderr, or with status
# 0 and the right result; never by a signal, never later than 60 s.  The caller defines
#     prepare        before each run
#     is_right       the result of a run with status 0 is the right one
#     is_clean       after a run with status 1 nothing is left behind
# and crash_is_known, if a library is known to crash, or to run in a circle, without memory: it sees the trace of who asked
# in $TRACE.

TALLY=$work/.tally TRACE=$work/.trace
FAILMALLOC=$(realpath -m "$BUILD")/tools/failmalloc.so
crash_is_known() { false; }

# Its Nth allocation fails: sets STATUS, COUNTED and FAILED.
run_without() {
    local n=$2 counted=()
    case $1 in
    own) counted=(NX_FAIL_OWN=1) ;;
    all) ;;
    *) counted=(NX_FAIL_OF="$1") ;;
    esac
    shift 2
    rm -f "$TALLY" "$TRACE"
    timeout 60 env LD_PRELOAD="$FAILMALLOC" NX_FAIL_ALLOC="$n" NX_FAIL_PROGRAM="${1##*/}" \
        NX_FAIL_TALLY="$TALLY" NX_FAIL_TRACE="$TRACE" "${counted[@]}" "$@" >"$work/.out" 2>"$work/.err" </dev/null
    STATUS=$?
    read -r COUNTED FAILED < <(od -An -v -tu8 "$TALLY")
}

wrong() {
    fail "$what, allocation $n of $scope: $1" "$(head -n 5 "$work/.err")" "$(grep -v failmalloc.so "$TRACE" | head -n 12)"
}

# What one run came to.
judge() {
    case $STATUS in
    0) right=$((right + 1)); is_right || wrong "status 0, but another result" ;;
    1) errors=$((errors + 1))
       [ -s "$work/.err" ] || wrong "no message"
       is_clean || wrong "something is left behind: $LEFT" ;;
    *) if crash_is_known; then
           known=$((known + 1))
       elif [ "$STATUS" = 124 ]; then
           wrong "it did not end"
       else
           wrong "status $STATUS"
       fi ;;
    esac
    checks=$((checks + 1))
}

without_memory() {
    local what=$1 scope=$2 most=$3 n right=0 errors=0 known=0 total
    shift 3
    prepare
    n=none run_without "$scope" 999999999 "$@"
    [ "$STATUS" = 0 ] && is_right || { n=none wrong "status $STATUS with all its memory"; return; }
    total=$COUNTED FAILED=1
    local step=$((most ? total / most + 1 : 1))
    # Threads may ask for more or less than the first time: until one is not reached.
    for ((n = 1; FAILED > 0; n += step)); do
        [ $failed -lt 10 ] || return
        prepare
        run_without "$scope" $n "$@"
        judge
    done
    echo "$what: $total allocations ($scope), $((right + errors + known)) runs: $errors errors, $right right, $known known crashes of libraries"
}
