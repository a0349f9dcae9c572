#!/bin/bash
# SPDX-License-Identifier: MIT
# docs/user.md, command for command, taken out of the document itself: in a network of its own, where https://example.org has a
# small machine called demo.  The test is the person before the screen: it answers the question about trust at a terminal,
# waits until the machine is up, and switches it off.
#   49-user-guide.sh                 the test
#   49-user-guide.sh inside WORK     the same, called by itself in there
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/lib/guide.sh
guide=docs/user.md

if [ "${1:-}" != inside ]; then
    . tests/lib/http.sh
    . tests/lib/guests.sh
    [ "$(id -u)" = 0 ] || { echo 'only root can make a network of its own'; exit 77; }
    for program in script jq; do command -v $program >/dev/null || { echo "$program is not installed"; exit 77; }; done
    work=$(mktemp -d "${TMPDIR:-/tmp}/nxpk-user.XXXXXX") || exit 1
    trap 'stop_servers; rm -rf "$work"' EXIT
    package tiny-saved || exit # it resumes, which takes a second
    mkdir -p "$work"/{www,bin,home,run} && chmod 700 "$work/run"
    cp "$PACKAGE" "$work/www/demo.nxpk" || exit 1
    cp "$TRUST" "$work/home/author.pub.pem"
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=example.org -addext subjectAltName=DNS:example.org \
        -keyout "$work/tls.key" -out "$work/tls.pem" 2>/dev/null || exit 1
    cp "$work/tls.pem" "$work/home/authority.pem"
    unshare --mount --net --pid --fork --kill-child --mount-proc --propagation private bash "$0" inside "$work"
    exit
fi

# ---- inside -------------------------------------------------------------------

work=$2
BUILD=$(realpath "${BUILD:-build/gcc}")
failed=0
ip link set lo up || exit 1
printf '127.0.0.1 localhost example.org\n' >"$work/hosts" && mount --bind "$work/hosts" /etc/hosts || exit 1
cat /etc/ssl/certs/ca-certificates.crt "$work/tls.pem" >"$work/authorities" && mount --bind "$work/authorities" /etc/ssl/certs/ca-certificates.crt || exit 1
"$BUILD/nxserve" -q --listen 127.0.0.1 --port 443 --port-file "$work/port" --tls-cert "$work/tls.pem" --tls-key "$work/tls.key" "$work/www" &
until [ -s "$work/port" ]; do kill -0 $! 2>/dev/null || { echo "nxserve does not start"; exit 1; }; sleep 0.05; done

# nxfetch, with a person: where a machine is to be run, on a terminal and with a serial port to see it by.
cat >"$work/bin/nxfetch" <<END
#!/bin/bash
real=$BUILD/nxfetch talk=$BUILD/tools/guest-talk work=$work
END
cat >>"$work/bin/nxfetch" <<'END'
case ${1:-} in info | pull | mount | trust | cache | status | power | screenshot | --version) exec "$real" "$@" ;; esac
rm -f "$work/serial"
started=$SECONDS
mkfifo "$work/keyboard.$$"
script -qec "$(printf '%q ' "$real" --accel tcg --display none --serial "unix:$work/serial" "$@")" /dev/null <"$work/keyboard.$$" >"$work/screen" 2>&1 &
pid=$!
exec 9>"$work/keyboard.$$"
until [ -S "$work/serial" ]; do
    if grep -q 'Run it?' "$work/screen" && [ ! -e "$work/answered.$$" ]; then
        echo o >&9
        : >"$work/answered.$$"
        echo asked >>"$work/asked"
    fi
    kill -0 $pid 2>/dev/null && [ $((SECONDS - started)) -lt 60 ] || { cat "$work/screen" >&2; exit 1; }
    sleep 0.05
done
"$talk" -i 300 -p $pid "$work/serial" 90 'poke:nxpk# ' 'run:echo here it is' 'poke:nxpk# ' 'send:poweroff -f' off: >"$work/used" || { cat "$work/screen" "$work/used" >&2; exit 1; }
grep -q '^here it is' "$work/used" || { cat "$work/used" >&2; exit 1; }
exec 9>&-
wait $pid || { cat "$work/screen" >&2; exit 1; }
echo "$*" >>"$work/runs"
END
chmod 755 "$work/bin/nxfetch"
export PATH=$work/bin:$PATH HOME=$work/home XDG_RUNTIME_DIR=$work/run TMPDIR=$work
unset XDG_CACHE_HOME XDG_CONFIG_HOME DISPLAY WAYLAND_DISPLAY https_proxy http_proxy

# All that the guide runs, in its order, each section a script.
while read -r section; do
    echo "$SECONDS s: $section"
    guide_script "$guide" "$section" >"$work/commands"
    (cd "$HOME" && bash "$work/commands" >"$work/said" 2>&1 </dev/null) && continue
    echo "FAILED: \"$section\""
    tail -n 15 "$work/said"
    failed=$((failed + 1))
done < <(guide_sections "$guide")

# check WHAT WANTED GOT
check() { [ "$2" = "$3" ] || { echo "FAILED: $1: wanted $2, got $3"; failed=$((failed + 1)); }; }
check 'asked once, and not after the signer was trusted' 1 "$(wc -l <"$work/asked")"
check 'machines that have run' 4 "$(wc -l <"$work/runs")"
# No command hides in another kind of block, but what nxfetch says.
check 'blocks' "$(grep -cE '^```(sh|text)$' $guide)" "$(($(grep -c '^```' $guide) / 2))"
# What it says is what is said.
for line in 'A signer that is not known here offers this machine:' 'Run it?  [o]nce, [a]lways what this signer has signed, or [N]ot:'; do
    grep -qF "$line" $guide || { echo "FAILED: the guide has not: $line"; failed=$((failed + 1)); }
    grep -qF "$line" fetch/trust.c || { echo "FAILED: nxfetch does not say: $line"; failed=$((failed + 1)); }
done
# Links lead somewhere.
while read -r link; do
    grep -E '^#+ ' $guide | sed -E 's/^#+ //' | tr 'A-Z ' 'a-z-' | tr -cd 'a-z0-9\n-' | grep -qx -- "$link" || { echo "FAILED: a link to #$link"; failed=$((failed + 1)); }
done < <(grep -oE '\]\(#[^)]*\)' $guide | sed -E 's/\]\(#(.*)\)/\1/' | sort -u)
echo "$(wc -l <"$work/runs") machines have run, $failed failed"
[ $failed = 0 ]
