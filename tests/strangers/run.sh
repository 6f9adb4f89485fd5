#!/usr/bin/env bash
# run.sh BUILD - programs of others beside what was built there: curl, wrk, ab, h2load, openssl,
# socat and Redis' tools as clients of our servers; nginx and nghttpd with our HTTP client, and
# nginx in front of our HTTP server. A program that is not installed is skipped, and that is said.
# CC and CFLAGS must suit what was built. The last line is "N passed, N failed".
set -u

build=${1:?what was built}
root=$(cd "$(dirname "$0")/../.." && pwd)
here=$root/tests/strangers
build=$(cd "$build" && pwd)
bin=$build/examples
PATH=$PATH:/usr/sbin:/sbin
work=$(mktemp -d)
pids=()
trap 'for p in ${pids[@]+"${pids[@]}"}; do kill -KILL "$p" 2>/dev/null; done; rm -rf "$work"' EXIT
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY WEFT_SEED WEFT_LOG

passed=0 failed=0
check() { # NAME COMMAND...
    local name=$1
    shift
    if "$@" >"$work/log" 2>&1; then
        echo "ok      $name"
        passed=$((passed + 1))
    else
        echo "FAILED  $name"
        tail -n 40 "$work/log" | cut -c 1-300 | sed 's/^/        /'
        failed=$((failed + 1))
    fi
}

there() { # PROGRAM...: all of them
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null && continue
        echo "skipped: no $program"
        return 1
    done
}

# ---- Servers, ours and others' -----------------------------------------------------------------

# Ours say where they listen. The shell starts what runs in the background with SIGINT ignored.
start() { # LOG PROGRAM ARGUMENT...: sets pid and address
    local log=$work/$1
    env --default-signal=INT "${@:2}" >"$log" 2>&1 &
    pid=$!
    pids+=("$pid")
    address=
    for _ in {1..200}; do
        address=$(sed -n 's/^listening on //p' "$log" | head -n 1)
        [ -z "$address" ] || return 0
        sleep 0.05
    done
    cat "$log"
    return 1
}

ends() { # PID LOG: on SIGINT, in time, without a complaint
    local status=0
    kill -INT "$1"
    for _ in {1..400}; do
        kill -0 "$1" 2>/dev/null || break
        sleep 0.05
    done
    ! kill -0 "$1" 2>/dev/null || { echo "still there"; return 1; }
    wait "$1" || status=$?
    tail -n 20 "$work/$2"
    echo "exit code $status"
    [ "$status" -eq 0 ]
}

listens() { # PORT
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

free_port() { # prints one on which nobody listens
    local port
    while :; do
        port=$((20000 + RANDOM % 12000))
        listens "$port" || break
    done
    echo "$port"
}

# Others are told a port, which somebody may take meanwhile: then another one is tried.
start_other() { # FUNCTION: configures and starts it on $port in the background, and sets pid
    for _ in {1..5}; do
        port=$(free_port)
        "$1"
        for _ in {1..100}; do
            kill -0 "$pid" 2>/dev/null || break
            if listens "$port"; then
                pids+=("$pid")
                return 0
            fi
            sleep 0.05
        done
        kill -KILL "$pid" 2>/dev/null
    done
    return 1
}

# ---- What they work with -----------------------------------------------------------------------

compile() { # NAME
    # shellcheck disable=SC2086 # a list, such as -fsanitize=address for what was built with it
    "${CC:-gcc}" -std=gnu11 -O1 -Wall -Wextra -Werror ${CFLAGS:-} -D_GNU_SOURCE= -I"$root/include" \
        "$here/$1.c" -o "$work/$1" "$build"/libweft-{http,tls,dns}.a "$build/libweft.a" \
        -Wl,--as-needed -lcurl -lssl -lcrypto -lcares -levent_core -pthread -lm
}

make_files() {
    mkdir -p "$work/www/sub" &&
        head -c 3000000 /dev/urandom >"$work/www/large" &&
        printf '0123456789abcdefghijklmnopqrstuvwxyz' >"$work/www/small.txt" &&
        echo '<p>index</p>' >"$work/www/index.html" &&
        for i in {1..2000}; do echo "line $i of a text that gzip likes"; done >"$work/www/text.txt"
}

# An authority, and by it a server's certificate and a client's.
make_certificates() {
    local key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes) name
    openssl req -x509 "${key[@]}" -days 2 -subj "/CN=our own authority" \
        -keyout "$work/ca.key" -out "$work/ca.pem" || return
    for name in localhost ann; do
        printf 'subjectAltName=DNS:%s,IP:127.0.0.1\n' "$name" >"$work/ext"
        openssl req "${key[@]}" -subj "/CN=$name" -keyout "$work/$name.key" \
            -out "$work/$name.csr" &&
            openssl x509 -req -in "$work/$name.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" \
                -CAcreateserial -days 2 -extfile "$work/ext" -out "$work/$name.crt" &&
            cat "$work/$name.crt" "$work/$name.key" >"$work/$name.pem" || return
    done
}

# ---- curl --------------------------------------------------------------------------------------

get() { # OPTION...: quiet, bounded
    curl -sS --max-time 20 "$@"
}

curl_reuses() {
    [ "$(get -o "$work/got" -o "$work/got" -o "$work/got" -w '%{num_connects} ' \
        "$http/hello" "$http/pieces/3" "$http/hello")" = "1 0 0 " ]
}

curl_one_zero() { # without chunks, and the end is the connection's
    get --http1.0 -D "$work/head" "$http/pieces/50" >"$work/got" || return
    cat "$work/head"
    ! grep -qi '^transfer-encoding' "$work/head" && [ "$(wc -l <"$work/got")" -eq 50 ] &&
        [ "$(get --http1.0 "$http/hello")" = hello ]
}

curl_pieces() {
    get -D "$work/head" "$http/pieces/1000" >"$work/got" &&
        grep -qi '^transfer-encoding: chunked' "$work/head" &&
        [ "$(tail -n 1 "$work/got")" = "piece 999" ]
}

curl_echoes() { # OPTION...: of what is large
    get -o "$work/got" "$@" "$http/echo" && cmp "$work/got" "$work/www/large"
}

curl_chunked() { # from a pipe: of a length that nobody knows
    cat "$work/www/large" | get -T - -o "$work/got" "$http/echo" &&
        cmp "$work/got" "$work/www/large"
}

curl_expects() {
    get -v -H 'Expect: 100-continue' -T "$work/www/large" "$http/count" >"$work/got" 2>"$work/err"
    grep '^[<>*]' "$work/err"
    grep -q '^< HTTP/1.1 100 Continue' "$work/err" && [ "$(cat "$work/got")" = 3000000 ]
}

curl_is_refused() { # before it sends what it has
    get -v -H 'Expect: 100-continue' --expect100-timeout 10 -T "$work/www/large" "$http/refuse" \
        -w '%{http_code} %{size_upload}\n' >"$work/got" 2>"$work/err"
    grep '^[<>*]' "$work/err"
    cat "$work/got"
    ! grep -q '100 Continue' "$work/err" && grep -q '^403 0$' "$work/got"
}

curl_too_large() { # 80 MB where 64 MiB are allowed; whether curl gets to see the 413 or not
    head -c 80000000 /dev/zero >"$work/zeros"
    local code
    code=$(get -H 'Expect: 100-continue' -T "$work/zeros" -o "$work/got" -w '%{http_code}' \
        "$http/count")
    rm -f "$work/zeros"
    echo "status $code"
    [ "$code" = 413 ]
}

curl_ranges() {
    local ten
    ten=$(get -r 10-19 -D "$work/head" "$http/files/small.txt") && cat "$work/head" &&
        [ "$ten" = abcdefghij ] && grep -q '^HTTP/1.1 206' "$work/head" &&
        [ "$(get -r -5 "$http/files/small.txt")" = vwxyz ] &&
        [ "$(get -r 30- "$http/files/small.txt")" = uvwxyz ] &&
        [ "$(get -r 100- -o /dev/null -w '%{http_code}' "$http/files/small.txt")" = 416 ]
}

curl_resumes() {
    head -c 1234567 "$work/www/large" >"$work/part" &&
        get -C - -o "$work/part" "$http/files/large" && cmp "$work/part" "$work/www/large"
}

curl_asks_again() { # and is told that nothing has changed
    get -o "$work/got" --etag-save "$work/etag" "$http/files/large" &&
        [ "$(get -o "$work/got2" --etag-compare "$work/etag" -w '%{http_code}' \
            "$http/files/large")" = 304 ] &&
        [ "$(get -o "$work/got2" -z "$work/www/large" -w '%{http_code}' \
            "$http/files/large")" = 304 ]
}

curl_head() {
    get -I "$http/files/large" >"$work/got" && cat "$work/got" &&
        grep -qi $'^content-length: 3000000\r$' "$work/got"
}

curl_in_parallel() {
    local urls=() i
    for i in {1..40}; do urls+=(-o "$work/par$i" "$http/files/text.txt"); done
    get -Z --parallel-max 20 "${urls[@]}" || return
    for i in {1..40}; do cmp "$work/par$i" "$work/www/text.txt" || return; done
}

curl_cannot_leave() { # the folder
    [ "$(get --path-as-is -o /dev/null -w '%{http_code}' "$http/files/../server")" != 200 ] &&
        [ "$(get -o /dev/null -w '%{http_code}' "$http/files/%2e%2e/server")" != 200 ] &&
        [ "$(get -o /dev/null -w '%{http_code}' "$http/files/none")" = 404 ]
}

curl_tls() {
    [ "$(get --cacert "$work/ca.pem" "https://localhost:$tls_port/hello")" = hello ] &&
        get --cacert "$work/ca.pem" -T "$work/www/large" -o "$work/got" \
            "https://localhost:$tls_port/echo" && cmp "$work/got" "$work/www/large" &&
        get --cacert "$work/ca.pem" -o "$work/got" "https://localhost:$tls_port/files/large" &&
        cmp "$work/got" "$work/www/large" &&
        ! get -o "$work/got" "https://localhost:$tls_port/hello"
}

curl_shows_a_certificate() {
    local url=https://localhost:$who_port/who
    [ "$(get --cacert "$work/ca.pem" --cert "$work/ann.pem" "$url")" = CN=ann ] &&
        ! get --cacert "$work/ca.pem" "$url"
}

# ---- Load --------------------------------------------------------------------------------------

wrk_runs() {
    timeout 30 wrk -t 1 -c 20 -d 2s --timeout 20s "$http/hello" >"$work/got" 2>&1
    cat "$work/got"
    grep -q 'requests in' "$work/got" && ! grep -qE 'Socket errors|Non-2xx' "$work/got"
}

ab_runs() { # [-k]
    timeout 60 ab "$@" -q -n 2000 -c 20 "$http/hello" >"$work/got" 2>&1
    cat "$work/got"
    grep -qE '^Complete requests: +2000$' "$work/got" && ! grep -q 'Non-2xx' "$work/got" &&
        grep -qE '^Failed requests: +0$' "$work/got"
}

ab_keeps_alive() {
    ab_runs -k && grep -qE '^Keep-Alive requests: +2000$' "$work/got"
}

h2load_runs() { # OPTION... URL
    timeout 60 h2load --h1 -n 2000 -c 20 "$@" >"$work/got" 2>&1
    cat "$work/got"
    grep -q ' 2000 succeeded, 0 failed, 0 errored' "$work/got" &&
        grep -q 'status codes: 2000 2xx' "$work/got"
}

slow_heads() { # are cut off, and others are served meanwhile
    timeout 60 slowhttptest -H -c 60 -r 60 -i 1 -l 20 -p 5 -u "$http/hello" >"$work/got" 2>&1 &
    local slow=$!
    sleep 2
    local code
    code=$(get -o /dev/null -w '%{http_code}' "$http/hello")
    wait "$slow"
    sed 's/\x1b\[[0-9;]*m//g' "$work/got" | tail -n 20
    echo "beside it: $code"
    [ "$code" = 200 ] && sed 's/\x1b\[[0-9;]*m//g' "$work/got" | tail -n 20 |
        grep -qE 'Exit status: *No open connections left'
}

# ---- openssl -----------------------------------------------------------------------------------

# Sends a line and takes the first line that comes back; then it is ended.
s_client() { # PORT LINE OPTION...
    local line=
    coproc tls { timeout 20 openssl s_client -connect "127.0.0.1:$1" -CAfile "$work/ca.pem" \
        -verify_return_error -servername localhost -quiet "${@:3}" 2>"$work/err"; }
    local child=$tls_PID to=${tls[1]} from=${tls[0]}
    printf '%s\n' "$2" >&"$to"
    read -r -t 10 line <&"$from"
    exec {to}>&-
    wait "$child" 2>/dev/null
    echo "$line"
}

s_client_echoes() { # OPTION...
    [ "$(s_client "$echo_port" "what comes back" "$@")" = "what comes back" ] ||
        { cat "$work/err"; return 1; }
}

s_client_looks() { # PORT OPTION...: what was agreed
    timeout 20 openssl s_client -connect "127.0.0.1:$1" -CAfile "$work/ca.pem" \
        -verify_return_error -servername localhost "${@:2}" </dev/null 2>&1
}

alpn() {
    s_client_looks "$tls_port" -alpn h2,http/1.1 >"$work/got"
    grep -q '^ALPN protocol: http/1.1' "$work/got" || { cat "$work/got"; return 1; }
    s_client_looks "$tls_port" -alpn foo >"$work/got"
    cat "$work/got"
    grep -qi 'no application protocol' "$work/got"
}

resumes_1_2() { # five times after the first
    s_client_looks "$echo_port" -tls1_2 -reconnect >"$work/got"
    grep -E '^(New|Reused)' "$work/got"
    [ "$(grep -c '^Reused, TLSv1.2' "$work/got")" -ge 5 ]
}

resumes_1_3() { # the ticket comes after the handshake
    local first again
    first=$(s_client "$echo_port" one -tls1_3 -sess_out "$work/session")
    [ "$first" = one ] && [ -s "$work/session" ] || { cat "$work/err"; return 1; }
    s_client_looks "$echo_port" -tls1_3 -sess_in "$work/session" >"$work/got"
    grep -E '^(New|Reused)' "$work/got"
    grep -q '^Reused, TLSv1.3' "$work/got"
}

old_versions() { # are refused
    s_client_looks "$echo_port" -tls1_1 -cipher DEFAULT@SECLEVEL=0 >"$work/got"
    cat "$work/got"
    ! grep -q '^New, TLSv1' "$work/got"
}

client_certificate() {
    local request=$'GET /who HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r'
    local reply
    reply=$(s_client "$who_port" "$request" -cert "$work/ann.crt" -key "$work/ann.key")
    [[ $reply == "HTTP/1.1 200"* ]] || { cat "$work/err"; return 1; }
    [[ "$(s_client "$who_port" "$request")" != "HTTP/1.1 200"* ]]
}

# ---- socat -------------------------------------------------------------------------------------

socat_echoes() { # ADDRESS: all of it, and then the end, after ours
    timeout 30 socat -t 20 - "$1" <"$work/www/large" >"$work/got"
    echo "exit code $?"
    cmp "$work/got" "$work/www/large"
}

socat_by_hand() { # a request in pieces, over a Unix socket's way to the server
    timeout 20 socat "UNIX-LISTEN:$work/way" "TCP:${http#http://}" &
    local way=$!
    pids+=("$way")
    for _ in {1..100}; do [ ! -S "$work/way" ] || break; sleep 0.02; done
    { printf 'GET /hel'; sleep 0.1; printf 'lo HTTP/1.1\r\nHo'; sleep 0.1
      printf 'st: x\r\nConnection: close\r\n\r\n'; } |
        timeout 20 socat -t 10 - "UNIX-CONNECT:$work/way" >"$work/got"
    wait "$way"
    cat "$work/got"
    head -n 1 "$work/got" | grep -q '^HTTP/1.1 200 OK' && [ "$(tail -n 1 "$work/got")" = hello ]
}

# ---- Redis' tools ------------------------------------------------------------------------------

cli() {
    timeout 20 redis-cli -p "$kv_port" "$@"
}

cli_pipes() { # 20,000 at once
    local i
    for ((i = 0; i < 20000; i++)); do
        printf '*3\r\n$3\r\nSET\r\n$%d\r\nkey%d\r\n$5\r\nvalue\r\n' $((3 + ${#i})) "$i"
    done | cli --pipe >"$work/got" 2>&1
    cat "$work/got"
    grep -q 'errors: 0, replies: 20000' "$work/got" && [ "$(cli dbsize)" = 20000 ]
}

cli_as_to_a_cluster() {
    [ "$(cli -c set from cluster)" = OK ] && [ "$(cli -c get from)" = cluster ] &&
        [ "$(cli -3 get from)" = cluster ] &&
        [ "$(printf 'ping\nget from\n' | cli | tail -n 1)" = cluster ]
}

redis_benchmark() { # OPTION...
    timeout 60 redis-benchmark -p "$kv_port" -t set,get,incr -n 10000 -c 20 -q "$@" \
        >"$work/got" 2>&1 ||
        { cat "$work/got"; return 1; }
    tr '\r' '\n' <"$work/got" >"$work/lines"
    grep 'requests per second' "$work/lines"
    ! grep -i 'error' "$work/lines" && [ "$(grep -c 'requests per second' "$work/lines")" -eq 3 ]
}

# ---- nginx and nghttpd -------------------------------------------------------------------------

nginx_on_port() {
    local dir=$work/nginx
    nginx_tls_port=$(free_port)
    mkdir -p "$dir"
    cat >"$dir/conf" <<END
daemon off;
master_process off;
pid $dir/pid;
error_log $dir/error.log info;
events { worker_connections 200; }
http {
    access_log off;
    default_type text/plain;
    client_body_temp_path $dir/body;
    proxy_temp_path $dir/proxy;
    fastcgi_temp_path $dir/fastcgi;
    uwsgi_temp_path $dir/uwsgi;
    scgi_temp_path $dir/scgi;
    client_max_body_size 100m;
    gzip on;
    gzip_proxied any;
    gzip_types *;
    upstream ours { server ${http#http://}; keepalive 8; }
    server {
        listen 127.0.0.1:$port;
        listen 127.0.0.1:$nginx_tls_port ssl http2;
        ssl_certificate $work/localhost.crt;
        ssl_certificate_key $work/localhost.key;
        root $work/www;
        location /ours/ {
            proxy_pass http://ours/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_request_buffering off;
            proxy_buffering off;
        }
    }
}
END
    nginx -p "$dir" -c "$dir/conf" -e "$dir/error.log" >"$dir/log" 2>&1 &
    pid=$!
}

nghttpd_on_port() {
    nghttpd -a 127.0.0.1 -d "$work/www" ${h2[@]+"${h2[@]}"} "$port" \
        ${h2_certificate[@]+"${h2_certificate[@]}"} >"$work/nghttpd.log" 2>&1 &
    pid=$!
}

client() { # EXPECTED-LINES BODY ARGUMENT...
    timeout 30 "$work/client" "${@:3}" >"$work/got" 2>"$work/body"
    head -n 20 "$work/got"
    diff <(printf "$1") "$work/got" && cmp "$2" "$work/body"
}

# Before libcurl 8.0 the second request needs a connection of its own.
client_knows() { # URL
    timeout 30 "$work/client" -2 - 2 "$1" >"$work/got" 2>"$work/body"
    cat "$work/got"
    [ "$(cut -d ' ' -f 1,2,4 "$work/got" | sort -u)" = "200 20 36" ] &&
        cmp "$work/www/small.txt" "$work/body"
}

pieces_of() { # N
    local i
    for ((i = 0; i < $1; i++)); do echo "piece $i"; done
}

example_gets() { # URL FILE
    timeout 20 "$bin/http_get" "$1" >"$work/got" && cmp "$work/got" "$2"
}

example_is_told() { # URL: of a status of 404
    local status=0
    timeout 20 "$bin/http_get" "$1" >"$work/got" 2>&1 || status=$?
    cat "$work/got"
    [ "$status" -eq 22 ] && grep -q 'status is 404' "$work/got"
}

nginx_proxies() { # from ours: kept alive, ranges and uploads too
    local url=http://127.0.0.1:$nginx_port/ours i
    for i in {1..10}; do [ "$(get "$url/hello")" = hello ] || return; done
    get "$url/pieces/500" | cmp - <(pieces_of 500) &&
        [ "$(get -r 10-19 "$url/files/small.txt")" = abcdefghij ] &&
        get -T "$work/www/large" -o "$work/got" "$url/echo" && cmp "$work/got" "$work/www/large" &&
        cat "$work/www/large" | get -T - -o "$work/got" "$url/echo" &&
        cmp "$work/got" "$work/www/large" &&
        ! grep -E '\[(error|crit|alert|emerg)\]' "$work/nginx/error.log" | grep -v 'GET /none '
}

# ---- All of it ---------------------------------------------------------------------------------

check "files are made" make_files
check "the HTTP server compiles" compile server
check "the HTTP client compiles" compile client
certificates=
if there openssl; then
    check "certificates are made" make_certificates
    certificates=yes
fi

check "the HTTP server listens" start http.log "$work/server" 127.0.0.1:0 "$work/www"
http=http://$address http_pid=$pid
if [ -n "$certificates" ]; then
    check "with TLS" start https.log "$work/server" 127.0.0.1:0 "$work/www" "$work/localhost.pem"
    tls_port=${address##*:} tls_pid=$pid
    check "with clients' certificates" \
        start who.log "$work/server" 127.0.0.1:0 "$work/www" "$work/localhost.pem" "$work/ca.pem"
    who_port=${address##*:} who_pid=$pid
    check "tls_echo listens" start tls_echo.log "$bin/tls_echo" 127.0.0.1:0 "$work/localhost.pem"
    echo_port=${address##*:} tls_echo_pid=$pid
fi
check "echo_server listens" start echo.log "$bin/echo_server" 127.0.0.1:0 "unix:$work/socket"
echo=$address echo_pid=$pid
check "kv listens" start kv.log "$bin/kv" --port 0 --loops 2
kv_port=${address##*:} kv_pid=$pid

if there curl; then
    check "curl uses a connection again" curl_reuses
    check "curl as of HTTP/1.0" curl_one_zero
    check "curl and chunks" curl_pieces
    check "curl sends a file, which comes back" curl_echoes -T "$work/www/large"
    check "curl posts a file" curl_echoes --data-binary "@$work/www/large"
    check "curl sends in chunks" curl_chunked
    check "curl waits for 100 Continue" curl_expects
    check "curl is refused before it sends" curl_is_refused
    check "curl has too much to send" curl_too_large
    check "curl and ranges" curl_ranges
    check "curl resumes a download" curl_resumes
    check "curl asks whether it has changed" curl_asks_again
    check "curl asks for the head alone" curl_head
    check "curl, 40 at once" curl_in_parallel
    check "curl stays in the folder" curl_cannot_leave
    if [ -n "$certificates" ]; then
        check "curl by TLS" curl_tls
        check "curl shows a certificate" curl_shows_a_certificate
    fi
fi
if there wrk; then check "wrk" wrk_runs; fi
if there ab; then
    check "ab" ab_runs
    check "ab -k" ab_keeps_alive
fi
if there h2load; then
    check "h2load --h1" h2load_runs "$http/hello"
    check "h2load --h1, four requests at once" h2load_runs -m 4 "$http/files/text.txt"
    [ -z "$certificates" ] ||
        check "h2load --h1 by TLS" h2load_runs "https://127.0.0.1:$tls_port/hello"
fi
if there slowhttptest curl; then check "slowhttptest" slow_heads; fi

if [ -n "$certificates" ]; then
    check "openssl s_client" s_client_echoes
    check "openssl s_client, TLS 1.2" s_client_echoes -tls1_2
    check "openssl s_client, TLS 1.3 by ChaCha20" s_client_echoes -tls1_3 \
        -ciphersuites TLS_CHACHA20_POLY1305_SHA256
    check "openssl s_client, ALPN" alpn
    check "openssl s_client resumes, TLS 1.2" resumes_1_2
    check "openssl s_client resumes, TLS 1.3" resumes_1_3
    check "openssl s_client, TLS 1.1" old_versions
    check "openssl s_client with a certificate" client_certificate
fi

if there socat; then
    check "socat, TCP" socat_echoes "TCP:$echo"
    check "socat, a Unix socket" socat_echoes "UNIX-CONNECT:$work/socket"
    [ -z "$certificates" ] || check "socat, TLS" socat_echoes \
        "OPENSSL:127.0.0.1:$echo_port,cafile=$work/ca.pem,commonname=localhost"
    check "socat, a request in pieces" socat_by_hand
fi

if there redis-cli; then
    check "redis-cli --pipe" cli_pipes
    check "redis-cli -c, -3 and a session" cli_as_to_a_cluster
fi
if there redis-benchmark; then
    check "redis-benchmark" redis_benchmark
    check "redis-benchmark -P 16" redis_benchmark -P 16
fi

if [ -n "$certificates" ] && there nginx curl; then
    check "nginx starts" start_other nginx_on_port
    nginx_port=$port nginx=http://127.0.0.1:$port nginx_pid=$pid
    nginx_tls=https://localhost:$nginx_tls_port
    pieces_of 100 >"$work/hundred"
    check "http_get from nginx" example_gets "$nginx/text.txt" "$work/www/text.txt"
    check "http_get of what nginx has not" example_is_told "$nginx/none"
    check "our client keeps a connection to nginx" client \
        "200 11 1 36\n200 11 0 36\n200 11 0 36\n" "$work/www/small.txt" - 3 "$nginx/small.txt"
    check "our client unpacks gzip" client "200 11 1 $(wc -c <"$work/www/text.txt")\n" \
        "$work/www/text.txt" - 1 "$nginx/text.txt"
    check "our client reads chunks" client "200 11 1 890\n200 11 0 890\n" "$work/hundred" \
        - 2 "$nginx/ours/pieces/100"
    check "our client posts in chunks" client "200 11 1 3000000\n200 11 0 3000000\n" \
        "$work/www/large" - 2 "$nginx/ours/echo" "$work/www/large"
    check "our client by TLS and HTTP/2" client "200 20 1 3000000\n200 20 0 3000000\n" \
        "$work/www/large" "$work/ca.pem" 2 "$nginx_tls/large"
    check "our client posts by HTTP/2" client "200 20 1 3000000\n" "$work/www/large" \
        "$work/ca.pem" 1 "$nginx_tls/ours/echo" "$work/www/large"
    check "nginx in front of our server" nginx_proxies
    kill -TERM "$nginx_pid"
    wait "$nginx_pid" 2>/dev/null
fi
if [ -n "$certificates" ] && there nghttpd; then
    h2=() h2_certificate=("$work/localhost.key" "$work/localhost.crt")
    check "nghttpd starts" start_other nghttpd_on_port
    check "our client agrees on HTTP/2" client "200 20 1 36\n200 20 0 36\n" \
        "$work/www/small.txt" "$work/ca.pem" 2 "https://localhost:$port/small.txt"
    check "our client and a large file by HTTP/2" client "200 20 1 3000000\n" \
        "$work/www/large" "$work/ca.pem" 1 "https://localhost:$port/large"
    kill -TERM "$pid"
    wait "$pid" 2>/dev/null
    h2=(--no-tls) h2_certificate=()
    check "nghttpd starts without TLS" start_other nghttpd_on_port
    check "our client knows that it is HTTP/2" client_knows "http://127.0.0.1:$port/small.txt"
    kill -TERM "$pid"
    wait "$pid" 2>/dev/null
fi

check "the HTTP server ends" ends "$http_pid" http.log
if [ -n "$certificates" ]; then
    check "that with TLS ends" ends "$tls_pid" https.log
    check "that with clients' certificates ends" ends "$who_pid" who.log
    check "tls_echo ends" ends "$tls_echo_pid" tls_echo.log
fi
check "echo_server ends" ends "$echo_pid" echo.log
check "kv ends" ends "$kv_pid" kv.log

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
