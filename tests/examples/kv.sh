#!/usr/bin/env bash
# kv.sh FOLDER - tries the example server kv that was built there: with bytes of its own, with
# redis-cli and redis-benchmark, and beside redis-server, where these are installed. The last line
# is "N passed, N failed".
set -u

bin=${1:?where the examples are}
kv=$bin
[ -d "$bin" ] && kv=$bin/kv
here=$(dirname "$0")
work=$(mktemp -d)
pid= redis=
trap 'for p in $pid $redis; do kill -KILL "$p" 2>/dev/null; done; rm -rf "$work"' EXIT

passed=0 failed=0
check() { # NAME COMMAND...
    local name=$1
    shift
    if "$@" >"$work/log" 2>&1; then
        echo "ok      $name"
        passed=$((passed + 1))
    else
        echo "FAILED  $name"
        head -n 40 "$work/log" | cut -c 1-300 | sed 's/^/        /'
        failed=$((failed + 1))
    fi
}

# ---- Talking -----------------------------------------------------------------------------------

start() { # OPTION...: sets pid and port
    "$kv" --port 0 "$@" >"$work/server" 2>&1 &
    pid=$!
    port=
    for _ in {1..200}; do
        port=$(sed -n 's/^listening on .*://p' "$work/server")
        [ -z "$port" ] || return 0
        sleep 0.02
    done
    cat "$work/server"
    return 1
}

stop() { # a SIGTERM, after which it says what it did
    local status=0
    kill -TERM "$pid"
    wait "$pid" || status=$?
    pid=
    cat "$work/server"
    echo "exit code $status"
    [ "$status" -eq 0 ] && grep -q '^requests: [0-9]' "$work/server"
}

talk() { # PORT: sends what comes in, and gives what comes back until the server closes
    exec 3<>"/dev/tcp/127.0.0.1/$1" || return
    cat >&3
    timeout 10 cat <&3
    exec 3<&- 3>&-
}

says() { # EXPECTED BYTES: both in the form of printf
    printf -- "$2" | talk "$port" >"$work/got" || return
    printf -- "$1" | cmp - "$work/got" && return
    cat -A "$work/got"
    return 1
}

visible() {
    sed 's/\r$//'
}

# ---- What is asked -----------------------------------------------------------------------------

session() {
    cat <<'END'
FLUSHALL
PING
PING hello
PING a b
ECHO "two words"
ECHO
SET key value
GET key
get KEY
GeT key
GET
GET a b
SET
SET key
SET key v EX
SET key v EX abc
SET key v EX 0
SET key v EX -1
SET key v PX 0
SET key v EX 9223372036854775807
SET key v NX
SET key v2 XX
GET key
SET other v XX
SET other v NX
SET other v NX XX
SET other v EX 10 PX 10
SET other v BOGUS
EXISTS key other none key
EXISTS
DEL key none other
DEL
GET key
INCR n
INCR n
DECR n
INCRBY n 40
DECRBY n 1
GET n
INCRBY n abc
INCRBY n 1.5
INCRBY n 9223372036854775807
DECRBY n -9223372036854775808
SET big 9223372036854775807
INCR big
GET big
SET small -9223372036854775808
DECR small
SET text abc
INCR text
SET padded " 12"
INCR padded
SET zeros 007
INCR zeros
SET plus +5
INCR plus
SET empty ""
GET empty
INCR empty
MSET a 1 b 2 c 3
MGET a b none c
MGET
MSET a
MSET a 1 b
MSET a 5 a 6
GET a
TTL a
TTL none
PTTL a
PTTL none
EXPIRE a 100
TTL a
EXPIRE none 100
EXPIRE a abc
EXPIRE a
EXPIRE a 9223372036854775807
SET b x EX 50
TTL b
SET b y KEEPTTL
TTL b
SET b z
TTL b
PERSIST a
PERSIST a
TTL a
PEXPIRE a 100000
TTL a
INCR a
TTL a
EXPIRE a 0
GET a
EXPIRE b -1
EXISTS b
SET q 'it\'s'
ECHO "a\x41\n\"b"
ECHO 'a\'b'
SELECT 0
SELECT 99
SELECT abc
CLIENT SETNAME me
CONFIG GET save
CONFIG GET appendonly
BOGUS
BOGUS a b c
"BO GUS" "x y"
HELLO abc
HELLO 9
DBSIZE
DBSIZE x
FLUSHALL
DBSIZE
FLUSHALL BOGUS
QUIT
END
}

session_is_as_expected() {
    session | talk "$port" | visible | diff "$here/kv.out" -
}

redis_agrees() {
    session | talk "$redis_port" | visible | diff "$here/kv.out" -
}

# Bytes that end the connection, or not; Redis must say the same.
raw=(
    '*1\r\n%%4\r\nPING\r\n'
    '*abc\r\n'
    '*99999999999\r\n'
    '*1\r\n$-5\r\n'
    '*1\r\n$abc\r\n'
    '*1\r\n$99999999999\r\nPING\r\n'
    '*1\r\n$ 4\r\nPING\r\n'
    '*1\r\n$04\r\nPING\r\n'
    'SET a "b\r\n'
    'SET a "b"c\r\n'
    '*0\r\nQUIT\r\n'
    '*-1\r\nQUIT\r\n'
    '\r\n\r\n  \r\nPING\nQUIT\r\n'
    '*2\r\n$4\r\nECHO\r\n$0\r\n\r\nQUIT\r\n'
    '*2\r\n$4\r\nECHO\r\n$6\r\na\r\nb\0c\r\nQUIT\r\n'
    '*1\r\n$4\r\nPINGxx*1\r\n$4\r\nQUIT\r\n'
    '*2\r\n$3\r\nGET\r\n:1\r\n'
    'BOGUS "a\\r\\nb"\r\nQUIT\r\n'
    'POST / HTTP/1.1\r\nHost: here\r\n\r\nFLUSHALL\r\n'
    'Host: here\r\nPING\r\n'
)

raw_agrees() { # BYTES
    printf "$1" | talk "$port" | cat -A >"$work/ours"
    printf "$1" | talk "$redis_port" | cat -A >"$work/theirs"
    diff "$work/theirs" "$work/ours"
}

byte_by_byte() {
    local bytes='*3\r\n$3\r\nSET\r\n$5\r\nsplit\r\n$4\r\nab\r\n\r\nGET split\r\nQUIT\r\n' i c
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return
    for ((i = 0; i < ${#bytes}; i++)); do
        c=${bytes:i:1}
        [ "$c" != '\' ] || c=${bytes:i++:2}
        printf "$c" >&3
    done
    timeout 10 cat <&3 >"$work/got"
    exec 3>&-
    printf '+OK\r\n$4\r\nab\r\n\r\n+OK\r\n' | cmp - "$work/got"
}

pipelined() { # 1,000 of each at once
    {
        printf 'SET pipe 0\r\n'
        for _ in {1..1000}; do printf '*2\r\n$4\r\nINCR\r\n$4\r\npipe\r\n'; done
        printf 'QUIT\r\n'
    } | talk "$port" >"$work/got"
    { printf '+OK\r\n'; for i in {1..1000}; do printf ':%d\r\n' "$i"; done; printf '+OK\r\n'; } |
        cmp - "$work/got"
}

from_many_clients() { # on all loops: nothing is lost
    local clients=() i
    says '+OK\r\n+OK\r\n' 'SET many 0\r\nQUIT\r\n' || return
    for i in 1 2 3 4; do
        { for _ in {1..500}; do printf 'INCR many\r\n'; done; printf 'QUIT\r\n'; } |
            talk "$port" >"$work/many$i" &
        clients+=($!)
    done
    wait "${clients[@]}"
    says '$4\r\n2000\r\n+OK\r\n' 'GET many\r\nQUIT\r\n'
}

expires() {
    says '+OK\r\n:1\r\n+OK\r\n' 'SET soon v PX 50\r\nEXISTS soon\r\nQUIT\r\n' || return
    sleep 0.1
    says '$-1\r\n:0\r\n:-2\r\n+OK\r\n' 'GET soon\r\nEXISTS soon\r\nTTL soon\r\nQUIT\r\n'
}

is_swept() { # without being asked for
    { printf 'FLUSHALL\r\n'; for i in {1..500}; do printf 'SET swept%d v PX 20\r\n' "$i"; done
      printf 'SET stays v\r\nQUIT\r\n'; } | talk "$port" >/dev/null
    for _ in {1..100}; do
        says ':1\r\n+OK\r\n' 'DBSIZE\r\nQUIT\r\n' >/dev/null && return
        sleep 0.05
    done
    return 1
}

memory_is_limited() {
    { for i in {1..4000}; do printf 'SET key%d %0500d\r\n' "$i" 0; done; printf 'QUIT\r\n'; } |
        talk "$port" >"$work/got"
    sort "$work/got" | uniq -c
    [ "$(grep -c '^-OOM command not allowed' "$work/got")" -ge 1000 ] || return
    [ "$(grep -c '^+OK' "$work/got")" -ge 1000 ] || return
    says ':1\r\n+OK\r\n+OK\r\n' 'EXISTS key1\r\nSET key1 x\r\nQUIT\r\n' &&
        says '+OK\r\n+OK\r\n$1\r\nx\r\n+OK\r\n' \
            'FLUSHALL\r\nSET key4000 x\r\nGET key4000\r\nQUIT\r\n'
}

requests_are_limited() { # to a thousand bytes and 16 words
    says '-ERR Protocol error: invalid bulk length\r\n' '*2\r\n$4\r\nECHO\r\n$1025\r\n' &&
        says '-ERR Protocol error: invalid multibulk length\r\n' '*17\r\n' &&
        says '-ERR Protocol error: too big request\r\n' \
            "*3\r\n\$3\r\nSET\r\n\$900\r\n$(printf '%0900d' 0)\r\n\$900\r\n" &&
        says '-ERR Protocol error: too big inline request\r\n' "ECHO $(printf '%02000d' 0)\r\n" &&
        says '-ERR Protocol error: too many words in request\r\n' \
            "MGET 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\r\n"
}

resident_kb() {
    sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$pid/status"
}

slow_reader() { # 200 MB of replies are not kept for who does not read them
    local value before after bytes
    value=$(head -c 1000000 /dev/zero | tr '\0' v)
    exec 4<>"/dev/tcp/127.0.0.1/$port" || return
    printf '*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n$1000000\r\n%s\r\n' "$value" >&4
    read -r -t 10 line <&4 && [ "$line" = $'+OK\r' ] || return
    before=$(resident_kb)
    for _ in {1..100}; do printf 'GET large\r\nMGET large none\r\n'; done >&4
    printf 'QUIT\r\n' >&4
    sleep 0.3
    says '+OK\r\n+OK\r\n' 'SET large small\r\nQUIT\r\n' || return # the others are served
    after=$(resident_kb)
    bytes=$(timeout 20 cat <&4 | wc -c)
    exec 4>&-
    echo "resident: $before kB, then $after kB; $bytes bytes came"
    [ $((after - before)) -lt 20000 ] && [ "$bytes" -gt 1000000 ]
}

cut_off() { # a client that leaves in the middle, of a request and of a reply
    for _ in {1..20}; do
        exec 4<>"/dev/tcp/127.0.0.1/$port" || return
        printf '*3\r\n$3\r\nSET\r\n$5\r\nlar' >&4
        exec 4>&-
        exec 4<>"/dev/tcp/127.0.0.1/$port" || return
        for _ in {1..100}; do printf 'INFO\r\n'; done >&4
        exec 4>&-
    done
    says '+PONG\r\n+OK\r\n' 'PING\r\nQUIT\r\n'
}

ends_with_clients() { # who waits for nothing is let go
    exec 4<>"/dev/tcp/127.0.0.1/$port" || return
    printf 'PING\r\n' >&4
    read -r -t 5 line <&4 && [ "$line" = $'+PONG\r' ] || return
    stop || return
    exec 4>&-
}

refuses() { # MESSAGE OPTION...
    local status=0 message=$1
    shift
    timeout 10 "$kv" "$@" >"$work/got" 2>&1 || status=$?
    cat "$work/got"
    echo "exit code $status"
    [ "$status" -eq 2 ] && grep -qxF -- "$message" "$work/got"
}

helps() {
    timeout 10 "$kv" --help | grep -q -- '--max-memory SIZE'
}

address_in_use() {
    ! timeout 10 "$kv" --port "$port" >"$work/got" 2>&1
    cat "$work/got"
    grep -qi 'in use' "$work/got"
}

cli() {
    [ "$(redis-cli -p "$port" set from cli)" = OK ] &&
        [ "$(redis-cli -p "$port" get from)" = cli ] &&
        [ "$(redis-cli -p "$port" incr counted)" = 1 ] &&
        redis-cli -p "$port" info | grep -q '^redis_version:' &&
        [ "$(redis-cli -p "$port" mget from none | head -n 1)" = cli ] &&
        [ "$(printf 'set x 1\nget x\n' | redis-cli -p "$port" | tail -n 1)" = 1 ]
}

benchmark() { # OPTION...
    timeout 60 redis-benchmark -p "$port" -t ping,set,get,incr,mset -n 5000 -c 20 -q "$@" \
        >"$work/got" 2>&1 || { cat "$work/got"; return 1; }
    tr '\r' '\n' <"$work/got" >"$work/lines"
    grep 'requests per second' "$work/lines"
    grep -i 'error\|warning' "$work/lines" && return 1
    [ "$(grep -c 'requests per second' "$work/lines")" -eq 6 ]
}

# ---- All of it ---------------------------------------------------------------------------------

check "listens" start --loops 2
check "a session" session_is_as_expected
if command -v redis-server >/dev/null; then
    # Below the ports that the kernel gives to anybody; one that is taken is not tried twice.
    for _ in {1..5}; do
        redis_port=$((20000 + RANDOM % 12000))
        redis-server --port "$redis_port" --save '' --appendonly no --dir "$work" \
            >"$work/redis" 2>&1 &
        redis=$!
        for _ in {1..200}; do
            kill -0 "$redis" 2>/dev/null || break
            [ "$(echo QUIT | talk "$redis_port" 2>/dev/null)" = $'+OK\r' ] && break 2
            sleep 0.02
        done
        kill -KILL "$redis" 2>/dev/null
        wait "$redis" 2>/dev/null
    done
    check "redis-server gives the same session" redis_agrees
    for bytes in "${raw[@]}"; do
        check "redis-server says the same to $bytes" raw_agrees "$bytes"
    done
    kill -KILL "$redis" 2>/dev/null
    wait "$redis" 2>/dev/null
    redis=
else
    echo "skipped redis-server: it is not installed"
fi
check "an array where a word should be" says "-ERR Protocol error: expected '\$', got '*'\r\n" \
    '*2\r\n$3\r\nGET\r\n*1\r\n'
check "a request byte by byte" byte_by_byte
check "1,000 requests at once" pipelined
check "many clients count" from_many_clients
check "a key expires" expires
check "expired keys are swept" is_swept
check "a slow reader" slow_reader
check "clients that leave" cut_off
check "the address is in use" address_in_use
if command -v redis-cli >/dev/null && command -v redis-benchmark >/dev/null; then
    check "redis-cli" cli
    check "redis-benchmark" benchmark
    check "redis-benchmark, pipelined" benchmark -P 16
else
    echo "skipped redis-cli and redis-benchmark: they are not installed"
fi
check "ends on SIGTERM, with a client" ends_with_clients
check "starts with a limit of memory" start --loops 2 --max-memory 1m
check "memory is limited" memory_is_limited
check "ends" stop
check "starts with limits of requests" start --loops 1 --max-request 1k --max-args 16
check "requests are limited" requests_are_limited
check "ends again" stop
check "--help" helps
check "bad loops" refuses "kv: --loops must be 1 to 1024, got 'abc'" --loops abc
check "no loops" refuses "kv: --loops must be 1 to 1024, got '0'" --loops 0
check "bad port" refuses "kv: --port must be 0 to 65535, got '65536'" --port 65536
check "bad size" refuses "kv: --max-memory must be a size from 64k on, got '1x'" --max-memory 1x
check "no option" refuses "kv: what is 'word'? --help lists the options" word

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
