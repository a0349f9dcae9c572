#!/bin/bash
# SPDX-License-Identifier: MIT
# The unit tests built with sanitizers: all of them with AddressSanitizer (and leaks) and UndefinedBehaviorSanitizer, those of
# the modules with threads with ThreadSanitizer.  A report is a failure, whichever process of a test it comes from.
#   tests/sanitizers.sh     T=NAME: only those whose name contains NAME     ROUNDS=20: each so often
set -u
cd "$(dirname "$0")/.." || exit 1
jobs=$(nproc)
threaded="test-engine test-flight test-transport test-cache test-pack-pipeline test-channel"
reports='(ERROR|WARNING): (Address|Leak|Thread|UndefinedBehavior)Sanitizer|runtime error:|FATAL: '
export CK_VERBOSITY=normal CK_TIMEOUT_MULTIPLIER=5
export LSAN_OPTIONS=suppressions=$PWD/tests/lsan.supp:print_suppressions=0
export UBSAN_OPTIONS=print_stacktrace=1
mkdir -p build/log

# one BUILD TEST ROUND: run it, and say what happened
one() {
    local log=build/log/$2-${1##*/}.log start=$SECONDS status
    "$1/$2" >"$log.$3" 2>&1 </dev/null
    status=$?
    mv "$log.$3" "$log"
    if { [ $status = 0 ] || [ $status = 77 ]; } && ! grep -Eq "$reports" "$log"; then
        printf 'ok      %-28s %4ds  %s\n' "$2" $((SECONDS - start)) "${1##*/}"
    else
        printf 'FAILED  %-28s %4ds, status %d; from %s:\n' "$2" $((SECONDS - start)) $status "$log"
        grep -E -A 12 "$reports|:[FE]:" "$log" | head -n 40 | sed 's/^/    /'
        return 1
    fi
}
export -f one
export reports

# built SANITIZE TEST...: build them, and say what is to be run
built() {
    local build=build/gcc-${1//,/-} sanitize=$1 t
    local -a tests=()
    shift
    for t; do
        case $t in *"${T:-}"*) tests+=("$t") ;; esac
    done
    [ ${#tests[@]} -gt 0 ] || return 0
    make -j"$jobs" --no-print-directory CC=gcc SANITIZE="$sanitize" "${tests[@]/#/$build/}" >build/log/sanitize.log 2>&1 ||
        { tail -n 20 build/log/sanitize.log >&2; return 1; }
    printf "$build %s\n" "${tests[@]}"
}

threads=$(built thread $threaded) && memory=$(built address,undefined $(cd tests && ls test-*.c | sed 's/\.c$//')) || exit 1
# Most of them wait: twice as many at once as there are processors.  By name, so that no long one is left for the end.
for ((round = 1; round <= ${ROUNDS:-1}; round++)); do
    printf '%s\n' "$memory" "$threads" | grep . | sort -k 2 |
        xargs -P $((2 * jobs)) -L 1 bash -c "one \"\$@\" $round" - || exit 1
done
