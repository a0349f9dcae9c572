#!/bin/sh
# SPDX-License-Identifier: MIT
# Install the Debian packages that building, the demo and the tests need, or those that the file $1 names; quick when
# they are there.
set -eu
packages=$(sed 's/#.*//' "${1:-$(dirname "$0")/debian-packages}")
missing=
for p in $packages; do
    dpkg-query -W -f '${Status}\n' "$p" 2>/dev/null | grep -q '^install ok installed$' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
as_root=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "deps: not root and no sudo: install these packages yourself:$missing" >&2; exit 1; }
    as_root=sudo
fi
echo "deps: installing$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# policy-rc.d-free way to keep Debian from starting the servers that we only use by hand
export DEBIAN_FRONTEND=noninteractive
if ! { $as_root apt-get update -q && $as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
       apt-get install -q -y --no-install-recommends $missing; } >"$log" 2>&1; then
    cat "$log" >&2
    echo "deps: installing failed" >&2
    exit 1
fi
