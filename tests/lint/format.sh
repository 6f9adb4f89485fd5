#!/usr/bin/env bash
# format.sh - the C files are laid out as .clang-format says; with --fix it lays them out. What
# clang-format leaves alone (comments, assembly, scripts) is checked for width, tabs and blanks
# at the end of lines.
set -u

mapfile -t files < <(find lib include workers bench examples tests -name '*.[ch]' -type f 2>/dev/null | sort)
if [ "${1:-}" = --fix ]; then
    clang-format -i "${files[@]}"
    exit
fi

bad=0
for f in "${files[@]}"; do
    clang-format --dry-run -Werror "$f" 2>/dev/null || { echo "$f: not laid out; make fmt does it"; bad=1; }
done
mapfile -t texts < <(find lib tests .ci -type f \( -name '*.S' -o -name '*.sh' -o -path '.ci/*' \))
# Characters are counted, not bytes: in UTF-8 all but the first byte of one are 200 to 277.
LC_ALL=C awk '
    { text = $0; gsub(/[\200-\277]/, "", text) }
    length(text) > 100 && FILENAME !~ /\.sh$|^\.ci/ { print FILENAME ":" FNR ": over 100 columns"; bad = 1 }
    /[ \t]$/ { print FILENAME ":" FNR ": blank at the end"; bad = 1 }
    /\t/ && FILENAME !~ /\.S$/ { print FILENAME ":" FNR ": tab"; bad = 1 }
    END { exit bad }' "${files[@]}" "${texts[@]}" || bad=1
exit $bad
