#!/usr/bin/env bash
# run.sh TARGET... - runs fuzz targets built in MODE under BUILD, FUZZ_SECONDS each, from their
# corpus; fails on the first finding, and says where it is. `make fuzz` and `make fuzz-afl` call it.
set -u

dict=$PWD/tests/fuzz/http.dict
# The library's own stacks are not the thread's: it says so to AddressSanitizer at each switch.
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}

run_libfuzzer() { # TARGET
    local target=$1 found=$BUILD/corpus/$1 crashes=$BUILD/crashes/$1
    mkdir -p "$found" "$crashes"
    local with_dict=()
    case $target in http* | url*) with_dict=(-dict="$dict") ;; esac
    if ! "$BUILD/bin/$target" "${with_dict[@]}" -max_total_time="$FUZZ_SECONDS" -max_len=8192 \
        -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$crashes/" \
        "$found" "tests/fuzz/corpus/$target" >"$BUILD/$target.log" 2>&1; then
        tail -60 "$BUILD/$target.log"
        echo "$target: a finding in $crashes"
        return 1
    fi
    echo "$target: $(awk '/number_of_executed_units/ { print $2 }' "$BUILD/$target.log") inputs, no finding"
}

run_afl() { # TARGET
    local target=$1 out=$BUILD/findings/$1
    rm -rf "$out"
    mkdir -p "$out"
    local with_dict=()
    case $target in http* | url*) with_dict=(-x "$dict") ;; esac
    if ! AFL_SKIP_CPUFREQ=1 AFL_NO_AFFINITY=1 AFL_NO_UI=1 AFL_AUTORESUME=0 \
        AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_FAST_CAL=1 \
        ASAN_OPTIONS=abort_on_error=1:symbolize=0:detect_leaks=0 \
        UBSAN_OPTIONS=halt_on_error=1:abort_on_error=1:symbolize=0 \
        afl-fuzz -i "tests/fuzz/corpus/$target" -o "$out" -V "$FUZZ_SECONDS" -t 2000 -m none \
        "${with_dict[@]}" -- "$BUILD/bin/$target" >"$BUILD/$target.log" 2>&1; then
        tail -30 "$BUILD/$target.log"
        echo "$target: AFL++ did not run"
        return 1
    fi
    local found
    found=$(find "$out" \( -path '*/crashes/id:*' -o -path '*/hangs/id:*' \) | head -1)
    if [ -n "$found" ]; then
        echo "$target: a finding: $found"
        return 1
    fi
    echo "$target: $(awk '/^execs_done/ { print $3 }' "$out"/*/fuzzer_stats) inputs, no finding"
}

for target in "$@"; do
    case $MODE in
    fuzz) run_libfuzzer "$target" || exit 1 ;;
    fuzz-afl) run_afl "$target" || exit 1 ;;
    *) for input in "tests/fuzz/corpus/$target"/*; do
        "$BUILD/bin/$target" "$input" || exit 1
    done ;;
    esac
done
