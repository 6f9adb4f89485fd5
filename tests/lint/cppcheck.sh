#!/usr/bin/env bash
# cppcheck.sh - static analysis of the library, the workers, the examples and the benchmarks.
set -u

folders=()
for f in lib workers examples bench; do
    [ -d "$f" ] && folders+=("$f")
done
# Suppressed: what it says about itself (missing system headers, its own limits). jansson's loop is
# a macro that it cannot see.
cppcheck -q -j2 --std=c11 --language=c --enable=warning,performance,portability \
    --error-exitcode=1 --inline-suppr -D__x86_64__ -D__linux__ -D__GNUC__=12 -D_GNU_SOURCE \
    '-Djson_array_foreach(array,index,value)=for (index = 0; (value = next(array)) != 0;)' \
    -Iinclude -Ilib --suppress=missingIncludeSystem --suppress=unmatchedSuppression \
    --suppress=normalCheckLevelMaxBranches --suppress=toomanyconfigs \
    --template='{file}:{line}: {id}: {message}' "${folders[@]}"
