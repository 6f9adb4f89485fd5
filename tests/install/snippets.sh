#!/usr/bin/env bash
# snippets.sh PREFIX - compiles every piece of C in README.md and docs/*.md, without a warning, with
# what is installed at PREFIX. A piece with a main is a program, and is linked and run; one with
# functions is a file; any other is the body of a function. The last line is "N passed, N failed".
set -u

prefix=${1:?where weft is installed}
here=$(dirname "$0")
root=$here/../..
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig LD_LIBRARY_PATH=$prefix/lib
read -ra flags < <(pkg-config --cflags weft-http weft-dns)
read -ra libs < <(pkg-config --libs weft-http weft-dns)
flags+=(-std=gnu11 -Wall -Wextra -Werror)

# A piece that shows functions has no caller for them.
piece() { # FILE
    if grep -q '^main(' "$1"; then
        gcc "${flags[@]}" -o "$work/program" "$1" "${libs[@]}" && timeout 20 "$work/program"
    elif grep -q '^static ' "$1"; then
        gcc "${flags[@]}" -Wno-unused -include "$here/snippets.h" -fsyntax-only "$1"
    else
        {
            echo 'int snippet(const char *text, size_t len, const char *page);'
            echo 'int snippet(const char *text, size_t len, const char *page)'
            echo '{ (void)text, (void)len, (void)page;'
            cat "$1"
            echo 'return rc; }'
        } >"$work/body.c"
        gcc "${flags[@]}" -Wno-unused -include "$here/snippets.h" -fsyntax-only "$work/body.c"
    fi
}

passed=0 failed=0
for document in "$root/README.md" "$root"/docs/*.md; do
    awk -v to="$work/piece" '
        /^```c$/ { on = 1; file = to "-" FNR ".c"; print "#line " FNR + 1 " \"" FILENAME "\"" >file; next }
        /^```$/ { on = 0 }
        on { print >file }' "$document"
    for file in "$work"/piece-*.c; do
        [ -e "$file" ] || continue
        line=${file##*-}
        name="$(basename "$document"):${line%.c}"
        if piece "$file" >"$work/log" 2>&1; then
            echo "ok      $name"
            passed=$((passed + 1))
        else
            echo "FAILED  $name"
            sed 's/^/        /' "$work/log"
            failed=$((failed + 1))
        fi
        rm "$file"
    done
done

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
