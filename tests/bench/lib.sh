# lib.sh - what the tests of weft-compare share. Sourced; run.sh sets COMPARE and TMP.

passed=0 failed=0

ok() { # NAME
    passed=$((passed + 1))
}

not_ok() { # NAME WHY
    failed=$((failed + 1))
    echo "FAILED $1: $2"
    [ ! -s "$TMP/out" ] || sed 's/^/    out: /' "$TMP/out" | head -n 30
    [ ! -s "$TMP/err" ] || sed 's/^/    err: /' "$TMP/err" | head -n 10
}

# Runs weft-compare with a limit of time; what it says goes to $TMP/out and $TMP/err.
run() { # ARGUMENTS...
    timeout -k 5 60 "$COMPARE" "$@" >"$TMP/out" 2>"$TMP/err" </dev/null
}

# The exit code, and a line of standard error or output (a fixed string) that must be there.
expect() { # NAME CODE TEXT ARGUMENTS...
    local name=$1 code=$2 text=$3 got
    shift 3
    run "$@"
    got=$?
    if [ "$got" -ne "$code" ]; then
        not_ok "$name" "exit code $got, not $code"
    elif [ -n "$text" ] && ! cat "$TMP/out" "$TMP/err" | grep -qF -- "$text"; then
        not_ok "$name" "it does not say: $text"
    else
        ok "$name"
    fi
}

# Processes of the program under test, children of whoever; the test's own path tells them apart.
left_behind() {
    local link target n=0
    for link in /proc/[0-9]*/exe; do
        target=$(readlink "$link" 2>/dev/null) || continue
        [ "$target" != "$COMPARE" ] || n=$((n + 1))
    done
    echo "$n"
}

expect_none_left() { # NAME
    local i
    for i in 1 2 3 4 5 6 7 8 9 10; do
        [ "$(left_behind)" -ne 0 ] || break
        sleep 0.2
    done
    if [ "$(left_behind)" -eq 0 ]; then
        ok "$1"
    else
        not_ok "$1" "$(left_behind) processes are left"
    fi
}

# Starts our delay server; sets SERVER_PID and URL.
server_start() { # ARGUMENTS...
    rm -f "$TMP/url"
    "$COMPARE" delay-server "$@" >"$TMP/url" &
    SERVER_PID=$!
    local i
    for i in $(seq 100); do
        [ ! -s "$TMP/url" ] || break
        sleep 0.05
    done
    URL=$(cat "$TMP/url")
}

server_stop() {
    kill "$SERVER_PID" 2>/dev/null
    wait "$SERVER_PID" 2>/dev/null
}

summary() {
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
}
