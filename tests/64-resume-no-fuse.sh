#!/bin/bash
# SPDX-License-Identifier: MIT
# Where there is no /dev/fuse, a suspended machine still resumes, after everything was fetched, and its user is told why.
. tests/lib/http.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
echo "accelerator: $ACCEL"
[ "$(id -u)" = 0 ] || { echo "only root can hide /dev/fuse"; exit 77; }
start_nginx "$WORK/www" || exit
package tiny-saved || die "packing"
publish "$PACKAGE"
new_cache
# boot's program, in a mount namespace of its own.
mkdir -p "$WORK/bin/tools"
ln -s "$PWD/$BUILD/tools/guest-talk" "$WORK/bin/tools/"
cat >"$WORK/bin/nxfetch" <<END
#!/bin/sh
exec unshare -m sh -c 'mount --bind /dev/null /dev/fuse && exec "\$0" "\$@"' "$PWD/$BUILD/nxfetch" "\$@"
END
chmod 755 "$WORK/bin/nxfetch"
BUILD=$WORK/bin boot --no-cold --trust "$TRUST" "$URL_BASE/tiny-saved.nxpk"
talk 60 'poke:nxpk# ' 'run:sha256sum /tmp/nxpk/random' >"$WORK/said"
cmp "$WORK/said" "$GUEST/notes/random" || die "its memory: $(cat "$WORK/said")"
fresh_stats
same resumed "$(stat_of .resumed)" true
told 0 'cannot mount: .*fetched whole first'
size=$(stat -c %s "$PACKAGE")
[ "$(stat_of .bytes)" -ge $((size / 100 * 99)) ] || die "$(stat_of .bytes) bytes of $size were fetched"
halt
