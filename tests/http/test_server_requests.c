/*
 * test_server_requests.c - from bytes to handlers: connections that go on and that end, pipelines,
 * routes, limits, and what must never reach a handler.
 */
#include "http/t_web.h"

TestSuite(http_requests, .timeout = 120);

/* ---- Connections that go on ----------------------------------------------------------------- */

WEB_TEST(http_requests, a_connection_is_kept_by_http_1_1, 0)
{
    weft_stream stream;
    t_dial(web, &stream);
    for (int i = 0; i < 3; i++) {
        t_tell(&stream, T_REQUEST("GET /hello"));
        T_SAYS(t_hear(&stream), T_OK_TEXT("5", "hello"));
    }
    t_tell(&stream, T_LAST_REQUEST("GET /hello"));
    T_SAYS(t_hear(&stream), T_LAST_TEXT("5", "hello"));
    t_hear_end(&stream);
    weft_stream_close(&stream);
    cr_assert(t_web_stats(web).requests == 4 && t_web_stats(web).bytes_sent == 20);
}

WEB_TEST(http_requests, a_connection_of_http_1_0_ends_unless_it_is_to_be_kept, 0)
{
    T_SAYS(t_talk(web, "GET /hello HTTP/1.0\r\n\r\n"), T_LAST_TEXT("5", "hello"));
    weft_stream stream;
    t_dial(web, &stream);
    t_tell(&stream, "GET /hello HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    T_SAYS(t_hear(&stream), "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n"
                            "Connection: keep-alive\r\n\r\nhello");
    t_tell(&stream, "GET /hello HTTP/1.0\r\n\r\n");
    T_SAYS(t_hear(&stream), T_LAST_TEXT("5", "hello"));
    t_hear_end(&stream);
    weft_stream_close(&stream);
}

WEB_TEST(http_requests, a_connection_serves_no_more_than_its_number, .request_max = 2)
{
    /* The third one gets no answer, and does not destroy that of the second either. */
    T_SAYS(t_talk(web, T_REQUEST("GET /hello") T_REQUEST("GET /hello") T_REQUEST("GET /hello")),
           T_OK_TEXT("5", "hello") T_LAST_TEXT("5", "hello"));
    cr_assert(t_seen.handled == 2);
}

WEB_TEST(http_requests, bytes_behind_the_last_answer_do_not_reset_it, 0)
{
    /* The client has not heard yet that the server is about to close: here by its number. */
    weft_stream stream;
    t_dial(web, &stream);
    t_tell(&stream, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
                    "GET /hello HTTP/1.0\r\n\r\n");
    T_UNTIL(t_web_stats(web).requests == 2);
    t_tell(&stream, T_REQUEST("GET /hello"));
    weft_ignore(weft_sleep(WEFT_MS(20)));
    T_STATUS(200, t_hear(&stream));
    T_SAYS(t_hear(&stream), T_LAST_TEXT("5", "hello"));
    weft_stream_close(&stream);
}

/* ---- Pipelines ------------------------------------------------------------------------------ */

WEB_TEST(http_requests, requests_in_one_segment_are_answered_in_their_order, 0)
{
    weft_buf all = {0}, expected = {0};
    for (int i = 0; i < 100; i++) {
        T_OK(weft_buf_printf(&all, "GET /describe/%d HTTP/1.1\r\nHost: a\r\n%s\r\n", i,
                             i == 99 ? "Connection: close\r\n" : ""));
        char body[64];
        int len = snprintf(body, sizeof body, ":GET /describe/%d @a rest=%d", i, i);
        T_OK(weft_buf_printf(&expected,
                             "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                             "Content-Length: %d\r\n%s\r\n%s",
                             len, i == 99 ? "Connection: close\r\n" : "", body));
    }
    T_SAYS(t_talk_bytes(web, all.data, all.len), (char *)expected.data);
    weft_buf_free(&all);
    weft_buf_free(&expected);
}

WEB_TEST(http_requests, requests_that_come_byte_by_byte_are_the_same, 0)
{
    static const char text[] = T_REQUEST(
        "GET /describe/x?y=z") "POST /echo HTTP/1.1\r\nHost: a\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n"
                               "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: "
                               "2\r\n\r\nde" T_LAST_REQUEST("GET /hello");
    weft_stream stream;
    t_dial(web, &stream);
    for (size_t i = 0; i + 1 < sizeof text; i++) {
        T_OK(weft_stream_write_all(&stream, &text[i], 1, NULL));
        weft_ignore(weft_yield());
        if (i % 8 == 0)
            weft_ignore(weft_sleep(WEFT_MS(1) / 4));
    }
    T_SAYS(t_hear(&stream), T_OK_TEXT("31", ":GET /describe/x ?y=z @a rest=x"));
    T_SAYS(t_hear(&stream), T_OK_TEXT("3", "abc"));
    T_SAYS(t_hear(&stream), T_OK_TEXT("2", "de"));
    T_SAYS(t_hear(&stream), T_LAST_TEXT("5", "hello"));
    weft_stream_close(&stream);
}

WEB_TEST(http_requests, bodies_and_requests_alternate_in_a_pipeline, 0)
{
    T_SAYS(t_talk(web, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
                       "POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nGET "
                       "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "2;x=y\r\nde\r\n1\r\nf\r\n0\r\nT: r\r\n\r\n"
                       "POST /ignore HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "5\r\nPOST \r\n0\r\n\r\n" T_LAST_REQUEST("GET /hello")),
           T_OK_TEXT("3", "abc") T_OK_TEXT("7", "ignored") T_OK_TEXT("3", "def")
               T_OK_TEXT("7", "ignored") T_LAST_TEXT("5", "hello"));
}

WEB_TEST(http_requests, a_long_pipeline_lets_others_run, 0)
{
    enum { REQUESTS = 6000 };
    static const char one[] = "GET /hello HTTP/1.1\r\nHost:\r\n\r\n";
    weft_buf all = {0};
    for (int i = 0; i < REQUESTS; i++)
        T_OK(weft_buf_append(&all, one, sizeof one - 1));
    int raw = t_web_raw(web);
    ssize_t n =
        send(raw, all.data, all.len, MSG_DONTWAIT); /* as much as the kernel takes at once */
    cr_assert(n > 3000 * (ssize_t)(sizeof one - 1), "%zd", n);
    unsigned most = 0, last = 0;
    while (last < 3000) {
        T_OK(weft_yield());
        unsigned now = __atomic_load_n(&t_seen.handled, __ATOMIC_RELAXED);
        if (now - last > most)
            most = now - last;
        last = now;
    }
    cr_assert(most <= 512, "%u requests before anybody else had a turn", most);
    close(raw);
    weft_buf_free(&all);
}

WEB_TEST(http_requests, an_answer_goes_out_before_the_next_head_is_whole, 0)
{
    weft_stream stream;
    t_dial(web, &stream);
    t_tell(&stream, T_REQUEST("GET /hello") "GET /hel");
    T_SAYS(t_hear(&stream), T_OK_TEXT("5", "hello"));
    t_tell(&stream, "lo HTTP/1.1\r\nHost: a\r\n\r\n");
    T_SAYS(t_hear(&stream), T_OK_TEXT("5", "hello"));
    t_tell(&stream, T_REQUEST("GET /hello") "POST /echo HTTP/1.1\r\nHost: a\r\n"
                                            "Content-Length: 2\r\n\r\n");
    T_SAYS(t_hear(&stream), T_OK_TEXT("5", "hello"));
    t_tell(&stream, "xy");
    T_SAYS(t_hear(&stream), T_OK_TEXT("2", "xy"));
    t_tell(&stream, "POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n");
    T_SAYS(t_hear(&stream), T_OK_TEXT("7", "ignored"));
    t_tell(&stream, "xy" T_LAST_REQUEST("GET /hello"));
    T_SAYS(t_hear(&stream), T_LAST_TEXT("5", "hello"));
    weft_stream_close(&stream);
}

WEB_TEST(http_requests, an_empty_line_in_front_is_no_request, .head_timeout = WEFT_MS(100))
{
    weft_stream stream;
    t_dial(web, &stream);
    t_tell(&stream, "\r\n" T_REQUEST("GET /hello") "\r\n");
    T_SAYS(t_hear(&stream), T_OK_TEXT("5", "hello"));
    /* Which stands there alone is not answered, but the connection is not for ever. */
    t_hear_end(&stream);
    weft_stream_close(&stream);
    cr_assert(t_web_stats(web).requests == 1 && t_web_stats(web).refused == 0);
}

/* ---- Routes --------------------------------------------------------------------------------- */

static const weft_http_route preferences[] = {
    {"GET /a/b", t_do_describe, "literal"},     {"GET /a/{name}", t_do_describe, "param"},
    {"POST /a/{name}", t_do_describe, "post"},  {"GET /a/{rest...}", t_do_describe, "rest"},
    {"* /a/{name}/{id}", t_do_describe, "two"}, {"GET /a/{id}/x", t_do_describe, "x"},
    {"DELETE /a/b", t_do_describe, "delete"},   {"HEAD /h", t_do_describe, "head"},
    {"GET /h", t_do_describe, "get"},           {"GET /", t_do_describe, "root"},
    {"GET /slash/", t_do_describe, "slash"},    {"BREW /pot", t_do_describe, "brew"},
    {"POST /r/{rest...}", t_do_describe, "r"},  {NULL, NULL, NULL},
};

WEB_TEST(http_requests, the_most_literal_route_is_taken, .routes = preferences)
{
    static const char *const rows[][2] = {
        {"GET /a/b", "literal:GET /a/b @a"},
        {"GET /a/c", "param:GET /a/c @a name=c"},
        {"POST /a/c", "post:POST /a/c @a name=c"},
        {"POST /a/b", "post:POST /a/b @a name=b"},
        {"DELETE /a/b", "delete:DELETE /a/b @a"},
        {"GET /a/b/c", "two:GET /a/b/c @a name=b id=c"},
        {"OPTIONS /a/b/c", "two:OPTIONS /a/b/c @a name=b id=c"},
        {"GET /a/b/x", "x:GET /a/b/x @a id=b"},
        {"PUT /a/b/x", "two:PUT /a/b/x @a name=b id=x"},
        {"GET /a/b/c/d", "rest:GET /a/b/c/d @a rest=b/c/d"},
        {"GET /a/", "rest:GET /a/ @a rest="},
        {"GET /a", "rest:GET /a @a rest="},
        {"GET /a//", "rest:GET /a// @a rest=/"},
        {"GET /", "root:GET / @a"},
        {"GET /?q", "root:GET / ?q @a"},
        {"GET /h", "get:GET /h @a"},
        {"GET /slash/", "slash:GET /slash/ @a"},
        {"BREW /pot", "brew:BREW /pot @a"},
        {"GET http://b", "root:GET / @b"},
        {"GET http://b?q", "root:GET / ?q @b"},
        {"GET http://b:1/a/c%2fd?", "param:GET /a/c%2fd ? @b:1 name=c%2fd"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char request[256];
        snprintf(request, sizeof request, "%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                 rows[i][0]);
        const char *answer = t_talk(web, request), *body = strstr(answer, "\r\n\r\n");
        cr_assert(t_status(answer) == 200 && body != NULL, "%s: %s", rows[i][0], answer);
        cr_assert(strcmp(body + 4, rows[i][1]) == 0, "%s gave %s", rows[i][0], body + 4);
    }
}

WEB_TEST(http_requests, what_no_route_matches_is_404_or_405, .routes = preferences)
{
    static const char *const rows[][2] = {
        {"GET /b", "404 Not Found"},
        {"GET /a/b/c/d/", NULL},
        {"GET /slash", "404 Not Found"},
        {"GET /hh", "404 Not Found"},
        {"OPTIONS *", "404 Not Found"},
        {"PUT /a/b/c/d", "Allow: GET, HEAD\r\n"},
        {"get /", "Allow: GET, HEAD\r\n"},
        {"GET /pot", "Allow: BREW\r\n"},
        {"PUT /h", "Allow: HEAD, GET\r\n"},
        /* Of all the routes that fit: each of these would find a handler. */
        {"PUT /a/b", "Allow: GET, HEAD, DELETE, POST\r\n"},
        {"PUT /a/c", "Allow: GET, HEAD, POST\r\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char request[256];
        snprintf(request, sizeof request, "%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                 rows[i][0]);
        const char *answer = t_talk(web, request);
        if (rows[i][1] == NULL)
            T_STATUS(200, answer);
        else if (rows[i][1][0] == 'A')
            T_STATUS(405, answer);
        if (rows[i][1] != NULL)
            T_HAS(answer, rows[i][1]);
    }
    T_SAYS(t_talk(web, T_REQUEST("GET /b") T_LAST_REQUEST("GET /")),
           "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\n"
           "Content-Length: 14\r\n\r\n404 Not Found\n" T_LAST_TEXT("13", "root:GET / @a"));
}

WEB_TEST(http_requests, a_handler_can_be_there_for_the_rest, .handler = t_do_describe,
         .arg = "rest")
{
    T_SAYS(t_talk(web, T_LAST_REQUEST("PUT /hello")), T_LAST_TEXT("18", "rest:PUT /hello @a"));
    T_SAYS(t_talk(web, T_LAST_REQUEST("OPTIONS *")), T_LAST_TEXT("17", "rest:OPTIONS * @a"));
    T_SAYS(t_talk(web, "CONNECT b:1 HTTP/1.1\r\nHost: b:1\r\n\r\n"),
           "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
           "rest:CONNECT b:1 @b:1");
}

LOOPS_TEST(http_requests, routes_that_cannot_be_read_are_refused, 1)
{
    static const char *const bad[] = {
        "",
        "GET",
        "/a",
        "GET a",
        "GET  /a",
        " /a",
        "GET /{",
        "GET /{}",
        "GET /{a",
        "GET /a{b}",
        "GET /{a}b",
        "GET /{a}/{a}",
        "GET /{a...}/b",
        "GET /{a}/{b}/{a...}",
    };
    static const char *const listen[] = {"127.0.0.1:0", NULL};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        weft_http_route routes[] = {{bad[i], t_do_hello, NULL}, {NULL, NULL, NULL}};
        weft_http_server_options options = {.net.listen = listen, .routes = routes};
        weft_http_server *server;
        int rc = weft_http_server_new(&server, &options);
        cr_assert(rc == -EINVAL && weft_error_text()[0] != '\0', "'%s' gave %d", bad[i], rc);
    }
    static const char *const twice[][2] = {
        {"GET /a", "GET /a"}, {"GET /{a}", "GET /{b}"}, {"* /{a...}", "* /{b...}"}};
    for (size_t i = 0; i < 3; i++) {
        weft_http_route routes[] = {
            {twice[i][0], t_do_hello, NULL}, {twice[i][1], t_do_hello, NULL}, {NULL, NULL, NULL}};
        weft_http_server *server;
        T_ERR(-EINVAL, weft_http_server_new(&server, &(weft_http_server_options){
                                                         .net.listen = listen, .routes = routes}));
        cr_assert(strstr(weft_error_text(), "twice") != NULL, "%s", weft_error_text());
    }
    weft_http_route none[] = {{"GET /", NULL, NULL}, {NULL, NULL, NULL}};
    weft_http_server *server;
    T_ERR(-EINVAL, weft_http_server_new(
                       &server, &(weft_http_server_options){.net.listen = listen, .routes = none}));
}

/* ---- What is refused ------------------------------------------------------------------------ */

WEB_TEST(http_requests, what_is_malformed_is_answered_and_ends, 0)
{
    static const struct {
        const char *text;
        int status;
    } rows[] = {
        {"nonsense\r\n\r\n", 400},
        {"GET /hello HTTP/1.1\r\n\r\n", 400},
        {"GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
        {"GET /hello HTTP/2.0\r\nHost: a\r\n\r\n", 505},
        {"GET /hello HTTP/1.1\nHost: a\n\n", 400},
        {"GET /hello HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n", 400},
        {"GET /hello HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400},
        {"GET hello HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET /hello HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n", 417},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
        {"\x16\x03\x01\x02\xfc\x03\x03\r\n\r\n", 400},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *answer = t_talk(web, rows[i].text);
        T_STATUS(rows[i].status, answer);
        T_HAS(answer, "Connection: close\r\n");
    }
    cr_assert(t_seen.handled == 0);
    cr_assert(t_web_stats(web).refused == sizeof rows / sizeof *rows);
    cr_assert(t_web_stats(web).requests == sizeof rows / sizeof *rows);
}

/* What two readers could understand differently: the second request is never handled. */
WEB_TEST(http_requests, nothing_is_smuggled_past_a_request, 0)
{
#define HIDDEN T_REQUEST("GET /hello")
    static const char *const rows[] = {
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: "
        "chunked\r\n\r\n0\r\n\r\n" HIDDEN,
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: "
        "4\r\n\r\n0\r\n\r\n" HIDDEN,
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 30\r\n\r\n" HIDDEN,
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 30\r\n\r\n" HIDDEN,
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +0\r\n\r\n" HIDDEN,
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0x0\r\n\r\n" HIDDEN,
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n" HIDDEN,
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length : 0\r\n\r\n" HIDDEN,
        "POST /echo HTTP/1.1\r\nHost: a\r\n Content-Length: 0\r\n\r\n" HIDDEN,
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n" HIDDEN,
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n" HIDDEN,
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
        "x\r\n\r\n0\r\n\r\n" HIDDEN,
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\r\n : chunked\r\n\r\n" HIDDEN,
        "POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" HIDDEN,
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\n\n" HIDDEN,
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n" HIDDEN,
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n" HIDDEN,
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        "10000000000000000\r\n" HIDDEN,
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1 ;\nx\r\n" HIDDEN,
        "GET /hello HTTP/1.1\r\nHost: a\rX: b\r\n\r\n" HIDDEN,
        "GET /hello HTTP/1.1\r\nHost: a\r\nX: a\nGET /hello HTTP/1.1\r\n\r\n" HIDDEN,
        "GET /hello\t HTTP/1.1\r\nHost: a\r\n\r\n" HIDDEN,
        "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n" HIDDEN,
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        t_seen.handled = 0;
        const char *answer = t_talk(web, rows[i]);
        cr_assert(strstr(answer, "hello") == NULL, "%zu: %s\n-> %s", i, rows[i], answer);
        int status = t_status(answer);
        cr_assert(status == 400 || status == 501 || status == 404, "%zu: %s\n-> %s", i, rows[i],
                  answer);
        cr_assert(strstr(answer + 9, "HTTP/1.1") == NULL, "%zu: %s\n-> %s", i, rows[i], answer);
        T_HAS(answer, "Connection: close\r\n");
        cr_assert(t_seen.handled <= (strstr(rows[i], "POST /echo") != NULL), "%zu", i);
    }
    /* The same with a handler that reads no body: it has its answer, and nothing follows. */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[512];
        const char *echo = strstr(rows[i], "/echo");
        if (echo == NULL)
            continue;
        snprintf(text, sizeof text, "POST /ignore%s", echo + 5);
        const char *answer = t_talk(web, text);
        cr_assert(strstr(answer, "hello") == NULL, "%zu: %s\n-> %s", i, text, answer);
        cr_assert(strstr(answer + 9, "HTTP/1.1") == NULL, "%zu: %s\n-> %s", i, text, answer);
    }
}

WEB_TEST(http_requests, heads_over_a_limit_are_refused, .head_bytes = 1000, .target_bytes = 100,
         .header_max = 5)
{
    char text[20000], filler[19000];
    memset(filler, 'x', sizeof filler);
    snprintf(text, sizeof text,
             "GET /describe/%.91s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", filler);
    T_STATUS(414, t_talk(web, text));
    snprintf(text, sizeof text,
             "GET /describe/%.90s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", filler);
    T_STATUS(200, t_talk(web, text));
    snprintf(text, sizeof text, "GET /hello HTTP/1.1\r\nHost: a\r\nX: %.1000s\r\n\r\n", filler);
    T_STATUS(431, t_talk(web, text));
    snprintf(text, sizeof text, "GET /hello HTTP/1.1\r\nHost: a\r\nX: %.18000s", filler);
    T_STATUS(431, t_talk(web, text));
    snprintf(text, sizeof text, "GET /%.18000s", filler);
    T_STATUS(414, t_talk(web, text));
    T_STATUS(431, t_talk(web, "GET /hello HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n"
                              "E: 5\r\n\r\n"));
    T_STATUS(200, t_talk(web, "GET /hello HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\n"
                              "Connection: close\r\n\r\n"));
    /* Just as much as may be, and one byte more. */
    static const char head[] = "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: ";
    int fill = 1000 - (int)(sizeof head - 1) - 4;
    snprintf(text, sizeof text, "%s%.*s\r\n\r\n", head, fill, filler);
    T_STATUS(200, t_talk(web, text));
    snprintf(text, sizeof text, "%s%.*s\r\n\r\n", head, fill + 1, filler);
    T_STATUS(431, t_talk(web, text));
}

/* ---- What a handler is told ----------------------------------------------------------------- */

static int
look(weft_http_exchange *x, void *arg)
{
    weft_bytes name, value;
    char text[96];
    weft_address peer;
    (void)arg;
    t_seen.handled++;
    cr_assert(weft_http_request_method(x) == WEFT_HTTP_POST);
    cr_assert(weft_http_request_version(x) == 11);
    cr_assert(weft_http_request_length(x) == 300000 || weft_http_request_length(x) == -1);
    T_OK(weft_http_request_peer(x, &peer));
    cr_assert(strncmp(weft_address_format(&peer, text, sizeof text), "127.0.0.1:", 10) == 0);
    cr_assert(weft_http_request_stream(x) != NULL);
    char *bytes = malloc(300001);
    size_t have = 0;
    /* The views stay what they are while the body is read. */
    for (;;) {
        value = weft_http_request_header(x, "x-TWO");
        cr_assert(value.len == 5 && memcmp(value.data, "first", 5) == 0);
        cr_assert(weft_http_request_header(x, "x-tw").data == NULL);
        value = weft_http_request_header(x, "Empty");
        cr_assert(value.data != NULL && value.len == 0);
        cr_assert(weft_http_request_header_at(x, 2, &name, &value));
        cr_assert(name.len == 5 && memcmp(name.data, "X-two", 5) == 0);
        cr_assert(value.len == 6 && memcmp(value.data, "second", 6) == 0);
        cr_assert(!weft_http_request_header_at(x, 5, &name, &value));
        value = weft_http_request_param(x, "name");
        cr_assert(value.len == 3 && memcmp(value.data, "bob", 3) == 0);
        value = weft_http_request_query(x);
        cr_assert(value.len == 3 && memcmp(value.data, "q=1", 3) == 0);
        value = weft_http_request_host(x);
        cr_assert(value.len == 6 && memcmp(value.data, "host:1", 6) == 0);
        ssize_t n =
            weft_http_request_read(x, bytes + have, 300001 - have < 4000 ? 300001 - have : 4000);
        cr_assert(n >= 0, "%zd", n);
        if (n == 0)
            break;
        have += (size_t)n;
    }
    bool right = have == 300000 && t_bytes_match((unsigned char *)bytes, have, 5, 0);
    free(bytes);
    return weft_http_reply(x, 200, NULL, right ? "right" : "wrong", 5);
}

static const weft_http_route looking[] = {{"POST /{name}", look, NULL}, {NULL, NULL, NULL}};

WEB_TEST(http_requests, views_stay_while_a_body_is_read, .routes = looking)
{
    unsigned char *body = malloc(300000);
    t_bytes_make(body, 300000, 5, 0);
    weft_stream stream;
    t_dial(web, &stream);
    for (int i = 0; i < 3; i++) {
        t_tell(&stream,
               "POST /bob?q=1 HTTP/1.1\r\nHost: host:1\r\nX-Two: first\r\nX-two: second\r\n"
               "Empty:\r\nContent-Length: 300000\r\n\r\n");
        T_OK(weft_stream_write_all(&stream, body, 300000, NULL));
        T_SAYS(t_hear(&stream), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright");
        t_tell(&stream,
               "POST /bob?q=1 HTTP/1.1\r\nHost: host:1\r\nX-Two: first\r\nX-two: second\r\n"
               "Empty:\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (size_t at = 0; at < 300000; at += 30000) {
            t_tell(&stream, "7530\r\n");
            T_OK(weft_stream_write_all(&stream, body + at, 30000, NULL));
            t_tell(&stream, "\r\n");
        }
        t_tell(&stream, "0\r\n\r\n");
        T_SAYS(t_hear(&stream), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright");
    }
    weft_stream_close(&stream);
    free(body);
}

/* ---- Slow ones ------------------------------------------------------------------------------ */

/* A body in which each byte is the same, as somebody sends it who wants to be taken for another. */
static int
look_before(weft_http_exchange *x, void *arg)
{
    weft_bytes method = weft_http_request_method_text(x), path = weft_http_request_path(x),
               query = weft_http_request_query(x), host = weft_http_request_host(x),
               who = weft_http_request_header(x, "Authorization"),
               name = weft_http_request_param(x, "name"), key, value;
    weft_buf body = {0};
    (void)arg;
    t_seen.handled++;
    cr_assert(weft_http_request_header_at(x, 1, &key, &value));
    int rc = t_note(weft_http_request_read_all(x, &body, SIZE_MAX / 2));
    bool whole = rc == 0 && body.len == 100000;
    weft_buf_free(&body);
    if (rc < 0)
        return rc;
    body = (weft_buf){0};
    T_OK(weft_buf_printf(
        &body, "%d %.*s %.*s %.*s %.*s %.*s %.*s %.*s=%.*s", whole, (int)method.len,
        (const char *)method.data, (int)path.len, (const char *)path.data, (int)query.len,
        (const char *)query.data, (int)host.len, (const char *)host.data, (int)who.len,
        (const char *)who.data, (int)name.len, (const char *)name.data, (int)key.len,
        (const char *)key.data, (int)value.len, (const char *)value.data));
    rc = weft_http_reply(x, 200, T_TEXT, body.data, body.len);
    weft_buf_free(&body);
    return rc;
}

static const weft_http_route looking_before[] = {{"PUT /{name}", look_before, NULL},
                                                 {NULL, NULL, NULL}};

WEB_TEST(http_requests, views_taken_before_a_body_is_read_stay, .routes = looking_before)
{
    static const char head[] = "PUT /bob?q=1 HTTP/1.1\r\nHost: host:1\r\nAuthorization: me\r\n"
                               "Content-Length: 100000\r\n\r\n";
    static char body[100000];
    weft_stream stream;
    memset(body, 'E', sizeof body);
    t_dial(web, &stream);
    for (unsigned i = 1; i <= 3; i++) {
        t_tell(&stream, head);
        T_UNTIL(t_seen.handled == i);
        T_OK(weft_stream_write_all(&stream, body, sizeof body, NULL));
        T_SAYS(t_hear(&stream), T_OK_TEXT("45", "1 PUT /bob q=1 host:1 me bob Authorization=me"));
    }
    weft_stream_close(&stream);
}

WEB_TEST(http_requests, a_slow_head_is_408, .head_timeout = WEFT_MS(150))
{
    weft_stream stream;
    t_dial(web, &stream);
    t_tell(&stream, "GET /hello HTTP/1.1\r\n");
    /* A byte now and then does not help. */
    for (int i = 0; i < 3; i++) {
        weft_ignore(weft_sleep(WEFT_MS(20)));
        t_tell(&stream, "X");
    }
    const char *answer = t_hear(&stream);
    T_STATUS(408, answer);
    T_HAS(answer, "Connection: close\r\n");
    t_hear_end(&stream);
    weft_stream_close(&stream);
    cr_assert(t_web_stats(web).refused == 1);
}

WEB_TEST(http_requests, who_says_nothing_is_closed_without_an_answer, .head_timeout = WEFT_MS(100),
         .idle_timeout = WEFT_MS(100))
{
    weft_stream stream;
    t_dial(web, &stream);
    t_hear_end(&stream);
    weft_stream_close(&stream);
    t_dial(web, &stream);
    t_tell(&stream, T_REQUEST("GET /hello"));
    T_SAYS(t_hear(&stream), T_OK_TEXT("5", "hello"));
    t_hear_end(&stream);
    weft_stream_close(&stream);
    cr_assert(t_web_stats(web).requests == 1);
}

WEB_TEST(http_requests, who_leaves_in_a_head_is_no_request, 0)
{
    static const char *const parts[] = {"", "G", "GET /hello HTTP/1.1\r\nHost: a\r\n"};
    for (size_t i = 0; i < 3; i++) {
        weft_stream stream;
        t_dial(web, &stream);
        t_tell(&stream, parts[i]);
        T_OK(weft_stream_shutdown(&stream));
        t_hear_end(&stream);
        weft_stream_close(&stream);
    }
    /* One who says all and then no more has its answers. */
    weft_stream stream;
    t_dial(web, &stream);
    t_tell(&stream, T_REQUEST("GET /hello") T_REQUEST("GET /chunks"));
    T_OK(weft_stream_shutdown(&stream));
    T_STATUS(200, t_hear(&stream));
    T_STATUS(200, t_hear(&stream));
    t_hear_end(&stream);
    weft_stream_close(&stream);
    cr_assert(t_web_stats(web).requests == 2);
}
