#!/usr/bin/env bash
# run.sh - installs and builds programs outside against it with pkg-config, one for each library: as
# C11 and as C++17, shared and static. Each library needs what it says and no more, and what the
# documents show compiles. Uninstalling must leave no file. The last line is "N passed, N failed".
set -u

: "${MAKE:=make}"
stage=$(pwd)/build/stage
work=$(pwd)/build/outside
rm -rf "$stage" "$work"
mkdir -p "$work"
prefix=$stage/prefix
lib=$prefix/lib

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

export PKG_CONFIG_PATH=$lib/pkgconfig
strict=(-Wall -Wextra -pedantic -Werror)

# ---- Programs outside --------------------------------------------------------------------------

program_of() { # LIBRARY
    local name=${1#weft}
    echo "outside${name/-/_}"
}

compile() { # OUTPUT LIBRARY STANDARD LINK-OPTION...
    local output=$1 library=$2 standard=$3 cc=gcc language=c flags
    shift 3
    [[ $standard != c++* ]] || { cc=g++ language=c++; }
    read -ra flags < <(pkg-config --cflags "$library")
    "$cc" -std="$standard" "${strict[@]}" "${flags[@]}" -x "$language" \
        "tests/install/$(program_of "$library").c" -x none -o "$output" "$@"
}

# A name that no DNS has; for libweft-dns.
echo '192.0.2.7 somewhere.test' >"$work/hosts"
run() { # PROGRAM LIBRARY
    local arguments=()
    [ "$2" != weft-dns ] || arguments=(somewhere.test 192.0.2.7:0)
    CARES_HOSTS=$work/hosts no_proxy='*' timeout 20 "$1" ${arguments[@]+"${arguments[@]}"}
}

shared() { # LIBRARY STANDARD
    local libs program=$work/shared-$1-$2
    read -ra libs < <(pkg-config --libs "$1")
    echo "${libs[*]}"
    compile "$program" "$1" "$2" "${libs[@]}" || return
    readelf -d "$program" | grep "NEEDED.*lib$1\.so\.0\]" &&
        LD_LIBRARY_PATH=$lib run "$program" "$1"
}

# weft from its archives, the libraries of others shared.
archives() { # LIBRARY STANDARD
    local libs others program=$work/archives-$1-$2
    read -ra libs < <(pkg-config --libs "$1")
    read -ra others < <(pkg-config --libs libcurl openssl libcares libevent_core)
    compile "$program" "$1" "$2" $(sed -E 's/-l(weft[a-z-]*)/-l:lib\1.a/g' <<<"${libs[*]}") \
        -Wl,--as-needed "${others[@]}" -pthread || return
    ! readelf -d "$program" | grep 'NEEDED.*libweft' && run "$program" "$1"
}

static() { # LIBRARY STANDARD: everything
    local libs program=$work/static-$1-$2
    read -ra libs < <(pkg-config --static --libs "$1")
    echo "${libs[*]}"
    compile "$program" "$1" "$2" -static "${libs[@]}" && run "$program" "$1"
}

# ---- What was installed ------------------------------------------------------------------------

needs_only() { # LIBRARY PATTERN: beside the C library
    local needed
    needed=$(readelf -d "$lib/lib$1.so" | sed -nE 's/.*\(NEEDED\).*\[(.*)\]/\1/p')
    echo "$needed"
    [ -z "$(grep -vE "^(libc\.so|libpthread\.so|ld-linux|$2)" <<<"$needed")" ] &&
        readelf -d "$lib/lib$1.so" | grep "soname: \[lib$1\.so\.0\]"
}

# By all that is loaded with it, at any distance.
loads_none_of() { # LIBRARY PATTERN
    LD_LIBRARY_PATH=$lib ldd "$lib/lib$1.so" >"$work/loaded" || return
    cat "$work/loaded"
    ! grep -E "$2|not found" "$work/loaded"
}

files_of() { # FOLDER
    (cd "$1" && find . ! -type d | sort)
}

headers_are_there() {
    diff <(files_of include) <(files_of "$prefix/include")
}

tools() {
    local tool
    for tool in "$prefix"/bin/*; do
        ! LD_LIBRARY_PATH=$lib ldd "$tool" | grep -E 'not found|libssl|libcurl|libcares' || return 1
    done
}

into_destdir() { # as packagers do: the same files, and .pc files that know nothing of it
    $MAKE --no-print-directory -s install PREFIX=/usr/local DESTDIR="$stage/dest" || return
    diff <(files_of "$prefix") <(files_of "$stage/dest/usr/local") &&
        ! grep -rn "$stage" "$stage/dest/usr/local/lib/pkgconfig" &&
        grep -qx 'prefix=/usr/local' "$stage/dest/usr/local/lib/pkgconfig/weft.pc"
}

clean() { # VARIABLE...
    $MAKE --no-print-directory uninstall "$@" >/dev/null
}

nothing_left() {
    clean PREFIX="$prefix" && clean PREFIX=/usr/local DESTDIR="$stage/dest" || return
    find "$stage" ! -type d -o -name weft
    [ -z "$(find "$stage" ! -type d -o -name weft)" ]
}

check "make install" $MAKE --no-print-directory -s install PREFIX="$prefix"
check "all headers are there" headers_are_there
for library in weft weft-dns weft-tls weft-http; do
    for standard in c11 c++17; do
        check "$library, shared, $standard" shared "$library" "$standard"
        check "$library, its archives, $standard" archives "$library" "$standard"
        # libcurl is not to be had with all that it needs as archives.
        [ "$library" = weft-http ] ||
            check "$library, static, $standard" static "$library" "$standard"
    done
done
check "libweft needs libevent_core alone" needs_only weft 'libevent_core-2'
check "libweft-dns needs weft and c-ares" needs_only weft-dns 'libweft\.so\.0|libcares\.so'
check "libweft-tls needs weft and OpenSSL" \
    needs_only weft-tls 'libweft\.so\.0|libssl\.so|libcrypto\.so'
check "libweft-http needs weft, its TLS, and libcurl" \
    needs_only weft-http 'libweft\.so\.0|libweft-tls\.so\.0|libcurl\.so'
check "libweft loads no TLS, HTTP or DNS" loads_none_of weft 'libssl|libcrypto|libcurl|libcares'
check "libweft-dns loads no TLS or HTTP" loads_none_of weft-dns 'libssl|libcrypto|libcurl'
check "libweft-tls loads no HTTP or DNS" loads_none_of weft-tls 'libcurl|libcares'
check "the tools find their libraries, and need no more" tools
check "the C in README.md and docs compiles" "$(dirname "$0")/snippets.sh" "$prefix"
check "make install with DESTDIR" into_destdir
check "make uninstall leaves nothing" nothing_left

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
