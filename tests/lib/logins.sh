# SPDX-License-Identifier: MIT
# For the tests of logins and proxies.  Sourced after tests/lib/http.sh, guests.sh and qemu.sh; makes the package
# $WORK/www/a.nxpk.
#
#     refused WHAT TEXT OPTION...   # nxfetch pull (or $VERB) [OPTION...] $url fails: status 1, TEXT in its last line, nothing secret
#     takes WHAT OPTION...          # it fetches all of it
#     on_terminal TEXT... -- CMD    # runs CMD, for the shell, on a terminal of its own and answers its questions with TEXT...
#
# $secrets are words that must be in no message, no statistics and no command line.

secrets=(sesame-open tok-1-hidden tok-2-hidden proxy-hidden)
cases=0

signing_key
head -c 3M /dev/urandom >"$WORK/disk.raw"
sed "s|@DIR@|$WORK|" tests/guests/tiny.xml >"$WORK/domain.xml"
"$BUILD/nxpack" -q -k "$KEY" "$WORK/domain.xml" "$WORK/www/a.nxpk" || die nxpack

started() {
    case $1 in
    0) return 0 ;;
    77) echo "not tried: $2 is not installed"; return 1 ;;
    *) die "$2 does not start" ;;
    esac
}

nothing_shown() {
    local word
    for word in "${secrets[@]}"; do
        ! grep -rqF -- "$word" "$@" || die "$word is shown: $(grep -rF -- "$word" "$@")"
    done
}

# The options that lead to $url's login; the environment is the caller's.
refused() {
    local what=$1 text=$2 status=0
    shift 2
    cases=$((cases + 1))
    new_cache
    timeout -k 5 60 "$BUILD/nxfetch" "${VERB:-pull}" -vv --stats "$WORK/stats.json" "$@" "$url" >"$WORK/out" 2>"$WORK/err" </dev/null || status=$?
    [ $status = 1 ] || die "$what: status $status, $(cat "$WORK/err")"
    tail -n 1 "$WORK/err" | grep -qE "^nxfetch: .*($text)" || die "$what: it should say \"$text\": $(cat "$WORK/err")"
    nothing_shown "$WORK/out" "$WORK/err" "$WORK/stats.json"
}

takes() {
    local what=$1
    shift
    cases=$((cases + 1))
    new_cache
    timeout -k 5 60 "$BUILD/nxfetch" pull -vv --stats "$WORK/stats.json" "$@" "$url" >"$WORK/out" 2>"$WORK/err" </dev/null ||
        die "$what: $(cat "$WORK/err")"
    [ "$(jq '.have_bytes >= .total_bytes' "$WORK/stats.json")" = true ] || die "$what: not all is here: $(cat "$WORK/stats.json")"
    nothing_shown "$WORK/out" "$WORK/err" "$WORK/stats.json"
}

# usage TEXT OPTION...: status 2.
usage() {
    local text=$1 status=0
    shift
    cases=$((cases + 1))
    "$BUILD/nxfetch" pull "$@" "http://127.0.0.1:9/a.nxpk" >"$WORK/out" 2>"$WORK/err" </dev/null || status=$?
    [ $status = 2 ] && head -n 1 "$WORK/err" | grep -qE -- "^nxfetch: $text" && grep -q "^Try 'nxfetch --help'" "$WORK/err" ||
        die "usage: status $status, should say \"$text\": $(cat "$WORK/err")"
    nothing_shown "$WORK/err"
}

# Each question ends in ": ", as nothing else does that waits.  What was seen is in $WORK/terminal; the status is the command's.
on_terminal() {
    local answers=() in out pid char seen='' n=0
    while [ "$1" != -- ]; do answers+=("$1"); shift; done
    shift
    coproc timeout --foreground -k 5 60 script -qec "$*" /dev/null
    pid=$COPROC_PID
    exec {in}<&"${COPROC[0]}" {out}>&"${COPROC[1]}" # bash closes its own when it ends
    while IFS= read -r -d '' -n 1 char <&"$in"; do
        seen+=$char
        [[ $seen =~ (Password of|Passphrase of)\ [^$'\n']*:\ $ ]] || continue
        echo "${answers[n++]:-}" >&"$out"
    done
    exec {in}<&- {out}>&-
    printf '%s' "$seen" >"$WORK/terminal"
    wait "$pid"
}

# asks_on_terminal PASSWORD QUESTION REFUSAL COMMAND: it asks so, takes this password and shows it nowhere, and refuses another one so
asks_on_terminal() {
    new_cache
    on_terminal "$1" -- "$4" || die "on the terminal: $(cat "$WORK/terminal")"
    grep -q "$2" "$WORK/terminal" || die "the question: $(cat "$WORK/terminal")"
    nothing_shown "$WORK/terminal"
    new_cache
    on_terminal wrong -- "$4" && die "a wrong password is taken"
    grep -q "$3" "$WORK/terminal" || die "a wrong password: $(cat "$WORK/terminal")"
}
