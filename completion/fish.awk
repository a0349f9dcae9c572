# SPDX-License-Identifier: MIT
# A fish completion: awk -f help.awk -f fish.awk NAME.help

function quoted(text) {
    gsub(/\\/, "\\\\", text)
    gsub(/\047/, "\\\047", text)
    return "'" text "'"
}
# What -a is given for an argument, or "".
function complete_files(which) {
    if (which == "")
        return ""
    if (which == "d")
        return "(__fish_complete_directories (commandline -ct | string replace -r '^--?[^=]*=' ''))"
    return "(__" program "_files" (which == "*" ? "" : " " which) ")"
}
# The condition that the words so far are those of one of the paths.
function where(list) {
    return "'__" program "_at " list "'"
}
function complete(condition, rest) {
    print "complete -c " program (condition == "" ? "" : " -n " condition) " " rest
}

END {
    prepare()
    list_paths()
    print "# fish completion for " program "; made from its help"
    print ""
    print "# The verb so far (\"trust add\"; \"-\" without one), and how many arguments stand behind it."
    print "function __" program "_path"
    print "    set -l words (commandline -opc)"
    print "    set -l path -"
    print "    set -l n 0"
    print "    set -l skip no"
    print "    for word in $words[2..-1]"
    print "        if test $skip = yes"
    print "            set skip no"
    print "            continue"
    print "        end"
    print "        switch \"$path/$n/$word\""
    if ((taking = takers("'*/", "'", " ")) != "")
        print "            case " taking "\n                set skip yes"
    print "            case '*/-*'"
    for (p = 2; p <= n_paths; p++)
        if (split(paths[p], words, " ") == 1)
            print "            case -/0/" words[1] "\n                set path " words[1]
        else
            print "            case " words[1] "/0/" words[2] "\n                set path '" words[1] " " words[2] "'"
    print "            case '*'\n                set n (math $n + 1)"
    print "        end"
    print "    end"
    print "    echo $path/$n"
    print "end"
    print "# Are we at one of these, a path, or with a number behind it one argument of it?"
    print "function __" program "_at"
    print "    set -l at (__" program "_path)"
    print "    contains -- $at $argv; or contains -- (string replace -r '/[0-9]+$' '' -- $at) $argv"
    print "end"
    print "# Folders, and files with one of these endings (all without)."
    print "function __" program "_files"
    print "    set -l token (commandline -ct | string replace -r '^--?[^=]*=' '')"
    print "    set -l ending (test (count $argv) -gt 0; and echo '\\.(?:'(string join '|' $argv)')'; or echo '')"
    print "    __fish_complete_path \"$token\" | string match -er \"(?:/|$ending)(?:\\t.*)?\\$\""
    print "end"
    print ""
    print "complete -c " program " -f"
    for (i = 1; i <= n_opts; i++) {
        at = ""
        n = 0
        for (p = 1; p <= n_paths; p++)
            if (belongs(i, paths[p])) {
                at = at " \"" (paths[p] == "" ? "-" : paths[p]) "\""
                n++
            }
        values = opt_values[i]
        files = complete_files(opt_endings[i])
        gsub(/'/, "\"", files)
        all = trimmed(values " " files)
        complete(n == n_paths ? "" : where(trimmed(at)), (opt_short[i] == "" ? "" : "-s " substr(opt_short[i], 2) " ") "-l " substr(opt_name[i], 3) \
            (opt_arg[i] == "" || opt_optional[i] ? "" : " -x") (all == "" ? "" : " -a " quoted(all)) " -d " quoted(short_text(opt_text[i])))
    }
    for (p = 1; p <= n_paths; p++) {
        path = paths[p]
        at = path == "" ? "-" : path
        n = split(verbs_behind(path), words, " ")
        for (i = 1; i <= n; i++) {
            text = short_text(verb_text[(path == "" ? "" : path " ") words[i]])
            complete(where("\"" at "/0\""), "-a " words[i] (text == "" ? "" : " -d " quoted(text)))
        }
        for (j = 1; j <= n_args[path]; j++) {
            files = complete_files(endings(args[path, j]))
            if (files != "") {
                gsub(/'/, "\"", files)
                complete(where("\"" at "/" j - 1 "\""), "-a " quoted(files))
            }
        }
    }
}
