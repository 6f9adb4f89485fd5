#!/usr/bin/env bash
# hostile.sh BUILD - the example servers under clients that nobody wants: slow ones, deaf ones,
# silent ones in thousands, resets, garbage, messages without an end. Meanwhile an ordinary client
# is served, memory keeps within bounds, and afterwards descriptors are as many as before. The last
# line is "N passed, N failed".
set -u

build=${1:?which build, as in build/test}
here=$(dirname "$0")
bin=$build/examples
work=$(mktemp -d)
pid= attack=
trap 'for p in $pid $attack; do kill -KILL "$p" 2>/dev/null; done; rm -rf "$work"' EXIT
. "$here/lib.sh"

for program in http_server echo_server; do
    [ -x "$bin/$program" ] || { echo "hostile.sh: $bin/$program is not built" >&2; exit 2; }
done
gcc -std=gnu11 -D_GNU_SOURCE -O2 -o "$work/peers" "$here/peers.c" || exit 1
ulimit -n "$(ulimit -Hn)"
many=10000
[ "$(ulimit -n)" = unlimited ] || [ "$(ulimit -n)" -ge 10200 ] || many=$(($(ulimit -n) - 200))

# What a connection may cost: a stack's touched pages, a stream, a read buffer and a request's head.
# The sanitizers' builds keep what was freed, and cost several times as much.
per_peer_kb=48 spare_kb=65536
case $build in *asan* | *tsan* | *valgrind*) per_peer_kb=512 spare_kb=1048576 ;; esac

mkdir "$work/folder"
head -c 400000 /dev/zero >"$work/folder/large"

# ---- The ordinary client -----------------------------------------------------------------------

http_client() { # N: requests, each on a connection of its own
    local good=0
    for ((i = 0; i < $1; i++)); do
        [ "$(curl -ksS -m 10 "$scheme://127.0.0.1:$port/hello/a")" != "hello a" ] ||
            good=$((good + 1))
    done
    echo "$good of $1 requests were answered"
    [ "$good" -eq "$1" ]
}

echo_client() { # N
    local good=0 answer
    for ((i = 0; i < $1; i++)); do
        answer=$(timeout 10 "$bin/tcp_client" "127.0.0.1:$port" "line $i") || continue
        [ "$answer" != "line $i" ] || good=$((good + 1))
    done
    echo "$good of $1 lines came back"
    [ "$good" -eq "$1" ]
}

ab_client() { # N: ten at a time
    ab -q -s 20 -c 10 -n "$1" "http://127.0.0.1:$port/hello/a" >"$work/ab" 2>&1
    grep -E '^(Complete|Failed|Non-2xx)' "$work/ab" || cat "$work/ab"
    grep -qx "Complete requests: *$1" "$work/ab" && grep -qx 'Failed requests: *0' "$work/ab" &&
        ! grep -q '^Non-2xx' "$work/ab"
}

# during ATTACKERS CLIENT N COMMAND...: the client is served while COMMAND runs, which then has
# ended well; memory was within bounds, and descriptors are as they were.
during() {
    local attackers=$1 client=$2 n=$3 before rss now most=0 rc=0
    shift 3
    before=$(descriptors)
    rss=$(rss_kb)
    "$@" >"$work/attack" 2>&1 &
    attack=$!
    sleep 0.5
    while
        now=$(rss_kb)
        [ -n "$now" ] || { echo "the server is gone"; cat "$work/server"; return 1; }
        [ "$now" -le "$most" ] || most=$now
        "$client" "$n" >"$work/client" || { cat "$work/client"; rc=1; }
        [ "$rc" -eq 0 ] && kill -0 "$attack" 2>/dev/null
    do :; done
    cat "$work/client"
    [ "$rc" -eq 0 ] || kill -KILL "$attack" 2>/dev/null
    wait "$attack" || { echo "the attackers failed"; rc=1; }
    attack=
    tail -n 12 "$work/attack"
    below "memory meanwhile, KiB" "$most" $((rss + attackers * per_peer_kb + spare_kb)) || rc=1
    settles "$before" 40 || rc=1
    "$client" 10 || rc=1
    return "$rc"
}

# after ANSWERED CLOSED: what peers.c said: so many at least were answered, and closed by the server.
after() { # ANSWERED CLOSED during's arguments
    local least_answered=$1 least_closed=$2 rc=0 line
    shift 2
    during "$@" || rc=1
    line=$(tail -n 1 "$work/attack")
    [[ $line =~ ^connected\ ([0-9]+)\ answered\ ([0-9]+)\ closed\ ([0-9]+) ]] || return 1
    [ "${BASH_REMATCH[2]}" -ge "$least_answered" ] || { echo "too few were answered"; rc=1; }
    [ "${BASH_REMATCH[3]}" -ge "$least_closed" ] || { echo "too few were closed"; rc=1; }
    return "$rc"
}

peers() { # KIND N SECONDS
    timeout 120 "$work/peers" "$1" 127.0.0.1 "$port" "$2" "$3"
}

says() { # PATTERN AFTER'S ARGUMENTS: the first line of the first answer
    local pattern=$1
    shift
    after "$@" && grep -q ": $pattern" "$work/attack"
}

slow() { # slowhttptest's arguments; it must have found the server available in the end
    timeout 120 slowhttptest -p 10 "$@" >"$work/slow" 2>&1
    sed 's/\x1b\[[0-9;]*[A-Za-z]//g' "$work/slow" | grep -E '^(connected|closed|error|service)' |
        tail -n 4
    sed 's/\x1b\[[0-9;]*[A-Za-z]//g' "$work/slow" | grep '^service available' | tail -n 1 |
        grep -q YES
}

# ---- HTTP --------------------------------------------------------------------------------------

scheme=http
check "http_server starts" start env -- "$bin/http_server" --folder "$work/folder" --grace 2000 \
    127.0.0.1:0
client=http_client n=5
if command -v ab >/dev/null; then
    client=ab_client n=200
else
    skip "ab as the ordinary client" "it is not here; curl is"
fi
"$client" "$n" >/dev/null # what is made once is made
url=http://127.0.0.1:$port

if command -v slowhttptest >/dev/null; then
    check "1000 clients with slow headers" during 1000 "$client" "$n" \
        slow -H -c 1000 -r 500 -i 3 -l 8 -u "$url/"
    check "1000 clients with slow bodies" during 1000 "$client" "$n" \
        slow -B -c 1000 -r 500 -i 3 -l 8 -s 8192 -x 10 -u "$url/echo"
    check "1000 clients that read slowly" during 1000 "$client" "$n" \
        slow -X -c 1000 -r 500 -l 8 -w 10 -y 200 -n 2 -z 16 -k 2 -u "$url/files/large"
    check "1000 clients with overlapping ranges" during 1000 "$client" "$n" \
        slow -R -c 1000 -r 500 -l 5 -a 5 -b 2000 -t GET -u "$url/files/large"
else
    skip "slow clients" "there is no slowhttptest"
fi

check "$many silent connections, all of them closed" \
    after 0 "$many" "$many" "$client" "$n" peers silent "$many" 60
check "half a request, and nothing more" \
    says 'HTTP/1.1 408 ' 500 500 500 "$client" "$n" peers half-request 500 30
check "half a request, and no more to come" after 0 500 500 "$client" "$n" peers half-open 500 30
check "half a body, and no more to come" after 0 500 500 "$client" "$n" peers half-body 500 30
check "a byte a second of a body" after 200 200 200 "$client" "$n" peers trickle 200 40
check "a byte a second of a head" \
    says 'HTTP/1.1 408 ' 200 200 200 "$client" "$n" peers trickle-head 200 30
check "resets in the middle of a head" after 0 0 2000 "$client" "$n" peers reset-request 2000 20
check "resets in the middle of a body" after 0 0 2000 "$client" "$n" peers reset-body 2000 20
check "resets in the middle of an answer" after 100 0 2000 "$client" "$n" peers reset-write 2000 30
check "clients that read nothing" after 0 0 500 "$client" "$n" peers deaf 500 4
check "garbage" says 'HTTP/1.1 400 ' 500 500 500 "$client" "$n" peers garbage 500 30
check "a header without an end" \
    says 'HTTP/1.1 431 ' 150 200 200 "$client" "$n" peers endless-header 200 30
check "headers without an end" \
    says 'HTTP/1.1 431 ' 150 200 200 "$client" "$n" peers endless-headers 200 30
check "a target without an end" \
    says 'HTTP/1.1 414 ' 150 200 200 "$client" "$n" peers endless-target 200 30
check "a chunk extension without an end" \
    after 0 200 200 "$client" "$n" peers endless-extension 200 30
check "chunk extensions without an end" \
    after 0 200 200 "$client" "$n" peers endless-extensions 200 30
check "trailers without an end" after 0 200 200 "$client" "$n" peers endless-trailer 200 30
check "bodies without an end" after 0 20 20 "$client" "$n" peers endless-body 20 30
check "requests without an end, whose answers nobody reads" \
    after 0 0 50 "$client" "$n" peers endless-pipeline 50 4

peers half-request 200 60 >/dev/null &
attack=$!
sleep 0.5
check "http_server ends within its grace, clients or not" stop 15 '^requests: [0-9]'
kill -TERM "$attack" 2>/dev/null
wait "$attack" 2>/dev/null
attack=

# ---- HTTPS -------------------------------------------------------------------------------------

if command -v openssl >/dev/null; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
        -keyout "$work/key" -out "$work/pem" 2>/dev/null && cat "$work/key" >>"$work/pem"
    scheme=https
    check "http_server starts with TLS" start env -- "$bin/http_server" --tls "$work/pem" \
        --grace 2000 127.0.0.1:0
    http_client 2 >/dev/null
    check "TLS: silent connections" after 0 1000 1000 http_client 3 peers silent 1000 40
    check "TLS: garbage" after 0 300 300 http_client 3 peers garbage 300 30
    check "TLS: resets in the middle of a handshake" \
        after 0 0 1000 http_client 3 peers reset-request 1000 20
    check "TLS: http_server ends" stop 15 '^requests: [0-9]'
else
    skip "TLS" "there is no openssl"
fi

# ---- A stream ----------------------------------------------------------------------------------

check "echo_server starts" start env -- "$bin/echo_server" 127.0.0.1:0
echo_client 2 >/dev/null
check "echo: $many silent connections" after 0 0 "$many" echo_client 5 peers silent "$many" 12
check "echo: clients that never read" after 0 0 200 echo_client 5 peers echo-deaf 200 5
check "echo: resets" after 500 0 2000 echo_client 5 peers echo-reset 2000 20
check "echo: half-open connections" after 200 200 500 echo_client 5 peers half-open 500 20
check "echo: garbage" after 300 0 300 echo_client 5 peers garbage 300 5
check "echo_server ends" stop 15 '^connections served: [0-9]'

finish
