# SPDX-License-Identifier: MIT
# A bash completion, which uses bash-completion's own functions: awk -f help.awk -f bash.awk NAME.help

# Options of a path as compgen takes them: "--accel= --cold".
function option_words(path,    i, out, word, seen) {
    out = ""
    for (i = 1; i <= n_opts; i++) {
        if (!belongs(i, path))
            continue
        word = opt_name[i] (opt_arg[i] != "" && !opt_optional[i] ? "=" : "")
        if (!(word in seen))
            out = out " " word (opt_short[i] != "" ? " " opt_short[i] : "")
        seen[word] = 1
    }
    return trimmed(out)
}
# What completes an argument.
function complete_files(which,    parts, n) {
    if (which == "d")
        return "_filedir -d"
    if (which == "*")
        return "_filedir"
    if (which == "")
        return ":"
    n = split(which, parts, " ")
    gsub(/ /, "|", which)
    return n == 1 ? "_filedir " which : "_filedir '@(" which ")'"
}
function complete_words(list) {
    return "COMPREPLY=($(compgen -W '" list "' -- \"$cur\"))"
}
# How the value of option i is completed, and whether another option of its name takes something else.
function action(i,    out) {
    if (opt_optional[i])
        return "$split && return"
    out = ""
    if (opt_values[i] != "")
        out = complete_words(opt_values[i]) (opt_values[i] ~ /:/ ? "\n            __ltrim_colon_completions \"$cur\"" : "") "\n            "
    # What begins with a value's own prefix, as in unix:PATH, is typed on.
    if (opt_endings[i] != "")
        out = out (opt_values[i] != "" ? "[[ $cur == *:* ]] || " : "") complete_files(opt_endings[i]) "\n            "
    return out "return"
}
function differs(i,    k) {
    for (k = 1; k <= n_opts; k++)
        if (opt_name[k] == opt_name[i] && action(k) != action(i))
            return 1
    return 0
}
function value_case(path, i,    words, n, j, out) {
    n = split(patterns(i), words, "|")
    out = ""
    for (j = 1; j <= n; j++)
        out = out (j > 1 ? "|" : "") path "/" words[j]
    print "        " out ")\n            " action(i) " ;;"
}
# "--key|-k": an option, however it is written
function patterns(i) {
    return opt_name[i] (opt_short[i] != "" ? "|" opt_short[i] : "")
}

END {
    prepare()
    list_paths()
    print "# bash completion for " program "; made from its help"
    print "_" program "()"
    print "{"
    print "    local cur prev words cword split path='' n=0 i"
    print "    _init_completion -s -n : || return"
    print ""
    print "    # Which verb, and how many arguments stand behind it?"
    print "    for ((i = 1; i < cword; i++)); do"
    print "        case ${words[i]} in"
    if ((taking = takers("", "", "|")) != "")
        print "            " taking ") ((i++)) ;;"
    print "            -*) ;;"
    print "            *)"
    print "                case $path/$n/${words[i]} in"
    for (p = 2; p <= n_paths; p++) {
        at = paths[p] " "
        if (split(paths[p], words, " ") == 1)
            print "                    /0/" words[1] ") path=" words[1] " ;;"
        else
            print "                    " words[1] "/0/" words[2] ") path='" words[1] " " words[2] "' ;;"
    }
    print "                    *) ((n++)) ;;"
    print "                esac ;;"
    print "        esac"
    print "    done"
    print ""
    print "    # The value of an option."
    print "    case $path/$prev in"
    for (i = 1; i <= n_opts; i++) {
        if (opt_arg[i] == "")
            continue
        # Most options take the same wherever they stand.
        if (!differs(i)) {
            if (!(opt_name[i] in seen))
                value_case("*", i)
            seen[opt_name[i]] = 1
            continue
        }
        for (p = 1; p <= n_paths; p++)
            if (belongs(i, paths[p]))
                value_case("'" paths[p] "'", i)
    }
    print "    esac"
    print "    $split && return"
    print ""
    print "    if [[ $cur == -* ]]; then"
    print "        case $path in"
    for (p = 1; p <= n_paths; p++) {
        list = option_words(paths[p])
        if (!(list in same))
            lists[++n_lists] = list
        same[list] = same[list] (same[list] == "" ? "" : "|") "'" paths[p] "'"
    }
    for (i = 1; i <= n_lists; i++)
        print "            " same[lists[i]] ")\n                " complete_words(lists[i]) " ;;"
    print "        esac"
    print "        [[ ${COMPREPLY-} == *= ]] && compopt -o nospace"
    print "        return"
    print "    fi"
    print ""
    print "    case $path/$n in"
    for (p = 1; p <= n_paths; p++) {
        path = paths[p]
        words_here = verbs_behind(path)
        if (words_here != "")
            print "        '" path "'/0)\n            " complete_words(words_here) (n_args[path] ? "\n            local -a found=(\"${COMPREPLY[@]}\")\n            COMPREPLY=()\n            " complete_files(endings(args[path, 1])) "\n            COMPREPLY+=(\"${found[@]}\")" : "") " ;;"
        for (j = words_here == "" ? 1 : 2; j <= n_args[path]; j++)
            if (endings(args[path, j]) != "")
                print "        '" path "'/" j - 1 ")\n            " complete_files(endings(args[path, j])) " ;;"
    }
    print "    esac"
    print "} &&"
    print "    complete -F _" program " " program
}
