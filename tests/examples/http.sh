#!/usr/bin/env bash
# http.sh FOLDER - tries the examples http_get and fetch_three as a user would: wrong URLs, nobody
# there, what is no HTTP, a certificate that nobody vouches for, Ctrl-C. The last line is
# "N passed, N failed".
set -u

bin=${1:?where the examples are}
work=$(mktemp -d)
servers=
# timeout(1) hands a TERM on.
trap 'for p in $servers; do kill -TERM "$p" 2>/dev/null; wait "$p" 2>/dev/null; done; rm -rf "$work"' EXIT
unset WEFT_SEED WEFT_LOG http_proxy https_proxy

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

says() { # EXIT-STATUS TEXT EXAMPLE ARGUMENT...: one line on standard error, which begins like this
    local status=0
    timeout 20 "$bin/$3" "${@:4}" >"$work/got" 2>"$work/err" || status=$?
    cat "$work/got" "$work/err"
    echo "exit status $status"
    [ "$status" -eq "$1" ] && [ "$(wc -l <"$work/err")" -eq 1 ] &&
        [ "$(head -c ${#2} "$work/err")" = "$2" ]
}

both() { # NAME URL TEXT: what they say when a request fails
    local example
    for example in http_get fetch_three; do
        check "$example: $1" says 1 "$example: $2: $3" "$example" "$2"
    done
}

both "no scheme" example.org "a URL that cannot be read. a URL begins with http:// or https://"
both "another scheme" ftp://a/ "a URL that cannot be read. a URL begins with http:// or https://"
both "a blank" "http://a b/" "a URL that cannot be read. "
both "nobody listens" http://127.0.0.1:1/ "connection refused. Failed to connect to 127.0.0.1 port 1"
both "no such name" http://nowhere.invalid/ "a name that no address was found for. "
check "http_get without arguments" says 2 "usage: " http_get
check "http_get with an option" says 2 "usage: " http_get --bogus

# ---- Servers that are not what is expected -----------------------------------------------------

start() { # PATTERN COMMAND...: sets port, which stands behind the pattern on standard output
    "${@:2}" >"$work/server" 2>&1 &
    servers+=" $!"
    port=
    for _ in {1..100}; do
        port=$(sed -nE "s/^$1//p" "$work/server")
        [ -z "$port" ] || return 0
        sleep 0.05
    done
    cat "$work/server"
    return 1
}

others_go_on() {
    local status=0
    timeout 20 "$bin/fetch_three" "http://127.0.0.1:1/" "http://127.0.0.1:$port/" >"$work/got" 2>&1 ||
        status=$?
    cat "$work/got"
    [ "$status" -eq 1 ] && [ "$(grep -c '^fetch_three: http://127' "$work/got")" -eq 2 ]
}

if start 'listening on .*:' timeout 60 "$bin/echo_server"; then
    both "no HTTP" "http://127.0.0.1:$port/" "a message that is not HTTP. "
    both "no TLS" "https://127.0.0.1:$port/" "TLS failed. "
    check "fetch_three: a failure leaves the others alone" others_go_on
else
    check "echo_server listens" false
fi

certificate() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$work/key" -out "$work/certificate" -days 1 \
        -subj /CN=example.org >/dev/null 2>&1
}

if command -v openssl >/dev/null && certificate &&
    start 'ACCEPT 127.0.0.1:' timeout 60 openssl s_server -accept 127.0.0.1:0 -www \
        -key "$work/key" -cert "$work/certificate"; then
    both "a certificate that nobody vouches for" "https://127.0.0.1:$port/" \
        "the peer's certificate was not accepted. "
else
    echo "skipped certificates: there is no openssl"
fi

interrupted() { # EXAMPLE
    local pid status=0
    env --default-signal=INT "$bin/$1" "http://127.0.0.1:$port/" >"$work/got" 2>&1 &
    pid=$!
    sleep 0.3
    kill -INT "$pid"
    wait "$pid" || status=$?
    cat "$work/got"
    echo "exit status $status"
    [ "$status" -eq 130 ] && [ "$(cat "$work/got")" = "$1: interrupted" ]
}

silent='import socket, time
s = socket.create_server(("127.0.0.1", 0))
print("port", s.getsockname()[1], flush=True)
time.sleep(60)'
if command -v python3 >/dev/null && start 'port ' timeout 60 python3 -c "$silent"; then
    check "http_get: Ctrl-C" interrupted http_get
    check "fetch_three: Ctrl-C" interrupted fetch_three
else
    echo "skipped Ctrl-C: there is no python3"
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
