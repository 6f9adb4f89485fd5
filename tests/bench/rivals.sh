#!/usr/bin/env bash
# rivals.sh - the comparison with other runtimes: what its command line refuses, and what it makes of
# figures. The figures, ours and a rival's, come from scripts here, so nothing is built or measured.
. "$(dirname "$0")/lib.sh"
COMPARE=bench/rivals/run.sh

expect "help" 0 "--rounds N" --help
expect "help has the cases" 0 "trip-free" --help
expect "unknown option" 2 "rivals: unknown option '--round'; --help lists them" --round 3
expect "unexpected argument" 2 "rivals: unexpected argument '3'" 3
for option in --rounds --rivals --cases --weft --json; do
    expect "$option without value" 2 "rivals: $option needs a value" "$option"
done
expect "empty name of a file" 2 "rivals: --json needs a value" --json=
for rounds in 0 10 -1 x "" 1.5 "3 "; do
    expect "rounds '$rounds'" 2 "rivals: --rounds must be 1 to 9, got '$rounds'" --rounds "$rounds"
done
expect "rounds with an equals sign" 2 "rivals: --rounds must be 1 to 9, got 'x'" --rounds=x
expect "unknown rival" 2 \
    "rivals: --rivals: unknown rival 'rust': there are go, tokio, libuv and asyncio" --rivals go,rust
expect "empty rival" 2 "rivals: --rivals: unknown rival ''" --rivals ""
expect "unknown case" 2 "rivals: --cases: unknown case 'yield': there are yield-2, yield-1000," \
    --cases yield
expect "no such folder" 2 "rivals: --weft: there is no folder '/nonexistent'" --weft /nonexistent
expect "json in a folder that is not there" 3 "rivals: --json: /nonexistent/x cannot be written" \
    --json /nonexistent/x
expect "json onto a folder" 3 "rivals: --json: /tmp is a folder" --json /tmp

# Ours says 10 ns, a rival what is in $TMP/theirs.
fake=$TMP/fake
mkdir -p "$fake"
cat >"$fake/switch" <<'EOF'
#!/bin/sh
while [ "$1" != --json ]; do shift; done
cat >"$2" <<END
{"rows": [
  {"name": "yield, 2 tasks", "unit": "ns", "median": 10.0000, "min": 1.0},
  {"name": "all live, random", "unit": "ns", "median": 20.0000, "min": 1.0}
]}
END
EOF
cat >"$fake/python" <<'EOF'
#!/bin/sh
case $1 in
-c) exit 0 ;;
--version) echo 'Python 9' ;;
*) . "$TMP/theirs" ;;
esac
EOF
chmod +x "$fake/switch" "$fake/python"
export PYTHON=$fake/python
ours() { # NAME CODE TEXT ARGUMENTS...
    local name=$1 code=$2 text=$3
    shift 3
    expect "$name" "$code" "$text" --weft "$fake" --rivals asyncio --cases yield-2 --rounds 1 "$@"
}

echo 'echo yield-2 40.00' >"$TMP/theirs"
ours "ours is best" 0 "weft is best in 1 of 1 cases" --json "$TMP/json"
ours "a ratio" 0 "0.25  weft"
if grep -qF '"weft": {"median": 10.00' "$TMP/json" && grep -qF '"ratio": 0.2500, "best": "weft"' "$TMP/json"; then
    ok "json"
else
    not_ok "json" "$(cat "$TMP/json")"
fi
echo 'echo yield-2 4.00' >"$TMP/theirs"
ours "theirs is best" 0 "weft is best in 0 of 1 cases"
ours "theirs is said to be best" 0 "yield, 2 tasks: asyncio, 6.00 ns less"
echo 'echo yield-2 $(cat "$TMP/next"); echo 30 >"$TMP/next"' >"$TMP/theirs"
echo 20 >"$TMP/next"
ours "the median of two rounds" 0 "25.0 " --rounds 2
expect "rows of ours that are not there, or in another program" 0 \
    "in $fake: yield-1000 (switch: yield, 1,000 tasks); timer (timer: all live, random)" \
    --weft "$fake" --rivals asyncio --cases yield-2,yield-1000,timer --rounds 1
echo 'echo broken >&2; exit 3' >"$TMP/theirs"
ours "a rival that fails" 1 "FAILED asyncio: yield-2 ended with code 3"
echo '' >"$TMP/theirs"
printf '#!/bin/sh\nexit 1\n' >"$fake/switch"
ours "ours fails" 1 "FAILED weft: switch ended with code 1"
rm "$fake/switch"
ours "nothing to measure" 1 "There are no benchmarks in $fake: make benches"

# Where no toolchain is, each is named as Debian calls it.
for tool in awk basename bash cat cut dirname grep head mkdir mktemp nproc rm sed tail taskset timeout tr uname; do
    ln -s "$(command -v "$tool")" "$fake/$tool"
done
export PATH=$fake PYTHON=none CC=cc
for want in golang-go librust-tokio-dev "no compiler called cc" python3; do
    expect "missing: $want" 1 "$want" --weft "$fake" --cases yield-2 --rounds 1
done

summary
