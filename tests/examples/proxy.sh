#!/usr/bin/env bash
# proxy.sh FOLDER - tries the example proxy that was built there, in front of the examples
# echo_server and kv, and of socat and nginx where these are installed. The last line is
# "N passed, N failed".
set -u

bin=${1:?where the examples are}
work=$(mktemp -d)
pid= old= echo1= echo2= kv=
declare -A owned=()
trap : PIPE # a write to who has gone is a failure, and no more
trap 'exec 2>/dev/null; for p in "${!owned[@]}"; do kill -KILL "$p"; done; rm -rf "$work"' EXIT
unset WEFT_SEED WEFT_LOG

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

has() { command -v "$1" >/dev/null; }

# ---- Starting and ending -----------------------------------------------------------------------

listening() { # LOG: the port it says it listens on
    local port
    for _ in {1..400}; do
        port=$(sed -n 's/^listening on .*://p' "$1" | head -n 1)
        [ -z "$port" ] || { echo "$port"; return 0; }
        sleep 0.02
    done
    cat "$1" >&2
    return 1
}

free_port() { # nobody listens there at present
    local port
    for _ in {1..100}; do
        port=$((20000 + RANDOM % 12000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return 0; }
    done
    return 1
}

end() { # PID: at once
    kill -KILL "$1" 2>/dev/null
    wait "$1" 2>/dev/null
    unset "owned[$1]"
    return 0
}

start() { # OPTION...: sets pid and port
    : >"$work/proxy" # the shell forks first: what the last one said could still be there
    "$bin/proxy" --listen 127.0.0.1:0 --loops 2 "$@" >"$work/proxy" 2>"$work/errors" &
    pid=$!
    owned[$pid]=1
    port=$(listening "$work/proxy") || { cat "$work/errors"; return 1; }
}

finish() { # waits for the proxy: exit code 0, and it says what it did
    local status=0
    wait "$pid" || status=$?
    unset "owned[$pid]"
    cat "$work/proxy" "$work/errors"
    echo "exit code $status"
    [ "$status" -eq 0 ] && grep -q '^bytes up: [0-9]' "$work/proxy"
}

stop() { # LINE...: a SIGTERM; each of the lines must be among what it says
    kill -TERM "$pid"
    finish || return
    for line in "$@"; do
        grep -qx -- "$line" "$work/proxy" || { echo "no line: $line"; return 1; }
    done
}

start_echo() { # LOG PORT: sets echo_pid
    "$bin/echo_server" "127.0.0.1:$2" >"$work/$1" 2>&1 &
    echo_pid=$!
    owned[$echo_pid]=1
    listening "$work/$1" >/dev/null
}

# ---- Talking -----------------------------------------------------------------------------------

says() { # PORT TEXT: comes back
    local line=
    exec 3<>"/dev/tcp/127.0.0.1/$1" || return
    echo "$2" >&3
    read -r -t 10 line <&3
    exec 3>&-
    [ "$line" = "$2" ] || { echo "'$line' came back"; return 1; }
}

closed_at_once() { # PORT: the connection is ended without a byte
    local line= status=0
    exec 3<>"/dev/tcp/127.0.0.1/$1" || return
    read -r -t 10 line <&3 2>/dev/null || status=$?
    exec 3>&-
    [ "$status" -eq 1 ] # not 142, which is read's timeout
}

resident_kb() {
    sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$pid/status"
}

ten_megabytes() { # over the echo server, with the end of one side passed on
    timeout 60 socat -t 30 - "TCP:127.0.0.1:$port" <"$work/large" >"$work/got" &&
        cmp "$work/large" "$work/got"
}

many_at_once() {
    local clients=() i status=0
    for i in 1 2 3 4 5 6; do
        timeout 60 socat -t 30 - "TCP:127.0.0.1:$port" <"$work/medium" >"$work/got$i" &
        clients+=($!)
    done
    wait "${clients[@]}"
    for i in 1 2 3 4 5 6; do cmp "$work/medium" "$work/got$i" || status=1; done
    return $status
}

socat_backend() { # COMMAND: sets socat_port
    socat_port=$(free_port) || return
    socat -t 20 "TCP-LISTEN:$socat_port,bind=127.0.0.1,reuseaddr,fork" "SYSTEM:$1" \
        2>"$work/socat" &
    socat_pid=$!
    owned[$socat_pid]=1
    for _ in {1..100}; do
        grep -q ":$(printf %04X "$socat_port") 00000000:0000 0A" /proc/net/tcp && return 0
        sleep 0.02
    done
    return 1
}

client_ends_first() { # the backend answers once it has seen the end
    socat_backend "wc -c; echo done" || return
    start --backend "127.0.0.1:$socat_port" || return
    timeout 30 socat -t 20 - "TCP:127.0.0.1:$port" <"$work/medium" >"$work/got"
    cat "$work/got"
    end "$socat_pid"
    [ "$(tr -s ' \n' ' ' <"$work/got")" = "$(wc -c <"$work/medium" | tr -d ' ') done " ] || return
    stop "ended by both sides: 1"
}

backend_ends_first() { # what the client says afterwards still arrives
    local line=
    socat_backend "echo hello; exec 1>&-; cat >$work/late" || return
    start --backend "127.0.0.1:$socat_port" || return
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return
    read -r -t 10 line <&3 && [ "$line" = hello ] || return
    read -r -t 10 line <&3 && return 1 # the end
    echo "late words" >&3
    exec 3>&-
    for _ in {1..200}; do
        grep -qx "late words" "$work/late" 2>/dev/null && break
        sleep 0.02
    done
    end "$socat_pid"
    cat "$work/late" && grep -qx "late words" "$work/late" && stop "ended by both sides: 1"
}

down_and_up() { # the backend comes after the proxy, goes, and comes back
    local dead
    dead=$(free_port) || return
    start --backend "127.0.0.1:$dead" || return
    closed_at_once "$port" && closed_at_once "$port" || return
    start_echo late "$dead" || return
    for _ in {1..100}; do
        says "$port" "are you there" >/dev/null 2>&1 && break
        sleep 0.05
    done
    says "$port" "up again" || return
    end "$echo_pid"
    closed_at_once "$port" || return
    start_echo later "$dead" || return
    for _ in {1..100}; do
        says "$port" "are you there" >/dev/null 2>&1 && break
        sleep 0.05
    done
    says "$port" "up once more" || return
    end "$echo_pid"
    stop || return
    grep -q "backend 127.0.0.1:$dead is down: .*refused" "$work/errors" &&
        grep -q "backend 127.0.0.1:$dead is up" "$work/errors"
}

next_is_tried() { # a dead backend among two costs nobody the connection
    local dead i
    dead=$(free_port) || return
    start --backend "127.0.0.1:$dead" --backend "127.0.0.1:$echo_port1" || return
    for i in {1..30}; do says "$port" "number $i" || return; done
    stop "without a backend: 0" "retries: [1-9][0-9]*" \
        "backend 127.0.0.1:$echo_port1: up, reached 30, failed 0" \
        "backend 127.0.0.1:$dead: down, reached 0, failed [1-9][0-9]*"
}

takes_turns() {
    local i
    start --backend "127.0.0.1:$echo_port1" --backend "127.0.0.1:$echo_port2" || return
    for i in {1..10}; do says "$port" "number $i" || return; done
    stop "backend 127.0.0.1:$echo_port1: up, reached 5, failed 0" \
        "backend 127.0.0.1:$echo_port2: up, reached 5, failed 0"
}

least_busy() { # three that stay: the fourth goes where the fewest are
    local line=
    start --balance least --backend "127.0.0.1:$echo_port1" --backend "127.0.0.1:$echo_port2" ||
        return
    exec 4<>"/dev/tcp/127.0.0.1/$port" 5<>"/dev/tcp/127.0.0.1/$port" || return
    echo a >&4 && read -r -t 10 line <&4 && echo b >&5 && read -r -t 10 line <&5 || return
    exec 6<>"/dev/tcp/127.0.0.1/$port" || return
    echo c >&6 && read -r -t 10 line <&6 || return
    exec 7<>"/dev/tcp/127.0.0.1/$port" || return
    echo d >&7 && read -r -t 10 line <&7 || return
    exec 4>&- 5>&- 6>&- 7>&-
    stop "backend 127.0.0.1:$echo_port1: up, reached 2, failed 0" \
        "backend 127.0.0.1:$echo_port2: up, reached 2, failed 0"
}

by_name() { # the name of this machine has addresses of two families, of which one answers
    start --backend "localhost:$echo_port1" || return
    says "$port" "by name" && stop "ended by both sides: 1"
}

of_kv() {
    local line=
    start --backend "127.0.0.1:$kv_port" || return
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return
    printf 'SET a 1\r\nINCR a\r\nQUIT\r\n' >&3
    timeout 10 cat <&3 | tr -d '\r' | tr '\n' ' ' >"$work/got"
    exec 3>&-
    cat "$work/got"
    [ "$(cat "$work/got")" = "+OK :2 +OK " ] && stop "ended by both sides: 1"
}

slow_reader() { # 20 who read nothing, and 40 MB for each
    local before after i fds=() fd
    start --backend "127.0.0.1:$kv_port" || return
    exec {fd}<>"/dev/tcp/127.0.0.1/$port" || return
    printf '*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n$1000000\r\n' >&$fd
    head -c 1000000 /dev/zero | tr '\0' v >&$fd
    printf '\r\nQUIT\r\n' >&$fd
    timeout 10 cat <&$fd | grep -q OK || return
    exec {fd}>&-
    before=$(resident_kb)
    for i in {1..20}; do
        exec {fd}<>"/dev/tcp/127.0.0.1/$port" || return
        for _ in {1..40}; do printf 'GET large\r\n'; done >&$fd
        printf 'QUIT\r\n' >&$fd
        fds+=("$fd")
    done
    sleep 1
    after=$(resident_kb)
    echo "resident: $before kB, then $after kB"
    [ $((after - before)) -lt 20000 ] || return
    # Who reads in the end gets all of it: length, value and line ends, 40 times, and "+OK".
    fd=${fds[0]}
    local bytes
    bytes=$(timeout 30 cat <&$fd | wc -c)
    echo "$bytes bytes came"
    for fd in "${fds[@]}"; do exec {fd}>&-; done
    [ "$bytes" -eq $((40 * (1000000 + 10 + 2) + 5)) ] && stop
}

idles() {
    local line= status=0
    start --idle-timeout 0.4 --backend "127.0.0.1:$echo_port1" || return
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return
    for _ in {1..8}; do # a byte now and then keeps it
        echo tick >&3
        read -r -t 10 line <&3 && [ "$line" = tick ] || { echo "ended too early"; return 1; }
        sleep 0.1
    done
    read -r -t 10 line <&3 2>/dev/null || status=$?
    exec 3>&-
    [ "$status" -eq 1 ] && stop "idle: 1"
}

connections_are_limited() { # to one: the second waits until the first has gone
    local line=
    start --max-connections 1 --backend "127.0.0.1:$echo_port1" || return
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return
    echo one >&3 && read -r -t 10 line <&3 && [ "$line" = one ] || return
    exec 4<>"/dev/tcp/127.0.0.1/$port" || return
    echo two >&4
    read -r -t 0.3 line <&4 && { echo "it was served"; return 1; }
    exec 3>&-
    read -r -t 10 line <&4 && [ "$line" = two ] || return
    exec 4>&-
    stop "connections: 2"
}

drains() { # with a connection that is in the middle of something
    local line=
    start --backend "127.0.0.1:$echo_port1" || return
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return
    echo before >&3
    read -r -t 10 line <&3 && [ "$line" = before ] || return
    kill -TERM "$pid"
    for _ in {1..200}; do
        (exec 4<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
        sleep 0.02
    done
    (exec 4<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && { echo "still accepts"; return 1; }
    echo "while it drains" >&3
    read -r -t 10 line <&3 && [ "$line" = "while it drains" ] || { echo "was cut"; return 1; }
    exec 3>&-
    finish && grep -qx "cut after the grace: 0" "$work/proxy"
}

drains_a_transfer() { # 10 MB that began before the SIGTERM arrive whole
    local client
    start --backend "127.0.0.1:$echo_port1" || return
    (head -c 5000000 "$work/large"; sleep 0.5; tail -c +5000001 "$work/large") |
        timeout 60 socat -t 30 - "TCP:127.0.0.1:$port" >"$work/got" &
    client=$!
    sleep 0.2
    kill -TERM "$pid"
    wait "$client"
    cmp "$work/large" "$work/got" && finish && grep -qx "ended by both sides: 1" "$work/proxy"
}

is_cut() { # what outlives the grace
    local line= status=0
    start --grace 0.3 --backend "127.0.0.1:$echo_port1" || return
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return
    echo before >&3
    read -r -t 10 line <&3 && [ "$line" = before ] || return
    stop "cut after the grace: 1" || return
    read -r -t 10 line <&3 2>/dev/null || status=$?
    exec 3>&-
    [ "$status" -eq 1 ]
}

client_loop() { # FILE: connects until the file is gone; says how many came back right, and not
    local right=0 wrong=0
    while [ -e "$1" ]; do
        if says "$port" "hello $right" 2>/dev/null >&2; then
            right=$((right + 1))
        else
            wrong=$((wrong + 1))
        fi
    done
    echo "$right $wrong"
}

handed_over() { # twice, while four clients connect as fast as they can
    local clients=() i right=0 wrong=0 a b first
    port=$(free_port) || return
    touch "$work/go"
    hand=(--listen "127.0.0.1:$port" --handover "$work/hand" --loops 2
          --backend "127.0.0.1:$echo_port1" --backend "127.0.0.1:$echo_port2")
    : >"$work/proxy"
    "$bin/proxy" "${hand[@]}" >"$work/proxy" 2>"$work/errors" &
    pid=$!
    owned[$pid]=1
    listening "$work/proxy" || return
    for i in 1 2 3 4; do
        client_loop "$work/go" >"$work/loop$i" &
        clients+=($!)
    done
    for i in 1 2; do
        sleep 0.4
        first=$pid
        "$bin/proxy" "${hand[@]}" >"$work/proxy$i" 2>"$work/errors$i" &
        pid=$!
        owned[$pid]=1
        listening "$work/proxy$i" || return
        wait "$first" || { echo "the old one: exit code $?"; return 1; }
        unset "owned[$first]"
        if [ "$i" = 1 ]; then
            grep -qx "handed over" "$work/proxy" || { cat "$work/proxy"; return 1; }
        else
            grep -qx "handed over" "$work/proxy1" || { cat "$work/proxy1"; return 1; }
        fi
    done
    sleep 0.4
    rm "$work/go"
    wait "${clients[@]}"
    for i in 1 2 3 4; do
        read -r a b <"$work/loop$i"
        right=$((right + a)) wrong=$((wrong + b))
    done
    echo "$right right, $wrong wrong"
    kill -TERM "$pid"
    wait "$pid" || { echo "the last one: exit code $?"; return 1; }
    unset "owned[$pid]"
    cat "$work/proxy2"
    grep -qx ended "$work/proxy2" && [ "$wrong" -eq 0 ] && [ "$right" -gt 20 ]
}

counts_now_and_then() {
    start --stats 0.1 --backend "127.0.0.1:$echo_port1" || return
    says "$port" words || return
    for _ in {1..100}; do
        grep -q '^open 0, ended 1 .*bytes up 6, down 6$' "$work/proxy" && break
        sleep 0.05
    done
    stop && grep -q '^open 0, ended 1 .*bytes up 6, down 6$' "$work/proxy"
}

# ---- TLS ---------------------------------------------------------------------------------------

certificate() { # NAME: NAME.crt and NAME.key, which sign for localhost themselves
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
        -subj "/CN=localhost" -addext "subjectAltName=DNS:localhost,IP:127.0.0.1" \
        -keyout "$work/$1.key" -out "$work/$1.crt"
}

tls_says() { # PORT TEXT: comes back over TLS
    local got
    got=$( (echo "$2"; sleep 0.5) | timeout 20 openssl s_client -connect "127.0.0.1:$1" \
        -servername localhost -CAfile "$work/own.crt" -verify_return_error -quiet 2>"$work/client")
    [ "$got" = "$2" ] || { echo "'$got' came back"; cat "$work/client"; return 1; }
}

tls_in() {
    start --cert "$work/own.crt" --key "$work/own.key" --backend "127.0.0.1:$echo_port1" || return
    tls_says "$port" "over TLS" && stop "failed handshakes: 0"
}

tls_intact() { # 10 MB both ways, with the good-bye of TLS as the end
    start --cert "$work/own.crt" --key "$work/own.key" --backend "127.0.0.1:$echo_port1" || return
    timeout 60 socat -t 30 - \
        "OPENSSL:127.0.0.1:$port,cafile=$work/own.crt,commonname=localhost" \
        <"$work/large" >"$work/got"
    cmp "$work/large" "$work/got" && stop "ended by both sides: 1"
}

tls_garbage() {
    start --cert "$work/own.crt" --key "$work/own.key" --connect-timeout 0.5 \
        --backend "127.0.0.1:$echo_port1" || return
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return
    printf 'GET / HTTP/1.0\r\n\r\n' >&3
    timeout 10 cat <&3 >/dev/null
    exec 3>&-
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return
    head -c 100000 /dev/urandom 2>/dev/null >&3
    exec 3>&-
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return # says nothing at all
    timeout 10 cat <&3 >/dev/null
    exec 3>&-
    tls_says "$port" "still there" && stop "failed handshakes: 3"
}

nginx_starts() { # plain at nginx_port, TLS at nginx_tls
    nginx_port=$(free_port) && nginx_tls=$(free_port) || return
    mkdir -p "$work/www" "$work/nginx"
    cp "$work/large" "$work/www/large"
    cat >"$work/nginx.conf" <<END
daemon off; master_process off; pid $work/nginx/pid; error_log $work/nginx/log; worker_processes 1;
events { }
http {
    access_log off; client_body_temp_path $work/nginx; proxy_temp_path $work/nginx;
    fastcgi_temp_path $work/nginx; uwsgi_temp_path $work/nginx; scgi_temp_path $work/nginx;
    server { listen 127.0.0.1:$nginx_port; root $work/www; }
    server { listen 127.0.0.1:$nginx_tls ssl; root $work/www;
             ssl_certificate $work/own.crt; ssl_certificate_key $work/own.key; }
}
END
    chmod 755 "$work" "$work/www"
    nginx -e "$work/nginx/log" -c "$work/nginx.conf" >"$work/nginx.out" 2>&1 &
    nginx_pid=$!
    owned[$nginx_pid]=1
    for _ in {1..200}; do
        (exec 3<>"/dev/tcp/127.0.0.1/$nginx_tls") 2>/dev/null && return 0
        sleep 0.02
    done
    cat "$work/nginx.out" "$work/nginx/log"
    return 1
}

fetch() { # URL OPTION...: the large file
    timeout 60 curl -sS --noproxy '*' -o "$work/got" "$@" && cmp "$work/large" "$work/got"
}

nginx_plain() {
    start --backend "127.0.0.1:$nginx_port" || return
    fetch "http://127.0.0.1:$port/large" && stop "ended by both sides: 1"
}

nginx_tls_in() {
    start --cert "$work/own.crt" --key "$work/own.key" --backend "127.0.0.1:$nginx_port" || return
    fetch --cacert "$work/own.crt" "https://localhost:$port/large" --ipv4 && stop
}

nginx_tls_out() {
    start --backend-tls --backend-ca "$work/own.crt" --backend "localhost:$nginx_tls" || return
    fetch "http://127.0.0.1:$port/large" && stop "without a backend: 0"
}

nginx_tls_both() {
    start --cert "$work/own.crt" --key "$work/own.key" --alpn http/1.1 --backend-tls \
        --backend-ca "$work/own.crt" --backend "127.0.0.1:$nginx_tls" || return
    timeout 20 openssl s_client -connect "127.0.0.1:$port" -alpn h2,http/1.1 </dev/null \
        >"$work/client" 2>&1
    grep -qx "ALPN protocol: http/1.1" "$work/client" || { cat "$work/client"; return 1; }
    fetch --cacert "$work/own.crt" "https://localhost:$port/large" --ipv4 && stop
}

nginx_unknown() { # a backend whose certificate nobody signed that we trust gets no byte
    start --backend-tls --backend-ca "$work/other.crt" --backend "localhost:$nginx_tls" || return
    closed_at_once "$port" && stop "without a backend: 1" || return
    grep -q "is down: the peer's certificate was not accepted" "$work/errors"
}

nginx_not_tls() { # a backend that speaks no TLS
    start --backend-tls --backend-ca "$work/own.crt" --backend "localhost:$nginx_port" || return
    closed_at_once "$port" && stop "without a backend: 1"
}

# ---- Arguments ---------------------------------------------------------------------------------

refuses() { # EXIT-CODE MESSAGE OPTION...
    local status=0 code=$1 message=$2
    shift 2
    timeout 10 "$bin/proxy" "$@" >"$work/got" 2>&1 || status=$?
    cat "$work/got"
    echo "exit code $status"
    [ "$status" -eq "$code" ] && grep -qF -- "$message" "$work/got"
}

helps() {
    timeout 10 "$bin/proxy" --help | grep -q -- '--handover PATH'
}

# ---- All of it ---------------------------------------------------------------------------------

head -c 10000000 /dev/urandom >"$work/large"
head -c 1000000 "$work/large" >"$work/medium"
start_echo echo1 0 && echo1=$echo_pid echo_port1=$(listening "$work/echo1") &&
    start_echo echo2 0 && echo2=$echo_pid echo_port2=$(listening "$work/echo2") || exit 1
"$bin/kv" --port 0 >"$work/kv" 2>&1 &
kv=$!
owned[$kv]=1
kv_port=$(listening "$work/kv") || exit 1

if has socat; then
    check "listens" start --backend "127.0.0.1:$echo_port1"
    check "10 MB both ways" ten_megabytes
    check "six at once" many_at_once
    check "ends" stop "ended by both sides: 7" "broken: 0"
    check "the client ends first" client_ends_first
    check "the backend ends first" backend_ends_first
    check "a transfer is drained" drains_a_transfer
else
    echo "skipped what socat is for: it is not installed"
fi
check "kv behind it" of_kv
check "a backend by name" by_name
check "backends take turns" takes_turns
check "the least busy backend" least_busy
check "the next backend is tried" next_is_tried
check "a backend goes down and comes up" down_and_up
check "slow readers" slow_reader
check "an idle connection" idles
check "connections are limited" connections_are_limited
check "drains on SIGTERM" drains
check "cuts after the grace" is_cut
check "hands over without refusing anybody" handed_over
check "counts now and then" counts_now_and_then
if has openssl; then
    check "makes certificates" certificate own
    check "makes another" certificate other
    check "TLS to clients" tls_in
    check "garbage instead of TLS" tls_garbage
    if has socat; then check "10 MB over TLS" tls_intact; fi
    if has nginx && has curl; then
        check "nginx starts" nginx_starts
        check "nginx behind it" nginx_plain
        check "nginx, TLS to clients" nginx_tls_in
        check "nginx, TLS to the backend" nginx_tls_out
        check "nginx, TLS to both, with ALPN" nginx_tls_both
        check "nginx, a certificate of nobody" nginx_unknown
        check "nginx, no TLS there" nginx_not_tls
        end "$nginx_pid"
    else
        echo "skipped nginx and curl: they are not installed"
    fi
    check "a key of another certificate" refuses 1 "proxy: " --listen 127.0.0.1:0 --backend a:1 \
        --cert "$work/own.crt" --key "$work/other.key"
else
    echo "skipped TLS: openssl is not installed"
fi
check "--help" helps
check "nothing" refuses 2 "proxy: --listen says where to listen: it must be given"
check "no backend" refuses 2 \
    "proxy: --backend says where to pass connections on to: it must be given" --listen :0
check "a key alone" refuses 2 "proxy: --key needs --cert" --listen :0 --backend a:1 --key x
check "a CA alone" refuses 2 "proxy: --backend-ca needs --backend-tls" --listen :0 --backend a:1 \
    --backend-ca x
check "ALPN alone" refuses 2 "proxy: --alpn needs --cert" --listen :0 --backend a:1 --alpn h2
check "an empty name in ALPN" refuses 2 \
    "proxy: --alpn must be names of 1 to 255 bytes with commas between" --alpn h2,,x
check "TLS without a host" refuses 2 \
    "proxy: --backend-tls needs a host in --backend, got 'unix:/x'" --listen :0 \
    --backend unix:/x --backend-tls
check "a backend that is no place" refuses 2 \
    "proxy: --backend must be host:port, address:port or unix:/path, got 'x'" --listen :0 --backend x
check "a bad balance" refuses 2 "proxy: --balance must be round-robin or least, got 'x'" --balance x
check "a bad number" refuses 2 "proxy: --max-connections must be 1 to 1000000, got '0'" \
    --max-connections 0
check "bad seconds" refuses 2 "proxy: --grace must be 0.001 to 86400 seconds, got '1s'" --grace 1s
check "negative seconds" refuses 2 "proxy: --idle-timeout must be 0 to 86400 seconds, got '-1'" \
    --idle-timeout -1
check "no option" refuses 2 "proxy: what is 'word'? --help lists the options" word
check "a bad address" refuses 1 "proxy: an address that cannot be read" --listen here --backend a:1
check "an address in use" refuses 1 "in use" --listen "127.0.0.1:$echo_port1" --backend a:1
check "no certificate" refuses 1 "no such file" --listen :0 --backend a:1 --cert /nowhere/x.crt

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
