#!/usr/bin/env bash
# crawler.sh FOLDER - tries the example crawler that was built there: on the site that it serves
# itself, and on one of 200 pages behind nginx, where that is installed. The last line is
# "N passed, N failed".
set -u

bin=${1:?where the examples are}
crawler=$bin
[ -d "$bin" ] && crawler=$bin/crawler
crawler=$(realpath "$crawler")
here=$(dirname "$0")
work=$(mktemp -d)
nginx=
trap '[ -z "$nginx" ] || kill -KILL "$nginx" 2>/dev/null; rm -rf "$work"' EXIT
unset WEFT_SEED WEFT_LOG http_proxy https_proxy
export TMPDIR=$work # for the demo's socket

passed=0 failed=0
check() { # NAME COMMAND...
    local name=$1
    shift
    if "$@" >"$work/log" 2>&1; then
        echo "ok      $name"
        passed=$((passed + 1))
    else
        echo "FAILED  $name"
        head -n 60 "$work/log" | cut -c 1-300 | sed 's/^/        /'
        failed=$((failed + 1))
    fi
}

crawl() { # EXIT-STATUS ARGUMENT...: what it prints is in $work/got
    local want=$1 status=0
    shift
    timeout 60 "$crawler" "$@" >"$work/got" 2>"$work/err" || status=$?
    cat "$work/got" "$work/err"
    echo "exit status $status"
    [ "$status" -eq "$want" ]
}

has() { # a line that matches, blanks being all the same
    tr -s ' ' <"$work/got" | grep -Eqx -- " ?$1" && return
    echo "no line is like: $1"
    return 1
}

# ---- Arguments ---------------------------------------------------------------------------------

refuses() { # TEXT ARGUMENT...: exactly that on standard error, and nothing else
    crawl 2 "${@:2}" && [ ! -s "$work/got" ] && [ "$(cat "$work/err")" = "crawler: $1" ]
}

helps() {
    crawl 0 --help && grep -q -- '--per-host N' "$work/got" && [ ! -s "$work/err" ]
}

check "--help" helps
check "no URL" refuses "which URL? --help lists the options"
check "two URLs" refuses "one URL, got 'b' as well" http://a/ b
check "a URL beside --demo" refuses "--demo has a URL of its own, got 'a' as well" --demo a
check "another scheme" refuses "'ftp://a/' is no URL of http or https" ftp://a/
check "a URL without a host" refuses "'http:///a' is no URL: no host" http:///a
check "--depth abc" refuses "--depth must be 0 to 100, got 'abc'" --depth abc
check "--depth 101" refuses "--depth must be 0 to 100, got '101'" --depth=101
check "--depth -1" refuses "--depth must be 0 to 100, got '-1'" --depth=-1
check "--depth with nothing" refuses "--depth must be 0 to 100, got ''" --depth=
check "--per-host 0" refuses "--per-host must be 1 to 1000, got '0'" --per-host 0
check "--concurrency 4x" refuses "--concurrency must be 1 to 1000, got '4x'" --concurrency 4x
check "--max-pages 0" refuses "--max-pages must be 1 to 1000000, got '0'" --max-pages 0
check "--max-pages over 2^64" refuses "--max-pages must be 1 to 1000000, got '18446744073709551617'" \
    --max-pages 18446744073709551617
check "--retries 1.5" refuses "--retries must be 0 to 100, got '1.5'" --retries 1.5
check "--timeout 0" refuses "--timeout must be 0.001 to 86400 seconds, got '0'" --timeout 0
check "--timeout nan" refuses "--timeout must be 0.001 to 86400 seconds, got 'nan'" --timeout nan
check "--timeout 0x10" refuses "--timeout must be 0.001 to 86400 seconds, got '0x10'" --timeout 0x10
check "--delay soon" refuses "--delay must be 0 to 86400 seconds, got 'soon'" --delay soon
check "--user-agent with a line end" refuses "--user-agent must be without control characters" \
    --user-agent $'a\nb'
check "an unknown option" crawl 2 --bogus http://a/

# ---- The site it serves itself -----------------------------------------------------------------

demo_prints() { # ARGUMENT...: what is expected, however many do it
    crawl 3 --demo "$@" && [ ! -s "$work/err" ] && diff -u "$here/crawler.out" "$work/got"
}

only_the_start_page() {
    crawl 0 --demo --depth 0 && has 'fetched 1' && ! grep -q excluded "$work/got"
}

one_host() {
    crawl 3 --demo --same-host --json - && grep -q '"url": "http://demo.example/n/5"' "$work/got" &&
        ! grep -q 'other.example\|closed.example' "$work/got"
}

decodes_entities() {
    crawl 3 --demo --json - &&
        grep -qF '"url": "http://demo.example/search?q=a&b=%C3%A9&c=a%20b"' "$work/got" &&
        ! grep -q 'not-a-link\|in-a-' "$work/got"
}

without_robots() {
    crawl 3 --demo --ignore-robots --json - && ! grep -q '"excluded",' "$work/got" &&
        grep -q '"url": "http://demo.example/private/deep/secret"' "$work/got"
}

another_agent() { # for which there is a group of its own
    crawl 1 --demo --user-agent "Other-Crawler/2.0 (+http://a/)" && has 'excluded 1 by robots.txt'
}

without_retries() {
    crawl 3 --demo --retries 0 && has '503: http://demo.example/flaky' && ! grep -q retries "$work/got"
}

too_slow() {
    crawl 3 --demo --retries 0 --timeout 0.5 && has 'timed out: http://demo.example/slow' &&
        has 'no answer within 0.5 s' && has 'on http://demo.example/' && has '[0-9]+ timed out'
}

limited() {
    crawl 0 --demo --max-pages 5 --concurrency 1 &&
        grep -q 'links not followed' "$work/got" && has 'fetched 5'
}

quiet() {
    crawl 3 --demo --quiet --json "$work/json" && [ ! -s "$work/got" ] && [ ! -s "$work/err" ] &&
        grep -q '"over_limit": 0' "$work/json"
}

json_cannot_be_written() { # which is known before anything is fetched
    crawl 1 --demo --json "$work/none/json" && [ ! -s "$work/got" ] &&
        grep -q "crawler: no such file or directory. $work/none/json cannot be written" "$work/err"
}

json_alone() { # whatever else is asked for
    crawl 3 --demo --verbose --json - && [ "$(head -c 1 "$work/got")" = "{" ] &&
        grep -q '^404 .*http://demo.example/missing$' "$work/err"
}

output_is_full() {
    local status=0
    timeout 20 "$crawler" --demo >/dev/full 2>"$work/err" || status=$?
    cat "$work/err"
    [ "$status" -eq 1 ] && grep -q 'standard output cannot be written$' "$work/err"
}

verbose() {
    crawl 3 --demo --verbose && grep -Eq '^404 +[0-9]+ bytes +[0-9]+ ms  http://demo.example/missing$' "$work/got"
}

shows_progress() {
    timeout 20 script -qec "$crawler --demo" /dev/null >"$work/got"
    grep -qa 'being fetched' "$work/got"
}

leaves_nothing() {
    ! compgen -G "$TMPDIR/crawler.*" >/dev/null
}

check "the demo" demo_prints
check "the demo, one after the other" demo_prints --concurrency 1
check "the demo, on three loops" demo_prints --loops 3 --concurrency 100 --per-host 50
check "--depth 0" only_the_start_page
check "--same-host" one_host
check "entities, comments, scripts" decodes_entities
check "--ignore-robots" without_robots
check "robots.txt has a group for us" another_agent
check "--retries 0" without_retries
check "--timeout" too_slow
check "--max-pages" limited
check "--quiet --json FILE" quiet
check "--json that cannot be written" json_cannot_be_written
check "--json - and --verbose" json_alone
check "a full disk under the report" output_is_full
check "--verbose" verbose
if command -v script >/dev/null; then
    check "progress on a terminal" shows_progress
else
    echo "skipped progress on a terminal: there is no script(1)"
fi
check "the demo leaves nothing behind" leaves_nothing

# ---- Nobody there ------------------------------------------------------------------------------

refused() {
    crawl 1 http://127.0.0.1:1/ --retries 1 && has '1 connection refused' &&
        has 'connection refused: http://127.0.0.1:1/'
}

no_such_name() {
    crawl 1 nowhere.invalid/a --retries 0 && grep -q ': http://nowhere.invalid/a$' "$work/got"
}

check "a connection that is refused" refused
check "a name that there is not" no_such_name

# ---- A site behind nginx -----------------------------------------------------------------------

make_site() {
    local i
    mkdir -p "$work/site/"{pages,slow,limited,secret}
    for ((i = 0; i < 200; i++)); do
        printf '<title>%d</title><a href="%d.html">a</a> <a href="/pages/./%d.html#x">b</a>
<A HREF=%d.html>c</A> <a href="../pages/%d.html">myself</a> <img src=/picture.png>\n' \
            $i $(((i * 7 + 1) % 200)) $(((i * 3 + 2) % 200)) $(((i + 1) % 200)) $i
        case $i in
        10 | 20) echo '<a href="/dead.html">dead</a>' ;;
        30) echo '<a href="/moved">moved</a>' ;;
        40) echo '<a href="/round/1">round</a> <a href="/secret/a.html">secret</a>' ;;
        50) echo '<a href="/broken">broken</a> <a href="http://localhost:'"$port"'/">me</a>' ;;
        esac >>"$work/extra"
        cat "$work/extra" 2>/dev/null
        rm -f "$work/extra"
    done | awk -v folder="$work/site/pages" '
        /^<title>/ { split($0, part, /[<>]/); file = folder "/" part[3] ".html" }
        { print > file }'
    {
        echo '<a href="pages/0.html">pages</a> <a href="/limited/1.html">1</a>'
        echo '<a href="/limited/2.html">2</a> <a href="/limited/3.html">3</a>'
    } >"$work/site/index.html"
    for i in 1 2 3; do echo "<p>$i" >"$work/site/limited/$i.html"; done
    { echo '<a href=/pages/3.html>3</a>'; head -c 60000 /dev/zero | tr '\0' ' '; } \
        >"$work/site/slow/index.html"
    echo secret >"$work/site/secret/a.html"
    printf '\211PNG' >"$work/site/picture.png"
    printf 'User-agent: *\nDisallow: /secret/\n' >"$work/site/robots.txt"
    [ "$(ls "$work/site/pages" | wc -l)" -eq 200 ]
}

# The second request within 50 ms is refused, so that of three at once two come again.
write_config() {
    cat >"$work/nginx.conf" <<END
daemon off;
master_process off;
pid $work/pid;
error_log $work/error.log;
events { worker_connections 256; }
http {
    types { text/html html; image/png png; text/plain txt; }
    access_log $work/access.log;
    client_body_temp_path $work/t1; proxy_temp_path $work/t2; fastcgi_temp_path $work/t3;
    uwsgi_temp_path $work/t4; scgi_temp_path $work/t5;
    limit_req_zone \$server_port zone=limited:1m rate=20r/s;
    server {
        listen 127.0.0.1:$port;
        root $work/site;
        location /limited/ { limit_req zone=limited; limit_req_status 500; }
        location /slow/ { limit_rate 20k; }
        location = /moved { return 301 /pages/50.html; }
        location = /round/1 { return 302 /round/2; }
        location = /round/2 { return 307 http://\$http_host/round/1; }
        location = /broken { return 444; }
    }
}
END
}

start_nginx() {
    local try
    for try in 1 2 3 4 5; do
        port=$((20000 + RANDOM % 20000))
        make_site && write_config || return
        nginx -c "$work/nginx.conf" -p "$work" >"$work/nginx.out" 2>&1 &
        nginx=$!
        for _ in {1..100}; do
            kill -0 "$nginx" 2>/dev/null || break
            (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return 0
            sleep 0.05
        done
        kill -KILL "$nginx" 2>/dev/null
        cat "$work/nginx.out" "$work/error.log"
    done
    nginx=
    return 1
}

whole_site() { # ARGUMENT...
    : >"$work/access.log"
    crawl 3 "http://127.0.0.1:$port" --depth 100 --retries 4 --same-host "$@" || return
    # 200 pages, the index, 3 limited ones, a picture, 2 redirects, a dead link; a broken page, and
    # a redirect that goes back to where it came from
    has 'fetched 208' && has 'redirects of these 2' && has 'failed 2' && has 'excluded 1 by robots.txt' &&
        has '205 200 OK' && has '1 404 Not Found' && has '1 301 Moved Permanently' &&
        has '404: http://127.0.0.1:[0-9]+/dead.html' &&
        has 'redirects without end: http://127.0.0.1:[0-9]+/round/2' &&
        has 'the stream ended before what was to be read: http://127.0.0.1:[0-9]+/broken' || return
    # Each page was asked for once.
    local twice
    twice=$(grep -o 'GET /pages/[^ ]*' "$work/access.log" | sort | uniq -d)
    [ -z "$twice" ] || { echo "asked for twice: $twice"; return 1; }
    grep -q '"GET /robots.txt ' "$work/access.log" && ! grep -q '"GET /secret/' "$work/access.log" &&
        grep -q '" 500 .*weft-crawler/' "$work/access.log"
}

other_hosts() {
    crawl 3 "http://127.0.0.1:$port/pages/50.html" --depth 1 --retries 0 --json - &&
        grep -q "\"url\": \"http://localhost:$port/\"" "$work/got"
}

slow_page() {
    crawl 1 "http://127.0.0.1:$port/slow/" --timeout 1 --retries 1 && has '1 timed out' &&
        has 'retries 1'
}

delayed() { # nine pages after the first request, which is for robots.txt
    local from=$EPOCHREALTIME to
    crawl 0 "http://127.0.0.1:$port/pages/0.html" --delay 0.05 --max-pages 9 || return
    to=$EPOCHREALTIME
    [ $((${to/./} - ${from/./})) -ge 440000 ]
}

interrupted() {
    local pid status=0
    : >"$work/access.log"
    env --default-signal=INT "$crawler" "http://127.0.0.1:$port/pages/0.html" --delay 0.2 \
        --json "$work/json" >"$work/got" 2>"$work/err" &
    pid=$!
    for _ in {1..200}; do
        [ "$(grep -c 'GET /pages/' "$work/access.log")" -lt 3 ] || break
        sleep 0.05
    done
    kill -INT "$pid"
    wait "$pid" || status=$?
    cat "$work/got" "$work/err"
    echo "exit status $status"
    [ "$status" -eq 130 ] && grep -q '^Interrupted: http' "$work/got" &&
        grep -q 'not reached' "$work/got" && grep -q '"interrupted": true' "$work/json"
}

if command -v nginx >/dev/null; then
    check "nginx serves the site" start_nginx
    if [ -n "$nginx" ]; then
        check "a site of 200 pages" whole_site
        check "a site of 200 pages, on two loops" whole_site --loops 2 --concurrency 64 --per-host 32
        check "links to other hosts" other_hosts
        check "a page that is too slow" slow_page
        check "--delay" delayed
        check "Ctrl-C" interrupted
        kill -TERM "$nginx"
        wait "$nginx"
        nginx=
    fi
else
    echo "skipped the site of 200 pages: there is no nginx"
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
