#!/usr/bin/env bash
# layers.sh - includes point down. Each file of lib/ includes headers of its own layer and of
# lower ones; each dependency has one door; workers, examples and bench see public headers and
# their own folder only.
#
# With the argument `links` it checks the same by linking: each layer together with those below
# must have no symbol undefined, so an upward call fails even without an include. This needs the
# objects of `make lib`.
set -u

# Layers of one line are siblings: they do not know each other.
RANKS=(
    "base"
    "ctx"
    "loop"
    "task"
    "flow"
    "exec obs"
    "io"
    "http pool"
)

rank_of() {
    local i layer
    for i in "${!RANKS[@]}"; do
        for layer in ${RANKS[$i]}; do
            [ "$layer" = "$1" ] && echo "$i" && return
        done
    done
    echo none
}

bad=0
complain() {
    echo "$*"
    bad=1
}

includes() { # names of files on stdin -> file line target, the target with its < or "
    xargs -r grep -nHE '^[[:space:]]*#[[:space:]]*include' /dev/null |
        sed -nE 's/^([^:]*):([0-9]*):[^<"]*([<"][^>"]*)[>"].*/\1 \2 \3/p'
}

sources() { # FOLDER... -> C files
    find "$@" -name '*.[chS]' -type f 2>/dev/null | sort
}

check_library() {
    local file line what mine theirs
    while read -r file line what; do
        mine=$(cut -d/ -f2 <<<"$file")
        case $what in
        '"'*/*)
            theirs=${what#\"} theirs=${theirs%%/*}
            if [ "$(rank_of "$theirs")" = none ]; then
                complain "$file:$line: $theirs is no layer"
            elif [ "$mine" != "$theirs" ] && [ "$(rank_of "$theirs")" -ge "$(rank_of "$mine")" ]; then
                complain "$file:$line: $mine includes $theirs, which does not stand below it"
            fi
            ;;
        '"'*)
            [ -f "$(dirname "$file")/${what#\"}" ] ||
                complain "$file:$line: ${what#\"} is not in this folder; name its layer"
            ;;
        esac
    done < <(sources lib | includes)

    for layer in lib/*/; do
        layer=$(basename "$layer")
        [ "$(rank_of "$layer")" != none ] || complain "lib/$layer is no layer known to layers.sh"
    done
}

door() { # PATTERN-OF-INCLUDE PATTERN-OF-FILES NAME
    local file line what
    while read -r file line what; do
        [[ $what =~ $1 ]] || continue
        [[ $file =~ $2 ]] || complain "$file:$line: $3 has its door elsewhere"
    done < <(sources lib workers | includes)
}

check_applications() {
    local file line what dir
    while read -r file line what; do
        dir=$(dirname "$file")
        case $what in
        '"../workers/jobs/jobs.h') # weft-compare carries the sample jobs: this is their list
            [ "${file%%/*}" = bench ] || complain "$file:$line: the sample jobs are bench's"
            ;;
        '"'*..*) complain "$file:$line: includes public headers and its own folder only" ;;
        '"'*)
            # bench/micro and bench/net share bench's own headers.
            [ -f "$dir/${what#\"}" ] || { [ "${file%%/*}" = bench ] && [ -f "bench/${what#\"}" ]; } ||
                complain "$file:$line: ${what#\"} is neither public nor in its own folder"
            ;;
        esac
    done < <(sources workers examples bench | includes)

    while read -r file line what; do
        case $what in
        '"'*) complain "$file:$line: public headers include <weft/...> and the system's only" ;;
        esac
    done < <(sources include | includes)
}

check_links() {
    local below=() layer objects here i
    for i in "${!RANKS[@]}"; do
        here=()
        for layer in ${RANKS[$i]}; do
            mapfile -t objects < <(find "build/release/obj/lib/$layer" -name '*.o' 2>/dev/null |
                while read -r o; do
                    s=${o#build/release/obj/} s=${s%.o}
                    # An object whose source is gone is not part of the layer any more.
                    if [ -f "$s.c" ] || [ -f "$s.S" ]; then echo "$o"; fi
                done)
            [ ${#objects[@]} -gt 0 ] || continue
            if ! gcc -shared -Wl,-z,defs -pthread -o /dev/null "${below[@]}" "${objects[@]}" \
                -levent_core -lcurl -lssl -lcrypto -lcares 2>build/links.err; then
                complain "lib/$layer needs what does not stand below it:"
                grep -oE "undefined reference to .*" build/links.err | sort | uniq -c
            fi
            here+=("${objects[@]}")
        done
        below+=("${here[@]}")
    done
    rm -f build/links.err
}

if [ "${1:-}" = links ]; then
    check_links
else
    check_library
    door '^[<"](event2/|event\.h)' '^lib/loop/poll\.c$' libevent
    door '^[<"]openssl/' '^lib/io/tls[^/]*\.c$' OpenSSL
    door '^[<"]curl/' '^lib/http/client[^/]*\.[ch]$' libcurl
    door '^[<"]ares' '^lib/io/dns[^/]*\.c$' c-ares
    door '^[<"]hiredis/' '^lib/pool/redis\.c$' hiredis
    door '^[<"]ck_' '^lib/base/' "Concurrency Kit"
    check_applications
fi
exit $bad
