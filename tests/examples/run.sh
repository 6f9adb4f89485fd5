#!/usr/bin/env bash
# run.sh FOLDER - runs the examples built there and compares what each prints with NAME.out;
# servers get clients and a Ctrl-C. An example with a NAME.sh is tried by that script, which is
# given FOLDER and ends like this one. README's program must be hello.c. The last line is
# "N passed, N failed".
set -u

bin=${1:?where the examples are}
here=$(dirname "$0")
root=$here/../..
work=$(mktemp -d)
server=
address=
trap '[ -z "$server" ] || kill -KILL "$server" 2>/dev/null; rm -rf "$work"' EXIT
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
        sed 's/^/        /' "$work/log"
        failed=$((failed + 1))
    fi
}

prints() { # FILE-EXPECTED EXAMPLE ARGUMENT...: exactly that, and exit code 0
    local expected=$here/$1 status=0
    shift
    timeout 20 "$bin/$1" "${@:2}" >"$work/got" 2>"$work/err" || status=$?
    head -n 20 "$work/err"
    diff -u "$expected" "$work/got" || return
    echo "exit code $status"
    [ ! -s "$work/err" ] && [ "$status" -eq 0 ]
}

complains() { # EXIT-CODE TEXT EXAMPLE ARGUMENT...
    local status=0
    timeout 20 "$bin/$3" "${@:4}" >"$work/got" 2>&1 || status=$?
    cat "$work/got"
    echo "exit code $status"
    [ "$status" -eq "$1" ] && grep -qF -- "$2" "$work/got"
}

coloured() { # on a terminal, and only there
    timeout 20 script -qec "$bin/rand" /dev/null | grep -q $'\033\\[3[0-9]m' &&
        ! "$bin/rand" | grep -q $'\033'
}

waits_in_earnest() {
    local from=$EPOCHREALTIME to
    prints background.out background --real || return
    to=$EPOCHREALTIME
    [ $((${to/./} - ${from/./})) -ge 2000000 ]
}

readme_program() {
    awk '/^```c$/ { on = 1; next } /^```$/ { if (on) exit } on' "$root/README.md" |
        diff -u <(sed '1,/^ \*\/$/d' "$root/examples/hello.c") -
}

# A script's own tests, with the script's name in front; they are added to ours.
suite() { # SCRIPT
    local name line p=0 f=0 status
    name=$(basename "$1" .sh)
    timeout 300 bash "$1" "$bin" >"$work/suite" 2>&1
    status=$?
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$work/suite" | tail -n 1)
    sed -E "s/^(ok      |FAILED  |skipped:? )/\\1$name: /; /^[0-9]+ passed, [0-9]+ failed\$/d" \
        "$work/suite"
    [ -z "$line" ] || { p=${line%% *} f=${line#*, } f=${f%% *}; }
    if [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then
        echo "FAILED  $name: exit code $status"
        f=1
    fi
    passed=$((passed + p)) failed=$((failed + f))
}

# The shell starts what runs in the background with SIGINT ignored, and weft leaves that alone.
start_server() { # EXAMPLE ARGUMENT...
    address=
    env --default-signal=INT timeout --foreground 60 "$bin/$1" "${@:2}" >"$work/server" 2>&1 &
    server=$!
    for _ in {1..100}; do
        address=$(sed -n 's/^listening on //p' "$work/server")
        [ -z "$address" ] || return 0
        sleep 0.05
    done
    cat "$work/server"
    return 1
}

stop_server() { # with a client that stays until the server lets go
    local status=0
    exec 3<>"/dev/tcp/127.0.0.1/${address##*:}" || return
    echo "before" >&3
    read -r -t 5 line <&3 && [ "$line" = before ] || { echo "no answer"; return 1; }
    kill -INT "$server" # timeout(1) hands it on
    sleep 0.2
    echo "while it drains" >&3
    read -r -t 5 line <&3 && [ "$line" = "while it drains" ] || { echo "not drained"; return 1; }
    wait "$server" || status=$?
    server=
    exec 3>&-
    cat "$work/server"
    echo "exit code $status"
    [ "$status" -eq 0 ] && grep -qx 'connections served: 3' "$work/server"
}

end_server() { # Ctrl-C, without a client
    local status=0
    kill -INT "$server"
    wait "$server" || status=$?
    server=
    cat "$work/server"
    echo "exit code $status"
    [ "$status" -eq 0 ]
}

unix_echo() {
    start_server echo_server "unix:$work/socket" 127.0.0.1:0 &&
        prints tcp_client.out tcp_client "unix:$work/socket" hello "two words" &&
        end_server && [ ! -e "$work/socket" ]
}

make_certificate() { # for localhost, with its key behind it
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
        -subj /CN=localhost -addext subjectAltName=DNS:localhost \
        -keyout "$work/key.pem" -out "$work/cert.pem" &&
        cat "$work/cert.pem" "$work/key.pem" >"$work/both.pem"
}

make_tree() {
    mkdir -p "$work/tree/a/b/empty" "$work/tree/c" || return
    head -c 1000000 /dev/urandom >"$work/tree/a/large"
    : >"$work/tree/a/b/nothing"
    echo '#!/bin/sh' >"$work/tree/c/script"
    chmod 750 "$work/tree/c/script"
}

copies_a_tree() {
    make_tree || return
    timeout 20 "$bin/file_copy" "$work/tree" "$work/copy" >"$work/got" || return
    cat "$work/got"
    diff -r "$work/tree" "$work/copy" && [ -x "$work/copy/c/script" ] &&
        [ -z "$(find "$work/copy" -name '*.part')" ] &&
        grep -q '^3 files, 1000010 bytes' "$work/got"
}

copies_into_itself() { # the tree, but not the copy within
    complains 1 "tree/a/inner: not copied into itself" \
        file_copy "$work/tree" "$work/tree/a/inner" &&
        cmp "$work/tree/a/large" "$work/tree/a/inner/a/large" &&
        [ ! -e "$work/tree/a/inner/a/inner/a" ] && rm -r "$work/tree/a/inner"
}

copies_a_file() {
    timeout 20 "$bin/file_copy" "$work/tree/a/large" "$work/large" &&
        cmp "$work/tree/a/large" "$work/large"
}

for source in "$root"/examples/*.c; do
    name=$(basename "$source" .c)
    [ ! -e "$here/$name.sh" ] || continue
    case $name in
    echo_server | tls_echo) ;;
    file_copy)
        check "file_copy of a tree" copies_a_tree
        check "file_copy of a file" copies_a_file
        check "file_copy of a tree into itself" copies_into_itself
        check "file_copy of nothing" complains 1 "no such file" file_copy "$work/none" "$work/no"
        check "file_copy without arguments" complains 2 usage file_copy
        ;;
    http_get)
        check "http_get --help" prints http_get-help.out http_get --help
        check "http_get without arguments" complains 2 usage http_get
        check "http_get with an option it has not" complains 2 usage http_get --what
        check "http_get without a server" complains 1 refused http_get http://127.0.0.1:1/
        check "http_get with a bad URL" complains 1 URL http_get "not a url"
        ;;
    resolve)
        check resolve prints resolve.out resolve 127.0.0.1 ::1 2001:db8::1
        check "resolve without arguments" complains 2 usage resolve
        check "resolve of no name" complains 1 "resolve: " resolve "not a name"
        ;;
    watch_files)
        check watch_files prints watch_files.out watch_files
        check "watch_files of nothing" complains 1 "no such file" watch_files "$work/none"
        check "watch_files with an option" complains 2 usage watch_files --what
        ;;
    tls_client)
        if command -v openssl >/dev/null; then
            check "a certificate is made" make_certificate
            check "tls_echo listens" start_server tls_echo 127.0.0.1:0 "$work/both.pem"
            check "tls_client and tls_echo" prints tls_client.out \
                tls_client "$address" localhost "$work/cert.pem" hello "two words"
            check "tls_client for somebody else" complains 1 "not for elsewhere" \
                tls_client "$address" elsewhere "$work/cert.pem" hello
            check "tls_client that does not trust it" complains 1 certificate \
                tls_client "$address" localhost - hello
            check "tls_echo ends on Ctrl-C" end_server
        else
            echo "skipped: no openssl"
        fi
        check "tls_client without arguments" complains 2 usage tls_client
        check "tls_echo without arguments" complains 2 usage tls_echo
        ;;
    tcp_client)
        check "echo_server listens" start_server echo_server
        check "tcp_client and echo_server" prints tcp_client.out tcp_client "$address" hello "two words"
        check "a second client" prints tcp_client.out tcp_client "$address" hello "two words"
        check "echo_server drains on Ctrl-C" stop_server
        check "tcp_client without a server" complains 1 refused tcp_client 127.0.0.1:1 hello
        check "tcp_client with a bad address" complains 1 "ends in a colon" tcp_client here hello
        check "tcp_client without arguments" complains 2 usage tcp_client
        check "echo_server and tcp_client on a Unix socket" unix_echo
        check "echo_server with an option" complains 2 usage echo_server --what
        check "echo_server where it cannot be" complains 1 "'unix:$work/none/s'" \
            echo_server "unix:$work/none/s"
        ;;
    *) check "$name" prints "$name.out" "$name" ;;
    esac
done
for script in "$here"/*.sh; do
    [ "$script" -ef "$0" ] || suite "$script"
done
check "chained 9 6 3" prints chained-9-6-3.out chained 9 6 3
check "rand with another seed" prints rand-7.out rand 7
check "background --real" waits_in_earnest
if command -v script >/dev/null; then
    check "rand in colours on a terminal" coloured
else
    echo "skipped rand in colours on a terminal: there is no script(1)"
fi
check "the program in README.md is hello.c" readme_program

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
