#!/bin/bash
# SPDX-License-Identifier: MIT
# Debian to its login prompt (TCG): with nxfetch from nginx on this machine, cold and from a warm cache, against QEMU on
# the local qcow2 with the same hardware.  A boot takes a minute and more; what is measured five times is its replay (trace.sh).
. tests/lib/http.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
. tests/bench/lib.sh
package debian >&2 || exit
publish "$PACKAGE"
start_nginx "$WORK/www" || exit
url=$URL_BASE/debian.nxpk
disk=$(ls "$GUEST"/*.qcow2)

to_login() {
    talk 240 'expect:nxpk-debian login:'
    boot_seconds
}

warm() {
    boot --trust "$TRUST" "$url"
    to_login
    halt
}

# With a cache that is empty, and which the warm ones find filled.
cold() {
    rm -rf "${XDG_CACHE_HOME:?}"/*
    boot --trust "$TRUST" "$url"
    to_login
    fresh_stats
    cp "$STATS" "$WORK/cold.json"
    halt
}

# What a user does who has the image.
local_qcow2() {
    local_machine "\"driver\":\"file\",\"filename\":\"$disk\"" qcow2
    to_login
    local_machine_off
}

new_cache
cat "$PACKAGE" "$disk" >/dev/null
export QUICK=1 # the pairs need no other one before them
cold=$(cold) || exit
RUNS=${BOOT_RUNS:-3} pairs warm local_qcow2 || exit
row 'Debian to login, cold cache, nginx: seconds' "$cold" "$MEDIAN_B" "$(ratio "$cold" "$MEDIAN_B")"
STATS=$WORK/cold.json
row '  bytes fetched at the prompt, of the package' "$(stat_of .bytes)" "$(stat -c %s "$PACKAGE")" \
    "$(ratio "$(stat_of .bytes)" "$(stat -c %s "$PACKAGE")")"
row '  requests' "$(stat_of .requests)" '' ''
row 'Debian to login, warm cache: seconds' "$MEDIAN_A" "$MEDIAN_B" "$RATIO" 1.03
