# SPDX-License-Identifier: MIT
# Compare a program's messages with those that a document lists:
#     awk -f compare.awk -v title='When something fails' DOCUMENT MESSAGES
# MESSAGES are formats.awk's.  The document's are list items of the section with that title that open with one in backquotes;
# "…" in them stands for anything.  A message is that item's which it fits with the most letters, and just one's; each item
# must have some message of its own; and no item may be so wide that it says nothing.  What is wrong is printed, missing
# items in the form to paste; status 1 then.
# Needs LC_ALL=C.

BEGIN {
    FS = "\t"
    ELLIPSIS = "\342\200\246"
    LETTERS = 3   # at least so many of them outside of the "…"
    WIDEST = 0.05 # at most that part of all messages
}

# Whether text fits entry, piece by piece: the first piece opens it, the last ends it.
function fits(e, text,    i, at) {
    if (n_pieces[e] == 1)
        return text == piece[e, 1]
    if (substr(text, 1, length(piece[e, 1])) != piece[e, 1])
        return 0
    text = substr(text, length(piece[e, 1]) + 1)
    for (i = 2; i < n_pieces[e]; i++) {
        if (!(at = index(text, piece[e, i])))
            return 0
        text = substr(text, at + length(piece[e, i]))
    }
    at = length(text) - length(piece[e, i]) + 1
    return at >= 1 && substr(text, at) == piece[e, i]
}

FNR == NR && /^#/ {
    match($0, /^#+/)
    if (substr($0, RLENGTH + 2) == title)
        level = RLENGTH
    else if (level && RLENGTH <= level)
        level = 0
}
FNR == NR && level && /^[*-] `/ {
    # ``x`y`` may have backquotes in it
    quotes = /^[*-] ``/ ? "``" : "`"
    text = substr($0, 3 + length(quotes))
    text = substr(text, 1, index(text, quotes) - 1)
    entries++
    entry[entries] = text
    entry_line[entries] = FNR
    n_pieces[entries] = n = split(text, parts, ELLIPSIS)
    for (i = 1; i <= n; i++)
        piece[entries, i] = parts[i]
    gsub(ELLIPSIS, "", text)
    weight[entries] = length(text)
    if (gsub(/[A-Za-z]/, "", text) < LETTERS)
        wrong(FILENAME ":" FNR ": says nothing: " entry[entries])
}
FNR == NR { document = FILENAME; next }
{
    n_messages++
    owner = rival = 0
    for (e = 1; e <= entries; e++)
        if ((!owner || weight[e] >= weight[owner]) && fits(e, $3)) {
            rival = owner && weight[e] == weight[owner] ? owner : 0
            owner = e
        }
    if (rival)
        wrong($1 ": both `" entry[rival] "` and `" entry[owner] "` of " document " are: " $3)
    used[owner]++
    if (!owner && !($3 in missing)) {
        missing[$3] = 1
        list[++n_missing] = ($3 ~ /`/ ? "* `` " $3 " ``" : "* `" $3 "`") "\t" $1
    }
}
function wrong(text) {
    print text
    failed = 1
}
END {
    for (e = 1; e <= entries; e++) {
        if (!used[e])
            wrong(document ":" entry_line[e] ": no message is like this any more: " entry[e])
        if (used[e] > WIDEST * n_messages)
            wrong(document ":" entry_line[e] ": stands for " used[e] " of " n_messages " messages: divide it: " entry[e])
    }
    if (n_missing) {
        wrong(document " has not these; put each under what helps against it, in \"" title "\":")
        for (i = 1; i <= n_missing; i++) {
            split(list[i], parts, "\t")
            print parts[1] " <!-- " parts[2] " -->"
        }
    }
    printf "%d messages, %d entries\n", n_messages, entries
    exit failed
}
