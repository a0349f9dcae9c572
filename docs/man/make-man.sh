#!/bin/sh
# SPDX-License-Identifier: MIT
# A manual page from its prose and the program's own help:
#     make-man.sh page.1.in [program.help] VERSION > page.1
# A line "@SYNOPSIS@" in the page becomes the help's usage, "@HELP@" the rest of it (all of it in a page
# without "@SYNOPSIS@"), both as they stand; "@VERSION@" becomes the version.
set -eu
page=$1
help=/dev/null
[ $# -lt 3 ] || { help=$2; shift; }
version=$2

awk -v version="$version" -v help="$help" '
# Text that roff shall show as it is: no escapes, no requests, real hyphens that can be copied.
function literal(line) {
    gsub(/\\/, "\\e", line)
    gsub(/-/, "\\-", line)
    gsub(/\047/, "\\(aq", line)
    gsub(/`/, "\\(ga", line)
    gsub(/\^/, "\\(ha", line)
    gsub(/~/, "\\(ti", line)
    if (line ~ /^\./)
        line = "\\&" line
    return line
}
# The next lines of the help: those of the usage, or all.
function show(only_usage,    line) {
    print ".nf"
    while ((held != "" || (getline held < help) > 0)) {
        line = held
        if (only_usage && !sub(/^(Usage:|      ) /, "", line))
            break
        print literal(line)
        held = ""
    }
    print ".fi"
}
/^@SYNOPSIS@$/ { show(1); next }
/^@HELP@$/ { show(0); next }
{
    gsub(/@VERSION@/, version)
    print
}' "$page"
