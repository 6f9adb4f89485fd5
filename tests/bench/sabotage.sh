#!/usr/bin/env bash
# sabotage.sh - a model that drops a job, lies about a latency, or holds a descriptor is noticed,
# whichever model it is and whatever the workload.
. "$(dirname "$0")/lib.sh"

models="sync thread-plain:3 thread:3 process:2 async:1 async:2 hybrid:2"

noticed() { # SABOTAGE TEXT ARGUMENTS...
    local sabotage=$1 text=$2 model
    shift 2
    for model in $models; do
        export WEFT_COMPARE_SABOTAGE="$sabotage:$model"
        expect "$1: $model $sabotage" 1 "$model: $text" "$@" --models "$model,thread-plain:4"
        unset WEFT_COMPARE_SABOTAGE
    done
}

for model in $models; do
    expect "an honest $model passes" 0 "" sleep --jobs 6 --delay 20ms --models "$model"
done
noticed drop-job "5 bodies ran for 6 jobs" sleep --jobs 6 --delay 20ms
noticed lie-latency "job 5: latency of" sleep --jobs 6 --delay 20ms
noticed hold-fd "open descriptors: " sleep --jobs 6 --delay 20ms
noticed drop-job "5 bodies ran for 6 jobs" fetch --jobs 6 --delay 20ms
noticed lie-latency "job 5: latency of" fetch --jobs 6 --delay 20ms
noticed hold-fd "open descriptors: " fetch --jobs 6 --delay 20ms
noticed drop-job "3 bodies ran for 4 jobs" cpu --jobs 4
noticed lie-latency "job 3: latency of" cpu --jobs 4
summary
