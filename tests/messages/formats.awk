# SPDX-License-Identifier: MIT
# The messages that a program can end with, out of its intermediate code (LLVM's, as text, values in SSA form):
#     awk -f formats.awk PROGRAM.ll     FILE:LINE <tab> KIND <tab> MESSAGE, a line each
# KIND is the function that makes it: nx_fail, nx_fail_errno, nx_fail_while, or nx_log at the level of errors.  In MESSAGE
# what is only known when it is said stands as "…".  A %s whose value is one of some literals (by ?:, by the return of a
# function, by an argument of a function of ours) gives a message for each of them.
# Needs LC_ALL=C.

BEGIN {
    ELLIPSIS = "\342\200\246"
    MOST = 64 # variants of one call; more are no list but a name
    # position of the format among the arguments, from 1
    format_at["nx_fail"] = 3
    format_at["nx_fail_errno"] = format_at["nx_fail_while"] = format_at["nx_log"] = 2
    for (i = 0; i < 256; i++)
        byte[sprintf("%02X", i)] = sprintf("%c", i)
}

# What a constant's c"…" says, up to its NUL.
function decoded(text,    out, i) {
    out = ""
    while ((i = index(text, "\\")) > 0) {
        if (substr(text, i + 1, 2) == "00")
            return out substr(text, 1, i - 1)
        out = out substr(text, 1, i - 1) byte[substr(text, i + 1, 2)]
        text = substr(text, i + 3)
    }
    return out text
}

# Split text, which stands behind an opening parenthesis, at its commas; the values of the arguments go into parts.
function arguments(text, parts,    i, c, depth, n, word) {
    n = depth = 0
    word = ""
    for (i = 1; i <= length(text); i++) {
        c = substr(text, i, 1)
        if (c ~ /[([{<]/)
            depth++
        if (c ~ /[])}>]/ && depth-- == 0)
            break
        if (c == "," && depth == 0) {
            parts[++n] = value(word)
            word = ""
        } else {
            word = word c
        }
    }
    if (word != "")
        parts[++n] = value(word)
    return n
}

# "i8* noundef getelementptr (…, [20 x i8]* @.str, i64 0, i64 0)" is "@.str"; "i64 noundef %12" is "%12".
function value(text) {
    if (match(text, /@[-A-Za-z0-9_.$]+/))
        return substr(text, RSTART, RLENGTH)
    sub(/ +$/, "", text)
    sub(/.* /, "", text)
    return text
}

# The name of the function that is called in text, and in rest what follows its parenthesis.
function callee(text) {
    if (!match(text, /@[-A-Za-z0-9_.$]+\(/))
        return ""
    rest = substr(text, RSTART + RLENGTH)
    return substr(text, RSTART + 1, RLENGTH - 2)
}

/^@/ && / c"/ {
    text = $0
    sub(/^[^"]* c"/, "", text)
    sub(/"[^"]*$/, "", text)
    literal[$1] = decoded(text)
    is_literal[$1] = 1
    next
}
/^@/ && /\[1 x i8\] zeroinitializer/ {
    literal[$1] = ""
    is_literal[$1] = 1
    next
}
/^define / {
    current = callee($0)
    n = arguments(rest, parts)
    for (i = 1; i <= n; i++)
        if (parts[i] ~ /^%/)
            parameter[current, parts[i]] = i
    next
}
/^}/ { current = ""; next }
current != "" {
    text = $0
    if (match(text, /^ +%[-A-Za-z0-9_.$]+ = /)) {
        name = substr(text, 1, RLENGTH - 3)
        sub(/^ +/, "", name)
        if (text ~ / = (phi|select|(tail |musttail |notail )?call) /)
            definition[current, name] = substr(text, RLENGTH + 1)
    } else if (text ~ /^  ret /) {
        sub(/, !dbg.*/, "", text)
        returns[current] = returns[current] value(text) "\n"
    }
    if (text ~ /(^|= )(  |tail |musttail |notail )*call / && (name = callee(text)) != "" && name !~ /^llvm\./) {
        n = arguments(rest, parts)
        calls++
        call_in[calls] = current
        call_of[name] = call_of[name] calls " "
        for (i = 1; i <= n; i++)
            call_arg[calls, i] = parts[i]
        call_args[calls] = n
        call_where[calls] = match($0, /!dbg ![0-9]+/) ? substr($0, RSTART + 5, RLENGTH - 5) : ""
    }
    next
}
/^![0-9]+ = / {
    if (match($0, /line: [0-9]+/))
        line_of[$1] = substr($0, RSTART + 6, RLENGTH - 6)
    if (match($0, /(scope|file): ![0-9]+/) && /DILocation|DILexicalBlock|DISubprogram/)
        scope_of[$1] = / file: /&& match($0, /file: ![0-9]+/) ? substr($0, RSTART + 6, RLENGTH - 6) : substr($0, RSTART + 7, RLENGTH - 7)
    if (match($0, /DIFile\(filename: "[^"]*"/))
        file_of[$1] = substr($0, RSTART + 18, RLENGTH - 19)
}

function where(location,    at) {
    at = location
    while (at != "" && !(at in file_of))
        at = scope_of[at]
    return (at in file_of ? file_of[at] : "?") ":" line_of[location]
}

# The strings that a value in a function can be, as a list "\n"-ended; what is not known is "…".
function strings(fn, v, depth,    def, list, n, i, parts, calls_to, out) {
    if (v in is_literal)
        return literal[v] "\n"
    if (v == "null")
        return ""
    if (depth > 8 || ((fn, v) in busy))
        return ELLIPSIS "\n"
    out = ""
    busy[fn, v] = 1
    if ((fn, v) in definition) {
        def = definition[fn, v]
        if (def ~ /^phi /) {
            n = split(def, parts, /\[ /)
            for (i = 2; i <= n; i++)
                if (match(parts[i], /@[-A-Za-z0-9_.$]+/) || match(parts[i], /^[^, ]+/)) # the former stands in the latter
                    out = out strings(fn, substr(parts[i], RSTART, RLENGTH), depth + 1)
        } else if (def ~ /^select /) {
            sub(/, !dbg.*/, "", def)
            n = arguments(substr(def, 8), parts)
            out = strings(fn, parts[2], depth + 1) strings(fn, parts[3], depth + 1)
        } else if ((def = callee(def)) in returns) {
            n = split(returns[def], list, "\n")
            for (i = 1; i < n; i++)
                out = out strings(def, list[i], depth + 1)
        }
    } else if ((fn, v) in parameter) {
        n = split(call_of[fn], calls_to, " ")
        for (i = 1; i <= n; i++)
            out = out strings(call_in[calls_to[i]], call_arg[calls_to[i], parameter[fn, v]], depth + 1)
    }
    delete busy[fn, v]
    return out == "" ? ELLIPSIS "\n" : once(out)
}
function once(list,    n, i, parts, seen, out) {
    n = split(list, parts, "\n")
    out = ""
    for (i = 1; i < n; i++)
        if (!seen[parts[i]]++)
            out = out parts[i] "\n"
    return out
}

# All that a format with the arguments of call c from position arg on can say, "\n"-ended.
function messages(format, c, arg,    out, directive, more, values, n, m, i, j, heads, next_out) {
    out = "\n"
    while (match(format, /%[-+ #0]*[0-9*]*(\.[0-9*]*)?(hh|h|ll|l|z|j|t|L)?[a-zA-Z%]/)) {
        directive = substr(format, RSTART, RLENGTH)
        more = substr(format, 1, RSTART - 1)
        format = substr(format, RSTART + RLENGTH)
        for (i = gsub(/\*/, "*", directive); i > 0; i--)
            arg++
        values = directive == "%%" ? "%\n" : directive ~ /s$/ && arg <= call_args[c] ? strings(call_in[c], call_arg[c, arg], 0) : ELLIPSIS "\n"
        if (directive != "%%")
            arg++
        n = split(out, heads, "\n")
        m = split(values, list_of_values, "\n")
        if ((n - 1) * (m - 1) > MOST) {
            list_of_values[1] = ELLIPSIS
            m = 2
        }
        next_out = ""
        for (i = 1; i < n; i++)
            for (j = 1; j < m; j++)
                next_out = next_out heads[i] more list_of_values[j] "\n"
        out = next_out
    }
    gsub(/\n/, format "\n", out)
    return out
}

END {
    for (kind in format_at) {
        n_calls = split(call_of[kind], of_kind, " ")
        for (k = 1; k <= n_calls; k++) {
            c = of_kind[k]
            # NX_OK is no error: that is how text is made plain; and NX_LOG_ERROR is 0.
            if (kind == "nx_fail" && call_arg[c, 2] == "0" || kind == "nx_log" && call_arg[c, 1] != "0")
                continue
            formats = strings(call_in[c], call_arg[c, format_at[kind]], 0)
            n_formats = split(formats, format_list, "\n")
            for (f = 1; f < n_formats; f++) {
                bare = format_list[f]
                gsub(/%[-+ #0]*[0-9*]*(\.[0-9*]*)?(hh|h|ll|l|z|j|t|L)?[a-zA-Z%]/, "", bare)
                # "NAME: No such file or directory": a name, and what others say.
                if (kind != "nx_fail" && bare !~ /[A-Za-z]/)
                    continue
                n_messages = split(messages(format_list[f], c, format_at[kind] + 1), said, "\n")
                for (m = 1; m < n_messages; m++) {
                    text = said[m] (kind == "nx_fail_errno" || kind == "nx_fail_while" ? ": " ELLIPSIS : "")
                    while (gsub(ELLIPSIS ELLIPSIS, ELLIPSIS, text))
                        ;
                    bare = text
                    gsub(ELLIPSIS, "", bare)
                    if (bare ~ /[A-Za-z]/ && !seen[kind, text]++)
                        print where(call_where[c]) "\t" kind "\t" text
                }
            }
        }
    }
}
