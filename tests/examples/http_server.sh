#!/usr/bin/env bash
# http_server.sh FOLDER - tries the example http_server that was built there, with curl: its routes,
# its folder, TLS, the access log, what it refuses, and how it ends. The last line is
# "N passed, N failed".
set -u

bin=${1:?where the examples are}
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null; rm -rf "$work"' EXIT
. "$(dirname "$0")/../net/lib.sh"

ask() { # EXPECTED STATUS PATH CURL'S ARGUMENTS...: both the status and the body, as printf has it
    local status
    status=$(curl -ksS -m 20 --path-as-is -o "$work/got" -w '%{http_code}' "${@:4}" \
        "$scheme://127.0.0.1:$port$3")
    echo "status $status"
    cat "$work/got"
    [ "$status" = "$2" ] && printf -- "$1" | cmp - "$work/got"
}

complains() { # EXIT-CODE TEXT ARGUMENT...
    local status=0
    timeout 20 "$bin/http_server" "${@:3}" >"$work/got" 2>&1 || status=$?
    cat "$work/got"
    echo "exit code $status"
    [ "$status" -eq "$1" ] && grep -qF -- "$2" "$work/got"
}

headed() { # as long as GET's, and nothing behind it
    curl -sS -m 20 -I "http://127.0.0.1:$port/" | tr -d '\r' >"$work/got"
    cat "$work/got"
    grep -qx 'Content-Length: 6' "$work/got" && ! grep -q hello "$work/got"
}

counted() { # 100,000 lines, each a piece of its own
    curl -sS -m 60 "http://127.0.0.1:$port/count/100000" | cmp - <(seq 100000)
}

echoed() { # CURL'S OPTION...
    head -c 500000 /dev/urandom >"$work/body"
    curl -sS -m 60 "$@" --data-binary "@$work/body" "http://127.0.0.1:$port/echo" |
        cmp - "$work/body"
}

logged() { # lines are gathered for a second before they are written
    for _ in {1..100}; do
        ! grep -q '^127.0.0.1 - - \[.*\] "GET /hello/a HTTP/1.1" 200 8 ' "$work/access" || return 0
        sleep 0.05
    done
    cat "$work/access"
    return 1
}

drained() { # an answer under way is finished; then it says what it did
    curl -sS -m 60 --limit-rate 2M "http://127.0.0.1:$port/count/400000" >"$work/slow" &
    local client=$!
    sleep 0.3
    stop 30 '^requests: [0-9]*, of these refused: [0-9]*, failed: 0$' || return
    wait "$client" && cmp "$work/slow" <(seq 400000)
}

mkdir "$work/folder"
echo "in the folder" >"$work/folder/a.txt"
echo "nothing" >"$work/pem"

check "--help" complains 0 "usage: http_server" --help
check "an option that is none" complains 2 "unrecognized option" --nope
check "an option without its value" complains 2 "requires an argument" --folder
check "a grace that is no number" complains 2 "--grace must be 1 to 3600000, got 'soon'" --grace soon
check "a grace that is too short" complains 2 "--grace must be 1 to 3600000, got '0'" --grace 0
check "a folder that is none" complains 2 "--folder must be a folder, got '/none'" --folder /none
check "an address that is none" complains 1 "ends in a colon and a port" nowhere
check "a certificate that is not there" complains 1 "no such file" --tls "$work/none" 127.0.0.1:0
check "a certificate that is none" complains 1 "TLS failed" --tls "$work/pem" 127.0.0.1:0
check "a log that cannot be written" complains 1 "access log" --log "$work/none/log" 127.0.0.1:0

scheme=http
check "it starts" start env -- "$bin/http_server" --folder "$work/folder" --log "$work/access" \
    --grace 20000 127.0.0.1:0
check "an address that is taken" complains 1 "in use" "127.0.0.1:$port"
check "GET /" ask 'hello\n' 200 /
check "HEAD /" headed
check "GET /hello/{name}" ask 'hello you & me\n' 200 '/hello/you%20%26%20me'
check "a name that cannot be read" ask 'what name is that?\n' 400 '/hello/%zz'
check "POST /sum" ask '{"numbers":4,"sum":5.5}\n' 200 /sum -d '[1, 2, 3.5, -1]'
check "POST /sum of nothing" ask '{"numbers":0,"sum":0}\n' 200 /sum -d '[]'
check "POST /sum of what is no number" ask '{"numbers":1,"sum":-7}\n' 200 /sum -d '--a-7e-'
head -c 70000 /dev/zero | tr '\0' 1 >"$work/large"
check "POST /sum of too much" ask '413 Content Too Large\n' 413 /sum --data-binary "@$work/large"
check "POST /echo" echoed
check "POST /echo in chunks" echoed -H 'Transfer-Encoding: chunked'
check "GET /count/{n}" counted
check "a count that is none" ask '1 to 1000000\n' 400 /count/0
check "a file" ask 'in the folder\n' 200 /files/a.txt
check "a part of a file" ask 'the' 206 /files/a.txt -r 3-5
check "a file that is not there" ask '404 Not Found\n' 404 /files/b.txt
check "a path that leaves the folder" ask '400 Bad Request\n' 400 /files/../access
check "a path that is none" ask '404 Not Found\n' 404 /nowhere
check "a method that is not for it" ask '405 Method Not Allowed\n' 405 /sum
check "another request of the log" ask 'hello a\n' 200 /hello/a
check "the access log" logged
check "it drains on SIGTERM" drained

if command -v openssl >/dev/null; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
        -keyout "$work/key" -out "$work/pem" 2>/dev/null
    cat "$work/key" >>"$work/pem"
    scheme=https
    check "it starts with TLS" start env -- "$bin/http_server" --tls "$work/pem" 127.0.0.1:0
    check "TLS: GET /" ask 'hello\n' 200 /
    check "TLS: no folder, no files" ask '404 Not Found\n' 404 /files/a.txt
    check "TLS: it ends on SIGTERM" stop 10 '^connections: 2, of these cancelled: 0$'
else
    skip TLS "there is no openssl"
fi

finish
