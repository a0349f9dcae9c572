# SPDX-License-Identifier: MIT
# What a server needs while many clients ask it (tests/tools/load.c).  Sourced by bash with the tree's root as its working directory,
# after tests/lib/http.sh.

# load_on OPTION... URL: fails when a request did, or an idle client was not held.  loaded NAME: a figure of the last one.
load_on() { "$BUILD/tools/load" "$@" >"$HTTP_DIR/loaded.json"; }
loaded() { jq -r ".$1" "$HTTP_DIR/loaded.json"; }

# workers PID: the server's processes
workers() { echo "$1" $(cat "/proc/$1/task/$1/children"); }

# peak_kib PID: the most memory that its processes have ever had, together (what they share is counted for each)
peak_kib() {
    local pid
    for pid in $(workers "$1"); do awk '/^VmHWM/ { print $2 }' "/proc/$pid/status"; done | awk '{ n += $1 } END { print n }'
}

# cpu_ms PID: the CPU time that its processes have taken
cpu_ms() {
    local pid
    for pid in $(workers "$1"); do sed 's/.*) //' "/proc/$pid/stat"; done |
        awk -v ticks="$(getconf CLK_TCK)" '{ n += $12 + $13 } END { print n * 1000 / ticks }'
}

# open_files PID
open_files() { ls "/proc/$1/fd" | wc -l; }
