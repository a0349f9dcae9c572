# SPDX-License-Identifier: MIT
# What zsh offers for each line of stdin, with the completions in the folder $1: "== LINE", then an offer a line; $2 is for its own files.  Completion
# needs an editor on a terminal: a zsh in a zpty, whose compadd tells what it is given.
zmodload zsh/zpty
folder=$1 work=$2
export folder work TERM=dumb ZDOTDIR=$work
cat >$work/inside <<'END'
PS1= PROMPT= RPROMPT=
LISTMAX=100000 # ask nothing, however many there are
unsetopt prompt_cr prompt_sp beep
fpath=($folder $fpath)
autoload -U compinit && compinit -u -d $work/dump
compadd() {
    # With -O, -A or -D the matches are not offered, but kept.
    if [[ ${@[1,(i)(-|--)]} != *-(O|A|D)\ * ]]; then
        local -a hits
        builtin compadd -O hits "$@"
        (( $#hits )) && print -rl -- $hits >>$work/hits
    fi
    builtin compadd "$@"
}
capture() {
    BUFFER=$(<$work/line) CURSOR=$#BUFFER
    : >$work/hits
    zle list-choices
    BUFFER=
    : >$work/done
}
zle -N capture
bindkey '^X' capture
: >$work/done
END
wait_done() {
    local i
    for ((i = 0; i < 1500; i++)); do
        [[ -e $work/done ]] && { rm $work/done; return 0 }
        # What it writes must be read, or it stands still.
        while zpty -rt inside ignored; do :; done
        sleep 0.02
    done
    print -u2 "zsh does not answer"
    exit 1
}
zpty inside zsh -f -i
zpty -w inside ". $work/inside"
wait_done
while IFS= read -r line; do
    print -r -- "== $line"
    print -rn -- "$line" >$work/line
    zpty -wn inside $'\C-x'
    wait_done
    cat $work/hits
done
zpty -d inside
