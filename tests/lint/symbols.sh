#!/usr/bin/env bash
# symbols.sh - libweft.so exports exactly what the public headers declare, and every name of it
# begins with weft_; the static library defines nothing outside weft_ either; nothing of libck is
# needed, which is used by its headers alone.
set -u

so=build/release/libweft.so
archive=build/release/libweft.a
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
bad=0

# gcc's own list of declarations: /* file:line:NC */ extern type name (arguments);
printf '#include "%s"\n' "$PWD"/include/weft/*.h >"$tmp/all.c"
gcc -std=gnu11 -Iinclude -fsyntax-only -aux-info "$tmp/aux" "$tmp/all.c" || exit 1
sed -nE 's|^/\* [^:]*include/[^:]*:[0-9]+:NC \*/[^(]*[ *](weft_[a-z0-9_]*) \(.*|\1|p' "$tmp/aux" | sort -u >"$tmp/functions"
# Objects: extern const weft_worker_model weft_worker_sync;
sed -nE 's/^extern [^(]*[ *](weft_[a-z0-9_]*)(\[[^]]*\])?;.*/\1/p' include/weft/*.h | sort -u >"$tmp/objects"
sort -u "$tmp/functions" "$tmp/objects" >"$tmp/declared"

nm -D --defined-only "$so" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort -u >"$tmp/exported"

report() { # WHAT NAMES
    local names=$2
    [ -z "$names" ] && return
    echo "$1:"
    sed 's/^/  /' <<<"$names"
    bad=1
}

report "exported, but declared in no public header" "$(comm -13 "$tmp/declared" "$tmp/exported")"
report "declared in a public header, but not there" "$(comm -23 "$tmp/declared" "$tmp/exported")"
report "exported without our prefix" "$(grep -vE '^weft_[a-z]' "$tmp/exported")"
report "in libweft.a without our prefix" "$(nm -g --defined-only "$archive" 2>/dev/null |
    awk 'NF == 3 { print $3 }' | grep -vE '^weft_' | sort -u)"
report "needed from libck" "$(nm -D --undefined-only "$so" | awk '{ print $2 }' | grep -E '^ck_')"

header=$(sed -n 's/^#define WEFT_VERSION "\(.*\)"/\1/p' include/weft/base.h)
makefile=$(sed -n 's/^VERSION := //p' Makefile)
[ "$header" = "$makefile" ] || report "versions differ" "base.h $header, Makefile $makefile"
readelf -d "$so" | grep -q 'soname: \[libweft\.so\.0\]' || report "wrong soname" "$so"
exit $bad
