#!/bin/bash
# SPDX-License-Identifier: MIT
# The Debian packages: built twice, elsewhere and otherwise, they are the same bytes; lintian finds nothing; on a clean Debian 12
# each installs alone, and all of them together pack, serve and boot a machine for an ordinary user; purged they leave nothing.
# 9 minutes on two busy processors, 4 of them two builds.
#   49-deb.sh                     the test; DEBS=build/deb: of the packages that are there, without building any
#   49-deb.sh inside PART WORK    a part of it, called by itself where mounts and processes are its own
set -u
if [ "${1:-}" != inside ]; then
    cd "$(dirname "$0")/../.." || exit 1
    . tests/lib/pack.sh
    . tests/lib/guests.sh
    . tests/lib/clean-debian.sh
    begin_clean lintian
    unset LC_ALL LANG SOURCE_DATE_EPOCH

    # ---- built twice ---------------------------------------------------------

    if [ -n "${DEBS:-}" ]; then
        cp -r "$DEBS" "$work/deb" || exit 1
    else
        bash debian/make-deb.sh "$work/deb" || { echo 'FAILED: make deb'; exit 1; }
        # Anew from what the source package holds, which has no git; in another folder, time zone, language and umask.
        (
            umask 077
            mkdir -p "$work/elsewhere/deep" && cd "$work/elsewhere" || exit 1
            dpkg-source -q --no-check -x "$work"/deb/nxpk_*.dsc tree || exit 1
            find tree -exec touch -h -d '2001-02-03 04:05:06 UTC' {} + # as any checkout has times of its own
            touch -d '2 days' tree/README.md
            env -i PATH="$PATH" HOME="$work/elsewhere" TZ=Pacific/Kiritimati LC_ALL=C.UTF-8 LANGUAGE=de USER=somebody DEB_WORK="$work/elsewhere/deep" \
                DEB_BUILD_OPTIONS='nocheck noautodbgsym parallel=1' bash tree/debian/make-deb.sh "$work/again"
        ) || fail 'make deb in an unpacked source package'
        for file in "$work"/deb/*.deb "$work"/deb/*.dsc "$work"/deb/*.tar.xz; do
            ok "twice the same: ${file##*/}" cmp "$file" "$work/again/${file##*/}"
        done
    fi
    is 'the packages' 'nxfetch nxpack nxpk-doc nxserve' "$(ls "$work"/deb/*.deb | sed 's,.*/,,; s/_.*//' | xargs)"
    is 'what lintian says' '' "$(TMPDIR=$work lintian --allow-root -I --pedantic "$work"/deb/*.changes 2>&1)"
    # Every hardening flag of Debian's has reached the compiler and the linker.
    flags() { grep -E "^gcc .* -c -o build/debian/fetch/vm.o |^gcc .* -o build/debian/nxfetch " "$work/deb/log"; }
    for flag in -fstack-protector-strong -D_FORTIFY_SOURCE=2 -Werror=format-security -ffile-prefix-map; do
        is "compiled with $flag" 1 "$(flags | grep -- ' -c ' | grep -c -- "$flag")"
    done
    for flag in -z,relro -z,now -pie; do is "linked with $flag" 1 "$(flags | grep -v -- ' -c ' | grep -c -- "$flag")"; done

    # ---- on a clean Debian ---------------------------------------------------

    guest tiny || exit 1
    package tiny || exit 1
    mkdir "$work/given" "$work/base"
    cp "$GUEST"/{disk.raw,domain.xml} "$work/given/"
    cp debian/tests/boots "$work/given/"
    sed -i "s|'[^']*/disk.raw'|'/given/disk.raw'|" "$work/given/domain.xml"
    tar -x -f "$CLEAN_DEBIAN" -C "$work/base" || exit 1
    # $1: a part.
    part() {
        checks=$((checks + 1))
        mkdir -p "$work/$1/root" "$work/$1/over" "$work/$1/over-work"
        apart "$0" inside "$1" "$work" "$PWD/build/clean-debian/archives" >"$work/$1/said" 2>&1 ||
            { fail "on a clean Debian: $1" "$(tail -n 30 "$work/$1/said")"; return 1; }
        rm -rf "${work:?}/$1/over"
    }
    part base || exit 1 # the list of Debian's packages
    for one in nxpack nxfetch nxserve nxpk-doc together; do
        start=$SECONDS
        part $one && echo "$one: $((SECONDS - start)) s"
    done
    is 'mounts that are left' '' "$(grep -F " $work/" /proc/self/mounts)"
    finish
    exit
fi

# ---- inside: in a mount namespace of our own ------------------------------------

part=$2 work=$3 archives=$4
root=$work/$part/root
set -e -o pipefail
trap 'echo "in $part, line $LINENO: $BASH_COMMAND" >&2' ERR
[ "$part" = base ] && mount --bind "$work/base" "$root" ||
    mount -t overlay -o "lowerdir=$work/base,upperdir=$work/$part/over,workdir=$work/$part/over-work" over "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sys "$root/sys"
mount -t tmpfs -o mode=755,dev dev "$root/dev"
mkdir -p "$root/dev/"{pts,shm} "$root/deb" "$root/given" "$root/var/cache/apt/archives"
chmod 1777 "$root/dev/shm"
for device in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0 fuse:10:229; do
    IFS=: read -r name major minor <<<"$device"
    mknod -m 666 "$root/dev/$name" c "$major" "$minor"
done
ln -s /proc/self/fd "$root/dev/fd"
mount --bind "$work/deb" "$root/deb"
mount --bind "$work/given" "$root/given"
mount --bind "$archives" "$root/var/cache/apt/archives"
cp /etc/resolv.conf "$root/etc/resolv.conf"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" && chmod 755 "$root/usr/sbin/policy-rc.d" # no service is started in here
in_root() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"; }
get() { in_root apt-get -q -y -o Binary::apt-get::APT::Keep-Downloaded-Packages=true "$@" >>"$work/$part/apt.log" 2>&1 || { tail -n 20 "$work/$part/apt.log"; return 1; }; }
die() { echo "$*"; exit 1; }
# What there is of ours, anywhere but in the pages that man has kept.
of_ours() { (cd "$root" && find . -xdev \( -path ./deb -o -path ./given -o -path ./var/cache/apt -o -path ./var/cache/man -o -path ./proc \) -prune -o \( -iname '*nxpk*' -o -name '*nxpack*' -o -name '*nxref*' -o -name '*nxfetch*' -o -name '*nxserve*' \) -print | sort); }
[ -z "$(of_ours)" ] || die "a clean Debian has $(of_ours)"
[ "$part" != base ] || { get update; exit 0; }
deb_of() { (cd "$work" && ls deb/${1}_*.deb | sed 's,^,/,'); }
installed() { in_root dpkg-query -W -f '${Package} ${Status}\n' 2>/dev/null | sed -n 's/ install ok installed//p' | sort; }
installed >"$work/$part/before"

if [ "$part" != together ]; then
    # Alone, with what it cannot do without only.
    get install --no-install-recommends "$(deb_of "$part")"
    for other in nxpack nxfetch nxserve nxpk-doc; do
        [ $other = "$part" ] || ! installed | grep -qx "$other" || die "$other came with $part"
    done
    in_root dpkg -V "$part"
    for program in $(in_root dpkg -L "$part" | grep '^/usr/bin/.'); do
        [ -z "$(in_root ldd "$program" | grep 'not found' || :)" ] || die "$program lacks libraries"
        in_root "$program" --version | grep -q "^${program##*/} " || die "$program --version: $(in_root "$program" --version)"
        [ -s "$root/usr/share/man/man1/${program##*/}.1.gz" ] || die "$program has no manual page"
    done
    case $part in
    nxpack)
        in_root nxpack keygen -q /root/a.pem >/dev/null
        in_root nxpack -q --no-memory -k /root/a.pem /given/domain.xml /root/tiny.nxpk
        in_root nxpack verify -k /root/a.pub.pem /root/tiny.nxpk >/dev/null
        rm "$root/root/tiny.nxpk"
        in_root nxpack list >"$work/$part/said" 2>&1 && die 'nxpack list without libvirt'
        grep -q 'Debian.s package libvirt0' "$work/$part/said" || die "nxpack list: $(cat "$work/$part/said")"
        ;;
    nxserve)
        [ ! -e "$root/etc/systemd/system/multi-user.target.wants/nxserve.service" ] || die 'the service is enabled'
        in_root nxserve config nginx | cmp - "$root/usr/share/nxpk/nginx/nxpk.conf"
        # What logs there are go with the package's configuration.
        mkdir -p "$root/var/log/private/nxserve" && touch "$root/var/log/private/nxserve/access.log" && ln -s private/nxserve "$root/var/log/nxserve"
        ;;
    nxpk-doc)
        [ -s "$root/usr/share/doc/nxpk-doc/docs/FORMAT.md" ] || die 'no FORMAT.md'
        # Its pages find each other.
        for page in README.md $(cd "$root/usr/share/doc/nxpk-doc" && ls docs/*.md); do
            for link in $(grep -oE '\]\((docs/)?[A-Za-z]+\.md' "$root/usr/share/doc/nxpk-doc/$page" | sed 's/](//'); do
                [ -e "$root/usr/share/doc/nxpk-doc/$(dirname "$page")/$link" ] || die "$page: $link is not there"
            done
        done
        ;;
    esac
else
    # As a user does it: with all that is recommended, and man and bash as they are on a desktop.
    get install $(deb_of '*') man-db bash-completion curl
    in_root dpkg -V nxpack nxfetch nxserve nxpk-doc
    for program in nxpack nxref nxfetch nxserve; do
        in_root man "$program" 2>/dev/null | grep -q "^NAME" || die "man $program"
        in_root bash -c '. /usr/share/bash-completion/bash_completion; _completion_loader "$1"; complete -p "$1"' - $program | grep -q "$program" || die "completion of $program"
    done
    # The triggers of those who keep a desktop's caches have run.
    get install shared-mime-info desktop-file-utils
    for type in x-vmnetx-package:nxpk x-vmnetx-reference+xml:netx; do
        grep -qF "application/${type%:*}:*.${type#*:}" "$root/usr/share/mime/globs" || die "$type is not known"
    done
    grep -q '^x-scheme-handler/vmnetx+https=nxfetch' "$root/usr/share/applications/mimeinfo.cache" || die 'who opens vmnetx+https'

    in_root useradd -m user
    in_root install -d -o user -m 700 /run/user/1000
    cat >"$root/usr/local/bin/as-user" <<'RUN'
#!/bin/bash
exec setpriv --reuid=user --regid=user --init-groups env -i HOME=/home/user USER=user PATH=/usr/bin:/bin XDG_RUNTIME_DIR=/run/user/1000 LC_ALL=C.UTF-8 "$@"
RUN
    chmod 755 "$root/usr/local/bin/as-user"
    # As this user, with no network but its own.
    alone() { unshare --net bash -c 'ip link set lo up && exec chroot "$@"' - "$root" /usr/local/bin/as-user "$@"; }
    alone sh /given/boots
    cat >"$root/given/tiny" <<'RUN'
set -eu
cd
await() {
    local tries=1200
    until "$@" 2>/dev/null; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || { echo "not within two minutes: $*"; tail -n 20 ~/*.log; exit 1; }
        sleep 0.1
    done
}
nxpack keygen -q me.pem >/dev/null
mkdir www
nxpack -q -k me.pem /given/domain.xml www/tiny.nxpk
nxserve -q -p 0 --port-file port www 2>nxserve.log &
serve=$!
await test -s port
nxfetch --trust me.pub.pem --accel tcg --display none --serial serial --stats stats.json "http://127.0.0.1:$(cat port)/tiny.nxpk" >nxfetch.log 2>&1 </dev/null &
fetch=$!
await grep -aq 'nxpk-guest ready' serial
grep -q fuse /proc/mounts || { echo 'it has no FUSE mount'; exit 1; }
kill -INT $fetch
wait $fetch || [ $? = 130 ]
kill $serve
wait $serve
! grep -q 'fuse.*/run/user' /proc/mounts
! grep -i 'cannot mount' nxfetch.log
RUN
    alone bash /given/tiny
    rm -r "$root/home/user"
fi

# ---- and away again ---------------------------------------------------------------

get purge $(installed | grep -E '^nx(pack|fetch|serve|pk-doc)$')
[ -z "$(of_ours)" ] || die "after the purge there is still: $(of_ours)"
for name in nxpack nxfetch nxserve nxpk-doc; do
    [ -z "$(in_root dpkg-query -W -f '${Status}' $name 2>/dev/null | grep -v 'not-installed' || :)" ] || die "dpkg still knows $name"
done
if [ "$part" != together ]; then
    get autoremove --purge
    installed | cmp - "$work/$part/before" || die "packages that stay: $(installed | comm -23 - "$work/$part/before")"
elif grep -q nxfetch "$root/usr/share/applications/mimeinfo.cache" || grep -q nxpk "$root/usr/share/mime/globs"; then
    die "a desktop's caches still know nxfetch"
fi
echo "$part is right"
