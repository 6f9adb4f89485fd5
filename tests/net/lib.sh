# lib.sh - what the scripts of tests/net share: checks that are counted, servers that are started,
# asked and stopped, and what /proc says of them. BIN is the folder of the examples, WORK is removed.

passed=0 failed=0
check() { # NAME COMMAND...
    local name=$1
    shift
    if "$@" >"$work/log" 2>&1; then
        echo "ok      $name"
        passed=$((passed + 1))
    else
        echo "FAILED  $name"
        tail -n 16 "$work/log" | cut -c 1-300 | sed 's/^/        /'
        failed=$((failed + 1))
    fi
}

skip() { # NAME WHY
    echo "skipped $1: $2"
}

finish() {
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
}

# ---- Servers -----------------------------------------------------------------------------------

# start PREFIX... -- COMMAND...: in the background; sets pid and port. PREFIX may be a namespace.
start() {
    local prefix=()
    while [ "$1" != -- ]; do
        prefix+=("$1")
        shift
    done
    shift
    rm -f "$work/server" # lest the port of the one before is read
    rm -f "$work/server" # lest the port of the one before is read
    "${prefix[@]}" "$@" >"$work/server" 2>&1 &
    pid=$!
    port=
    for _ in {1..300}; do
        port=$(sed -n 's/^listening on .*://p' "$work/server" 2>/dev/null | head -n 1)
        [ -z "$port" ] || return 0
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.05
    done
    cat "$work/server"
    return 1
}

# stop SECONDS TEXT: a SIGTERM ends it within so long, with exit code 0, and it says what it did.
stop() {
    local status=0 from=$EPOCHREALTIME
    kill -TERM "$pid" || { cat "$work/server"; return 1; }
    for ((i = 0; i < $1 * 20; i++)); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.05
    done
    kill -KILL "$pid" 2>/dev/null && echo "it did not end within $1 s"
    wait "$pid" || status=$?
    pid=
    cat "$work/server"
    echo "exit code $status, $(((${EPOCHREALTIME/./} - ${from/./}) / 1000)) ms"
    [ "$status" -eq 0 ] && grep -q "$2" "$work/server"
}

# ---- /proc -------------------------------------------------------------------------------------

descriptors() {
    local all=(/proc/"$pid"/fd/*)
    echo "${#all[@]}"
}

rss_kb() {
    sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$pid/status"
}

# settles DESCRIPTORS SECONDS: as many as before, or fewer, within so long.
settles() {
    local now
    for ((i = 0; i < $2 * 10; i++)); do
        now=$(descriptors)
        [ "$now" -gt "$1" ] || return 0
        sleep 0.1
    done
    echo "$now descriptors are open, $1 were before"
    return 1
}

below() { # WHAT VALUE MOST
    echo "$1: $2, at most $3"
    [ "$2" -le "$3" ]
}
