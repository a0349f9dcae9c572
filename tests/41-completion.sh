#!/bin/bash
# SPDX-License-Identifier: MIT
# Completion in bash, zsh and fish, as installed: each option and verb of each program's --help is offered where it belongs,
# nothing is that the program does not know, and values and files are.
. tests/lib/pack.sh
for program in fish zsh; do
    command -v $program >/dev/null || { echo "$program is not installed"; exit 77; }
done
[ -e /usr/share/bash-completion/bash_completion ] || { echo "bash-completion is not installed"; exit 77; }
programs=(nxpack nxref nxserve nxfetch)
build=$(realpath "$BUILD")
drivers=$PWD/tests/completion

dest=$work/dest
case $BUILD in *clang*) compiler=clang ;; *) compiler=gcc ;; esac
for goal in install-completions uninstall-completions; do
    env -u MAKEFLAGS -u MAKELEVEL make -s CC=$compiler B="$BUILD" PREFIX=/usr/local DESTDIR="$dest" $goal >"$work/make.log" 2>&1 || { cat "$work/make.log"; exit 1; }
    is "$goal" $([ $goal = install-completions ] && echo 12 || echo 0) "$(find "$dest" -type f | wc -l)"
done
env -u MAKEFLAGS -u MAKELEVEL make -s CC=$compiler B="$BUILD" PREFIX=/usr/local DESTDIR="$dest" install-completions >/dev/null
share=$dest/usr/local/share

# Files to choose from.
mkdir -p "$work/here/folder" && cd "$work/here" || exit 1
touch a.nxpk b.netx c.txt k.pem m.iso

# A help in the same style, of a program that is not there: whatever comes next.
mkdir -p "$work/next"
cat >"$work/next/nxnext.help" <<'END'
Usage: nxnext [OPTION]... FILE
       nxnext status|look [PLACE]
       nxnext power off|reset [PLACE]
Do what is next.

The verbs:
  status [PLACE]        show how it goes
      --watch           and go on
  look FILE [PLACE]
                        look at it
Others:
  -4, --ipv4            speak the old one
      --web[=[ADDR:]PORT]  in a browser
      --kind=KIND       small, large or "huge"; unless given, small
      --place=WHERE     its place: here, a file, or unix:PATH for another
Its looks (look and power, too):
      --colour          with colours
      --bright          brightly (not power)
The power (power only):
      --all             of all
END
for shell in bash zsh fish; do
    out=nxnext.$shell
    [ $shell != zsh ] || out=_nxnext
    awk -f "$OLDPWD/completion/help.awk" -f "$OLDPWD/completion/$shell.awk" "$work/next/nxnext.help" >"$work/next/$out" || fail "$shell: nxnext"
done
cp "$work/next/nxnext.bash" "$share/bash-completion/completions/nxnext"
cp "$work/next/_nxnext" "$share/zsh/site-functions/"
cp "$work/next/nxnext.fish" "$share/fish/vendor_completions.d/"

# ---- what is asked: all at once, for a shell starts slowly ----

# The verbs of a program's usage lines, with their own verbs: "trust add".
verbs_of() {
    "$build/$1" --help | awk -v program="$1" '
        /^Usage:/ { sub(/^Usage:/, "      ") }
        $1 != program { over = 1 }
        !over && $2 ~ /^[a-z]/ {
            n = split($2, verb, "|")
            for (i = 1; i <= n; i++)
                print verb[i]
            m = n == 1 && $3 ~ /^[a-z]/ ? split($0, word, /[ |]+/) : 0
            for (i = 4; i <= m; i++)
                if (word[i] ~ /^[a-z]/)
                    print verb[1] " " word[i]
        }' | sort -u
}
# The options of a help, each with the = or [= behind it.
options_of() { grep -oE '^ +(-[a-zA-Z0-9], )?--[a-z0-9][-a-z0-9]*(\[?=)?' | sed 's/.*--/--/' | sort -u; }
lines=()
for program in "${programs[@]}"; do
    lines+=("$program " "$program --")
    while read -r verb; do lines+=("$program $verb " "$program $verb --"); done < <(verbs_of $program)
done
values=('nxfetch --accel=' 'nxfetch --accel ' 'nxfetch --accel=t' 'nxfetch --display ' 'nxfetch --serial=' 'nxfetch --serial=u' 'nxfetch --until='
    'nxfetch --trust=' 'nxfetch --cache-dir=' 'nxfetch --cpus=' 'nxfetch -v --cpus 2 ' 'nxfetch --cache-size 2G info ' 'nxfetch mount a.nxpk ' 'nxfetch info a'
    'nxpack unpack --format=' 'nxpack create --arch ' 'nxpack create --cdrom=' 'nxpack -c ' 'nxpack -k ' 'nxpack --memory=' 'nxpack create --memory='
    'nxpack sign -k k.pem ' 'nxref --html=' 'nxserve --tls-cert=' 'nxserve conf'
    'nxnext ' 'nxnext --' 'nxnext status --' 'nxnext look --' 'nxnext power off --' 'nxnext power ' 'nxnext --kind=' 'nxnext --place=' 'nxnext --web ')
printf '%s\n' "${lines[@]}" "${values[@]}" >"$work/lines"
printf '%s\n' "${programs[@]}" >"$work/programs"
export XDG_DATA_DIRS=$share:/usr/local/share:/usr/share XDG_CONFIG_HOME=$work/config XDG_DATA_HOME=$work/data XDG_CACHE_HOME=$work/cache HOME=$work
mkdir "$work/bin" && printf '#!/bin/sh\n' >"$work/bin/nxnext" && chmod 755 "$work/bin/nxnext" # fish wants it to be there
PATH=$build:$work/bin:$PATH
bash --norc "$drivers/complete.bash" <"$work/lines" >"$work/bash" 2>"$work/bash.err" || fail "bash" "$(cat "$work/bash.err")"
fish "$drivers/complete.fish" <"$work/lines" >"$work/fish" 2>"$work/fish.err" || fail "fish" "$(cat "$work/fish.err")"
mkdir "$work/zsh.d"
zsh -f "$drivers/complete.zsh" "$share/zsh/site-functions" "$work/zsh.d" <"$work/lines" >"$work/zsh" 2>"$work/zsh.err" || fail "zsh" "$(cat "$work/zsh.err")"
for shell in bash zsh fish; do
    is "$shell: on stderr" '' "$(cat "$work/$shell.err")"
    is "$shell: answers" "$(wc -l <"$work/lines")" "$(grep -c '^== ' "$work/$shell")"
done

# offered SHELL LINE: what it offers, sorted, a word a line, without what the shells do differently: a = at the end of
# an option, an option before its value, a / behind a folder
offered() {
    awk -v line="== $2" '$0 == line { on = 1; next } /^== / { on = 0 } on' "$work/$1" |
        sed -E 's/=$//; s/^--[a-z-]+=(.+)/\1/; s,(.)/$,\1,; s/ +$//' | grep -v '^-[a-zA-Z0-9]$' | sort -u
}
words() { tr ' ' '\n' <<<"$*" | sort; }

# ---- options and verbs ----

n_options=0
for program in "${programs[@]}"; do
    "$build/$program" --help >"$work/help"
    options_of <"$work/help" | sed 's/\[*=$//' | sort -u >"$work/options"
    n_options=$((n_options + $(wc -l <"$work/options")))
    verbs_of $program >"$work/verbs"
    for shell in bash zsh fish; do
        { offered $shell "$program --"; while read -r verb; do offered $shell "$program $verb --"; done <"$work/verbs"; } | sort -u >"$work/offered"
        is "$shell: $program's options" "$(cat "$work/options")" "$(cat "$work/offered")"
        # Verbs, each after what comes before it.
        while read -r verb; do
            checks=$((checks + 1))
            before= last=$verb
            [[ $verb != *' '* ]] || { before=${verb% *} last=${verb##* }; }
            offered $shell "$program ${before:+$before }" | grep -qx -- "$last" || fail "$shell: the verb is not offered" "$program $verb"
        done <"$work/verbs"
    done
done
[ $n_options -gt 80 ] || fail "only $n_options options"

# ---- each is offered just where the program takes it ----

# A value that the program does not refuse before it looks at what the option is given with.
value_for() {
    case $1 in
    --memory | --disk | --cache-size) echo 256M ;;
    --cpus | --until | --serial | --vnc | --port | --metrics) echo 2 ;;
    --accel) echo tcg ;;
    --forward) echo 8000:80 ;;
    --progress-fd | --ready-fd) echo 1 ;;
    --trust) printf %064d 0 ;;
    *) echo /dev/null/x ;;
    esac
}
# Arguments with which the verb does no more than look at its options, and find that there is nothing.
arguments_for() {
    case $1 in
    nxfetch/cache* | 'nxfetch/trust list' | nxpack/list) ;;
    nxfetch/status | nxfetch/power*) echo nobodys ;;
    nxfetch/screenshot) echo /dev/null/x nobodys ;;
    nxpack/create) echo x ;;
    nxserve/config*) ;;
    nxpack/ | nxpack/unpack | nxref/ | nxfetch/mount) echo /dev/null/a.nxpk /dev/null/b ;;
    *) echo /dev/null/a.nxpk ;;
    esac
}
# Who has nothing: no machine, no libvirt, no desktop, no cache.
mkdir -m 700 "$work/nobody"
nobody=(env -u DISPLAY -u WAYLAND_DISPLAY -u XDG_DATA_HOME -u XDG_CONFIG_HOME -u XDG_CACHE_HOME HOME="$work/nobody" XDG_RUNTIME_DIR="$work/nobody"
    TMPDIR="$work/nobody" LIBVIRT_AUTOSTART=0 LIBVIRT_DEFAULT_URI=test:///default)
# Those of proxies and logins are one table in the programs: one stands for them.
alone=$("$build/nxfetch" --help | sed -n '/^Proxies and logins/,/^$/p' | options_of | sed 's/=$//' | grep -vx -e --ipv4 -e --key | paste -sd'|')
for program in "${programs[@]}"; do
    "$build/$program" --help | options_of | grep -vE -- "^($alone|--help|--version)=?\$" >"$work/options"
    verbs_of $program >"$work/verbs"
    { echo; cat "$work/verbs"; } | while read -r verb; do
        ! grep -q "^$verb " "$work/verbs" || [ -z "$verb" ] || continue # that alone is no command
        while read -r option; do
            name=${option%%[[=]*}
            case $option in *'[=') option=$name ;; *=) option+=$(value_for $name) ;; esac
            limit=60
            [ "$verb $option" != 'status --web' ] || limit=3 # a page that waits for its machine
            # shellcheck disable=SC2046,SC2086
            said=$("${nobody[@]}" timeout $limit "$build/$program" $verb $option $(arguments_for $program/"$verb") 2>&1 </dev/null)
            status=$?
            [ $status -lt 124 ] || [ $limit = 3 ] || echo "status $status of $program $verb $option" >>"$work/ended"
            case $said in *'means nothing here'* | *'unrecognized option'* | *'takes no options'*) ;; *) echo "$name" ;; esac
        done <"$work/options" | sort -u >"$work/taken"
        for shell in bash zsh fish; do
            offered $shell "$program ${verb:+$verb }--" | grep -E '^--' | grep -vE -- "^($alone|--help|--version)\$" >"$work/offered"
            diff "$work/taken" "$work/offered" >"$work/diff" || echo "$shell: $program $verb: taken, but not offered (<), or the other way (>): $(grep '^[<>]' "$work/diff" | paste -sd' ')"
        done
    done >"$work/wrong"
    is "what $program takes" '' "$(cat "$work/wrong")"
    is "each has ended by itself" '' "$(cat "$work/ended" 2>/dev/null)"
done

# ---- values and files ----

# each_offers LINE WORD...: just these, in every shell
each_offers() {
    local line=$1 shell
    shift
    for shell in bash zsh fish; do is "$shell: $line" "$(words "$@")" "$(offered $shell "$line")"; done
}
each_offers 'nxfetch --accel=' auto kvm tcg
each_offers 'nxfetch --accel ' auto kvm tcg
each_offers 'nxfetch --accel=t' tcg
each_offers 'nxfetch --display ' gtk sdl spice-app none
each_offers 'nxfetch --serial=' stdio unix: a.nxpk b.netx c.txt k.pem m.iso folder
each_offers 'nxfetch --serial=u' unix:
each_offers 'nxfetch --until=' settled
each_offers 'nxfetch --trust=' k.pem folder
each_offers 'nxfetch --cache-dir=' folder
each_offers 'nxfetch --cpus=' ''
each_offers 'nxfetch --cache-size 2G info ' a.nxpk b.netx folder # 2G is no argument
each_offers 'nxfetch mount a.nxpk ' folder
each_offers 'nxfetch info a' a.nxpk
each_offers 'nxpack unpack --format=' raw qcow2
each_offers 'nxpack create --arch ' x86_64 i686
each_offers 'nxpack create --cdrom=' m.iso folder
each_offers 'nxpack -c ' qemu:///session qemu:///system
each_offers 'nxpack -k ' k.pem folder
each_offers 'nxpack --memory=' a.nxpk b.netx c.txt k.pem m.iso folder # a save
each_offers 'nxpack create --memory=' ''                              # a size
each_offers 'nxpack sign -k k.pem ' a.nxpk folder
each_offers 'nxref --html=' folder
each_offers 'nxserve --tls-cert=' a.nxpk b.netx c.txt k.pem m.iso folder
each_offers 'nxserve conf' config
for shell in bash zsh fish; do # locations are files beside the verbs
    is "$shell: nxfetch's locations" "$(words a.nxpk b.netx folder)" "$(offered $shell 'nxfetch -v --cpus 2 ' | grep -vxFf <(verbs_of nxfetch))"
done
each_offers 'nxnext ' status look power a.nxpk b.netx c.txt k.pem m.iso folder
each_offers 'nxnext --' --ipv4 --web --kind --place --colour --bright
each_offers 'nxnext status --' --watch --ipv4 --web --kind --place
each_offers 'nxnext look --' --ipv4 --web --kind --place --colour --bright
each_offers 'nxnext power off --' --ipv4 --web --kind --place --colour --all
each_offers 'nxnext power ' off reset
each_offers 'nxnext --kind=' small large huge
each_offers 'nxnext --place=' here unix: a.nxpk b.netx c.txt k.pem m.iso folder

# ---- and one at a real terminal, with readline ----

if command -v tmux >/dev/null; then
    terminal() { tmux -S "$work/tmux" -f /dev/null "$@"; }
    terminal new-session -d -x 100 -y 10 "HISTFILE= PS1='> ' exec bash --noprofile --norc -i"
    screen_has() {
        local deadline=$((SECONDS + 20))
        until terminal capture-pane -p | grep -qF -- "$1"; do
            [ $SECONDS -lt $deadline ] || { fail "at the terminal" "wanted: $1" "got:    $(terminal capture-pane -p)"; return; }
            sleep 0.1
        done
        checks=$((checks + 1))
    }
    screen_has '>'
    terminal send-keys '. /usr/share/bash-completion/bash_completion; clear' Enter
    terminal send-keys 'nxfetch --acc' Tab
    screen_has '> nxfetch --accel='
    terminal send-keys 'k' Tab
    screen_has '> nxfetch --accel=kvm'
    terminal send-keys 'inf' Tab 'b' Tab
    screen_has '> nxfetch --accel=kvm info b.netx'
    terminal kill-server
fi
finish
