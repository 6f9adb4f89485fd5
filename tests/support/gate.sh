#!/usr/bin/env bash
# gate.sh - runs the Criterion tests of one mode and believes them only if everything agrees:
# each suite's closing line says Failing 0 and Crashing 0, all the tests known to exist were run or
# skipped by their own word, no sanitizer or memcheck wrote a log, no process was left behind,
# and it all ended in time. Criterion itself passes a test that leaks, and a run of no tests.
#
# Each suite is a run of its own, one test at a time, and as many suites at once as there are CPUs.
# With several tests at once in one run Criterion's sandbox can wait for itself for ever: it starts
# a test while it ends the thread that watches the time of the last one.
#
# MODE, BUILD, FILTER (SUITE/TEST, patterns), TEST_TIMEOUT (seconds for a suite) and TEST_JOBS come
# from the environment. The last line is "N passed, N failed".
set -u
shopt -s extglob

: "${MODE:?}" "${BUILD:?}"
filter=${FILTER:-}
case $BUILD in
/*) ;;
*) BUILD=$(pwd -P)/$BUILD ;;
esac
out=$BUILD/check
logs=$out/log
limit=${TEST_TIMEOUT:-$([ "$MODE" = test ] && echo 300 || echo 900)}
jobs=${TEST_JOBS:-$(nproc)}

rm -rf "$out"
mkdir -p "$logs"

run=("$BUILD/weft-tests")
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
    # The compiler, which makes a job for a test, is not ours to check.
    run=(valgrind -q --trace-children=yes --trace-children-skip='*/gcc,*/cc,*/*-gcc-*'
        --leak-check=full --errors-for-leak-kinds=definite
        --show-leak-kinds=definite --suppressions="$PWD/tests/support/valgrind.supp"
        --log-file="$logs/vg.%p" "${run[@]}")
    ;;
esac

suite_pattern=${filter%%/*}
test_pattern=*
case $filter in
*/*) test_pattern=${filter#*/} ;;
esac

# The longest first, so that none of them runs alone at the end.
suites() {
    local long='^(torture_core|procpool|workers_hybrid|workers_process|io_torture|executor)$'
    "$BUILD/weft-tests" --list | sed -nE 's/^([a-z_0-9]+): [0-9]+ tests?$/\1/p' | sort >"$out/suites"
    grep -E "$long" "$out/suites"
    grep -vE "$long" "$out/suites"
}

# One suite; what it has to say is in $out/SUITE.txt, .tap and .status.
suite() {
    local name=$1
    "$BUILD/reaper" "$limit" "${run[@]}" --verbose --jobs 1 --tap="$out/$name.tap" \
        --filter "$name/$test_pattern" >"$out/$name.txt" 2>&1
    echo $? >"$out/$name.status"
    sed -i 's/\x1b\[[0-9;]*m//g' "$out/$name.txt"
}

echo "unit tests ($MODE${filter:+, $filter}): output in ${out#"$PWD"/}/SUITE.txt"
ulimit -c 0
chosen=()
running=0
while read -r name; do
    # shellcheck disable=SC2053 # a pattern
    [ -z "$filter" ] || [[ $name == $suite_pattern ]] || continue
    chosen+=("$name")
    if [ "$running" -ge "$jobs" ]; then
        wait -n
        running=$((running - 1))
    fi
    suite "$name" </dev/null &
    running=$((running + 1))
done < <(suites)
wait

passing=0 failing=0 skipped=0 broken=()
for name in ${chosen[@]+"${chosen[@]}"}; do
    text=$out/$name.txt
    status=$(cat "$out/$name.status" 2>/dev/null || echo none)
    # Without the progress of passed tests, and what the filter left out.
    grep -vE '^\[(RUN |PASS|SKIP)\]|^\[====\]|^\[----\] (Criterion|Writing)' "$text" | tail -n 100
    closing=$(grep 'Synthesis: Tested:' "$text" | tail -n 1)
    field() { sed -n "s/.*$1: *\([0-9]*\).*/\1/p" <<<"$closing"; }
    bad=$(field Failing)
    # A test that a filter leaves out is in this list too, without a reason of its own.
    grep -i '# *skip' "$out/$name.tap" 2>/dev/null | grep -v 'test was skipped' |
        sed 's/^ok - /skipped: /' >>"$out/skipped"
    case $status in
    0 | 1) ;;
    90) broken+=("$name: processes were left behind") ;;
    91) broken+=("$name: not finished after $limit s") ;;
    *) broken+=("$name: the test program ended with status $status") ;;
    esac
    if [ -z "$closing" ]; then
        broken+=("$name: there is no closing line")
        # Each test says RUN, and at its end PASS, FAIL or SKIP.
        sed -nE 's/^\[(RUN |PASS|FAIL|SKIP)\] ([a-z_0-9]+::[a-z_0-9]+).*/\2/p' "$text" |
            sort | uniq -u | sed 's/^/gate: did not end: /'
    elif [ "$status" = 1 ] && [ "${bad:-0}" -eq 0 ]; then
        broken+=("$name: status 1 without a failing test")
    fi
    tested=$(field Tested)
    passing=$((passing + ${tested:-0} - ${bad:-0}))
    failing=$((failing + ${bad:-0}))
done
find "$logs" -type f -empty -delete
# An error of memcheck's has ==PID==; --PID-- is a word about itself, such as a system call that it
# does not know and answers with ENOSYS.
[ "$MODE" != valgrind ] ||
    find "$logs" -type f -name 'vg.*' -exec grep -L '^==' {} + | xargs -r rm -f
for log in "$logs"/*; do
    [ -e "$log" ] || continue
    echo "---- $log"
    head -n 60 "$log"
    broken+=("report: $log")
done

[ ! -e "$out/skipped" ] || skipped=$(wc -l <"$out/skipped")
ran=$((passing + failing + skipped))
expected=$(cat tests/support/expected-tests 2>/dev/null || echo 1)
echo "$ran" >"$out/ran"
if [ -n "$filter" ]; then
    [ "$ran" -gt 0 ] || broken+=("no test matches '$filter'")
elif [ "$ran" -lt "$expected" ]; then
    broken+=("$ran tests ran, $expected are known (tests/support/expected-tests)")
elif [ "$ran" -gt "$expected" ]; then
    echo "$ran tests ran, $expected were known: 'make record-tests' notes the new number"
fi
cat "$out/skipped" 2>/dev/null

for b in ${broken[@]+"${broken[@]}"}; do
    echo "gate: $b"
done
failed=$((failing + ${#broken[@]}))
echo "$passing passed, $failed failed"
[ "$failed" -eq 0 ]
