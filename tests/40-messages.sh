#!/bin/bash
# SPDX-License-Identifier: MIT
# docs/user.md lists each message that nxfetch can end with, and none that it cannot: they are read out of nxfetch's own
# code (tests/messages/), as clang makes it, all that is linked into it and can be reached from main.
. tests/lib/pack.sh
title='When something fails'
for program in clang llvm-link opt; do
    command -v $program >/dev/null || { echo "$program is not installed"; exit 77; }
done
# In a folder of its own, for the flags are clang's, whatever the programs are built with.
messages=build/ir/nxfetch.messages
env -u MAKEFLAGS -u MAKELEVEL make -s -j2 B=build/ir "$messages" >"$work/make.log" 2>&1 || { cat "$work/make.log"; exit 1; }
compare() { LC_ALL=C awk -v title="$title" -f tests/messages/compare.awk "$@"; }

# ---- what reads them finds what is there: each way in which C makes a message ----

# found FILE KIND MESSAGE
found() {
    checks=$((checks + 1))
    cut -f 1,2,3 "$messages" | sed -E 's/:[0-9]+\t/\t/' | grep -qxF "$1"$'\t'"$2"$'\t'"$3" || fail "not found: $1 $2" "$3"
}
found fetch/options.c nx_fail '--cold and --no-cold exclude each other'
found fetch/location.c nx_fail '…: not a file'
found common/io.c nx_fail_errno '…: fsync: …'
found fetch/verb_pull.c nx_fail 'interrupted; what was fetched is kept, the same command goes on'
found formats/package.c nx_fail 'not an nxpk package: its mimetype is not application/x-vmnetx-package' # of a macro
found common/http.c nx_fail 'the file has changed on the server, or the server ignores ranges'          # ?: for the format
found common/http.c nx_fail '…; --ca-cert FILE names another authority'                                # returned by a function
found fetch/blobs.c nx_fail_while '…: damaged: index page at offset …: …'                              # ?: for a word
found formats/devicestate.c nx_fail 'device state: bytes follow its zstd frame'                        # given to a function
# What nxfetch never calls is not there, though it is linked.
for text in 'a public key cannot sign' 'not a save file of libvirt'; do
    is "$text" 0 "$(grep -c "$text" "$messages")"
done

# ---- and what compares them sees what is wrong ----

printf 'a.c:1\tnx_fail\t%s\n' 'no disk …' 'the disk … is full' 'too late' >"$work/messages"
# judged STATUS TEXT ITEM...: what is said of these items
judged() {
    local wanted=$1 text=$2 status=0
    shift 2
    { printf '# Guide\n\n* `elsewhere`\n\n## %s\n\n' "$title"; printf '%s\n' "$@"; printf '\n## Next\n\n* `elsewhere, too`\n'; } >"$work/guide.md"
    LC_ALL=C awk -v title="$title" -f <(sed 's/^    WIDEST = .*/    WIDEST = 1/' tests/messages/compare.awk) "$work/guide.md" "$work/messages" >"$work/judged" || status=$?
    is "$*: status" "$wanted" $status
    grep -qF "$text" "$work/judged" || fail "$*" "wanted: $text" "got:    $(cat "$work/judged")"
}
judged 0 '3 messages, 3 entries' '* `no disk …`' '* `the disk … is full`: make room.' '* `too late`'
judged 0 '3 messages, 2 entries' '* `…disk …`' '* `too late`'
judged 0 '3 messages, 3 entries' '* `…disk …`' '* `the disk … is full`' '* `too late`' # the special one is meant
judged 1 '* `too late` <!-- a.c:1 -->' '* `…disk …`'
judged 1 'no message is like this any more: too early' '* `…disk …`' '* `too late`' '* `too early`'
judged 1 'no message is like this any more: too …' '* `…disk …`' '* `too late`' '* `too …`'
judged 1 'both `the dis…` and `…is full`' '* `no disk …`' '* `the dis…`' '* `…is full`' '* `too late`'
judged 1 'says nothing: …' '* `…`' '* `too late`'
compare <(printf '## %s\n* `…disk …`\n* `too late`\n' "$title") "$work/messages" >"$work/judged" && fail 'a wide item' "$(cat "$work/judged")"
grep -qF 'stands for 2 of 3 messages: divide it: …disk …' "$work/judged" || fail 'a wide item' "$(cat "$work/judged")"

# ---- the document ----

checks=$((checks + 1))
compare docs/user.md "$messages" >"$work/compared" || fail "docs/user.md" "$(cat "$work/compared")"
tail -n 1 "$work/compared"
[ "$(wc -l <"$messages")" -gt 300 ] || fail "only $(wc -l <"$messages") messages: where is the rest?"
finish
