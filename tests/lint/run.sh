#!/usr/bin/env bash
# run.sh - every check of the source, one after the other. The last line is "N passed, N failed".
set -u

passed=0 failed=0
: "${MAKE:=make}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT

check() { # NAME COMMAND...
    local name=$1
    shift
    if "$@" >"$log" 2>&1; then
        echo "ok      $name"
        passed=$((passed + 1))
    else
        echo "FAILED  $name"
        tail -n 60 "$log" | sed 's/^/        /'
        failed=$((failed + 1))
    fi
}

build() { $MAKE --no-print-directory -s "$@"; }

check "layers: includes and doors" tests/lint/layers.sh
check "headers stand alone, C11 and C++17" tests/lint/headers.sh
check "public functions are documented" tests/lint/docs.sh
check "documents name what there is" tests/lint/names.sh
check "format" tests/lint/format.sh
check "library builds" build MODE=release lib
check "layers: links" tests/lint/layers.sh links
check "exported symbols" tests/lint/symbols.sh
check "no warning from gcc" build MODE=lint-gcc objects
check "no warning from clang" build MODE=lint-clang objects
check "cppcheck" tests/lint/cppcheck.sh

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
