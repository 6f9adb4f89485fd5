/*
 * test_parse.c - heads and chunked bodies: what is accepted, what is refused, and that no cut of the
 * bytes changes it.
 */
#include <stdio.h>

#include "t.h"
#include "http/t_http.h"

TestSuite(http_parse, .timeout = 60);

enum kind { REQUEST, RESPONSE, CHUNKS };

static ssize_t
outcome(weft_buf *out, enum kind kind, unsigned method, const char *data, size_t len, size_t cut)
{
    ssize_t rc;
    out->len = 0;
    if (kind == REQUEST)
        t_http_request(out, data, len, cut, &rc);
    else if (kind == RESPONSE)
        t_http_response(out, method, data, len, cut, &rc);
    else
        t_http_chunked(out, data, len, cut, &rc);
    T_OK(weft_buf_append(out, "", 1));
    return rc;
}

/* The outcome of the whole message; each cut in two, and byte by byte, must give the same. */
static ssize_t
judge(weft_buf *whole, enum kind kind, unsigned method, const char *data, size_t len)
{
    weft_buf pieces = {0};
    ssize_t rc = outcome(whole, kind, method, data, len, T_HTTP_WHOLE);
    for (size_t cut = 0; cut <= len; cut++) {
        outcome(&pieces, kind, method, data, len, cut == len ? T_HTTP_BYTES : cut);
        cr_assert(pieces.len == whole->len && memcmp(pieces.data, whole->data, whole->len) == 0,
                  "cut at %zu of \"%.*s\"\n%s\n%s", cut, (int)len, data, (char *)pieces.data,
                  (char *)whole->data);
    }
    weft_buf_free(&pieces);
    return rc;
}

/* What is expected: "" for more; three digits for a refusal with that status; "!" for a refusal
 * without one; else what t_http.h writes behind the number of bytes, for an accepted message. */
struct row {
    const char *data;
    size_t len;
    const char *expected;
};

#define ROW(text, expected)                                                                        \
    {                                                                                              \
        text, sizeof text - 1, expected                                                            \
    }

static void
check(enum kind kind, unsigned method, const struct row *rows, size_t n)
{
    weft_buf whole = {0};
    for (size_t i = 0; i < n; i++) {
        const struct row *row = &rows[i];
        ssize_t rc = judge(&whole, kind, method, row->data, row->len);
        const char *text = (char *)whole.data, *behind = strchr(text, ' ');
        bool good;
        if (row->expected[0] == 0)
            good = rc == 0;
        else if (row->expected[0] == '!')
            good = rc < 0;
        else if (kind == REQUEST && strlen(row->expected) == 3)
            good = rc < 0 && strncmp(behind + 1, row->expected, 3) == 0;
        else
            good = rc > 0 && strcmp(behind + 1, row->expected) == 0;
        cr_expect(good, "\"%.*s\"\n  gave %s\n  not  %s", (int)row->len, row->data, text,
                  row->expected);
    }
    weft_buf_free(&whole);
}

#define CHECK(kind, method, rows) check(kind, method, rows, sizeof rows / sizeof *rows)

/* Request with these lines behind a sound request line and Host. */
#define WITH(lines, expected) ROW("POST / HTTP/1.1\r\nHost: h\r\n" lines "\r\n", expected)

Test(http_parse, sound_requests_are_read)
{
    static const struct row rows[] = {
        ROW("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "[GET] [/] 1.1 keep 0 host[x] [Host] =[x]"),
        ROW("GET / HTTP/1.0\r\n\r\n", "[GET] [/] 1.0 0"),
        ROW("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
            "[GET] [/] 1.0 keep 0 [Connection] =[Keep-Alive]"),
        ROW("GET / HTTP/1.7\r\nHost: x\r\n\r\n", "[GET] [/] 1.1 keep 0 host[x] [Host] =[x]"),
        ROW("\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "[GET] [/] 1.1 keep 0 host[x] [Host] =[x]"),
        ROW("GET /a?b=|{}^&c HTTP/1.1\r\nHOST:\t x:80 \t\r\n\r\nrest",
            "[GET] [/a?b=|{}^&c] 1.1 keep 0 host[x:80] [HOST] =[x:80]"),
        ROW("M-SEARCH * HTTP/1.0\r\n\r\n", "400"),
        ROW("OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n", "[OPTIONS] [*] 1.1 keep 0 host[] [Host] =[]"),
        ROW("CONNECT h:443 HTTP/1.1\r\nHost: other\r\n\r\n",
            "[CONNECT] [h:443] 1.1 keep 0 host[h:443] [Host] =[other]"),
        ROW("CONNECT [::1]:443 HTTP/1.0\r\n\r\n",
            "[CONNECT] [[::1]:443] 1.0 0 authority[[::1]:443]"),
        ROW("GET http://a.b:1/c HTTP/1.1\r\nHost: other\r\n\r\n",
            "[GET] [http://a.b:1/c] 1.1 keep 0 host[a.b:1] [Host] =[other]"),
        ROW("GET http://a?q HTTP/1.0\r\n\r\n", "[GET] [http://a?q] 1.0 0 authority[a]"),
        ROW("BREW / HTTP/1.1\r\nHost: [2001:db8::1]\r\n\r\n",
            "[BREW] [/] 1.1 keep 0 host[[2001:db8::1]] [Host] =[[2001:db8::1]]"),
        WITH("", "[POST] [/] 1.1 keep 0 host[h] [Host] =[h]"),
        WITH("Content-Length: 0\r\n",
             "[POST] [/] 1.1 keep length 0 host[h] [Host] =[h] [Content-Length] =[0]"),
        WITH("content-LENGTH:9223372036854775807\r\n",
             "[POST] [/] 1.1 keep length 9223372036854775807 host[h] [Host] =[h] [content-LENGTH] "
             "=[9223372036854775807]"),
        WITH("Transfer-Encoding: Chunked \r\nExpect: 100-Continue\r\n",
             "[POST] [/] 1.1 keep chunked expect 0 host[h] [Host] =[h] [Transfer-Encoding] "
             "=[Chunked] [Expect] =[100-Continue]"),
        WITH("Connection: a ,, Upgrade ,close\r\nUpgrade: websocket\r\n",
             "[POST] [/] 1.1 upgrade 0 host[h] [Host] =[h] [Connection] =[a ,, Upgrade ,close] "
             "[Upgrade] =[websocket]"),
        WITH("Upgrade: websocket\r\n",
             "[POST] [/] 1.1 keep 0 host[h] [Host] =[h] [Upgrade] =[websocket]"),
        WITH("Connection: keep-alive, close\r\n",
             "[POST] [/] 1.1 0 host[h] [Host] =[h] [Connection] =[keep-alive, close]"),
        WITH("X:a\tb\x80\xff \"c\"\r\nY:\r\nY: \r\n",
             "[POST] [/] 1.1 keep 0 host[h] [Host] =[h] [X] =[a\tb\x80\xff \"c\"] [Y] =[] [Y] =[]"),
        WITH("!#$%&'*+-.^_`|~09: v\r\n",
             "[POST] [/] 1.1 keep 0 host[h] [Host] =[h] [!#$%&'*+-.^_`|~09] =[v]"),
    };
    CHECK(REQUEST, 0, rows);
}

Test(http_parse, requests_that_are_not_complete_are_waited_for)
{
    static const struct row rows[] = {
        ROW("", ""),
        ROW("\r", ""),
        ROW("\r\n", ""),
        ROW("GET", ""),
        ROW("GET / HTTP/1.1", ""),
        ROW("GET / HTTP/1.1\r", ""),
        ROW("GET / HTTP/1.1\r\n", ""),
        ROW("GET / HTTP/1.1\r\nHost: x\r\n", ""),
        ROW("GET / HTTP/1.1\r\nHost: x\r\n\r", ""),
    };
    CHECK(REQUEST, 0, rows);
}

Test(http_parse, request_lines_that_smuggle_are_refused)
{
    static const struct row rows[] = {
        ROW("\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ROW("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ROW(" GET / HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ROW("GET  / HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ROW("GET /  HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ROW("GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ROW("GET /\tHTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ROW("GET / HTTP/1.1 \r\nHost: x\r\n\r\n", "400"),
        ROW("GET / HTTP/1.1\nHost: x\r\n\r\n", "400"),
        ROW("GET / HTTP/1.1\rHost: x\r\n\r\n", "400"),
        ROW("GET / HTTP/1.1\r\r\nHost: x\r\n\r\n", "400"),
        ROW("GET /\r\n\r\n", "400"),
        ROW("GET\r\n\r\n", "400"),
        ROW("GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ROW("GET /a\0b HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ROW("GET /\x80 HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ROW("GET /\x7f HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ROW("GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ROW("GET /0123456789abcdef# HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ROW("G(T / HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ROW("GET / http/1.1\r\nHost: x\r\n\r\n", "400"),
        ROW("GET / HTTP/1.10\r\nHost: x\r\n\r\n", "400"),
        ROW("GET / HTTP/01.1\r\nHost: x\r\n\r\n", "400"),
        ROW("GET / HTTP/1\r\nHost: x\r\n\r\n", "400"),
        ROW("GET / HTTP/1.\r\nHost: x\r\n\r\n", "400"),
        ROW("GET / HTTP/1,1\r\nHost: x\r\n\r\n", "400"),
        ROW("GET / HTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ROW("GET / HTTP/2.0\r\nHost: x\r\n\r\n", "505"),
        ROW("GET / HTTP/0.9\r\n", "505"),
        ROW("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"),
        ROW("GET * HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ROW("OPTIONS ** HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ROW("GET a HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ROW("GET x:80 HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ROW("GET 1http://x/ HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ROW("GET http:/x HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ROW("GET http:///x HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ROW("GET http://:80/x HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ROW("GET http://u@x/ HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ROW("GET http://x\\y/ HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ROW("CONNECT / HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ROW("CONNECT x HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ROW("CONNECT x: HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ROW("CONNECT :80 HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ROW("CONNECT x:65536 HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ROW("CONNECT http://x:80 HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ROW("CONNECT x:80 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n", "400"),
        ROW("CONNECT x:80 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "400"),
        ROW("\x16\x03\x01\x02\x00\x01\n", "400"),
    };
    CHECK(REQUEST, 0, rows);
}

Test(http_parse, fields_that_smuggle_are_refused)
{
    static const struct row rows[] = {
        /* two lengths */
        WITH("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "400"),
        WITH("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "400"),
        WITH("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", "400"),
        WITH("Content-Length: 5\r\nContent-Length: 6\r\n", "400"),
        WITH("Content-Length: 5\r\nContent-Length: 5\r\n", "400"),
        WITH("Content-Length: 5, 5\r\n", "400"),
        WITH("Content-Length: 5,6\r\n", "400"),
        /* lengths that are none */
        WITH("Content-Length:\r\n", "400"),
        WITH("Content-Length: +5\r\n", "400"),
        WITH("Content-Length: -5\r\n", "400"),
        WITH("Content-Length: 0x5\r\n", "400"),
        WITH("Content-Length: 5a\r\n", "400"),
        WITH("Content-Length: 5 5\r\n", "400"),
        WITH("Content-Length: \v5\r\n", "400"),
        WITH("Content-Length: 5\f\r\n", "400"),
        WITH("Content-Length: 5.0\r\n", "400"),
        WITH("Content-Length: \"5\"\r\n", "400"),
        WITH("Content-Length: 9223372036854775808\r\n", "400"),
        WITH("Content-Length: 18446744073709551616\r\n", "400"),
        WITH("Content-Length: 18446744073709551621\r\n", "400"),
        WITH("Content-Length: 100000000000000000000000000000000005\r\n", "400"),
        /* codings */
        WITH("Transfer-Encoding:\r\n", "400"),
        WITH("Transfer-Encoding: xchunked\r\n", "400"),
        WITH("Transfer-Encoding: chunkedx\r\n", "400"),
        WITH("Transfer-Encoding: chunked, chunked\r\n", "400"),
        WITH("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "400"),
        WITH("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "400"),
        WITH("Transfer-Encoding: identity\r\n", "400"),
        WITH("Transfer-Encoding: identity, chunked\r\n", "400"),
        WITH("Transfer-Encoding: chunked, identity\r\n", "400"),
        WITH("Transfer-Encoding: chunked, gzip\r\n", "400"),
        WITH("Transfer-Encoding: gzip, chunked\r\n", "501"),
        WITH("Transfer-Encoding: gzip\r\n", "400"),
        WITH("Transfer-Encoding: chunked;q=1\r\n", "400"),
        WITH("Transfer-Encoding: \"chunked\"\r\n", "400"),
        WITH("Transfer-Encoding: , chunked\r\n", "400"),
        WITH("Transfer-Encoding: chunked,\r\n", "400"),
        WITH("Transfer-Encoding: chunked\v\r\n", "400"),
        WITH("Transfer-Encoding: \x0b"
             "chunked\r\n",
             "400"),
        WITH("Transfer-Encoding: chunked\0\r\n", "400"),
        ROW("POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", "400"),
        /* lines */
        WITH("Transfer-Encoding : chunked\r\n", "400"),
        WITH("Transfer-Encoding\t: chunked\r\n", "400"),
        WITH(" Transfer-Encoding: chunked\r\n", "400"),
        WITH("X: a\r\n b\r\n", "400"),
        WITH("X: a\r\n\tContent-Length: 5\r\n", "400"),
        WITH("X: a\nContent-Length: 5\r\n", "400"),
        WITH("X: a\rContent-Length: 5\r\n", "400"),
        WITH("X: a\r\rContent-Length: 5\r\n", "400"),
        WITH("X: a\r\r\n", "400"),
        WITH("X: a\0b\r\n", "400"),
        WITH("X: 0123456789abcd\x01\r\n", "400"),
        WITH("X: 0123456789\x7f\r\n", "400"),
        WITH("X\0: a\r\n", "400"),
        WITH("X\x80: a\r\n", "400"),
        WITH(": a\r\n", "400"),
        WITH("X\r\n", "400"),
        WITH("X Y: a\r\n", "400"),
        WITH("X(: a\r\n", "400"),
        WITH("\r", "400"),
        ROW("GET / HTTP/1.1\r\nHost: x\n\n", "400"),
        ROW("GET / HTTP/1.1\r\nHost: x\r\n\n", "400"),
        ROW("GET / HTTP/1.1\n\n", "400"),
        /* hosts */
        ROW("GET / HTTP/1.1\r\n\r\n", "400"),
        ROW("GET http://x/ HTTP/1.1\r\n\r\n", "400"),
        ROW("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400"),
        ROW("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", "400"),
        ROW("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400"),
        ROW("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", "400"),
        ROW("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", "400"),
        ROW("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400"),
        ROW("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "400"),
        ROW("GET / HTTP/1.1\r\nHost: a:\x38x\r\n\r\n", "400"),
        ROW("GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n", "400"),
        ROW("GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", "400"),
        ROW("GET / HTTP/1.1\r\nHost: a:000080\r\n\r\n", "400"),
        ROW("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", "400"),
        ROW("GET / HTTP/1.1\r\nHost: [x]\r\n\r\n", "400"),
        ROW("GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", "400"),
        ROW("GET / HTTP/1.1\r\nHost: a%2\r\n\r\n", "400"),
        ROW("GET / HTTP/1.1\r\nHost: a%zz\r\n\r\n", "400"),
        ROW("GET / HTTP/1.1\r\nHost: \xc3\xa4\r\n\r\n", "400"),
        /* expectations */
        WITH("Expect: 200-ok\r\n", "417"),
        WITH("Expect: 100-continue, x\r\n", "417"),
    };
    CHECK(REQUEST, 0, rows);
}

Test(http_parse, responses_say_what_body_follows)
{
    static const struct row to_get[] = {
        ROW("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
            "200 [OK] 1.1 length keep length 3 [Content-Length] =[3]"),
        ROW("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            "200 [OK] 1.1 none keep length 0 [Content-Length] =[0]"),
        ROW("HTTP/1.1 200 \r\n\r\n", "200 [] 1.1 close 0"),
        ROW("HTTP/1.1 200\r\n\r\n", "200 [] 1.1 close 0"),
        ROW("HTTP/1.0 200 So it is\t\xe4\r\n\r\n", "200 [So it is\t\xe4] 1.0 close 0"),
        ROW("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n",
            "200 [OK] 1.0 length keep length 1 [Connection] =[keep-alive] [Content-Length] =[1]"),
        ROW("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "200 [OK] 1.1 chunks keep chunked 0 [Transfer-Encoding] =[chunked]"),
        ROW("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
            "204 [No Content] 1.1 none keep length 0 [Content-Length] =[0]"),
        ROW("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
            "304 [Not Modified] 1.1 none keep length 9 [Content-Length] =[9]"),
        ROW("HTTP/1.1 100 Continue\r\n\r\n", "100 [Continue] 1.1 none keep 0"),
        ROW("HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n",
            "101 [X] 1.1 tunnel upgrade 0 [Connection] =[upgrade] [Upgrade] =[a]"),
        ROW("HTTP/1.1 200 OK\r\nContent-Le", ""),
        ROW("HTTP/1.1 200 OK", ""),
        ROW("HTTP/1.1 204 X\r\nContent-Length: 1\r\n\r\n", "!"),
        ROW("HTTP/1.1 100 X\r\nTransfer-Encoding: chunked\r\n\r\n", "!"),
        ROW("HTTP/1.1 200 X\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "!"),
        ROW("HTTP/1.1 200 X\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "!"),
        ROW("HTTP/1.0 200 X\r\nTransfer-Encoding: chunked\r\n\r\n", "!"),
        ROW("HTTP/1.1 200 X\r\nTransfer-Encoding: gzip\r\n\r\n", "!"),
        ROW("\r\nHTTP/1.1 200 X\r\n\r\n", "!"),
        ROW("HTTP/1.1  200 X\r\n\r\n", "!"),
        ROW("HTTP/1.1 20 X\r\n\r\n", "!"),
        ROW("HTTP/1.1 2000 X\r\n\r\n", "!"),
        ROW("HTTP/1.1 099 X\r\n\r\n", "!"),
        ROW("HTTP/1.1 600 X\r\n\r\n", "!"),
        ROW("HTTP/1.1 200 X\n\r\n", "!"),
        ROW("HTTP/1.1 200 X\rY\r\n\r\n", "!"),
        ROW("HTTP/1.1 200 X\r\nA: b\r\n c\r\n\r\n", "!"),
        ROW("HTTP/2.0 200 X\r\n\r\n", "!"),
        ROW("HTTP/2.0\n", "!"),
        ROW("ICY 200 OK\r\n\r\n", "!"),
    };
    static const struct row to_head[] = {
        ROW("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
            "200 [OK] 1.1 none keep length 3 [Content-Length] =[3]"),
        ROW("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "200 [OK] 1.1 none keep chunked 0 [Transfer-Encoding] =[chunked]"),
    };
    static const struct row to_connect[] = {
        ROW("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
            "200 [OK] 1.1 tunnel length 3 [Content-Length] =[3]"),
        ROW("HTTP/1.1 407 No\r\nContent-Length: 3\r\n\r\n",
            "407 [No] 1.1 length keep length 3 [Content-Length] =[3]"),
    };
    CHECK(RESPONSE, WEFT_HTTP_GET, to_get);
    CHECK(RESPONSE, WEFT_HTTP_HEAD, to_head);
    CHECK(RESPONSE, WEFT_HTTP_CONNECT, to_connect);
}

Test(http_parse, chunked_bodies_are_read)
{
    static const struct row rows[] = {
        ROW("0\r\n\r\n", "5 body[]"),
        ROW("5\r\nhello\r\n0\r\n\r\nGET", "15 body[hello]"),
        ROW("1\r\na\r\nA\r\n0123456789\r\n00\r\n\r\n", "27 body[a0123456789]"),
        ROW("1;a;b=c;d=\"e\\\"; \r f\"\r\nx\r\n0\r\n\r\n", "!"),
        ROW("1;a;b=c;d=\"e\\\"; f\"\r\nx\r\n0;z\r\n\r\n", "30 body[x]"),
        ROW("0\r\nA: b\r\nX-Sum:  c \r\n\r\n", "23 body[] [A] =[b] [X-Sum] =[c]"),
        ROW("0000000000000001\r\nx\r\n0\r\n\r\n", "26 body[x]"),
        ROW("7fffffffffffffff\r\nx", ""),
        ROW("", ""),
        ROW("5", ""),
        ROW("5\r\nhel", ""),
        ROW("5\r\nhello\r\n0\r\n", ""),
        ROW("5\r\nhello\r\n0\r\nA: b", ""),
    };
    CHECK(CHUNKS, 0, rows);
}

Test(http_parse, chunked_bodies_that_smuggle_are_refused)
{
    static const struct row rows[] = {
        ROW("\r\n", "!"),
        ROW("g\r\n", "!"),
        ROW("+5\r\nhello\r\n0\r\n\r\n", "!"),
        ROW("-5\r\nhello\r\n0\r\n\r\n", "!"),
        ROW(" 5\r\nhello\r\n0\r\n\r\n", "!"),
        ROW("5 \r\nhello\r\n0\r\n\r\n", "!"),
        ROW("5\t\r\nhello\r\n0\r\n\r\n", "!"),
        ROW("0x5\r\nhello\r\n0\r\n\r\n", "!"),
        ROW("5\nhello\r\n0\r\n\r\n", "!"),
        ROW("5\r\rhello", "!"),
        ROW("5;\r\nhello\r\n0\r\n\r\n", "!"),
        ROW("5;a\nhello\r\n0\r\n\r\n", "!"),
        ROW("5 ;a\r\nhello\r\n0\r\n\r\n", "!"),
        ROW("5;a=\r\nhello\r\n0\r\n\r\n", "!"),
        ROW("5;a=\"\n\"\r\nhello\r\n0\r\n\r\n", "!"),
        ROW("5;a=\"b\"c\r\nhello\r\n0\r\n\r\n", "!"),
        ROW("5,5\r\nhello\r\n0\r\n\r\n", "!"),
        ROW("5\r\nhello0\r\n\r\n", "!"),
        ROW("5\r\nhello\n0\r\n\r\n", "!"),
        ROW("5\r\nhello\r0\r\n\r\n", "!"),
        ROW("5\r\nhelloo\r\n0\r\n\r\n", "!"),
        ROW("8000000000000000\r\n", "!"),
        ROW("10000000000000005\r\nhello\r\n0\r\n\r\n", "!"),
        ROW("00000000000000005\r\nhello\r\n0\r\n\r\n", "!"),
        ROW("0\r\n\n", "!"),
        ROW("0\r\n\rX", "!"),
        ROW("0\r\n\n\r\n", "!"),
        ROW("0\r\nContent-Length: 5\r\n\r\n", "!"),
        ROW("0\r\ntransfer-ENCODING: chunked\r\n\r\n", "!"),
        ROW("0\r\nHost: x\r\n\r\n", "!"),
        ROW("0\r\nAuthorization: x\r\n\r\n", "!"),
        ROW("0\r\nIf-Unmodified-Since: x\r\n\r\n", "!"),
        ROW("0\r\n: x\r\n\r\n", "!"),
        ROW("0\r\n x: y\r\n\r\n", "!"),
        ROW("0\r\nx : y\r\n\r\n", "!"),
        ROW("0\r\nx: y\n\r\n", "!"),
        ROW("0\r\nx: y\rz\r\n\r\n", "!"),
        ROW("0\r\nx: y\0\r\n\r\n", "!"),
        ROW("0\r\nx: y\r\n z\r\n\r\n", "!"),
        ROW("0\r\nx\r\n\r\n", "!"),
        ROW("0\r\na:\r\nb:\r\nc:\r\nd:\r\ne:\r\n\r\n", "!"), /* the test allows four */
        ROW("1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n"
            "1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n0\r\n\r\n",
            "!"), /* 64 bytes in all */
    };
    CHECK(CHUNKS, 0, rows);
}

Test(http_parse, trailers_over_their_limit_are_refused)
{
    char text[512];
    for (int value = 250; value <= 252; value++) {
        int len = snprintf(text, sizeof text, "0\r\nx:%0*d\r\n\r\n", value, 0);
        weft_buf whole = {0};
        ssize_t rc = judge(&whole, CHUNKS, 0, text, (size_t)len);
        cr_assert(rc == (value + 4 <= 256 ? 1 : WEFT_E_HTTP_LARGE), "%d: %zd", value, rc);
        weft_buf_free(&whole);
    }
}

Test(http_parse, a_refused_body_stays_refused)
{
    struct weft__http_chunks chunks = {0};
    const char *body;
    size_t body_len;
    bool done;
    T_ERR(WEFT_E_HTTP, weft__http_chunks_feed(&chunks, "x", 1, &body, &body_len, &done));
    T_ERR(WEFT_E_HTTP, weft__http_chunks_feed(&chunks, "0\r\n\r\n", 5, &body, &body_len, &done));
    cr_assert(!done && body_len == 0);
}

Test(http_parse, nothing_is_taken_behind_the_end_of_a_body)
{
    struct weft__http_chunks chunks = {0};
    const char *body;
    size_t body_len;
    bool done;
    cr_assert(weft__http_chunks_feed(&chunks, "0\r\n\r\n0\r\n", 8, &body, &body_len, &done) == 5);
    cr_assert(done && body_len == 0);
    cr_assert(weft__http_chunks_feed(&chunks, "0\r\n", 3, &body, &body_len, &done) == 0);
    cr_assert(done && body_len == 0);
}

/* A request of n field lines, the last of which is padded so that the head has that many bytes. */
static char *
sized_request(size_t bytes, unsigned fields)
{
    char *text = malloc(bytes + 64);
    cr_assert(text != NULL);
    size_t len = (size_t)sprintf(text, "GET / HTTP/1.1\r\nHost: x\r\n");
    for (unsigned i = 2; i < fields; i++)
        len += (size_t)sprintf(text + len, "a:\r\n");
    len += (size_t)sprintf(text + len, "x:");
    while (len < bytes - 4)
        text[len++] = 'v';
    memcpy(text + len, "\r\n\r\n", 5);
    return text;
}

static void
expect_request(const char *text, ssize_t expected, int status)
{
    weft_buf whole = {0};
    ssize_t rc = judge(&whole, REQUEST, 0, text, strlen(text));
    cr_assert(rc == expected, "%s", (char *)whole.data);
    if (rc < 0)
        cr_assert(atoi(strchr((char *)whole.data, ' ')) == status, "%s", (char *)whole.data);
    weft_buf_free(&whole);
}

Test(http_parse, limits_are_met_to_the_byte)
{
    char *text = sized_request(4096, 3);
    expect_request(text, 4096, 0);
    free(text);
    text = sized_request(4097, 3);
    expect_request(text, WEFT_E_HTTP_LARGE, 431);
    free(text);

    text = sized_request(1000, T_HTTP_FIELDS);
    expect_request(text, 1000, 0);
    free(text);
    text = sized_request(1000, T_HTTP_FIELDS + 1);
    expect_request(text, WEFT_E_HTTP_LARGE, 431);
    free(text);

    for (int target = 1024; target <= 1025; target++) {
        char line[2048];
        int len = snprintf(line, sizeof line, "GET /%0*d HTTP/1.0\r\n\r\n", target - 1, 0);
        expect_request(line, target == 1024 ? len : WEFT_E_HTTP_LARGE, 414);
    }
    text = malloc(5001);
    cr_assert(text != NULL);
    memset(text, 'A', 5000);
    text[5000] = 0;
    expect_request(text, WEFT_E_HTTP_LARGE, 414);
    free(text);
}

Test(http_parse, a_trickling_head_is_looked_at_once)
{
    /* 1 MiB byte by byte: with a look at all of it in each call this would not end. */
    size_t len = 1 << 20;
    char *text = malloc(len);
    cr_assert(text != NULL);
    size_t start = (size_t)sprintf(text, "GET / HTTP/1.1\r\nHost: x\r\nX: ");
    memset(text + start, 'v', len - start);
    memcpy(text + len - 4, "\r\n\r\n", 4);
    struct weft__http_field fields[4];
    struct weft__http_request request = {.fields = fields};
    struct weft__http_scan scan = {0};
    struct weft__http_limits limits = {.head_bytes = len, .fields = 4, .target_bytes = 100};
    int status;
    for (size_t given = 1; given < len; given++)
        cr_assert(weft__http_parse_request(&request, &scan, text, given, &limits, &status) == 0);
    cr_assert(weft__http_parse_request(&request, &scan, text, len, &limits, &status) ==
              (ssize_t)len);
    cr_assert(request.n_fields == 2 && fields[1].value_len == len - start - 4);
    free(text);
}
