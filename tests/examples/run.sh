#!/usr/bin/env bash
# run.sh FOLDER - runs the examples built there and compares what each prints with NAME.out; the
# server gets clients and a Ctrl-C. README's program must be hello.c. The last line is
# "N passed, N failed".
set -u

bin=${1:?where the examples are}
here=$(dirname "$0")
root=$here/../..
work=$(mktemp -d)
server=
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

# The shell starts what runs in the background with SIGINT ignored, and weft leaves that alone.
start_server() {
    env --default-signal=INT timeout --foreground 60 "$bin/echo_server" >"$work/server" 2>&1 &
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

for source in "$root"/examples/*.c; do
    name=$(basename "$source" .c)
    case $name in
    echo_server) ;;
    tcp_client)
        check "echo_server listens" start_server
        check "tcp_client and echo_server" prints tcp_client.out tcp_client "$address" hello "two words"
        check "a second client" prints tcp_client.out tcp_client "$address" hello "two words"
        check "echo_server drains on Ctrl-C" stop_server
        check "tcp_client without a server" complains 1 refused tcp_client 127.0.0.1:1 hello
        check "tcp_client with a bad address" complains 1 "ends in a colon" tcp_client here hello
        check "tcp_client without arguments" complains 2 usage tcp_client
        ;;
    *) check "$name" prints "$name.out" "$name" ;;
    esac
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
