# SPDX-License-Identifier: MIT
# What fish offers for each line of stdin: "== LINE", then an offer a line.  fish finds the completions by $XDG_DATA_DIRS.
while read -l line
    echo "== $line"
    complete -C $line | string replace -r '\t.*' ''
end
