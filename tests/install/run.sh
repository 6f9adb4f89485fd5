#!/usr/bin/env bash
# run.sh - installs into a stage and builds an outside program against it with pkg-config: as C11
# and as C++17, shared and static. Uninstalling must leave no file. The last line is
# "N passed, N failed".
set -u

: "${MAKE:=make}"
prefix=/usr/local
stage=$(pwd)/build/stage
work=$(pwd)/build/outside
rm -rf "$stage" "$work"
mkdir -p "$work"

passed=0 failed=0
check() { # NAME COMMAND...
    local name=$1
    shift
    if "$@" >"$work/log" 2>&1; then
        echo "ok      $name"
        passed=$((passed + 1))
    else
        echo "FAILED  $name"
        sed 's/^/        /' "$work/log"
        failed=$((failed + 1))
    fi
}

# The stage is not where the .pc says: --define-prefix takes its own place for the prefix.
export PKG_CONFIG_PATH=$stage$prefix/lib/pkgconfig
pc() { pkg-config --define-prefix "$@" weft; }

strict=(-Wall -Wextra -pedantic -Werror)

shared() { # COMPILER STANDARD LANGUAGE
    local bin=$work/shared-$2
    # shellcheck disable=SC2046
    "$1" -std="$2" "${strict[@]}" $(pc --cflags) -x "$3" tests/install/outside.c -x none \
        -o "$bin" $(pc --libs) &&
        readelf -d "$bin" | grep -q 'NEEDED.*libweft\.so\.0\]' &&
        LD_LIBRARY_PATH=$stage$prefix/lib timeout 20 "$bin"
}

static() { # COMPILER STANDARD LANGUAGE: everything static
    local bin=$work/static-$2
    # shellcheck disable=SC2046
    "$1" -std="$2" "${strict[@]}" $(pc --cflags) -static -x "$3" tests/install/outside.c -x none \
        -o "$bin" $(pc --static --libs) &&
        timeout 20 "$bin"
}

tools() {
    local tool
    for tool in "$stage$prefix"/bin/*; do
        ! ldd "$tool" | grep -q 'not found' || return 1
    done
}

clean_stage() {
    $MAKE --no-print-directory uninstall PREFIX=$prefix DESTDIR="$stage" >/dev/null || return
    [ -z "$(find "$stage" ! -type d)" ] || { find "$stage" ! -type d; return 1; }
}

check "make install" $MAKE --no-print-directory -s install PREFIX=$prefix DESTDIR="$stage"
check "a C11 program, shared" shared gcc c11 c
check "a C++17 program, shared" shared g++ c++17 c++
check "a C11 program, static" static gcc c11 c
check "a C++17 program, static" static g++ c++17 c++
check "the tools find their libraries" tools
check "make uninstall leaves nothing" clean_stage

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
