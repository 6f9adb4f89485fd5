#!/usr/bin/env bash
# arguments.sh - what the command line refuses, in which words, and with which exit code.
. "$(dirname "$0")/lib.sh"

expect "no arguments" 2 "weft-compare WORKLOAD"
expect "help" 0 "--models LIST" --help
expect "help behind a workload" 0 "--models LIST" sleep --help
expect "version" 0 "weft-compare 0." --version
expect "list has the workloads" 0 "fetch" list
expect "list has the models" 0 "hybrid:N" list
expect "list with arguments" 2 "list takes no arguments, got 'all'" list all
expect "unknown workload" 2 \
    "unknown workload 'slep': there are sleep, fetch, cpu, sleep_blocking and fetch_blocking" slep
expect "option before the workload" 2 "the workload comes first, got '--jobs'" --jobs 3 sleep
expect "unknown option" 2 "unknown option '--job'" sleep --job 3
expect "unexpected argument" 2 "unexpected argument '3'" sleep 3
expect "option without value" 2 "--jobs needs a value" sleep --jobs
expect "suite knows no models" 2 "unknown option '--models'" suite --models sync
for jobs in abc 0 -1 1000001 1.5 99999999999999999999 "3 " 0x10; do
    expect "jobs $jobs" 2 "--jobs must be 1 to 1000000, got '$jobs'" sleep --jobs "$jobs"
done
expect "jobs with an equals sign" 2 "--jobs must be 1 to 1000000, got 'x'" sleep --jobs=x
for delay in abc 1 1m -1s 0s 3601s 1e3s 0x1s nans infs; do
    expect "delay $delay" 2 "--delay must be 1us to 3600s, as 250ms, 1s or 1.5s, got '$delay'" \
        sleep --delay "$delay"
done
expect "cpu has no delay" 2 "--delay: cpu does not wait" cpu --delay 1s
for repeats in 0 101 x; do
    expect "repeats $repeats" 2 "--repeats must be 1 to 100, got '$repeats'" \
        sleep --repeats "$repeats"
done
expect "unknown model" 2 "unknown model 'thred': there are sync, thread-plain:N, thread:N, \
process:N, async:N and hybrid:N" sleep --models sync,thred
expect "empty model" 2 "unknown model ''" sleep --models sync,,async
for width in 0 20001 -1 x ""; do
    expect "thread:$width" 2 "model 'thread:$width': the number must be 1 to 20000" \
        sleep --models "thread:$width"
done
expect "process:1025" 2 "model 'process:1025': the number must be 1 to 1024" \
    sleep --models process:1025
expect "sync takes no number" 2 "model 'sync:2': sync takes no number" sleep --models sync:2
expect "width alone" 2 "--width needs --models" sleep --width 1,2
expect "bad width" 2 "--width must be numbers from 1 to 20000, as 1,4,16, got '1,x'" \
    sleep --models thread --width 1,x
expect "width too large for the model" 2 "--width: async takes 1 to 1024, got 5000" \
    sleep --models async --width 5000
expect "sleep asks no server" 2 "--url: sleep asks no server" sleep --url http://127.0.0.1/
expect "url and delay" 2 "--delay and --url exclude each other" \
    fetch --url http://127.0.0.1/ --delay 1s
expect "https" 2 "--url: only http:// is spoken" fetch --url https://127.0.0.1/
for url in 127.0.0.1 http:// http://:80/ http://127.0.0.1:0/ http://127.0.0.1:x/ \
    http://127.0.0.1:99999/ "http://127.0.0.1/a b" http://user@127.0.0.1/ "http://[::1/"; do
    expect "url $url" 2 "--url must be http://HOST[:PORT][/PATH], got '$url'" fetch --url "$url"
done
expect "json in a folder that is not there" 3 "--json: /nonexistent/x.json cannot be written" \
    sleep --json /nonexistent/x.json
expect "svg onto a folder" 2 "--svg: /tmp is a folder" sleep --svg /tmp

# What comes out when all is well.
expect "widths in turn, resolved" 0 "thread:3" \
    sleep --jobs 4 --delay 10ms --models sync,thread --width 1,3
if grep -q '^thread:1 ' "$TMP/out" && grep -q '^sync ' "$TMP/out"; then
    ok "every width has a row"
else
    not_ok "every width has a row" "thread:1 or sync is missing"
fi
if grep -q '^thread-plain:4 ' "$TMP/out"; then
    ok "thread-plain is added"
else
    not_ok "thread-plain is added" "there is no row thread-plain:4"
fi
if [ "$(LC_ALL=C.UTF-8 wc -L <"$TMP/out")" -le 110 ]; then
    ok "no line is longer than 110 columns"
else
    not_ok "no line is longer than 110 columns" "one is"
fi
if ! grep -q "$(printf '\033')" "$TMP/out" && [ ! -s "$TMP/err" ]; then
    ok "no colour and no progress without a terminal"
else
    not_ok "no colour and no progress without a terminal" "there is some"
fi
expect "a model twice is run once" 0 "" \
    sleep --jobs 2 --delay 10ms --models async:1,async:1,thread-plain:2
if [ "$(grep -c '^async:1 ' "$TMP/out")" -eq 2 ]; then # once in each table
    ok "one row for a model given twice"
else
    not_ok "one row for a model given twice" "$(grep -c '^async:1 ' "$TMP/out") rows"
fi
summary
