# SPDX-License-Identifier: MIT
# The commands in a document, to be run as they stand there.  Sourced by bash with the tree's root as its working directory.
#     guide_commands DOCUMENT SECTION    what stands in its ```sh blocks
#     guide_sections DOCUMENT            those that have some
#     guide_script DOCUMENT SECTION      a script of them, which ends at the first that fails, and says which
# A line that `# → TEXT` follows is tried, for up to 30 s, until its output has that text.

guide_commands() {
    awk -v wanted="$2" '
        /^#+ / && !block { title = $0; sub(/^#+ /, "", title) }
        /^```/ { block = !block && $0 == "```sh"; next }
        !block || title != wanted { next }
        match($0, / +# → /) {
            print "said \x27" substr($0, RSTART + RLENGTH) "\x27 <<\x27END OF COMMAND\x27\n" substr($0, 1, RSTART - 1) "\nEND OF COMMAND"
            next
        }
        { print }' "$1"
}
guide_sections() {
    awk '/^#+ / && !block { title = $0; sub(/^#+ /, "", title) }
        /^```/ { block = !block && $0 == "```sh"; if (block) print title }' "$1" | uniq
}
guide_script() {
    cat <<'END'
set -eE -o pipefail
trap 'echo "the guide: this fails: $BASH_COMMAND" >&2' ERR
said() {
    local command out deadline=$((SECONDS + 30))
    command=$(cat)
    until out=$(eval "$command" 2>&1) && grep -qF -- "$1" <<<"$out"; do
        [ $SECONDS -lt $deadline ] || { echo "the guide: $command"; echo "  should say: $1"; echo "  says: $out"; exit 1; } >&2
        sleep 0.1
    done
}
END
    guide_commands "$1" "$2"
}
