#!/usr/bin/env bash
# check.sh PART... - runs parts of the tests, unit tools examples strangers models, and adds up what
# they say.
#
# A part is a script whose last line reads "N passed, N failed"; one that says nothing of the kind
# counts as one test. MODE and BUILD come from the environment. The last line is the sum.
set -u

passed=0 failed=0
out=$(mktemp)
trap 'rm -f "$out"' EXIT

part() { # NAME COMMAND...
    local name=$1 status p f line
    shift
    echo "== $name"
    "$@" 2>&1 | tee "$out"
    status=${PIPESTATUS[0]}
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$out" | tail -n 1)
    if [ -n "$line" ]; then
        p=${line%% *} f=${line#*, } f=${f%% *}
        # A script that fails without a failed test has failed itself.
        [ "$status" -eq 0 ] || [ "$f" -gt 0 ] || f=1
    else
        p=$((status == 0)) f=$((status != 0))
    fi
    passed=$((passed + p)) failed=$((failed + f))
}

for name in "$@"; do
    case $name in
    unit) part "unit tests" tests/support/gate.sh ;;
    tools)
        [ ! -x tests/bench/run.sh ] || part tools timeout 960 tests/bench/run.sh "$BUILD"
        ;;
    examples)
        [ ! -x tests/examples/run.sh ] ||
            part examples timeout 900 tests/examples/run.sh "$BUILD/examples"
        ;;
    strangers)
        [ ! -x tests/strangers/run.sh ] ||
            part strangers timeout 900 tests/strangers/run.sh "$BUILD"
        ;;
    net)
        part "hostile peers" timeout 1500 tests/net/hostile.sh "$BUILD"
        part "bad networks" timeout 900 tests/net/namespaces.sh "$BUILD"
        ;;
    models)
        if [ ! -x tests/models/run.sh ]; then
            :
        elif command -v spin >/dev/null; then
            part models timeout 900 tests/models/run.sh
        else
            echo "== models: not checked, there is no spin"
        fi
        ;;
    *)
        echo "check: no part named $name"
        failed=$((failed + 1))
        ;;
    esac
done
echo
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
