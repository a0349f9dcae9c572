# SPDX-License-Identifier: MIT
# A clean Debian 12 (minbase) for tests of packages and containers; root only.  Sourced by bash with the tree's root as its
# working directory.
#
#     . tests/lib/clean-debian.sh
#     begin_clean lintian          # CLEAN_DEBIAN, a tar archive of it, made once; or it skips the test
#     apart SCRIPT ARGUMENT...     # with mounts and processes of its own, which end with it, and it with the test
#
# It has the mirror that this machine uses, and what apt here was told about proxies; nothing but Debian's archive.

clean_debian() {
    local mirror dir=build/clean-debian key
    [ "$(id -u)" = 0 ] || { echo 'a clean Debian can be made by root only'; exit 77; }
    command -v mmdebstrap >/dev/null || { echo 'mmdebstrap is not installed'; exit 77; }
    mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Codename: bookworm' 'Component: main' 2>/dev/null |
        sed -n '/debian\/*$/p' | head -n 1)
    [ -n "$mirror" ] || { echo 'apt knows no mirror of bookworm: is it in its sources?'; exit 77; }
    mkdir -p "$dir/archives"
    CLEAN_DEBIAN=$PWD/$dir/base.tar
    key=$({ cat tests/lib/clean-debian.sh; echo "$mirror"; } | sha256sum)
    (
        flock 9
        [ -s "$CLEAN_DEBIAN" ] && [ "$(cat "$dir/key" 2>/dev/null)" = "$key" ] && exit
        apt-config dump | grep -E '^Acquire::((http|https)::|Check-)' >"$dir/apt.conf" || :
        mmdebstrap --quiet --mode=root --variant=minbase --customize-hook="copy-in $dir/apt.conf /etc/apt/apt.conf.d" \
            --customize-hook='mv "$1/etc/apt/apt.conf.d/apt.conf" "$1/etc/apt/apt.conf.d/90host"' \
            bookworm "$PWD/$dir/new.tar" "$mirror" >"$dir/log" 2>&1 || { tail -n 20 "$dir/log"; exit 1; }
        mv "$PWD/$dir/new.tar" "$CLEAN_DEBIAN" && echo "$key" >"$dir/key"
    ) 9>"$dir/.lock"
}

# begin_clean PROGRAM: what a test of packages or containers begins with: the program that it cannot do without, the clean
# Debian, and an end at which nothing is left ($work, of tests/lib/pack.sh, neither).
begin_clean() {
    command -v "$1" >/dev/null || { echo "$1 is not installed"; exit 77; }
    clean_debian || { echo 'FAILED: no clean Debian could be made'; exit 1; }
    APART=''
    # unshare lets no other signal end it; what it started goes with it
    trap '[ -z "$APART" ] || { kill -KILL "$APART"; wait "$APART"; } 2>/dev/null; rm -rf "$work"' EXIT
    trap 'exit 130' INT TERM HUP
    chmod 755 "$work"
}

# In the background, so that a signal ends it at once.
apart() {
    local status=0
    unshare --mount --pid --fork --kill-child --propagation private bash "$@" &
    APART=$!
    wait $APART || status=$?
    APART=''
    return $status
}
