/*
 * test_server_bodies.c - bodies of requests: read, refused, skipped, too long, too slow, cut off.
 */
#include "http/t_web.h"

TestSuite(http_bodies, .timeout = 120);

#define POST(path, more) "POST " path " HTTP/1.1\r\nHost: a\r\n" more "\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n"
#define LENGTH(n) "Content-Length: " #n "\r\n"
#define CLOSE "Connection: close\r\n"

/* ---- Limits --------------------------------------------------------------------------------- */

WEB_TEST(http_bodies, a_length_over_the_limit_is_413_before_a_handler, .body_bytes = 10)
{
    T_SAYS(t_talk(web, POST("/echo", LENGTH(10)) "0123456789" T_LAST_REQUEST("GET /hello")),
           T_OK_TEXT("10", "0123456789") T_LAST_TEXT("5", "hello"));
    t_seen.handled = 0;
    static const char refused[] =
        "HTTP/1.1 413 Content Too Large\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "Content-Length: 22\r\nConnection: close\r\n\r\n413 Content Too Large\n";
    T_SAYS(t_talk(web, POST("/echo", LENGTH(11)) "01234567890" T_REQUEST("GET /hello")), refused);
    T_SAYS(t_talk(web, POST("/ignore", LENGTH(9223372036854775807))), refused);
    T_SAYS(t_talk(web, POST("/echo", LENGTH(11) "Expect: 100-continue\r\n")), refused);
    cr_assert(t_seen.handled == 0 && t_web_stats(web).refused == 3);
    /* HEAD has no body, whatever is answered. */
    const char *answer = t_talk(web, "HEAD /hello HTTP/1.1\r\nHost: a\r\n" LENGTH(11) "\r\n");
    T_STATUS(413, answer);
    cr_assert(strcmp(strstr(answer, "\r\n\r\n"), "\r\n\r\n") == 0, "%s", answer);
}

WEB_TEST(http_bodies, chunks_over_the_limit_are_413, .body_bytes = 10)
{
    T_SAYS(t_talk(web, POST("/echo", CHUNKED CLOSE) "4\r\n0123\r\n6\r\n456789\r\n0\r\n\r\n"),
           T_LAST_TEXT("10", "0123456789"));
    const char *answer =
        t_talk(web, POST("/echo",
                         CHUNKED) "4\r\n0123\r\n7\r\n4567890\r\n0\r\n\r\n" T_REQUEST("GET /hello"));
    T_STATUS(413, answer);
    cr_assert(strstr(answer, "hello") == NULL);
    cr_assert(t_seen.rc == WEFT_E_HTTP_LARGE && t_web_stats(web).refused == 1);
    /* An answer that was given without reading stands, and the connection ends. */
    answer = t_talk(
        web, POST("/ignore", CHUNKED) "b\r\n01234567890\r\n0\r\n\r\n" T_REQUEST("GET /hello"));
    T_SAYS(answer, T_OK_TEXT("7", "ignored"));
}

static int
read_ten(weft_http_exchange *x, void *arg)
{
    weft_buf body = {0};
    (void)arg;
    t_seen.handled++;
    int rc = t_note(weft_http_request_read_all(x, &body, 10));
    if (rc == 0)
        rc = weft_http_reply(x, 200, T_TEXT, body.data, body.len);
    cr_assert(body.len <= 10);
    weft_buf_free(&body);
    return rc;
}

static const weft_http_route ten[] = {{"POST /ten", read_ten, NULL}, {NULL, NULL, NULL}};

WEB_TEST(http_bodies, a_handler_reads_no_more_than_it_wants, .routes = ten)
{
    T_SAYS(t_talk(web, POST("/ten", LENGTH(10) CLOSE) "0123456789"),
           T_LAST_TEXT("10", "0123456789"));
    T_SAYS(t_talk(web, POST("/ten", LENGTH(0) CLOSE)), T_LAST_TEXT("0", ""));
    T_SAYS(t_talk(web, POST("/ten", CHUNKED CLOSE) "a\r\n0123456789\r\n0\r\n\r\n"),
           T_LAST_TEXT("10", "0123456789"));
    T_STATUS(413, t_talk(web, POST("/ten", LENGTH(11)) "01234567890"));
    T_STATUS(413, t_talk(web, POST("/ten", CHUNKED) "b\r\n01234567890\r\n0\r\n\r\n"));
    cr_assert(t_seen.rc == WEFT_E_HTTP_LARGE);
}

/* ---- Bodies nobody reads -------------------------------------------------------------------- */

WEB_TEST(http_bodies, a_large_body_that_nobody_reads_ends_the_connection, 0)
{
    size_t len = 600000;
    weft_buf all = {0};
    T_OK(weft_buf_printf(&all, POST("/ignore", "Content-Length: %zu\r\n"), len));
    T_OK(weft_buf_reserve(&all, len));
    memset(all.data + all.len, 'x', len);
    all.len += len;
    T_OK(weft_buf_append(&all, T_REQUEST("GET /hello"), sizeof(T_REQUEST("GET /hello")) - 1));
    T_SAYS(t_talk_bytes(web, all.data, all.len), T_OK_TEXT("7", "ignored"));
    weft_buf_free(&all);
    cr_assert(t_seen.handled == 1);
}

WEB_TEST(http_bodies, a_body_that_nobody_reads_and_nobody_ends_ends_the_connection, 0)
{
    weft_stream stream;
    t_dial(web, &stream);
    t_tell(&stream, POST("/ignore", LENGTH(10)) "half");
    T_SAYS(t_hear(&stream), T_OK_TEXT("7", "ignored"));
    T_OK(weft_stream_shutdown(&stream));
    t_hear_end(&stream);
    weft_stream_close(&stream);
}

/* ---- Expect: 100-continue ------------------------------------------------------------------- */

#define EXPECT "Expect: 100-continue\r\n"
#define GO_ON "HTTP/1.1 100 Continue\r\n\r\n"

WEB_TEST(http_bodies, who_expects_to_be_told_is_told_by_the_first_read, 0)
{
    weft_stream stream;
    t_dial(web, &stream);
    for (int i = 0; i < 2; i++) {
        t_tell(&stream, POST("/echo", LENGTH(4) EXPECT));
        T_SAYS(t_hear(&stream), GO_ON);
        t_tell(&stream, "body");
        T_SAYS(t_hear(&stream), T_OK_TEXT("4", "body"));
        t_tell(&stream, POST("/echo", CHUNKED EXPECT));
        T_SAYS(t_hear(&stream), GO_ON);
        t_tell(&stream, "4\r\nbody\r\n0\r\n\r\n");
        T_SAYS(t_hear(&stream), T_OK_TEXT("4", "body"));
    }
    /* Nothing to be told of. */
    t_tell(&stream, POST("/echo", LENGTH(0) EXPECT));
    T_SAYS(t_hear(&stream), T_OK_TEXT("0", ""));
    /* HTTP/1.0 knows no 100. */
    t_tell(&stream, "POST /echo HTTP/1.0\r\n" LENGTH(4) EXPECT "\r\n");
    weft_ignore(weft_sleep(WEFT_MS(5)));
    t_tell(&stream, "body");
    T_SAYS(t_hear(&stream), T_LAST_TEXT("4", "body"));
    weft_stream_close(&stream);
}

WEB_TEST(http_bodies, who_does_not_wait_to_be_told_is_read_all_the_same, 0)
{
    T_SAYS(t_talk(web, POST("/echo", LENGTH(4) EXPECT) "body" T_LAST_REQUEST("GET /hello")),
           T_OK_TEXT("4", "body") T_LAST_TEXT("5", "hello"));
}

WEB_TEST(http_bodies, an_answer_instead_of_go_on_ends_the_connection, 0)
{
    weft_stream stream;
    t_dial(web, &stream);
    t_tell(&stream, POST("/ignore", LENGTH(4) EXPECT));
    T_SAYS(t_hear(&stream), T_LAST_TEXT("7", "ignored"));
    /* What the client sends in spite of it is no request. */
    t_tell(&stream, T_REQUEST("GET /hello"));
    T_OK(weft_stream_shutdown(&stream));
    t_hear_end(&stream);
    weft_stream_close(&stream);
    cr_assert(t_seen.handled == 1);
    T_STATUS(404, t_talk(web, POST("/none", LENGTH(4) EXPECT)));
    T_STATUS(405, t_talk(web, POST("/hello", LENGTH(4) EXPECT)));
}

static int
begin_then_read(weft_http_exchange *x, void *arg)
{
    char bytes[16];
    t_seen.handled++;
    T_OK(weft_http_response_begin(x, arg != NULL ? 403 : 200, T_TEXT, -1));
    T_OK(weft_http_response_write(x, "so: ", 4));
    ssize_t n = weft_http_request_read(x, bytes, sizeof bytes);
    if (n < 0) {
        t_note((int)n);
        return weft_http_response_write(x, "no", 2);
    }
    return weft_http_response_write(x, bytes, (size_t)n);
}

static const weft_http_route beginning[] = {{"POST /begin", begin_then_read, NULL},
                                            {"POST /forbid", begin_then_read, "403"},
                                            {NULL, NULL, NULL}};

WEB_TEST(http_bodies, an_answer_that_begins_well_says_go_on_before, .routes = beginning)
{
    weft_stream stream;
    t_dial(web, &stream);
    t_tell(&stream, POST("/begin", LENGTH(4) EXPECT));
    T_SAYS(t_hear(&stream), GO_ON);
    t_tell(&stream, "body");
    T_SAYS(t_hear(&stream), "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n" CHUNKED
                            "\r\n4\r\nso: \r\n4\r\nbody\r\n0\r\n\r\n");
    t_tell(&stream, POST("/forbid", LENGTH(4) EXPECT));
    T_SAYS(t_hear(&stream), "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\n" CHUNKED CLOSE
                            "\r\n4\r\nso: \r\n2\r\nno\r\n0\r\n\r\n");
    cr_assert(t_seen.rc == -EPROTO);
    weft_stream_close(&stream);
}

/* ---- What is wrong with a body -------------------------------------------------------------- */

WEB_TEST(http_bodies, a_malformed_body_is_400, 0)
{
    static const char *const bad[] = {
        "x\r\n",
        "4\nbody\r\n0\r\n\r\n",
        "4\r\nbodyx\r\n",
        "\r\n",
        "4 \r\nbody\r\n0\r\n\r\n?",
        "0\r\nbad trailer\r\n\r\n",
        "0\r\nContent-Length: 4\r\n\r\n",
        "fffffffffffffffff\r\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[300];
        snprintf(text, sizeof text, "%s%s%s", POST("/echo", CHUNKED CLOSE), bad[i],
                 T_REQUEST("GET /hello"));
        const char *answer = t_talk(web, text);
        if (i == 4 || i == 6) /* blanks, and a trailer nobody looks at: either is right */
            cr_assert(t_status(answer) == 200 || t_status(answer) == 400, "%s", answer);
        else
            T_STATUS(400, answer);
        cr_assert(strstr(answer, "hello") == NULL, "%s", answer);
    }
}

WEB_TEST(http_bodies, who_leaves_in_a_body_gets_400, 0)
{
    static const char *const parts[] = {POST("/echo", LENGTH(10)) "half",
                                        POST("/echo", CHUNKED) "4\r\nhalf\r\n",
                                        POST("/echo", CHUNKED) "4\r\nhalf\r\n0\r\n"};
    for (size_t i = 0; i < 3; i++) {
        weft_stream stream;
        t_dial(web, &stream);
        t_tell(&stream, parts[i]);
        T_OK(weft_stream_shutdown(&stream));
        T_STATUS(400, t_hear(&stream));
        t_hear_end(&stream);
        weft_stream_close(&stream);
        cr_assert(t_seen.rc == WEFT_E_END, "%d", t_seen.rc);
    }
    cr_assert(t_web_stats(web).refused == 3 && t_web_stats(web).failed == 0);
}

WEB_TEST(http_bodies, a_body_that_does_not_come_is_408, .body_timeout = WEFT_MS(100))
{
    weft_stream stream;
    t_dial(web, &stream);
    t_tell(&stream, POST("/echo", LENGTH(10)) "half");
    T_STATUS(408, t_hear(&stream));
    t_hear_end(&stream);
    weft_stream_close(&stream);
    cr_assert(t_seen.rc == -ETIME && t_web_stats(web).refused == 1);
}

WEB_TEST(http_bodies, a_body_that_trickles_is_408, .body_timeout = WEFT_MS(150),
         .body_rate = 1000000)
{
    weft_stream stream;
    t_dial(web, &stream);
    t_tell(&stream, POST("/echo", LENGTH(1000)));
    for (int i = 0; i < 1000; i++) {
        if (weft_stream_write_all(&stream, "x", 1, NULL) < 0 || t_web_stats(web).refused > 0)
            break;
        weft_ignore(weft_sleep(WEFT_MS(10)));
    }
    T_STATUS(408, t_hear(&stream));
    weft_stream_close(&stream);
    cr_assert(t_seen.rc == -ETIME);
}

static int
read_slowly(weft_http_exchange *x, void *arg)
{
    char bytes[16];
    ssize_t n;
    (void)arg;
    t_seen.handled++;
    while ((n = weft_http_request_read(x, bytes, sizeof bytes)) > 0) {
        t_seen.waiting++;
        T_OK(weft_sleep(WEFT_MS(120)));
    }
    return n < 0 ? t_note((int)n) : weft_http_reply(x, 200, T_TEXT, "slow", 4);
}

static const weft_http_route slowly[] = {{"POST /slowly", read_slowly, NULL}, {NULL, NULL, NULL}};

WEB_TEST(http_bodies, a_slow_handler_is_not_its_clients_fault, .routes = slowly,
         .body_timeout = WEFT_MS(300))
{
    weft_stream stream;
    t_dial(web, &stream);
    t_tell(&stream, POST("/slowly", LENGTH(4)));
    for (unsigned i = 0; i < 4; i++) {
        t_tell(&stream, "x");
        T_UNTIL(t_seen.waiting == i + 1 || t_seen.failing > 0);
    }
    T_SAYS(t_hear(&stream), T_OK_TEXT("4", "slow"));
    weft_stream_close(&stream);
}

static int
read_in_time(weft_http_exchange *x, void *arg)
{
    char bytes[16];
    weft_scope scope;
    (void)arg;
    weft_scope_open(&scope, weft_now() + WEFT_MS(30));
    ssize_t n = weft_http_request_read(x, bytes, sizeof bytes);
    T_ERR(-ETIMEDOUT, n);
    weft_ignore(weft_scope_close(&scope));
    t_seen.waiting++;
    n = weft_http_request_read(x, bytes, sizeof bytes);
    return n < 0 ? (int)n : weft_http_reply(x, 200, T_TEXT, bytes, (size_t)n);
}

static const weft_http_route timely[] = {{"POST /", read_in_time, NULL}, {NULL, NULL, NULL}};

WEB_TEST(http_bodies, a_read_that_a_scope_ended_can_be_taken_up_again, .routes = timely)
{
    weft_stream stream;
    t_dial(web, &stream);
    t_tell(&stream, POST("/", LENGTH(4)));
    T_UNTIL(t_seen.waiting == 1);
    t_tell(&stream, "body");
    T_SAYS(t_hear(&stream), T_OK_TEXT("4", "body"));
    weft_stream_close(&stream);
}
