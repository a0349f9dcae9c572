#!/bin/bash
# SPDX-License-Identifier: MIT
# What QEMU and the engine may do on the host, seen on the running processes: a shell that is started as QEMU tries what a
# guest would that had broken out of it.  (The rules themselves: tests/test-confine.c; the domain's wishes: 17-host-reach.)
. tests/lib/http.sh
. tests/lib/relay.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
echo "accelerator: $ACCEL"
mkdir -p "$HOME"
echo secret >"$HOME/secret"
export NX_SECRET=secret
package tiny-saved || die "packing"
publish "$PACKAGE"
package tiny || die "packing"
publish "$PACKAGE"
start_nxserve "$WORK/www" || die "nxserve"
new_cache

if [ "$("$BUILD/test-confine" 2>&1 | grep -c 'not tested')" -gt 0 ]; then
    echo "this kernel has no Landlock"
    exit 77
fi

# A field of /proc/PID/status.
status_of() { awk -v f="$2:" '$1 == f { print $2 }' "/proc/$1/status"; }

# In QEMU's place: what can be done by who has taken it over, as words.
real=$(command -v qemu-system-x86_64)
mkdir "$WORK/bin"
cat >"$WORK/bin/qemu-system-x86_64" <<END
#!/bin/bash
case "\$*" in *-incoming*|*qmp_fd*|*charmonitor*) ;; *) exec $real "\$@" ;; esac
can() { "\$@" >/dev/null 2>&1 && echo "qemu-can: \$*" >&2; }
can cat "$HOME/secret"
can cat /etc/shadow
can cat /etc/passwd
can cat "/proc/$$/environ"
can ls "$WORK/www"
can ls "$XDG_CACHE_HOME/nxpk/segments"
can touch "$HOME/new"
can touch "$WORK/new"
can touch "$XDG_RUNTIME_DIR/new"
can touch /tmp/nxpk-new-$$
can rm "$HOME/secret"
can kill -0 $$
can mount -t tmpfs none /mnt
can test -n "\$NX_SECRET"
can unshare -U true
[ "\$(ls /proc/self/fd 2>/dev/null | wc -l)" -le 12 ] || echo "qemu-can: see many descriptors" >&2
echo "qemu-was here, core \$(ulimit -c)" >&2
exec $real "\$@"
END
chmod 755 "$WORK/bin/qemu-system-x86_64"

# With unshare -U a process has a namespace, but no file more; Landlock and QEMU's sandbox come before that.
allowed='unshare -U true'

for machine in tiny tiny-saved; do
    PATH=$WORK/bin:$PATH boot -v --trust "$TRUST" "$URL_BASE/$machine.nxpk"
    told 60 ' runs, '
    told 5 'qemu-was here, core 0'
    grep 'qemu-can' "$FETCH_LOG" | grep -v "$allowed" && die "QEMU can do that"
    grep 'less confined\|could read your files' "$FETCH_LOG" && die "something is not confined"
    qemu=$(part qemu) engine=$(part nxfetch)
    for pid in "$qemu" "$engine"; do
        same "$machine: NoNewPrivs of $pid" "$(status_of "$pid" NoNewPrivs)" 1
        same "$machine: Seccomp of $pid" "$(status_of "$pid" Seccomp)" 2
    done
    tr '\0' '\n' <"/proc/$qemu/cmdline" | grep -A 1 -x -- -sandbox |
        grep -qx 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny' || die "QEMU's sandbox: $(tr '\0' ' ' <"/proc/$qemu/cmdline")"
    tr '\0' '\n' <"/proc/$qemu/environ" | grep -v '^\(PATH\|HOME\|LANG\|LC_[A-Z]*\|TMPDIR\|XDG_RUNTIME_DIR\|DISPLAY\|PWD\|SHLVL\|_\|OLDPWD\|XDG_CONFIG_HOME\|NO_AT_BRIDGE\|GSETTINGS_BACKEND\|DBUS_SESSION_BUS_ADDRESS\)=' |
        grep . && die "QEMU's environment has that"
    tr '\0' '\n' <"/proc/$qemu/environ" | grep -qx 'DBUS_SESSION_BUS_ADDRESS=disabled:' || die "QEMU knows the session bus"
    for fd in /proc/"$qemu"/fd/*; do
        file=$(readlink "$fd") || continue # closed in between
        case $file in
        socket:* | pipe:* | anon_inode:* | /dev/null | /dev/urandom | /memfd:* | "$XDG_CACHE_HOME"/nxpk/overlays/* | "$XDG_RUNTIME_DIR"/nxpk/run-*) ;;
        *) die "QEMU has $file open" ;;
        esac
    done
    sign='expect:nxpk-guest ready'
    [ $machine = tiny ] || sign='poke:nxpk# '
    talk 60 "$sign" run:true >/dev/null
    halt
    nothing_left
done
[ "$(cat "$HOME/secret")" = secret ] && [ ! -e "$HOME/new" ] && [ ! -e "/tmp/nxpk-new-$$" ] || die "something was changed"
echo "QEMU and the engine: confined"

# UEFI has files of its own; a serial port in a file and in a socket is the user's wish.
new_cache
boot --trust "$TRUST" "$URL_BASE/tiny.nxpk" # again over a socket that was left
talk 60 'expect:nxpk-guest ready' >/dev/null
halt
"$BUILD/nxfetch" --accel "$ACCEL" --display none --trust "$TRUST" --serial "$WORK/serial.txt" "$URL_BASE/tiny.nxpk" >"$WORK/said" 2>&1 </dev/null &
FETCH_PID=$!
wait_for 60 "$FETCH_PID" grep -q 'nxpk-guest ready' "$WORK/serial.txt" || die "a serial port's file: $(cat "$WORK/said")"
halt

# Without Landlock it runs, and says what that means.
"$BUILD/tools/no-landlock" "$BUILD/nxfetch" --accel "$ACCEL" --display none --trust "$TRUST" --until=1 "$URL_BASE/tiny.nxpk" >"$WORK/said" 2>&1 </dev/null ||
    die "without Landlock: $(cat "$WORK/said")"
grep -q 'this kernel has no Landlock: .*so nxfetch is less confined' "$WORK/said" &&
    grep -q 'this kernel has no Landlock: .*so QEMU could read your files' "$WORK/said" || die "it does not say so: $(cat "$WORK/said")"
echo "without Landlock: it says so"
