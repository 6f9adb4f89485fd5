#!/usr/bin/env bash
# symbols.sh - each library exports exactly what its public headers declare, and every name of it
# begins with weft_; the static ones define nothing outside weft_ either; nothing of libck is
# needed, which is used by its headers alone; and the core needs none of what the others bring.
set -u

build=build/release
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
bad=0

# What is declared where; all other headers are the core's.
headers_of() { # LIBRARY
    local header
    for header in include/weft/*.h; do
        case ${header##*/} in
        dns.h) [ "$1" = weft-dns ] ;;
        tls.h) [ "$1" = weft-tls ] ;;
        http.h | http_*.h) [ "$1" = weft-http ] ;;
        *) [ "$1" = weft ] ;;
        esac && echo "$header"
    done
}

# gcc's own list of declarations: /* file:line:NC */ extern type name (arguments);
printf '#include "%s"\n' "$PWD"/include/weft/*.h >"$tmp/all.c"
gcc -std=gnu11 -Iinclude -fsyntax-only -aux-info "$tmp/aux" "$tmp/all.c" || exit 1

declared_by() { # LIBRARY
    local header
    for header in $(headers_of "$1"); do
        sed -nE "s|^/\* [^:]*$header:[0-9]+:NC \*/[^(]*[ *](weft_[a-z0-9_]*) \(.*|\1|p" "$tmp/aux"
        # Objects: extern const weft_worker_model weft_worker_sync;
        sed -nE 's/^extern [^(]*[ *](weft_[a-z0-9_]*)(\[[^]]*\])?;.*/\1/p' "$header"
    done | sort -u
}

report() { # WHAT NAMES
    local names=$2
    [ -z "$names" ] && return
    echo "$1:"
    sed 's/^/  /' <<<"$names"
    bad=1
}

needs() { # FILE
    readelf -d "$1" | sed -nE 's/.*\(NEEDED\).*\[(.*)\]/\1/p'
}

for library in weft weft-dns weft-tls weft-http; do
    so=$build/lib$library.so
    archive=$build/lib$library.a
    declared_by "$library" >"$tmp/declared"
    [ -s "$tmp/declared" ] || report "no header" "$library"
    nm -D --defined-only "$so" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort -u \
        >"$tmp/exported"

    report "exported by $library, but declared in none of its headers" \
        "$(comm -13 "$tmp/declared" "$tmp/exported")"
    report "declared in a header of $library, but not there" \
        "$(comm -23 "$tmp/declared" "$tmp/exported")"
    report "exported by $library without our prefix" "$(grep -vE '^weft_[a-z]' "$tmp/exported")"
    report "in lib$library.a without our prefix" "$(nm -g --defined-only "$archive" 2>/dev/null |
        awk 'NF == 3 { print $3 }' | grep -vE '^weft_' | sort -u)"
    report "needed from libck by $library" \
        "$(nm -D --undefined-only "$so" | awk '{ print $2 }' | grep -E '^ck_')"
    # Private names are the core's own business.
    [ "$library" = weft ] ||
        report "private, but needed by $library" \
            "$(nm -D --undefined-only "$so" | awk '{ print $2 }' | grep -E '^weft__')"
    readelf -d "$so" | grep -q "soname: \[lib$library\.so\.0\]" || report "wrong soname" "$so"

    # Beside the C library.
    case $library in
    weft) may='libevent_core-2' ;;
    weft-dns) may='libweft\.so\.0|libcares' ;;
    weft-tls) may='libweft\.so\.0|libssl|libcrypto' ;;
    weft-http) may='libweft\.so\.0|libweft-tls\.so\.0|libcurl' ;;
    esac
    report "needed by $library" \
        "$(needs "$so" | grep -vE "^(libc\.so|libpthread\.so|ld-linux|$may)")"
done

header=$(sed -n 's/^#define WEFT_VERSION "\(.*\)"/\1/p' include/weft/base.h)
makefile=$(sed -n 's/^VERSION := //p' Makefile)
[ "$header" = "$makefile" ] || report "versions differ" "base.h $header, Makefile $makefile"
exit $bad
