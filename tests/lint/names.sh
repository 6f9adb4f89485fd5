#!/usr/bin/env bash
# names.sh - every weft_ name in the documents is declared in a public header, every WEFT_ name
# stands somewhere in the sources, and every link to a file leads to one.
set -u

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
bad=0
complain() {
    echo "$*"
    bad=1
}

words() { # PATTERN FILE... -> the words, one a line
    grep -ohE "\\b$1[A-Za-z0-9_]*" "${@:2}" | sort -u
}

words weft_ include/*.h include/weft/*.h >"$tmp/declared"
find include lib tests workers bench Makefile -type f \( -name '*.[chS]' -o -name '*.sh' -o -name Makefile \) |
    xargs grep -ohE '\bWEFT_[A-Za-z0-9_]*' | sort -u >"$tmp/known"

documents=(README.md CHANGELOG.md docs/*.md docs/*/*.md)
for document in "${documents[@]}"; do
    # weft__ is the library's own; weft_queue_* is a family; STYLE.md has a name for names.
    while read -r name; do
        case $name in
        weft__* | weft_noun_verb) continue ;;
        *_) grep -q "^$name" "$tmp/declared" || complain "$document: no public name begins with $name" ;;
        *) grep -qx "$name" "$tmp/declared" || complain "$document: $name is in no public header" ;;
        esac
    done < <(words weft_ "$document")
    while read -r name; do
        grep -q "^$name" "$tmp/known" || complain "$document: $name is nowhere in the sources"
    done < <(words WEFT_ "$document")
    while read -r link; do
        [ -e "$(dirname "$document")/${link%%#*}" ] || complain "$document: there is no $link"
    done < <(grep -oE '\]\([^)# ]+[^) ]*\)' "$document" | sed 's/^](//; s/)$//' | grep -vE '^(https?:|#)')
done
exit $bad
