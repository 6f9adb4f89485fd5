#!/usr/bin/env bash
# faults.sh - servers that are not there, close half way or never answer; no descriptors left; a
# full disk; SIGINT and SIGKILL: a clear error or a counted failure, never a hang, nothing left.
. "$(dirname "$0")/lib.sh"

models=sync,thread-plain:3,thread:3,process:2,async:1,async:2,hybrid:2

# A port that nobody listens on: that of a server which has just gone.
server_start --delay=1ms
server_stop
expect "unreachable URL" 3 "does not answer: " fetch --url "$URL" --models sync
if grep -qF ECONNREFUSED "$TMP/err" && [ ! -s "$TMP/out" ]; then
    ok "no model ran for an unreachable URL"
else
    not_ok "no model ran for an unreachable URL" "something did, or the errno is not named"
fi
expect "a name that cannot be resolved" 3 "nowhere.invalid cannot be resolved" \
    fetch --url http://nowhere.invalid/

server_start --delay=20ms
expect "another server" 0 "the same for every model" fetch --jobs 6 --url "${URL}page" \
    --models $models
server_stop

# A server that stops answering after the trial, in the middle of the 10 s that all repeats take: the
# run is ended, and says so.
server_start --delay=100ms
(
    sleep 2
    kill -STOP "$SERVER_PID"
) &
expect "a server that stops answering" 1 "timed out after 1" \
    fetch --jobs 2 --url "$URL" --models thread-plain:2 --repeats 100
kill -CONT "$SERVER_PID"
server_stop

# Closing half way: the trial sees it already.
for bytes in 0 10 100 300; do
    server_start --delay=5ms --close-after=$bytes
    expect "a server that closes after $bytes bytes" 3 "ECONNABORTED" fetch --url "$URL"
    server_stop
done
# A server that begins to fail after the trial: every job is a counted failure.
server_start --delay=5ms --close-after=100 --good=1
expect "a server that starts to close half way" 1 "6 jobs failed, in one run: ECONNABORTED 6" \
    fetch --jobs 6 --url "$URL" --models $models
for model in sync thread-plain:3 thread:3 process:2 async:1 async:2 hybrid:2; do
    if grep -qE "^! $model: 6 jobs failed" "$TMP/out"; then
        ok "$model counts its failed jobs"
    else
        not_ok "$model counts its failed jobs" "no line says so"
    fi
done
server_stop

# No descriptor is left once the model is open.
export WEFT_COMPARE_SABOTAGE=few-files
for model in sync thread-plain:3 thread:3 async:1 async:2 hybrid:2; do
    expect "EMFILE while connecting: $model" 1 "EMFILE" \
        fetch --jobs 6 --delay 20ms --models "$model,thread-plain:3"
done
unset WEFT_COMPARE_SABOTAGE

# A limit that the jobs cannot fit in is said beforehand.
(
    ulimit -n 100
    run fetch --jobs 200 --delay 10ms --models async:1
    echo $? >"$TMP/code"
)
if [ "$(cat "$TMP/code")" -eq 3 ] &&
    grep -qF "async:1 needs 264 descriptors at once (200 jobs and 64 more), the limit is 100" \
        "$TMP/err"; then
    ok "a limit of descriptors that is too low"
else
    not_ok "a limit of descriptors that is too low" "exit code $(cat "$TMP/code")"
fi

expect "a full disk" 1 "--json: /dev/full cannot be written: No space left on device" \
    sleep --jobs 2 --delay 10ms --models sync --json /dev/full
expect "json and svg" 0 "" sleep --jobs 2 --delay 10ms --models sync,process:2 \
    --json "$TMP/x.json" --svg "$TMP/x.svg"
if [ "$(find "$TMP" -name 'x.json*' | wc -l)" -eq 1 ] && grep -q '"checksum"' "$TMP/x.json"; then
    ok "the JSON is there, and nothing beside it"
else
    not_ok "the JSON is there, and nothing beside it" "$(find "$TMP" -name 'x.json*')"
fi
mkdir -p "$TMP/empty"
(
    PATH=$TMP/empty
    "$COMPARE" sleep --jobs 2 --delay 10ms --models sync --svg "$TMP/y.svg" >"$TMP/out" 2>"$TMP/err"
    echo $? >"$TMP/code"
)
if [ "$(cat "$TMP/code")" -eq 0 ] && grep -qF "there is no gnuplot" "$TMP/err"; then
    ok "without gnuplot there is no figure, and no failure"
else
    not_ok "without gnuplot there is no figure, and no failure" "exit code $(cat "$TMP/code")"
fi

# SIGINT in the middle of every model: 130, the partial table, nothing left behind.
for model in sync thread-plain:4 thread:4 process:4 async:2 hybrid:2; do
    "$COMPARE" fetch --jobs 4 --delay 100ms --repeats 30 \
        --models "$model,thread-plain:4" >"$TMP/out" 2>"$TMP/err" </dev/null &
    outer=$!
    sleep 1.2
    kill -INT $outer
    wait $outer
    code=$?
    if [ $code -eq 130 ] && grep -q "^$model " "$TMP/out" && grep -q interrupted "$TMP/err"; then
        ok "SIGINT during $model"
    else
        not_ok "SIGINT during $model" "exit code $code, or no partial table"
    fi
    expect_none_left "nothing is left after SIGINT during $model"
done

# Killed without a chance to clean up: the kernel ends what it started.
for model in sync thread:4 process:4 async:2; do
    "$COMPARE" fetch --jobs 4 --delay 30s --models "$model" >/dev/null 2>&1 </dev/null &
    outer=$!
    sleep 0.5
    kill -KILL $outer
    wait $outer 2>/dev/null
    expect_none_left "nothing is left after SIGKILL during $model"
done
summary
