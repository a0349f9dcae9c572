# SPDX-License-Identifier: MIT
# A zsh completion, which uses _arguments: awk -f help.awk -f zsh.awk NAME.help

# Text within '…' and [...] of a specification.
function quoted(text) {
    gsub(/\\/, "\\\\", text)
    gsub(/:/, "\\:", text)
    gsub(/\[/, "\\[", text)
    gsub(/\]/, "\\]", text)
    gsub(/\047/, "\047\\\047\047", text)
    return text
}
function complete_files(which,    parts, n, i, out) {
    if (which == "d")
        return "_path_files -/"
    if (which == "*")
        return "_files"
    if (which == "")
        return " "
    n = split(which, parts, " ")
    out = ""
    for (i = 1; i <= n; i++)
        out = out "*." parts[i] "(-.) "
    return "_path_files -g \"" out "*(-/)\""
}
# ":HOW:(auto kvm tcg)" of option i
function argument(i,    values, action) {
    values = opt_values[i]
    gsub(/:/, "\\:", values)
    action = values == "" ? complete_files(opt_endings[i]) : "(" values ")"
    if (values != "" && opt_endings[i] != "") {
        action = "_" program "_" substr(opt_name[i], 3)
        gsub(/-/, "_", action)
        functions[action] = "values:value:(" values ")' 'files:file:" complete_files(opt_endings[i])
    }
    return (opt_optional[i] ? "::" : ":") quoted(opt_arg[i]) ":" action
}
function option_spec(i,    text, long) {
    text = "[" quoted(short_text(opt_text[i])) "]"
    long = opt_name[i]
    if (opt_arg[i] != "")
        long = long (opt_optional[i] ? "=-" : "=")
    if (opt_short[i] == "")
        return "'*" long text (opt_arg[i] == "" ? "" : argument(i)) "'"
    return "'*" opt_short[i] (opt_arg[i] == "" ? "" : "+") text (opt_arg[i] == "" ? "" : argument(i)) "' '*" long text (opt_arg[i] == "" ? "" : argument(i)) "'"
}
# "((list\:'show them' add\:…))" of the verbs behind a path
function described(list, path,    words, n, i, out) {
    n = split(trimmed(list), words, " ")
    out = ""
    for (i = 1; i <= n; i++) {
        at = (path == "" ? "" : path " ") words[i]
        text = short_text(verb_text[at])
        gsub(/["\\$`\047:()]/, "", text)
        out = out (i > 1 ? " " : "") words[i] (text == "" ? "" : "\\:\"" text "\"")
    }
    return "((" out "))"
}

END {
    prepare()
    list_paths()
    print "#compdef " program
    print "# zsh completion for " program "; made from its help"
    print ""
    print "local path_='' i"
    print "local -a specs"
    print ""
    print "# Which verb?"
    print "local n=0"
    print "for ((i = 2; i < CURRENT; i++)); do"
    print "    case $words[i] in"
    if ((taking = takers("", "", "|")) != "")
        print "        (" taking ") ((i++)) ;;"
    print "        (-*) ;;"
    print "        (*)"
    print "            case $path_/$n/$words[i] in"
    for (p = 2; p <= n_paths; p++)
        if (split(paths[p], words, " ") == 1)
            print "                (/0/" words[1] ") path_=" words[1] " ;;"
        else
            print "                (" words[1] "/0/" words[2] ") path_='" words[1] " " words[2] "' ;;"
    print "                (*) ((n++)) ;;"
    print "            esac ;;"
    print "    esac"
    print "done"
    print ""
    print "case $path_ in"
    for (p = 1; p <= n_paths; p++) {
        path = paths[p]
        print "    ('" path "')"
        print "        specs=("
        split("", seen)
        for (i = 1; i <= n_opts; i++)
            if (belongs(i, path) && !(opt_name[i] in seen)) {
                seen[opt_name[i]] = 1
                print "            " option_spec(i)
            }
        depth = path == "" ? 0 : split(path, words, " ")
        for (i = 1; i <= depth; i++)
            print "            '" i ":verb:(" words[i] ")'"
        list = verbs_behind(path)
        for (j = 1; j <= n_args[path] || (j == 1 && list != ""); j++) {
            capitals = substr(args[path, j], 2)
            files = complete_files(endings(capitals))
            if (j == 1 && list != "" && capitals != "") {
                print "            '" depth + j ":" quoted(capitals) ":_" program "_first'"
                functions["_" program "_first"] = "verbs:verb:" described(list, path) "' 'files:file:" files
            } else if (j == 1 && list != "")
                print "            '" depth + j ":verb:" described(list, path) "'"
            else
                print "            '" depth + j ":" quoted(capitals) ":" files "'"
        }
        print "        ) ;;"
    }
    print "esac"
    for (name in functions)
        print name "() { _alternative '" functions[name] "' }"
    print "_arguments -s -S $specs"
}
