#!/usr/bin/env bash
# gate.sh - runs the Criterion tests of one mode and believes them only if everything agrees:
# the closing line says Failing 0 and Crashing 0, all the tests known to exist were run or
# skipped by their own word, no sanitizer or memcheck wrote a log, no process was left behind,
# and it all ended in time. Criterion itself passes a test that leaks, and a run of no tests.
#
# MODE, BUILD, FILTER, TEST_TIMEOUT (seconds) and TEST_JOBS come from the environment.
# The last line is "N passed, N failed".
set -u

: "${MODE:?}" "${BUILD:?}"
filter=${FILTER:-}
case $BUILD in
/*) ;;
*) BUILD=$(pwd -P)/$BUILD ;;
esac
out=$BUILD/check
logs=$out/log
limit=${TEST_TIMEOUT:-$([ "$MODE" = test ] && echo 900 || echo 2400)}

rm -rf "$out"
mkdir -p "$logs"

run=("$BUILD/weft-tests" --tap="$out/tests.tap" ${filter:+--filter "$filter"}
    ${TEST_JOBS:+--jobs "$TEST_JOBS"})
case $MODE in
asan | ubsan | tsan)
    # One folder of logs; clang's runtimes write to whichever path was set last, so the name of a
    # log may be another sanitizer's.
    export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1:log_path=$logs/asan
    export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:log_path=$logs/tsan
    export UBSAN_OPTIONS=print_stacktrace=1:log_path=$logs/$MODE
    # Random addresses collide with the sanitizers' own at the settings of many machines.
    if setarch -R true 2>/dev/null; then
        run=(setarch -R "${run[@]}")
    fi
    ;;
valgrind)
    # One log per process; only those with errors count, below.
    run=(valgrind -q --trace-children=yes --leak-check=full --errors-for-leak-kinds=definite
        --show-leak-kinds=definite --suppressions=tests/support/valgrind.supp
        --log-file="$logs/vg.%p" "${run[@]}")
    ;;
esac

echo "unit tests ($MODE${filter:+, $filter}): output in ${out#"$PWD"/}/output.txt"
ulimit -c 0
"$BUILD/reaper" "$limit" "${run[@]}" >"$out/output.txt" 2>&1
status=$?

# Without the progress of passed tests: what failed, and the closing line.
sed 's/\x1b\[[0-9;]*m//g' "$out/output.txt" | tail -n 200

closing=$(sed 's/\x1b\[[0-9;]*m//g' "$out/output.txt" | grep 'Synthesis: Tested:' | tail -n 1)
field() { sed -n "s/.*$1: *\([0-9]*\).*/\1/p" <<<"$closing"; }
tested=$(field Tested) failing=$(field Failing) crashing=$(field Crashing)
# A test that a filter leaves out is in this list too, without a reason of its own.
grep -i '# *skip' "$out/tests.tap" 2>/dev/null | grep -v 'test was skipped' >"$out/skipped"
skipped=$(wc -l <"$out/skipped")
expected=$(cat tests/support/expected-tests 2>/dev/null || echo 1)

broken=()
case $status in
0 | 1) ;;
90) broken+=("processes were left behind") ;;
91) broken+=("not finished after $limit s") ;;
*) broken+=("the test program ended with status $status") ;;
esac
[ -n "$closing" ] || broken+=("there is no closing line")
[ "$status" != 1 ] || [ "${failing:-0}" -gt 0 ] || broken+=("status 1 without a failing test")
find "$logs" -type f -empty -delete
for log in "$logs"/*; do
    [ -e "$log" ] || continue
    echo "---- $log"
    head -n 60 "$log"
    broken+=("report: $log")
done

ran=$((${tested:-0} + skipped))
echo "$ran" >"$out/ran"
if [ -n "$filter" ]; then
    [ "$ran" -gt 0 ] || broken+=("no test matches '$filter'")
elif [ "$ran" -lt "$expected" ]; then
    broken+=("$ran tests ran, $expected are known (tests/support/expected-tests)")
elif [ "$ran" -gt "$expected" ]; then
    echo "$ran tests ran, $expected were known: 'make record-tests' notes the new number"
fi
sed 's/^ok - /skipped: /' "$out/skipped"

for b in "${broken[@]}"; do
    echo "gate: $b"
done
failed=$((${failing:-0} + ${#broken[@]}))
echo "$((${tested:-0} - ${failing:-0})) passed, $failed failed"
[ "$failed" -eq 0 ]
