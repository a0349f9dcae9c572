# SPDX-License-Identifier: MIT
# What bash offers for each line of stdin: "== LINE", then an offer a line.  bash-completion finds the completions by
# $XDG_DATA_DIRS.  Words are made of the line as readline does, at blanks and at "=" and ":".
. /usr/share/bash-completion/bash_completion
compopt() { :; } # there is no readline here to tell

while IFS= read -r COMP_LINE; do
    echo "== $COMP_LINE"
    COMP_POINT=${#COMP_LINE} COMP_WORDS=() COMP_KEY=9 COMP_TYPE=63
    rest=$COMP_LINE
    while [[ $rest =~ ^\ *([=:]+|[^=:\ ]+) ]]; do
        COMP_WORDS+=("${BASH_REMATCH[1]}")
        rest=${rest:${#BASH_REMATCH[0]}}
    done
    [[ $COMP_LINE != *[\ ] ]] || COMP_WORDS+=('')
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    COMPREPLY=()
    current=${COMP_WORDS[COMP_CWORD]}
    declare -F "_${COMP_WORDS[0]}" >/dev/null || __load_completion "${COMP_WORDS[0]}"
    "_${COMP_WORDS[0]}" "${COMP_WORDS[0]}" "$current" "${COMP_WORDS[COMP_CWORD - 1]}"
    [ ${#COMPREPLY[@]} = 0 ] || printf '%s\n' "${COMPREPLY[@]}"
done
