#!/usr/bin/env bash
# run.sh [FOLDER] - runs the tests of weft-compare, the program in FOLDER (build/release); the last
# line is the sum.
set -u
cd "$(dirname "$0")/../.." || exit 1
folder=${1:-build/release}
TMP=$(mktemp -d)
# A copy, so that the processes it leaves behind can be told from everybody else's.
COMPARE=$TMP/weft-compare
export COMPARE TMP
trap 'rm -rf "$TMP"' EXIT
if ! cp "$folder/weft-compare" "$COMPARE"; then
    echo "bench: there is no $folder/weft-compare; make tools"
    echo "0 passed, 1 failed"
    exit 1
fi
passed=0 failed=0
for part in arguments rivals sabotage faults; do
    timeout -k 10 300 bash "tests/bench/$part.sh" >"$TMP/$part" 2>&1
    status=$?
    grep -v ' passed, ' "$TMP/$part"
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$TMP/$part" | tail -n 1)
    if [ -z "$line" ]; then
        echo "FAILED $part: it ended with code $status"
        failed=$((failed + 1))
        continue
    fi
    p=${line%% *} f=${line#*, }
    passed=$((passed + p)) failed=$((failed + ${f%% *}))
    echo "$part: $line"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
