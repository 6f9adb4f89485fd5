#!/usr/bin/env bash
# namespaces.sh BUILD - servers in one network namespace, clients in another one, and between them a
# link that loses packets, swallows all of them, resets connections, is slow, or works one way
# only. Needs root. The last line is "N passed, N failed".
set -u

build=${1:?which build, as in build/test}
here=$(dirname "$0")
bin=$build/examples
work=$(mktemp -d)
pid= other=
inner=weft-in-$$ outer=weft-out-$$
end() {
    for p in $pid $other; do kill -KILL "$p" 2>/dev/null; done
    ip netns del "$inner" 2>/dev/null
    ip netns del "$outer" 2>/dev/null
    rm -rf "$work"
}
trap end EXIT
. "$here/lib.sh"

for tool in ip nft; do
    command -v "$tool" >/dev/null || { skip "networks that fail" "there is no $tool"; finish; exit; }
done
if ! ip netns add "$inner" 2>"$work/log" || ! ip netns add "$outer" 2>>"$work/log"; then
    skip "networks that fail" "no namespace can be made: $(head -n 1 "$work/log")"
    finish
    exit
fi
for program in http_server echo_server kv; do
    [ -x "$bin/$program" ] || { echo "namespaces.sh: $bin/$program is not built" >&2; exit 2; }
done
flags=()
case $build in
*asan*) flags=(-fsanitize=address,undefined) ;;
*tsan*) flags=(-fsanitize=thread) ;;
esac
cc=gcc
case $build in *tsan*) cc=clang ;; esac
"$cc" -std=gnu11 -D_GNU_SOURCE -O2 "${flags[@]}" -I"$here/../../include" -o "$work/client" \
    "$here/client.c" "$build/libweft-http.a" "$build/libweft-tls.a" "$build/libweft-dns.a" \
    "$build/libweft.a" -lcurl -lssl -lcrypto -lcares -levent_core -pthread || exit 1
gcc -std=gnu11 -D_GNU_SOURCE -O2 -o "$work/peers" "$here/peers.c" || exit 1

# ---- The link ----------------------------------------------------------------------------------

server_ip=10.213.7.1 second_ip=10.213.7.3 client_ip=10.213.7.2
in_() { ip netns exec "$inner" "$@"; }
out_() { ip netns exec "$outer" "$@"; }

make_link() {
    ip link add weft0 netns "$inner" type veth peer name weft1 netns "$outer" || return
    in_ ip addr add $server_ip/24 dev weft0 && in_ ip addr add $second_ip/24 dev weft0 &&
        out_ ip addr add $client_ip/24 dev weft1 &&
        in_ ip link set lo up && out_ ip link set lo up &&
        in_ ip link set weft0 up && out_ ip link set weft1 up || return
    # Addresses that answer nobody are to be found out by silence, not by ARP.
    in_ nft add table inet weft &&
        in_ nft add chain inet weft in '{ type filter hook input priority 0; }' &&
        in_ nft add chain inet weft out '{ type filter hook output priority 0; }'
}

# rule CHAIN WORDS...: at the server's side. clear: all of them are gone.
rule() {
    in_ nft add rule inet weft "$@"
}

clear() {
    in_ nft flush chain inet weft in
    in_ nft flush chain inet weft out
    in_ tc qdisc del dev weft0 root 2>/dev/null
    out_ tc qdisc del dev weft1 root 2>/dev/null
    return 0
}

black_hole() {
    rule in iifname weft0 drop && rule out oifname weft0 drop
}

# ---- Clients -----------------------------------------------------------------------------------

client() { # SECONDS ARGUMENT...
    timeout "$1" ip netns exec "$outer" "$work/client" "${@:2}" 2>&1 | tee "$work/said"
    return "${PIPESTATUS[0]}"
}

in_background() { # ARGUMENT...: a client, once it talks
    ip netns exec "$outer" "$work/client" "$@" >"$work/said" 2>&1 &
    other=$!
    until_said talking 10
}

until_said() { # PATTERN SECONDS
    for ((i = 0; i < $2 * 20; i++)); do
        ! grep -q "$1" "$work/said" || return 0
        sleep 0.05
    done
    cat "$work/said"
    echo "nothing was said of '$1'"
    return 1
}

joined() { # SECONDS: the client in the background has ended by then
    for ((i = 0; i < $1 * 20; i++)); do
        kill -0 "$other" 2>/dev/null || break
        sleep 0.05
    done
    kill -KILL "$other" 2>/dev/null && echo "the client had to be killed"
    wait "$other" 2>/dev/null
    other=
    cat "$work/said"
}

took() { # LEAST MOST: the milliseconds that were said
    local ms
    ms=$(sed -n 's/.* after \([0-9]*\) ms.*/\1/p' "$work/said" | tail -n 1)
    [ -n "$ms" ] && [ "$ms" -ge "$1" ] && [ "$ms" -le "$2" ]
}

# ---- What is tried -----------------------------------------------------------------------------

lossy() { # PERCENT BYTES
    rule in iifname weft0 meta l4proto tcp numgen random mod 100 \< "$1" drop &&
        rule out oifname weft0 meta l4proto tcp numgen random mod 100 \< "$1" drop &&
        client 150 echo "$server_ip:$port" "$2" 140000 && grep -q "^OK after .* $2 bytes came\$" "$work/said"
}

slow_link() { # 2 Mbit/s each way, with a queue of 30 ms
    in_ tc qdisc add dev weft0 root tbf rate 2mbit burst 8kb latency 30ms &&
        out_ tc qdisc add dev weft1 root tbf rate 2mbit burst 8kb latency 30ms &&
        client 100 echo "$server_ip:$port" 500000 90000 && took 1000 90000 && grep -q '^OK' "$work/said"
}

deadline_on_slow_link() { # which would take 40 s
    in_ tc qdisc add dev weft0 root tbf rate 200kbit burst 4kb latency 50ms &&
        ! client 60 echo "$server_ip:$port" 1000000 1000 && grep -q '^deadline ETIMEDOUT' "$work/said" &&
        took 1000 10000
}

hole_in_talk() {
    in_background lines "$server_ip:$port" 700 && black_hole && joined 20 &&
        grep -q '^deadline ETIMEDOUT' "$work/said" && took 700 10000
}

hole_in_connect() {
    black_hole && ! client 30 echo "$server_ip:$port" 10 800 &&
        grep -q '^deadline ETIMEDOUT' "$work/said" && took 800 10000
}

one_way() { # CHAIN DIRECTION
    in_background lines "$server_ip:$port" 700 && rule "$1" "$2" weft0 drop && joined 20 &&
        grep -q '^deadline ETIMEDOUT' "$work/said"
}

reset_in_talk() {
    in_background lines "$server_ip:$port" 20000 &&
        rule in iifname weft0 tcp dport "$port" reject with tcp reset && joined 20 &&
        grep -Eq '^E(CONNRESET|PIPE) after' "$work/said"
}

refused() {
    rule in iifname weft0 tcp dport "$port" reject with tcp reset &&
        ! client 20 echo "$server_ip:$port" 10 15000 && grep -q '^ECONNREFUSED after' "$work/said"
}

unreachable() {
    rule in iifname weft0 tcp dport "$port" reject with icmp type host-unreachable &&
        ! client 20 echo "$server_ip:$port" 10 15000 && grep -q '^EHOSTUNREACH after' "$work/said"
}

# The second address is tried 250 ms after the first one, which says nothing.
failover() {
    rule in iifname weft0 ip daddr $server_ip drop &&
        client 30 race "$server_ip:$port" "$second_ip:$port" 20000 &&
        grep -q "connected to $second_ip" "$work/said" && took 200 5000
}

failover_at_once() { # a refusal is not waited for
    rule in iifname weft0 ip daddr $server_ip tcp dport "$port" reject with tcp reset &&
        client 30 race "$server_ip:$port" "$second_ip:$port" 20000 &&
        grep -q "connected to $second_ip" "$work/said"
}

retried() { # the hole closes after the first attempt has failed
    black_hole || return
    ip netns exec "$outer" "$work/client" retry "http://$server_ip:$port/" 400 100 \
        >"$work/said" 2>&1 &
    other=$!
    until_said 'first attempt: ETIMEDOUT' 20 && clear && joined 60 && grep -q '^OK after' "$work/said"
}

drained() { # KIND PATTERN: with peers behind a hole, who will never be heard of again
    ip netns exec "$outer" "$work/peers" "$1" $server_ip "$port" 20 30 >"$work/peers1" 2>&1 &
    other=$!
    sleep 1
    black_hole && stop 15 "$2"
    local rc=$?
    kill -TERM "$other" 2>/dev/null
    wait "$other" 2>/dev/null
    other=
    return "$rc"
}

# After 1 s without a byte, and probes each second, 3 of them in this namespace.
dead_peer() {
    in_background_peer && black_hole || return
    for ((i = 0; i < 30 * 20; i++)); do
        ! grep -q '^ETIMEDOUT after' "$work/server" || break
        sleep 0.05
    done
    cat "$work/server"
    grep -q '^ETIMEDOUT after' "$work/server"
}

in_background_peer() { # half a request, and then silence
    ip netns exec "$outer" "$work/peers" half-request $server_ip "$port" 1 60 >"$work/peers1" 2>&1 &
    other=$!
    for ((i = 0; i < 200; i++)); do
        ! grep -q talking "$work/server" || return 0
        sleep 0.05
    done
    return 1
}

living_peer() { # answers the probes: nothing happens to it
    in_background_peer || return
    sleep 6
    cat "$work/server"
    ! grep -q ' after ' "$work/server"
}

end_other() {
    [ -n "$other" ] || return 0
    kill -TERM "$other" 2>/dev/null
    wait "$other" 2>/dev/null
    other=
}

try() { # NAME COMMAND...: with a good link to begin with
    clear
    check "$@"
    end_other
    clear
}

# ---- Trying ------------------------------------------------------------------------------------

if ! make_link >"$work/log" 2>&1; then
    skip "networks that fail" "no link can be made: $(head -n 1 "$work/log")"
    finish
    exit
fi

echo_start() { start ip netns exec "$inner" -- "$bin/echo_server" 0.0.0.0:0; }
check "echo_server starts" echo_start
try "bytes there and back over a good link" client 60 echo "$server_ip:$port" 5000000 50000
if (rule in numgen random mod 100 \< 0 drop) 2>/dev/null; then
    try "5 in 100 packets are lost: all bytes come" lossy 5 400000
    try "20 in 100 packets are lost: all bytes come" lossy 20 40000
else
    skip "lost packets" "nft has no numgen here"
fi
if in_ tc qdisc add dev weft0 root tbf rate 2mbit burst 8kb latency 30ms 2>/dev/null; then
    try "a slow link: all bytes come" slow_link
    try "a slow link: a deadline ends what takes too long" deadline_on_slow_link
else
    skip "a slow link" "tc has no tbf here"
fi
try "a black hole in the middle of a talk: the deadline ends it" hole_in_talk
try "a black hole from the start: the deadline ends connecting" hole_in_connect
try "only what the client sends is lost" one_way in iifname
try "only what the server sends is lost" one_way out oifname
try "a reset in the middle of a talk" reset_in_talk
try "a connection that is refused" refused
try "a host that is not to be reached" unreachable
try "an address that says nothing: the next one is tried" failover
try "an address that refuses: the next one is tried" failover_at_once
try "the server is as it was" client 30 echo "$server_ip:$port" 100000 20000
try "echo_server ends within its grace, peers gone or not" drained deaf '^connections served: [0-9]'

http_start() { start ip netns exec "$inner" -- "$bin/http_server" 0.0.0.0:0; }
check "http_server starts" http_start
try "a request is tried again until the hole closes" retried
try "http_server ends within its grace, peers gone or not" drained deaf '^requests: [0-9]'

kv_start() { start ip netns exec "$inner" -- "$bin/kv" --listen 0.0.0.0:0; }
check "kv starts" kv_start
try "kv ends within its grace, peers gone or not" drained silent '^requests: [0-9]'

in_ sysctl -qw net.ipv4.tcp_keepalive_probes=3 2>/dev/null ||
    in_ sh -c 'echo 3 >/proc/sys/net/ipv4/tcp_keepalive_probes' 2>/dev/null
watch_start() { start ip netns exec "$inner" -- "$work/client" watch 0.0.0.0:0 1; }
check "a server with probes starts" watch_start
try "a peer that is silent and there is left alone" living_peer
stop 15 listening >/dev/null
check "a server with probes starts again" watch_start
try "a peer that is gone is noticed by probes" dead_peer
check "the server with probes ends" stop 15 listening

finish
