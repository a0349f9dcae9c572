# SPDX-License-Identifier: MIT
# A program's NAME.help, read into what completions are made of.  The other awk programs here stand behind this one:
#     awk -f help.awk -f bash.awk NAME.help
#
# What it relies on in a help, as all of them are written:
#   * usage lines name the program, then a verb ("info|pull"), its own verbs ("show|prune [SIZE]|clear"), and arguments in
#     capitals; what is in lower case is typed as it stands;
#   * an option's line opens with blanks and a hyphen, "  -k, --key=KEY.pem   text"; its text may go on below, further right;
#   * options below a line that opens with a verb ("  trust add KEY   text") are that verb's;
#   * a text that opens with verbs and a colon ("info, trust list and show: text") says whose the option is;
#   * the sections that UNVERBED names are about what the program does without a verb, others are for every verb, unless their
#     heading ends in verbs: "(info only)", or "(mount and pull, too)", which is without a verb, and with these;
#   * a text can end so, too, for its option: "(cache, too)", or, where the heading names verbs, "(not pull)";
#   * values are named in the text: "auto, kvm or tcg; …", "…: stdio, a file, or unix:PATH", or in quotes, "settled".
#
# It leaves: program; n_opts and opt_*[i]; verbs[1..n_verbs], verb_text[path], subs[verb] (a list between blanks), and
# args[path, n], the capitals of the nth argument of a verb ("", "info", "trust add"), n_args[path].

BEGIN { UNVERBED = "^(The machine|Packing|A page for the web|Serve)" }

function trimmed(text) {
    gsub(/^ +| +$/, "", text)
    return text
}

# One argument's capitals from a word of a usage line: "URL..." is "URL", "[DIR]" is "DIR".
function add_arg(path, word, alternative) {
    gsub(/[][]|\.\.\./, "", word)
    if (word !~ /^[A-Z]/ || word == "OPTION")
        return
    if (!alternative)
        n_args[path]++
    if (index(args[path, n_args[path]] "|", "|" word "|") == 0)
        args[path, n_args[path]] = args[path, n_args[path]] "|" word
}
function add_verb(word) {
    if (!(word in is_verb)) {
        is_verb[word] = 1
        verbs[++n_verbs] = word
        subs[word] = " "
    }
}
function read_usage(text,    words, n, i, parts, m, j, verb, path, first, same) {
    gsub(/\([^)]*\)|\[-[^]]*\]/, " ", text)
    gsub(/ -[^ ]+/, " ", text)
    n = split(trimmed(text), words, " ")
    verb = path = same = ""
    for (i = 1; i <= n; i++) {
        m = split(words[i], parts, "|")
        first = 1 # the first capitals of a word are the next argument, others are other ways to give it
        if (i == 1 && parts[1] ~ /^[a-z]/) {
            for (j = 1; j <= m; j++)
                add_verb(parts[j])
            verb = path = parts[1]
            same = words[i]
            continue
        }
        for (j = 1; j <= m; j++) {
            gsub(/[][]/, "", parts[j])
            if (parts[j] ~ /^[a-z]/ && verb != "") {
                path = verb " " parts[j]
                if (index(subs[verb], " " parts[j] " ") == 0)
                    subs[verb] = subs[verb] parts[j] " "
                n_args[path] += 0
                first = 1
            } else {
                if (path == verb && i > 1 && verb != "")
                    share(same, parts[j], !first)
                else
                    add_arg(path, parts[j], !first)
                first = 0
            }
        }
    }
}
# "info|pull LOCATION": of each of them.
function share(of, word, alternative,    parts, n, i) {
    n = split(of, parts, "|")
    for (i = 1; i <= n; i++)
        add_arg(parts[i], word, alternative)
}

# The usages without a verb differ in their arguments: "PACKAGE" of one may be "URL" of another.
function read_unverbed(text,    words, n, i, m, parts, j, at) {
    gsub(/\([^)]*\)|\[-[^]]*\]/, " ", text)
    text = " " text
    gsub(/ --?[^ ]+/, " ", text)
    n = split(trimmed(text), words, " ")
    at = 0
    for (i = 1; i <= n; i++) {
        gsub(/[][]|\.\.\./, "", words[i])
        if (words[i] !~ /^[A-Z]/ || words[i] == "OPTION")
            continue
        at++
        if (at > n_args[""])
            n_args[""] = at
        m = split(words[i], parts, "|")
        for (j = 1; j <= m; j++)
            if (index(args["", at] "|", "|" parts[j] "|") == 0)
                args["", at] = args["", at] "|" parts[j]
    }
}

function read_option(text,    rest) {
    n_opts++
    opt_short[n_opts] = ""
    if (match(text, /^-[A-Za-z0-9], /)) {
        opt_short[n_opts] = substr(text, 1, 2)
        text = substr(text, 5)
    }
    match(text, /^--?[-a-z0-9A-Z]+/)
    opt_name[n_opts] = substr(text, 1, RLENGTH)
    rest = substr(text, RLENGTH + 1)
    opt_optional[n_opts] = rest ~ /^\[=/
    opt_arg[n_opts] = ""
    if (match(rest, /^\[?=[^ ]+/)) {
        opt_arg[n_opts] = substr(rest, 1, RLENGTH)
        rest = substr(rest, RLENGTH + 1)
        sub(/^\[?=/, "", opt_arg[n_opts])
        if (opt_optional[n_opts])
            sub(/\]$/, "", opt_arg[n_opts])
    }
    opt_text[n_opts] = trimmed(rest)
    opt_verb[n_opts] = verb_here != "" ? verb_here : section
}

# Whose something is that was OF's (see belongs()), if its text ends in verbs.  It leaves rest, the text without them.
function narrowed(of, text,    parts, words, n, i, named, kind) {
    rest = text
    if (!match(text, / \([^()]*\):?$/))
        return of
    n = split(substr(text, RSTART + 2), words, /[ ,):]+/)
    for (i = 1; i <= n; i++)
        if (words[i] in is_verb)
            named = named " " words[i]
        else if (words[i] == "too" || words[i] == "not" || words[i] == "only")
            kind = words[i]
        else if (words[i] != "" && words[i] != "and")
            return of
    if (named == "" || kind == "")
        return of
    rest = substr(text, 1, RSTART - 1)
    if (kind == "only")
        return named " "
    if (kind == "too")
        return (of == "*" ? " - " : of) named " "
    n = split(named, parts, " ")
    for (i = 1; i <= n; i++)
        sub(" " parts[i] " ", " ", of)
    return of
}

/^Usage: / { program = $2 }
/^Usage: / || (in_usage && $1 == program && /^       /) {
    in_usage = 1
    line = trimmed($0)
    sub(/^(Usage: )?[^ ]+ ?/, "", line)
    bare = line
    gsub(/\[OPTION\]\.\.\./, "", bare)
    if (trimmed(bare) ~ /^[a-z]/)
        read_usage(bare)
    else
        read_unverbed(bare)
    next
}
/^[^ ]/ {
    in_usage = 0
    if (!in_prose) # a heading can be longer than a line
        section = $0 ~ UNVERBED ? " - " : narrowed("*", $0)
    in_prose = 1
    verb_here = ""
    last = untold = 0
    next
}
{ in_prose = 0 }
/^ +-/ {
    match($0, /^ +/)
    read_option(substr($0, RLENGTH + 1))
    last = n_opts
    next
}
/^  [a-z]/ && ($1 in is_verb) {
    line = trimmed($0)
    verb_here = $1
    if (index(subs[$1], " " $2 " "))
        verb_here = $1 " " $2
    if (match(line, /  +/))
        verb_text[verb_here] = trimmed(substr(line, RSTART))
    last = 0
    untold = !(verb_here in verb_text)
    next
}
/^$/ { last = untold = 0; verb_here = "" }
untold && /^        / { # its text begins below
    verb_text[verb_here] = trimmed($0)
    untold = 0
}
last && /^        / { opt_text[last] = trimmed(opt_text[last] " " trimmed($0)) }

# The verbs that a text opens with, before a colon: " info trust cache ", or "" if it does not.
function named_verbs(text,    colon, parts, n, i, words, out) {
    colon = index(text, ": ")
    if (!colon)
        return ""
    n = split(substr(text, 1, colon - 1), parts, /, | and /)
    out = " "
    for (i = 1; i <= n; i++) {
        split(parts[i], words, " ")
        if (words[1] in is_verb)
            out = out words[1] " "
        else if (out == " ")
            return ""
    }
    return out
}

# What a text names as values, between blanks; "a file" among them sets takes_file.
function values_of(text,    clause, parts, n, i, out, seen) {
    takes_file = 0
    out = ""
    clause = text
    sub(/[;.]( .*)?$/, "", clause)
    while (match(clause, /[a-z,]: /) && clause ~ /[a-z,]: .*( or |, )/)
        clause = substr(clause, RSTART + 3)
    gsub(/ \([^)]*\)/, "", clause)
    n = split(clause, parts, /, or |, | or /)
    for (i = 1; n > 1 && i <= n; i++) {
        sub(/ for .*/, "", parts[i])
        if (parts[i] == "a file") {
            takes_file = 1
        } else if (parts[i] ~ /^[a-z][-a-z0-9_]*(:[^ ]*)?$/) {
            sub(/[A-Z]+$/, "", parts[i]) # unix:PATH
            out = out " " parts[i]
            seen++
        } else {
            break
        }
    }
    if (seen < 2 && !(seen == 1 && takes_file))
        out = takes_file = ""
    while (match(text, /"[a-z]+"/)) {
        out = out " " substr(text, RSTART + 1, RLENGTH - 2)
        text = substr(text, RSTART + RLENGTH)
    }
    return out
}

# A text short enough to stand beside an option: its first clause.
function short_text(text,    at) {
    gsub(/ \([^)]*\)/, "", text)
    sub(/[;.:]( .*)?$/, "", text)
    if (length(text) > 70) {
        text = substr(text, 1, 70)
        sub(/ [^ ]*$/, "", text)
        text = text " ..."
    }
    return text
}

# Names of files that capitals stand for: "d" a folder, "*" any file, else the endings apart by blanks; "" none.
function endings(capitals,    parts, n, i, out) {
    out = ""
    n = split(capitals, parts, "|")
    for (i = 1; i <= n; i++) {
        if (parts[i] == "")
            continue
        if (parts[i] ~ /^DIR/)
            return "d"
        if (parts[i] ~ /^(FILE|SAVE|RECORD|WHERE)$/)
            return "*"
        if (parts[i] ~ /\.[A-Za-z]+$/) {
            sub(/.*\./, "", parts[i])
            out = out " " tolower(parts[i])
        } else if (parts[i] == "LOCATION")
            out = out " nxpk netx"
        else if (parts[i] == "PACKAGE")
            out = out " nxpk"
        else if (parts[i] == "KEY")
            out = out " pem"
        else if (parts[i] == "ISO")
            out = out " iso"
    }
    return trimmed(out)
}

# Is option i for what is done at path ("", "info", "trust add")?  It is everybody's, "*", that of one path, or that of the
# verbs in a list between blanks, where - is for no verb.
function belongs(i, path,    words) {
    split(path == "" ? "-" : path, words, " ")
    if (opt_verb[i] ~ /^ /)
        return index(opt_verb[i], " " words[1] " ")
    return opt_verb[i] == "*" || opt_verb[i] == path || opt_verb[i] == words[1]
}

# Before the options are used: whose they are, and their values.
function prepare(    i, named, key, value) {
    for (i = 1; i <= n_opts; i++) {
        if (opt_verb[i] == "*" && (named = named_verbs(opt_text[i])) != "") {
            opt_verb[i] = named
            sub(/^[^:]*: /, "", opt_text[i])
        }
        opt_verb[i] = narrowed(opt_verb[i], opt_text[i])
        opt_text[i] = rest
        if (opt_arg[i] == "")
            continue
        key = opt_name[i] SUBSEP opt_arg[i]
        value = values_of(opt_text[i])
        if (value != "") {
            value_of[key] = trimmed(value)
            file_of[key] = takes_file
        }
    }
    for (i = 1; i <= n_opts; i++) {
        key = opt_name[i] SUBSEP opt_arg[i]
        opt_values[i] = value_of[key]
        opt_endings[i] = opt_arg[i] == "" ? "" : file_of[key] ? "*" : opt_values[i] != "" ? "" : endings(opt_arg[i])
    }
}

# All paths, "" first.
function list_paths(    i, j, n, parts) {
    n_paths = 0
    paths[++n_paths] = ""
    for (i = 1; i <= n_verbs; i++) {
        paths[++n_paths] = verbs[i]
        n = split(trimmed(subs[verbs[i]]), parts, " ")
        for (j = 1; j <= n; j++)
            paths[++n_paths] = verbs[i] " " parts[j]
    }
}

# The options that take the next word if no value stands in their own, each with before and after, between separators.
function takers(before, after, separator,    i, out, seen) {
    out = ""
    for (i = 1; i <= n_opts; i++) {
        if (opt_arg[i] == "" || opt_optional[i] || (opt_name[i] in seen))
            continue
        seen[opt_name[i]] = 1
        out = out (out == "" ? "" : separator) before opt_name[i] after
        if (opt_short[i] != "")
            out = out separator before opt_short[i] after
    }
    return out
}

# The verbs that can stand behind a path, between blanks.
function verbs_behind(path,    i, out) {
    if (path != "")
        return path in subs ? trimmed(subs[path]) : ""
    out = ""
    for (i = 1; i <= n_verbs; i++)
        out = out " " verbs[i]
    return trimmed(out)
}
