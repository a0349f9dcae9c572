#!/bin/bash
# SPDX-License-Identifier: MIT
# Run tests, one after the other, and say what happened.  A test is a program:
# status 0 passed, 77 skipped, anything else failed.  Its output is shown when it fails, or with V=1.
#   BUILD=build/gcc tests/run.sh TEST...    T=NAME: only those whose name contains NAME
set -u
cd "$(dirname "$0")/.." || exit 1
export BUILD=${BUILD:-build/gcc} CK_VERBOSITY=${CK_VERBOSITY:-minimal}
# For builds with SANITIZE=: what is not ours, and the engine's tests, which fork beside a server thread.
export LSAN_OPTIONS=${LSAN_OPTIONS:-suppressions=$PWD/tests/lsan.supp:print_suppressions=0}
export TSAN_OPTIONS=${TSAN_OPTIONS:-die_after_fork=0}
mkdir -p build/log
passed=0 failed=0 skipped=0 failures=
for t in "$@"; do
    name=$(basename "$t" .sh)
    case "$name" in *"${T:-}"*) ;; *) continue ;; esac
    case $t in *.sh) command=(bash "$t") ;; *) command=("$BUILD/$t") ;; esac
    log=build/log/$name.log
    start=$SECONDS
    "${command[@]}" >"$log" 2>&1 </dev/null
    status=$?
    took=$((SECONDS - start))
    case $status in
    0) passed=$((passed + 1)); printf 'ok      %-28s %4ds\n' "$name" $took ;;
    77) skipped=$((skipped + 1)); printf 'skipped %-28s %s\n' "$name" "$(tail -n 1 "$log")" ;;
    *) failed=$((failed + 1)); failures="$failures $name"
       printf 'FAILED  %-28s %4ds, status %d; the end of %s:\n' "$name" $took $status "$log"
       tail -n 40 "$log" | sed 's/^/    /' ;;
    esac
    [ "${V:-0}" != 1 ] || sed 's/^/    /' "$log"
done
[ -z "$failures" ] || echo "failed:$failures"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ] && [ $((passed + skipped)) -gt 0 ]
