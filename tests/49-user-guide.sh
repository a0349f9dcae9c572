#!/bin/bash
# SPDX-License-Identifier: MIT
# docs/user.md, command for command, taken out of the document itself: in a network of its own, where https://example.org has a
# small machine called demo, members.example.org has it for those who log in, and proxy.example.org is a proxy.  The test is
# the person before the screen: it answers the question about trust at a terminal, and that for a password, waits until the
# machine is up, and switches it off.
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
    for program in script jq file nginx tinyproxy curl; do command -v $program >/dev/null || { echo "$program is not installed"; exit 77; }; done
    work=$(mktemp -d "${TMPDIR:-/tmp}/nxpk-user.XXXXXX") || exit 1
    trap 'stop_servers; rm -rf "$work"' EXIT
    [ -e /usr/share/novnc/core/rfb.js ] || { echo 'novnc is not installed'; exit 77; }
    package screen-saved || exit # it resumes, which takes a second
    mkdir -p "$work"/{www,bin,home,run} && chmod 700 "$work/run"
    cp "$PACKAGE" "$work/www/demo.nxpk" || exit 1
    cp "$TRUST" "$work/home/author.pub.pem"
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=example.org -addext subjectAltName=DNS:example.org,DNS:members.example.org \
        -keyout "$work/tls.key" -out "$work/tls.pem" 2>/dev/null || exit 1
    cp "$work/tls.pem" "$work/home/authority.pem"
    # Each way to log in: a password (typed, and in .netrc), a token, a certificate, cookies.
    echo "anna:$(openssl passwd -apr1 sesame-open)" >"$work/htpasswd"
    echo 'machine members.example.org login anna password sesame-open' >"$work/home/.netrc"
    printf '#!/bin/sh\n[ "$1" = token ] && echo tok-1\n' >"$work/bin/my-login-tool"
    chmod 755 "$work/bin/my-login-tool"
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=anna -keyout "$work/home/me.key" -out "$work/home/me.pem" 2>/dev/null || exit 1
    printf '# Netscape HTTP Cookie File\nmembers.example.org\tFALSE\t/\tTRUE\t4102444800\tsession\t12345\n' >"$work/home/cookies.txt"
    unshare --mount --net --pid --fork --kill-child --mount-proc --propagation private bash "$0" inside "$work"
    exit
fi

# ---- inside -------------------------------------------------------------------

work=$2
BUILD=$(realpath "${BUILD:-build/gcc}")
failed=0
ip link set lo up || exit 1
printf '127.0.0.1 localhost example.org\n127.0.0.2 members.example.org\n127.0.0.3 proxy.example.org\n' >"$work/hosts" && mount --bind "$work/hosts" /etc/hosts || exit 1
cat /etc/ssl/certs/ca-certificates.crt "$work/tls.pem" >"$work/authorities" && mount --bind "$work/authorities" /etc/ssl/certs/ca-certificates.crt || exit 1
"$BUILD/nxserve" -q --listen 127.0.0.1 --port 443 --port-file "$work/port" --tls-cert "$work/tls.pem" --tls-key "$work/tls.key" "$work/www" &
until [ -s "$work/port" ]; do kill -0 $! 2>/dev/null || { echo "nxserve does not start"; exit 1; }; sleep 0.05; done
cat >"$work/nginx.conf" <<END
daemon off;
user root;
pid $work/nginx.pid;
events {}
http {
    client_body_temp_path $work/nginx-body; proxy_temp_path $work/nginx-proxy; fastcgi_temp_path $work/nginx-fastcgi;
    uwsgi_temp_path $work/nginx-uwsgi; scgi_temp_path $work/nginx-scgi;
    map \$http_authorization \$token { default no; "Bearer tok-1" yes; }
    map "\$token \$ssl_client_verify \$cookie_session" \$way {
        default password; "~^yes" token; "~ SUCCESS " certificate; "~ 12345\$" cookie;
    }
    map \$way \$realm { default off; password members; }
    log_format ways '\$status \$way \$remote_user';
    access_log $work/ways.log ways;
    server {
        listen 127.0.0.2:443 ssl;
        ssl_certificate $work/tls.pem; ssl_certificate_key $work/tls.key;
        ssl_client_certificate $work/home/me.pem; ssl_verify_client optional;
        auth_basic \$realm; auth_basic_user_file $work/htpasswd;
        root $work/www;
    }
}
END
nginx -c "$work/nginx.conf" -e "$work/nginx.log" &
servers=($!)
printf 'Port 3128\nListen 127.0.0.3\nLogFile "%s"\nLogLevel Connect\nMaxClients 20\n' "$work/proxy.log" >"$work/proxy.conf"
tinyproxy -d -c "$work/proxy.conf" >"$work/proxy.said" 2>&1 &
servers+=($!)
until curl -s -o "$work/curl.out" https://members.example.org/ && curl -s -o "$work/curl.out" http://proxy.example.org:3128/; do
    kill -0 "${servers[@]}" 2>/dev/null || { echo 'nginx or tinyproxy does not start'; cat "$work/nginx.log" "$work/proxy.said"; exit 1; }
    sleep 0.05
done
: >"$work/ways.log"
: >"$work/proxy.log"

# nxfetch, with a person: one who types a password; and where a machine is to be run, on a terminal and with a serial port to see it by.
cat >"$work/bin/nxfetch" <<END
#!/bin/bash
real=$BUILD/nxfetch talk=$BUILD/tools/guest-talk work=$work
END
cat >>"$work/bin/nxfetch" <<'END'
case " $* " in *' --user '*)
    mkfifo "$work/keyboard.$$"
    script -qec "$(printf '%q ' "$real" "$@")" /dev/null <"$work/keyboard.$$" >"$work/screen" 2>&1 &
    pid=$!
    exec 9>"$work/keyboard.$$"
    until grep -q 'Password of anna' "$work/screen"; do
        kill -0 $pid 2>/dev/null || { cat "$work/screen" >&2; exit 1; }
        sleep 0.05
    done
    echo sesame-open >&9
    wait $pid || { cat "$work/screen" >&2; exit 1; }
    exit
    ;;
esac
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
case " $* " in *' --web '*) grep -q 'http://127.0.0.1:' "$work/screen" || { cat "$work/screen" >&2; exit 1; } ;; esac
exec 9>&-
wait $pid || { cat "$work/screen" >&2; exit 1; }
echo "$*" >>"$work/runs"
END
chmod 755 "$work/bin/nxfetch"
export PATH=$work/bin:$PATH HOME=$work/home XDG_RUNTIME_DIR=$work/run TMPDIR=$work
unset XDG_CACHE_HOME XDG_CONFIG_HOME DISPLAY WAYLAND_DISPLAY https_proxy http_proxy

# The machine that runs while others of its commands are given.
left_running() {
    "$BUILD/nxfetch" -q --accel tcg --display none --serial "unix:$work/left" https://example.org/demo.nxpk >"$work/left.said" 2>&1 </dev/null &
    left=$!
    until "$BUILD/nxfetch" status --json 2>"$work/left.status" | jq -e '.[0].state == "running"' >>"$work/left.status" 2>&1; do
        kill -0 $left 2>/dev/null || { echo 'FAILED: a machine that is left running'; cat "$work/left.said"; exit 1; }
        sleep 0.1
    done
}

# All that the guide runs, in its order, each section a script.
while read -r section; do
    echo "$SECONDS s: $section"
    guide_script "$guide" "$section" >"$work/commands"
    ! grep -q 'nxfetch status' "$work/commands" || left_running
    (cd "$HOME" && bash "$work/commands" >"$work/said" 2>&1 </dev/null) && continue
    echo "FAILED: \"$section\""
    tail -n 15 "$work/said"
    failed=$((failed + 1))
done < <(guide_sections "$guide")

# check WHAT WANTED GOT
check() { [ "$2" = "$3" ] || { echo "FAILED: $1: wanted $2, got $3"; failed=$((failed + 1)); }; }
check 'asked once, and not after the signer was trusted' 1 "$(wc -l <"$work/asked")"
check 'machines that have run' 6 "$(wc -l <"$work/runs")"
# Each login was by what the guide says, and taken; the proxy was used; the one that was left running has ended as it was told.
check 'ways to log in' 'certificate cookie password token' "$(awk '/^206/ { print $2 }' "$work/ways.log" | sort -u | xargs)"
check 'nobody without' 0 "$(grep -c '^206 password -' "$work/ways.log")"
check 'the proxy' 1 "$(grep -c 'CONNECT example.org:443' "$work/proxy.log")"
status=0
wait $left || status=$?
check 'nxfetch power stop' 0 $status
check 'the picture' 'image/png' "$(file -b --mime-type "$HOME/screen.png")"
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
