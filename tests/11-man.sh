#!/bin/bash
# SPDX-License-Identifier: MIT
# The manual pages: clean, with the sections that readers look for; each option and verb of --help in them, and known to the
# program; and no option anywhere in them, in README or in docs/ that no program knows.
. tests/lib/pack.sh
programs=(nxpack nxref nxserve nxfetch)
build=$(realpath "$BUILD")
for tool in mandoc groff; do
    command -v $tool >/dev/null || { echo "$tool is not installed"; exit 77; }
done

# With "\-" as "-", so that options can be looked for.
plain() { sed 's/\\-/-/g' "$@"; }
options_in() { grep -oE -- '(^|[^-a-zA-Z0-9])--[a-z0-9][-a-z0-9]*[a-z0-9]' | grep -oE -- '--[a-z0-9].*' | sort -u; }

# try_option PROGRAM VERB OPTION: is it known there?  It gets a value if it takes one, and --help ends all.
try_option() {
    local program=$1 verb=$2 option=$3
    grep -qE -- "^ +(-[a-zA-Z0-9], )?$option=" "$work/$program.help" && option=$option=x
    # shellcheck disable=SC2086 # the verb can be two words or none
    timeout 20 "$build/$program" $verb "$option" --help >"$work/out" 2>&1 </dev/null
    ! grep -qE "(unrecognized option|is not an option|doesn't allow an argument|ambiguous)" "$work/out"
}

for program in "${programs[@]}"; do
    page=$BUILD/man/$program.1 source=docs/man/$program.1.in
    "$build/$program" --help >"$work/$program.help"
    is "$page: mandoc -Tlint" '' "$(mandoc -Tlint -W warning "$page" 2>&1)"
    is "$page: groff -ww" '' "$(groff -man -ww -Tutf8 "$page" 2>&1 >/dev/null)"
    for section in NAME SYNOPSIS DESCRIPTION OPTIONS ENVIRONMENT FILES 'EXIT STATUS' EXAMPLES 'SEE ALSO'; do
        is "$page: $section" 1 "$(grep -c "^\.SH \"\?$section\"\?$" "$page")"
    done
    for other in "${programs[@]}"; do
        [ $other = $program ] || is "$page: SEE ALSO $other" 1 "$(sed -n '/^\.SH SEE ALSO/,$p' "$page" | grep -cE "^\.BR $other \(1\)")"
    done
    # What is read: all of the help, as it stands.
    MANWIDTH=200 groff -man -Tutf8 -rLL=200n "$page" 2>/dev/null | sed 's/\x1b\[[0-9;]*m//g; s/.\x08//g' >"$work/read"
    while IFS= read -r line; do
        [ -n "$line" ] || continue
        checks=$((checks + 1))
        grep -qF -- "$line" "$work/read" || fail "$page lacks" "$line"
    done < <(sed -E 's/^(Usage:)? +//' "$work/$program.help")

    # Each option of the help is known to the program, if not without a verb then behind one of its verbs.
    grep -oE '^ +(-[a-zA-Z0-9], )?--[a-z0-9][-a-z0-9]*' "$work/$program.help" | options_in >"$work/$program.options"
    verbs=$(awk -v program="$program" '/^Usage:/ { sub(/^Usage:/, "      ") } $1 == program && $2 ~ /^[a-z]/ { gsub(/\|/, " ", $2); print $2 }' "$work/$program.help")
    [ $program != nxserve ] || verbs=
    while read -r option; do
        checks=$((checks + 1))
        known=
        for verb in '' $verbs; do
            case $verb in trust) verb='trust add' ;; cache) verb='cache show' ;; esac
            ! try_option $program "$verb" "$option" || { known=yes; break; }
        done
        [ -n "$known" ] || fail "$program does not know $option, which its help has"
    done <"$work/$program.options"
    # And each that the program's tables have is in the help.
    case $program in
    nxpack) tables=(pack/nxpack.c pack/cli.h $(ls pack/verb-*.c | grep -v verb-check)) ;;
    nxref) tables=(pack/nxref.c pack/cli.h pack/verb-check.c) ;;
    nxserve) tables=(serve/nxserve.c) ;;
    nxfetch) tables=(fetch/options.c) ;;
    esac
    while read -r option; do
        checks=$((checks + 1))
        grep -qE -- "(^|[^-a-z])--$option([^-a-z]|$)" "$work/$program.help" || fail "$program takes --$option, of which its help says nothing"
    done < <(cat "${tables[@]}" | grep -oE '\{ *"[a-z0-9-]+", *(no|required|optional)_argument' | sed -E 's/.*"([a-z0-9-]+)".*/\1/' | sort -u)

    # Each verb is explained; and what is for programs to read is described, not only named.
    for verb in $verbs; do
        checks=$((checks + 1))
        grep -qE "^\.(B|BI|BR|TP|SS|SH|IP).*\b$verb\b" "$source" || fail "$source does not speak of the verb $verb"
    done
    for option in --json --progress-fd --stats --ready-fd --record --metrics --access-log; do
        grep -qx -- "$option" "$work/$program.options" || continue
        [ $program != nxref ] || [ $option != --progress-fd ] || continue # it shows nothing
        checks=$((checks + 1))
        plain "$source" | grep -qF -- "$option" || fail "$source does not say what $option gives"
    done
done
cat "$work"/*.options | sort -u >"$work/all"

# Options of other programs, in lines that name these.
others='caddy:adapter caddy:config curl:compressed fio:bs fio:direct fio:iodepth fio:number_ios fio:rw fio:size lintian:pedantic logrotate:debug systemctl:now virsh:config virsh:eject'
for other in $others; do echo "/(^|[^-a-z])${other%:*} /s/--${other#*:}([^-a-z_]|\$)/\\1/g"; done >"$work/others.sed"
ours() { plain "$1" | sed -E -f "$work/others.sed"; }
is 'options of other programs' 'run lintian now, not -- nxfetch --debug' "$(echo 'run lintian --pedantic now, not -- nxfetch --debug' | sed -E -f "$work/others.sed" | tr -s ' ')"
for document in README.md docs/*.md docs/man/*.1.in; do
    checks=$((checks + 1))
    unknown=$(ours "$document" | options_in | grep -vxFf "$work/all")
    [ -z "$unknown" ] || fail "$document: no program of ours knows" "$unknown"
done
# In a command each is that program's.
for document in README.md docs/*.md docs/man/*.1.in; do
    for program in "${programs[@]}"; do
        checks=$((checks + 1))
        unknown=$(ours "$document" | tr '`|;#()' '\n' | sed -E 's/&&/\n/g; s/(nxpack|nxref|nxserve|nxfetch) /\n&/g' | grep -E "^$program " | options_in |
            grep -vxFf "$work/$program.options")
        [ -z "$unknown" ] || fail "$document: a command with options that $program does not know" "$unknown"
    done
done
finish
