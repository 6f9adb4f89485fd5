#!/usr/bin/env bash
# headers.sh - each public header stands alone: as C11 and as C++17, with gcc and with clang,
# with every warning an error.
set -u

bad=0
strict=(-Wall -Wextra -Wshadow -pedantic -Werror -fsyntax-only -Iinclude)
while read -r header; do
    text="#include <${header#include/}>"
    for cc in gcc clang; do
        printf '%s\nint main(void) { return 0; }\n' "$text" | "$cc" -std=c11 "${strict[@]}" -x c - ||
            { echo "$header: not with $cc as C11"; bad=1; }
        cxx=$([ $cc = gcc ] && echo g++ || echo clang++)
        printf '%s\nint main() { return 0; }\n' "$text" | "$cxx" -std=c++17 "${strict[@]}" -x c++ - ||
            { echo "$header: not with $cxx as C++17"; bad=1; }
    done
    grep -q "${header#include/}" include/weft.h || [ "$header" = include/weft.h ] ||
        { echo "$header: not in weft.h"; bad=1; }
done < <(find include -name '*.h' | sort)
exit $bad
