#!/usr/bin/env bash
# run.sh - weft's micro benchmarks and the same cases in Go, Tokio, libuv and asyncio, in one run.
#
# Rounds are interleaved: each program of ours is followed by every rival on the same cases, and
# then all begins anew, so that what else the machine does falls on all alike. Shown is the median
# of the rounds. Everything is bounded in time: builds, each program, and the whole.
set -u
cd "$(dirname "$0")/../.." || exit 1

RIVALS=(go tokio libuv asyncio)
BUILD=build/rivals
BUDGET=285  # seconds for all, builds included
RUN_MAX=40  # for one program
BUILD_MAX=120

# CASE | CPUs | program of ours, and its options | its row | what
# One CPU: all is bound to it. Two: threads are where their runtime and the kernel put them.
table() {
    cat <<'EOF'
yield-2      |1| switch --repeats 5                  | yield, 2 tasks              | yield, 2 tasks
yield-1000   |1| switch --repeats 5                  | yield, 1,000 tasks          | yield, 1,000 tasks
spawn-join   |1| spawn --repeats 3                   | spawn+join, all exist       | spawn and join, 10,000 alive
gather       |1| gather --repeats 5                  | gather, none waits          | gather of 10,000, a task
future       |1| future --repeats 5                  | set+wait, one loop, in turn | future set and awaited, one loop
queue        |1| queue --repeats 3 --count 200000    | one loop, shared            | queue of 256, one loop, a message
chan         |1| chan --repeats 3 --count 200000     | one loop, room for 128      | channel of 128, one loop, a message
mutex        |1| sync --repeats 5                    | mutex, uncontended          | mutex, lock and unlock, free
timer        |1| timer --repeats 5 --count 100000    | all live, random            | timer add and cancel, 100,000 live
chan-threads |2| chan --repeats 3 --count 200000     | two loops, room for 128     | channel of 128, two threads
chan-free    |2| chan --repeats 3 --count 200000     | two loops, room for 128     | channel of 128, placed by the runtime
blocking     |2| executor --repeats 3 --count 100000 | 1,000 in flight, 2 threads  | blocking call, 1,000 in flight
trip-threads |2| cross --repeats 3 --count 2000      | spinning, semaphores        | round trip, two threads
trip-free    |2| cross --repeats 3 --count 2000      | spinning, semaphores        | round trip, placed by the runtime
EOF
}

usage() {
    cat <<EOF
run.sh - weft's micro benchmarks beside the same cases in Go, Tokio, libuv and asyncio

  --rounds N     how often everything is measured, 1 to 9 (default 3); the median is shown
  --rivals LIST  of ${RIVALS[*]} (default: all that are installed)
  --cases LIST   of the cases below (default: all)
  --weft FOLDER  where our benchmarks are (default build/release/bench; make benches builds them)
  --json FILE    also write the results as JSON
  --help         this text

Cases, nanoseconds each:
EOF
    table | awk -F' *[|] *' '{printf "  %-13s %s\n", $1, $5}'
    cat <<EOF

Where a runtime places its tasks itself, Go and Tokio may run both on one thread; weft's tasks stay on
the two loops they were started on, so its figure is the same in both rows. Builds land in $BUILD.
The run takes two to three minutes, and never more than five.
EOF
}

# ---- Arguments ------------------------------------------------------------------------------

die() { # CODE TEXT
    echo "rivals: $2" >&2
    exit "$1"
}

and_list() { # WORDS... -> a, b and c
    local last=${*:$#} text
    printf -v text '%s, ' "${@:1:$#-1}"
    echo "${text%, } and $last"
}

# Each name of a list, separated by commas, must be one of the others.
known() { # OPTION WHAT LIST NAMES...
    local option=$1 what=$2 list=$3 name
    shift 3
    while IFS= read -r name; do
        [[ -n $name && " $* " == *" $name "* ]] ||
            die 2 "$option: unknown $what '$name': there are $(and_list "$@")"
    done < <(tr ',' '\n' <<<"$list")
}

mapfile -t CASES < <(table | awk '{print $1}')
rounds=3 rivals='' cases='' weft=build/release/bench json=''

while [ $# -gt 0 ]; do
    option=$1
    shift
    case $option in
    --help)
        usage
        exit 0
        ;;
    --rounds | --rivals | --cases | --weft | --json)
        [ $# -gt 0 ] || die 2 "$option needs a value"
        value=$1
        shift
        ;;
    --*=*)
        set -- "${option%%=*}" "${option#*=}" "$@"
        continue
        ;;
    -*) die 2 "unknown option '$option'; --help lists them" ;;
    *) die 2 "unexpected argument '$option'; --help lists the options" ;;
    esac
    case $option in
    --rounds)
        [[ $value =~ ^[1-9]$ ]] || die 2 "--rounds must be 1 to 9, got '$value'"
        rounds=$value
        ;;
    --rivals) known --rivals rival "$value" "${RIVALS[@]}" && rivals=$value ;;
    --cases) known --cases case "$value" "${CASES[@]}" && cases=$value ;;
    --weft)
        [ -d "$value" ] || die 2 "--weft: there is no folder '$value'"
        weft=$value
        ;;
    --json)
        [ -n "$value" ] || die 2 "--json needs a value"
        json=$value
        ;;
    esac
done
if [ -n "$json" ]; then
    [ ! -d "$json" ] || die 3 "--json: $json is a folder"
    { : >>"$json"; } 2>/dev/null || die 3 "--json: $json cannot be written"
fi

wants() { # LIST NAME: an empty list is all
    [[ -z $1 || ",$1," == *",$2,"* ]]
}

have() { command -v "$1" >/dev/null 2>&1; }

have taskset || die 1 "there is no taskset (Debian: util-linux)"
have timeout || die 1 "there is no timeout (Debian: coreutils)"

# The first two CPUs this process may use.
mapfile -t cpus < <(awk '/^Cpus_allowed_list:/ {
    n = split($2, parts, ",")
    for (i = 1; i <= n; i++) {
        split(parts[i], ends, "-")
        for (cpu = ends[1]; cpu <= (ends[2] == "" ? ends[1] : ends[2]); cpu++) print cpu + 0
    }
}' /proc/self/status | head -n 2)
pair=$(IFS=, && echo "${cpus[*]}")

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM
mkdir -p "$BUILD"

# ---- Which rivals are here ------------------------------------------------------------------

declare -A command version

absent() { # RIVAL WHY
    printf '  %-8s not here: %s\n' "$1" "$2"
}

# Runs a build; when it fails its first words are shown, and all of it stays in a file.
build() { # RIVAL COMMAND...
    local rival=$1 log=$BUILD/$1.log
    shift
    left=$((BUDGET - SECONDS))
    [ "$left" -le "$BUILD_MAX" ] || left=$BUILD_MAX
    [ "$left" -gt 0 ] && timeout -k 5 "$left" "$@" >"$log" 2>&1 && return
    absent "$rival" "it does not build here ($log)"
    grep -m 3 -i error "$log" | sed 's/^/             /'
    return 1
}

found() { # RIVAL VERSION COMMAND
    version[$1]=$(tr -d '\042\134' <<<"$2")
    command[$1]=$3
    printf '  %-8s %s\n' "$1" "${version[$1]}"
}

look_go() {
    have go || { absent go "apt-get install golang-go" && return; }
    local here=$PWD/$BUILD
    build go env GOCACHE="$here/go-cache" GOPATH="$here/go-path" GO111MODULE=off GOFLAGS= \
        go build -o "$BUILD/rival-go" bench/rivals/go/main.go || return
    found go "$(go env GOVERSION)" "$BUILD/rival-go"
}

# Built from the crates that Debian packages, which stand in for the registry: no network. Cargo's
# own files stay in our folder; the lock is made anew, for any version of cargo to like it.
look_tokio() {
    local crates=/usr/share/cargo/registry here=$BUILD/tokio crate
    { have cargo && have rustc; } ||
        { absent tokio "apt-get install cargo rustc librust-tokio-dev" && return; }
    crate=$(compgen -G "$crates/tokio-1*" | head -n 1)
    [ -n "$crate" ] || { absent tokio "apt-get install librust-tokio-dev" && return; }
    mkdir -p "$here/.cargo"
    cp -u bench/rivals/tokio/Cargo.toml bench/rivals/tokio/main.rs "$here"
    printf '[source.crates-io]\nreplace-with = "debian"\n[source.debian]\ndirectory = "%s"\n' \
        "$crates" >"$here/.cargo/config.toml"
    rm -f "$here/Cargo.lock"
    build tokio env -C "$here" CARGO_HOME="$PWD/$here/home" CARGO_TARGET_DIR=target \
        cargo build --release --offline || return
    found tokio "$(basename "$crate"), $(rustc --version | cut -d' ' -f1,2)" \
        "$here/target/release/rival-tokio"
}

look_libuv() {
    local cc=${CC:-cc}
    have "$cc" || { absent libuv "there is no compiler called $cc" && return; }
    echo '#include <uv.h>' | "$cc" -E -x c - >/dev/null 2>&1 ||
        { absent libuv "apt-get install libuv1-dev" && return; }
    build libuv "$cc" -std=gnu11 -O2 -o "$BUILD/rival-libuv" bench/rivals/libuv.c -luv || return
    found libuv "libuv $(echo '#include <uv.h>
        version UV_VERSION_MAJOR UV_VERSION_MINOR UV_VERSION_PATCH' | "$cc" -E -P -x c - |
        awk '/^ *version/ {print $2 "." $3 "." $4}')" "$BUILD/rival-libuv"
}

look_asyncio() {
    local python=${PYTHON:-python3}
    have "$python" || { absent asyncio "apt-get install python3" && return; }
    "$python" -c 'import asyncio; asyncio.run' 2>/dev/null ||
        { absent asyncio "$python is older than 3.7" && return; }
    found asyncio "$("$python" --version 2>&1)" "$python bench/rivals/asyncio.py"
}

echo "Rivals:"
running=()
for rival in "${RIVALS[@]}"; do
    wants "$rivals" "$rival" || continue
    "look_$rival"
    [ -z "${command[$rival]-}" ] || running+=("$rival")
done

# ---- Measuring ------------------------------------------------------------------------------
# Each figure is a line in $tmp/figures: CASE WHO NS.

failures=0
: >"$tmp/figures"

failed() { # WHO WHAT STATUS
    case $3 in
    124 | 137)
        [ "$left" -eq "$RUN_MAX" ] || return # the time for all is up, which is said below
        echo "FAILED $1: $2 was stopped after $RUN_MAX s"
        ;;
    *) echo "FAILED $1: $2 ended with code $3" ;;
    esac
    failures=$((failures + 1))
    [ ! -s "$tmp/err" ] || head -n 5 "$tmp/err" | sed 's/^/    /'
}

# A program with a limit of time, on some CPUs. Sets left, the limit.
bounded() { # CPUS COMMAND...
    local on=$1
    shift
    left=$((BUDGET - SECONDS))
    [ "$left" -gt 0 ] || return 124
    [ "$left" -le "$RUN_MAX" ] || left=$RUN_MAX
    timeout --foreground -k 2 "$left" taskset -c "$on" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
}

# Our program, and from its JSON the rows that are cases: the name of a row stands behind "name".
measure_weft() { # PROGRAM OPTIONS...
    local program=$1 status
    shift
    rm -f "$tmp/json"
    bounded "$pair" "$weft/$program" "$@" --json "$tmp/json"
    status=$?
    [ "$status" -eq 0 ] || { failed weft "$program" "$status" && return; }
    [ -f "$tmp/json" ] || return # it needs two CPUs, and has said so
    sed -nE 's/^ *\{"name": "([^"]*)".*"median": ([0-9.]+),.*/\1|\2/p' "$tmp/json" >"$tmp/rows"
    awk -F'|' -v program="$program" '
        NR == FNR { ns[$1] = $2; next }
        { split($3, words, " "); gsub(/^ +| +$/, "", $1); gsub(/^ +| +$/, "", $4) }
        words[1] == program && $4 in ns { print $1, "weft", ns[$4] }' \
        "$tmp/rows" "$tmp/table" >>"$tmp/figures"
}

measure_rival() { # RIVAL CPUS CASES...
    local rival=$1 on=$2 status
    shift 2
    # shellcheck disable=SC2086 # a command of several words
    bounded "$on" ${command[$rival]} "$@"
    status=$?
    [ "$status" -eq 0 ] || failed "$rival" "$*" "$status"
    awk -v who="$rival" 'NF == 2 && $2 + 0 > 0 {print $1, who, $2}' "$tmp/out" >>"$tmp/figures"
}

skipped=()
while IFS= read -r line; do
    wants "$cases" "${line%% *}" || continue
    if [[ $line == *'|2|'* && ${#cpus[@]} -lt 2 ]]; then
        skipped+=("${line%% *}")
        continue
    fi
    echo "$line"
done < <(table) >"$tmp/table"

cases_of() { # PROGRAM-AND-OPTIONS CPUS -> cases
    awk -F' *[|] *' -v program="$1" -v n="$2" '$3 == program && $2 == n {print $1}' "$tmp/table"
}

mapfile -t programs < <(awk -F' *[|] *' '!seen[$3]++ {print $3}' "$tmp/table")
load=$(cut -d' ' -f1 /proc/loadavg)
measured=0

for ((round = 1; round <= rounds; round++)); do
    for program in "${programs[@]}"; do
        [ "$SECONDS" -lt "$BUDGET" ] || break 2
        [ ! -t 1 ] || printf '\r  round %d of %d: %-20s\r' "$round" "$rounds" "${program%% *}"
        # A part of weft that is not built has no figure; the rivals are measured all the same.
        # shellcheck disable=SC2086 # a program and its options
        [ ! -x "$weft/${program%% *}" ] || measure_weft $program
        mapfile -t alone < <(cases_of "$program" 1)
        mapfile -t both < <(cases_of "$program" 2)
        for rival in "${running[@]}"; do
            [ "${#alone[@]}" -eq 0 ] || measure_rival "$rival" "${cpus[0]}" "${alone[@]}"
            [ "${#both[@]}" -eq 0 ] || measure_rival "$rival" "$pair" "${both[@]}"
        done
    done
    [ "$SECONDS" -lt "$BUDGET" ] || break
    measured=$round
done
[ ! -t 1 ] || printf '\r%50s\r' ''

# ---- What came out --------------------------------------------------------------------------

[ "$measured" -eq "$rounds" ] || echo "Time was up in round $((measured + 1)) of $rounds: what was measured till then counts."
[ "${#skipped[@]}" -eq 0 ] || echo "Needs two CPUs, and this process may use one: ${skipped[*]}"
if [ ! -s "$tmp/figures" ]; then
    echo "Nothing was measured."
    [ -x "$weft/switch" ] || echo "There are no benchmarks in $weft: make benches"
    exit 1
fi

versions="weft=$(sed -nE 's/^VERSION := //p' Makefile)"
for rival in "${running[@]}"; do
    versions+="|$rival=${version[$rival]}"
done

echo
awk -v who_list="weft ${running[*]}" -v json="$json" -v rounds="$measured" -v cpus="$pair" \
    -v load="$load" -v kernel="$(uname -r)" -v versions="$versions" '
function number(x,    text, out) {
    if (x < 10) return sprintf("%.2f", x)
    if (x < 100) return sprintf("%.1f", x)
    text = sprintf("%.0f", x)
    while (length(text) > 3) {
        out = "," substr(text, length(text) - 2) out
        text = substr(text, 1, length(text) - 3)
    }
    return text out
}

# Sorts the values of a case and sets med, low and high.
function spread(key,    n, i, j, v, swap) {
    n = split(values[key], v, " ")
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && v[j - 1] + 0 > v[j] + 0; j--) {
            swap = v[j]; v[j] = v[j - 1]; v[j - 1] = swap
        }
    med[key] = n % 2 ? v[(n + 1) / 2] + 0 : (v[n / 2] + v[n / 2 + 1]) / 2
    low[key] = v[1] + 0
    high[key] = v[n] + 0
}

FILENAME == ARGV[1] { values[$1, $2] = values[$1, $2] " " $3; next }

{
    split($0, field, /[ \t]*[|][ \t]*/)
    cases[++n_cases] = field[1]
    what[field[1]] = field[5]
}

END {
    n_who = split(who_list, who, " ")
    printf "%-36s", rounds == 1 ? "ns, one round" : "ns, median of " rounds " rounds"
    for (w = 1; w <= n_who; w++) printf " %10s", who[w]
    print "    ratio  best"
    for (c = 1; c <= n_cases; c++) {
        name = cases[c]
        best = rival = ""
        n_have = 0
        for (w = 1; w <= n_who; w++) {
            if (!((name, who[w]) in values)) continue
            spread(name SUBSEP who[w])
            n_have++
            x = med[name, who[w]]
            if (best == "" || x < med[name, best]) best = who[w]
            if (w > 1 && (rival == "" || x < med[name, rival])) rival = who[w]
        }
        if (best == "") continue
        if (n_have == 1) best = "-" # of whom
        printf "%-36s", what[name]
        for (w = 1; w <= n_who; w++)
            printf " %10s", (name, who[w]) in med ? number(med[name, who[w]]) (who[w] == best ? "*" : " ") : "- "
        ratio[name] = ""
        if ((name, "weft") in med && rival != "") {
            ratio[name] = med[name, "weft"] / med[name, rival]
            compared++
            if (best == "weft") won++
            else lost = lost sprintf("\n  %s: %s, %s ns less", what[name], best, number(med[name, "weft"] - med[name, best]))
        }
        printf " %8s  %s\n", ratio[name] == "" ? "-" : sprintf("%.2f", ratio[name]), best
        bests[name] = best
    }
    print "\n* is the best of its row; ratio is weft'\''s figure over the best rival'\''s."
    if (compared > 0) {
        printf "weft is best in %d of %d cases that both sides have.%s\n", won, compared, lost == "" ? "" : " Others are in:" lost
    }

    if (json == "") exit
    printf "{\"program\": \"rivals\", \"unit\": \"ns\", \"rounds\": %d, \"cpus\": \"%s\", \"load_before\": %s, \"kernel\": \"%s\",\n \"versions\": {", \
        rounds, cpus, load, kernel >json
    n = split(versions, pairs, "|")
    for (i = 1; i <= n; i++) {
        at = index(pairs[i], "=")
        printf "%s\"%s\": \"%s\"", (i == 1 ? "" : ", "), substr(pairs[i], 1, at - 1), substr(pairs[i], at + 1) >json
    }
    printf "},\n \"cases\": [" >json
    sep = ""
    for (c = 1; c <= n_cases; c++) {
        name = cases[c]
        if (!(name in bests)) continue
        printf "%s\n  {\"case\": \"%s\", \"what\": \"%s\"", sep, name, what[name] >json
        for (w = 1; w <= n_who; w++)
            if ((name, who[w]) in med)
                printf ", \"%s\": {\"median\": %.2f, \"min\": %.2f, \"max\": %.2f}", who[w], \
                    med[name, who[w]], low[name, who[w]], high[name, who[w]] >json
        if (ratio[name] != "") printf ", \"ratio\": %.4f", ratio[name] >json
        if (bests[name] != "-") printf ", \"best\": \"%s\"", bests[name] >json
        printf "}" >json
        sep = ","
    }
    printf "\n ]}\n" >json
}' "$tmp/figures" "$tmp/table" || failures=$((failures + 1))

unmeasured=$(awk -F' *[|] *' 'FILENAME == ARGV[1] { if ($0 ~ / weft /) has[substr($0, 1, index($0, " ") - 1)] = 1; next }
    !($1 in has) { split($3, words, " "); printf "%s%s (%s: %s)", sep, $1, words[1], $4; sep = "; " }' \
    "$tmp/figures" "$tmp/table")
[ -z "$unmeasured" ] || echo "No figure of weft, as there is no such row in $weft: $unmeasured"
echo "Load before: $load on $(nproc) CPUs; what else runs disturbs the rows of two threads most."
[ "$failures" -eq 0 ]
