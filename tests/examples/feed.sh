#!/usr/bin/env bash
# feed.sh FOLDER - tries the example feed that was built there: its demonstration, producers that
# behave and that do not, subscribers that are fast, slow and gone. The last line is
# "N passed, N failed".
set -u

bin=${1:?where the examples are}
here=$(dirname "$0")
work=$(mktemp -d)
pid=
trap : PIPE # a write to who has gone is a failure, and no more
trap 'exec 2>/dev/null; [ -z "$pid" ] || kill -KILL "$pid"; rm -rf "$work"' EXIT
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

# ---- Starting, ending, talking -----------------------------------------------------------------

start() { # OPTION...: sets pid, port (of producers) and web (of subscribers)
    : >"$work/feed"
    "$bin/feed" --listen 127.0.0.1:0 --http 127.0.0.1:0 --loops 2 --window 0.2 "$@" \
        >"$work/feed" 2>"$work/errors" &
    pid=$!
    for _ in {1..400}; do
        web=$(sed -n 's/^publishing on .*://p' "$work/feed")
        [ -z "$web" ] || break
        sleep 0.02
    done
    port=$(sed -n 's/^listening on .*://p' "$work/feed")
    [ -n "$web" ] && [ -n "$port" ] || { cat "$work/feed" "$work/errors"; return 1; }
}

stop() { # LINE...: a SIGTERM; each of the lines must be among what it says
    local status=0
    kill -TERM "$pid"
    wait "$pid" || status=$?
    pid=
    cat "$work/feed" "$work/errors"
    echo "exit code $status"
    [ "$status" -eq 0 ] && [ ! -s "$work/errors" ] || return
    for line in "$@"; do
        grep -qx -- "$line" "$work/feed" || { echo "no line: $line"; return 1; }
    done
}

produce() { # BYTES, in the form of printf: gives what is answered
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return
    printf -- "$1" >&3
    timeout "${2:-10}" cat <&3
    exec 3>&-
}

get() { # PATH [HEADER-LINE]: the whole answer
    exec 4<>"/dev/tcp/127.0.0.1/$web" || return
    printf 'GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' "$1" >&4
    timeout 10 cat <&4 | tr -d '\r'
    exec 4>&-
}

follow() { # PATH FILE: a subscriber in the background; sets subscriber
    exec 5<>"/dev/tcp/127.0.0.1/$web" || return
    printf 'GET %s HTTP/1.0\r\nHost: x\r\n\r\n' "$1" >&5
    timeout 30 cat <&5 >"$2" &
    subscriber=$!
    exec 5>&-
    comes 'event: hello' "$2"
}

comes() { # TEXT FILE: sooner or later
    for _ in {1..300}; do
        grep -q -- "$1" "$2" && return
        sleep 0.02
    done
    echo "it did not come: $1"
    cat "$2"
    return 1
}

figure() { # NAME NUMBER: is reached
    for _ in {1..200}; do
        get /figures >"$work/figures"
        grep -q "\"$1\":$2[,}]" "$work/figures" && return
        sleep 0.05
    done
    cat "$work/figures"
    return 1
}

# ---- What is asked -----------------------------------------------------------------------------

demo() {
    timeout 20 "$bin/feed" --demo 4 >"$work/got" && diff -u "$here/feed.out" "$work/got"
}

demo_by_seed() {
    timeout 20 "$bin/feed" --demo 4 --seed 2 >"$work/got" && ! diff -q "$here/feed.out" "$work/got"
}

published() { # values of one window, and the percentile of 1 to 100
    local lines
    lines=$(for i in {100..1}; do echo "steps $i"; done)
    follow /events "$work/events" || return
    for _ in {1..10}; do # the end of a window may fall between two lines
        (exec 3<>"/dev/tcp/127.0.0.1/$port"; printf 'cold -4.5\r\ncold -5.5\n%s\n' "$lines" >&3)
        sleep 0.5
        grep -q '"cold","window":[0-9]*,"count":2,"min":-5.5,"max":-4.5,"mean":-5,"p95":-4.5}' \
            "$work/events" &&
            grep -q '"sensor":"steps",.*"count":100,"min":1,"max":100,"mean":50.5,"p95":95}' \
                "$work/events" && return
    done
    cat "$work/events"
    return 1
}

both_loops_count() { # connections on all loops, one sensor: nothing is lost
    local clients=() i before
    before=$(get /figures | sed -n 's/.*"values":\([0-9]*\).*/\1/p')
    for i in {1..8}; do
        (exec 3<>"/dev/tcp/127.0.0.1/$port"; for _ in {1..500}; do echo "many 1"; done >&3) &
        clients+=($!)
    done
    wait "${clients[@]}"
    figure values $((before + 4000))
}

one_sensor_alone() {
    follow '/events?sensor=wanted' "$work/one" || return
    (exec 3<>"/dev/tcp/127.0.0.1/$port"; printf 'other 1\nwanted 2\nzz 3\n' >&3)
    comes wanted "$work/one" && ! grep -q 'other\|zz' "$work/one"
}

refused_line() { # ANSWER BYTES
    local got
    got=$(produce "$2")
    [ "$got" = "$1" ] || { echo "'$got'"; return 1; }
}

too_many() { # more than 20 in a window
    local lines
    lines=$(for i in {1..60}; do echo "s$i 1"; done)
    produce "$lines\n" >"$work/got"
    cat "$work/got"
    grep -qx "line [0-9]*: there are too many sensors, got 's[0-9]*'" "$work/got"
}

page_is_whole() {
    get / >"$work/page"
    grep -q '^Content-Type: text/html; charset=utf-8$' "$work/page" &&
        grep -q "new EventSource('/events')" "$work/page" && grep -q '^</html>$' "$work/page" &&
        ! grep -q 'http://\|https://' "$work/page" # it needs nobody else
}

page_parses() { # by node, where it is
    sed -n '/^<script>$/,/^<\/script>$/p' "$work/page" | sed '1d;$d' >"$work/page.js"
    node --check "$work/page.js"
}

no_such_page() {
    get /nowhere | grep -q '^HTTP/1.1 404 '
}

resident_kb() {
    sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$pid/status"
}

slow_subscriber() { # does not read: misses the oldest, is told, and nobody else waits for it
    local before= after i
    start --lag 1 --sensors 5000 --window 0.1 || return
    for i in {1..5000}; do echo "a-rather-long-name.$i -1.23456"; done >"$work/lines"
    exec 6<>"/dev/tcp/127.0.0.1/$web" || return
    printf 'GET /events HTTP/1.0\r\nHost: x\r\n\r\n' >&6
    figure subscribers 1 || return
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return
    for i in {1..40}; do # what the kernel keeps for it is some 10 MB
        cat "$work/lines" >&3
        sleep 0.1
        [ "$i" -ne 10 ] || before=$(resident_kb)
    done
    exec 3>&-
    figure values 200000 || return
    after=$(resident_kb)
    echo "resident: $before kB, then $after kB"
    timeout 3 cat <&6 >"$work/slow"
    exec 6>&-
    grep -A 1 '^event: missed' "$work/slow" | head -n 4
    grep -A 1 '^event: missed' "$work/slow" | grep -q '^data: [0-9]*$' &&
        [ $((after - before)) -lt 20000 ]
}

ends() { # the last window is published, subscribers get a last event, and the end
    follow /events "$work/last" || return
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return
    echo "final 42" >&3
    figure values "$1" || return
    stop "values: $1" || return
    exec 3>&-
    wait "$subscriber" || return
    tail -n 6 "$work/last"
    grep -q '"sensor":"final".*"max":42' "$work/last" &&
        [ "$(tail -n 3 "$work/last" | tr '\n' ' ')" = "event: end data: the server ends  " ]
}

refuses() { # EXIT-CODE MESSAGE OPTION...
    local status=0 code=$1 message=$2
    shift 2
    timeout 10 "$bin/feed" "$@" >"$work/got" 2>&1 || status=$?
    cat "$work/got"
    echo "exit code $status"
    [ "$status" -eq "$code" ] && grep -qF -- "$message" "$work/got"
}

helps() {
    timeout 10 "$bin/feed" --help | grep -q -- '--demo SECONDS'
}

# ---- All of it ---------------------------------------------------------------------------------

name="a value must be a number from -1e12 to 1e12"
what="must be a sensor of 1 to 32 letters, digits or . _ - and a value"

check "the demonstration" demo
check "with another seed" demo_by_seed
check "starts" start --sensors 20
check "values are published" published
check "connections on both loops" both_loops_count
check "one sensor alone" one_sensor_alone
check "no number" refused_line "line 2: $name, got 'b'" 'a 1\na b\n'
check "not finite" refused_line "line 1: $name, got 'inf'" 'a inf\n'
check "not a number" refused_line "line 1: $name, got 'nan'" 'a nan\n'
check "two numbers" refused_line "line 1: $name, got '1 2'" 'a 1 2\n'
check "no value" refused_line "line 1: $what, got 'alone'" 'alone\n'
check "an empty line" refused_line "line 1: $what, got ''" '\n'
check "a bad name" refused_line "line 1: $what, got 'a?b 1'" 'a\033b 1\n'
check "a long name" refused_line "line 1: $what, got 'x0000000000000000000000000000000000 1'" \
    'x0000000000000000000000000000000000 1\n'
check "a long line" refused_line "line 2: must be shorter than 256 bytes" \
    "a 1\na $(printf %0300d 1)"
check "too many sensors" too_many
check "the page" page_is_whole
if command -v node >/dev/null; then
    check "its script" page_parses
else
    echo "skipped the page's script: node is not installed"
fi
check "no such page" no_such_page
check "ends" stop
check "a slow subscriber" slow_subscriber
check "ends with it" stop "missed: [1-9][0-9]*"
check "starts again" start
check "ends with producers and subscribers" ends 1
check "--help" helps
check "a bad window" refuses 2 "feed: --window must be 0.1 to 3600 seconds, got '0'" --window 0
check "a bad number" refuses 2 "feed: --demo must be 1 to 86400, got 'x'" --demo x
check "no option" refuses 2 "feed: what is 'word'? --help lists the options" word
check "a bad address" refuses 1 "feed: an address that cannot be read" --listen here

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
