/*
 * test_server_answers.c - answers: whole, in pieces, without a body, of handlers that fail, and to
 * clients that do not read.
 */
#include "http/t_web.h"

TestSuite(http_answers, .timeout = 120);

WEB_TEST(http_answers, an_answer_of_unknown_length_is_chunked, 0)
{
    T_SAYS(t_talk(web, T_REQUEST("GET /chunks") T_LAST_REQUEST("GET /hello")),
           "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
           "3\r\none\r\nc\r\ntwelve bytes\r\n0\r\n\r\n" T_LAST_TEXT("5", "hello"));
    cr_assert(t_web_stats(web).bytes_sent == 20);
}

WEB_TEST(http_answers, to_http_1_0_it_goes_until_the_end_of_the_connection, 0)
{
    T_SAYS(t_talk(web, "GET /chunks HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
           "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
           "onetwelve bytes");
}

WEB_TEST(http_answers, head_is_answered_as_get_without_the_body, 0)
{
    weft_stream stream;
    t_dial(web, &stream);
    t_tell(&stream, T_REQUEST("HEAD /hello") T_REQUEST("HEAD /chunks") T_REQUEST("HEAD /big/99999")
                        T_REQUEST("GET /hello"));
    T_SAYS(t_hear_one(&stream, true), T_OK_TEXT("5", ""));
    T_SAYS(t_hear_one(&stream, true), "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n");
    T_SAYS(t_hear_one(&stream, true), T_OK_TEXT("99999", ""));
    T_SAYS(t_hear(&stream), T_OK_TEXT("5", "hello"));
    weft_stream_close(&stream);
    cr_assert(t_web_stats(web).bytes_sent == 5);
    /* Errors too. */
    const char *answer = t_talk(web, T_REQUEST("HEAD /fail"));
    T_STATUS(500, answer);
    cr_assert(strcmp(strstr(answer, "\r\n\r\n"), "\r\n\r\n") == 0, "%s", answer);
}

static int
of_status(weft_http_exchange *x, void *arg)
{
    (void)arg;
    t_seen.handled++;
    T_OK(weft_http_response_header(x, "X-A", "1"));
    T_OK(weft_http_response_header(x, "X-A", "2"));
    return t_note(weft_http_reply(x, (int)t_id(x), NULL, "body", 4));
}

static const weft_http_route statuses[] = {{"GET /{id}", of_status, NULL}, {NULL, NULL, NULL}};

WEB_TEST(http_answers, answers_without_a_body_have_none, .routes = statuses)
{
    weft_stream stream;
    t_dial(web, &stream);
    t_tell(&stream, T_REQUEST("GET /204") T_REQUEST("GET /304") T_REQUEST("GET /200"));
    T_SAYS(t_hear(&stream), "HTTP/1.1 204 No Content\r\nX-A: 1\r\nX-A: 2\r\n\r\n");
    T_SAYS(t_hear(&stream),
           "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\nX-A: 1\r\nX-A: 2\r\n\r\n");
    T_SAYS(t_hear(&stream), "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-A: 1\r\nX-A: 2\r\n\r\nbody");
    weft_stream_close(&stream);
    /* 1xx is no answer, and 600 none either: the handler fails. */
    T_STATUS(500, t_talk(web, T_REQUEST("GET /100")));
    T_STATUS(500, t_talk(web, T_REQUEST("GET /600")));
    cr_assert(t_seen.rc == -EINVAL && t_web_stats(web).failed == 2);
}

/* ---- Headers -------------------------------------------------------------------------------- */

static int
headers(weft_http_exchange *x, void *arg)
{
    (void)arg;
    t_seen.handled++;
    static const char *const bad[][2] = {
        {"X", "a\r\nSet-Cookie: b"},
        {"X", "a\nb"},
        {"X", "a\rb"},
        {"X\r\nY", "a"},
        {"X: Y", "a"},
        {"", "a"},
        {"X ", "a"},
        {"X", "\x01"},
        {"X", "\x7f"},
        {"Connection", "x"},
        {"content-LENGTH", "1"},
        {"Transfer-Encoding", "chunked"},
        {"Upgrade", "x"},
        {"Keep-Alive", "x"},
        {"Trailer", "x"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        T_ERR(-EINVAL, weft_http_response_header(x, bad[i][0], bad[i][1]));
    T_ERR(-EINVAL, weft_http_reply(x, 200, "text/plain\r\nX: y", "a", 1));
    T_ERR(-EINVAL, weft_http_response_begin(x, 200, "a\nb", 1));
    T_ERR(-EPROTO, weft_http_response_write(x, "a", 1));
    T_ERR(-EPROTO, weft_http_response_end(x));
    T_OK(weft_http_response_header(x, "Date", "now"));
    T_OK(weft_http_response_header(x, "server", "mine"));
    T_OK(weft_http_response_header(x, "X-Empty", ""));
    T_OK(weft_http_response_header(x, "X-Text", "\ta \xc3\xa4"));
    T_OK(weft_http_reply(x, 200, "a/b", "c", 1));
    T_ERR(-EALREADY, weft_http_response_header(x, "X", "a"));
    T_ERR(-EALREADY, weft_http_reply(x, 200, NULL, "a", 1));
    T_ERR(-EALREADY, weft_http_response_begin(x, 200, NULL, 1));
    T_ERR(-EPROTO, weft_http_response_write(x, "a", 1));
    T_OK(weft_http_response_end(x));
    return 0;
}

static const weft_http_route of_headers[] = {{"GET /", headers, NULL}, {NULL, NULL, NULL}};

WEB_TEST(http_answers, nothing_is_sent_that_splits_an_answer, .routes = of_headers,
         .server_name = "theirs")
{
    weft_stream stream;
    weft_buf all = {0};
    t_dial(web, &stream);
    t_tell(&stream, T_LAST_REQUEST("GET /"));
    T_OK(weft_stream_read_all(&stream, &all, 10000));
    T_OK(weft_buf_append(&all, "", 1));
    T_SAYS((char *)all.data, "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 1\r\n"
                             "Connection: close\r\nDate: now\r\nserver: mine\r\nX-Empty: \r\n"
                             "X-Text: \ta \xc3\xa4\r\n\r\nc");
    weft_buf_free(&all);
    weft_stream_close(&stream);
}

WEB_TEST(http_answers, date_and_server_are_said, .server_name = "theirs/1.0")
{
    weft_stream stream;
    weft_buf all = {0};
    t_dial(web, &stream);
    t_tell(&stream, T_LAST_REQUEST("GET /hello"));
    T_OK(weft_stream_read_all(&stream, &all, 10000));
    T_OK(weft_buf_append(&all, "", 1));
    T_HAS((char *)all.data, "\r\nServer: theirs/1.0\r\n");
    const char *date = strstr((char *)all.data, "\r\nDate: ");
    int64_t at;
    cr_assert(date != NULL && strlen(date) > 37 && strncmp(date + 37, "\r\n", 2) == 0);
    T_OK(weft_http_date_parse(date + 8, 29, time(NULL), &at));
    cr_assert(at > time(NULL) - 10 && at <= time(NULL) + 1);
    weft_buf_free(&all);
    weft_stream_close(&stream);
}

/* ---- Handlers that fail --------------------------------------------------------------------- */

static int
begin_and_fail(weft_http_exchange *x, void *arg)
{
    (void)arg;
    t_seen.handled++;
    T_OK(weft_http_response_header(x, "X-Lost", "1"));
    T_OK(weft_http_response_begin(x, 200, T_TEXT, 10));
    return -EFAULT;
}

static int
flush_and_fail(weft_http_exchange *x, void *arg)
{
    (void)arg;
    t_seen.handled++;
    T_OK(weft_http_response_begin(x, 200, T_TEXT, -1));
    T_OK(weft_http_response_write(x, "", 0));
    return -EFAULT;
}

static const weft_http_route failing[] = {
    {"GET /fail", t_do_fail, NULL},       {"GET /begin", begin_and_fail, NULL},
    {"GET /flush", flush_and_fail, NULL}, {"GET /nothing", t_do_nothing, NULL},
    {"GET /late", t_do_fail_late, NULL},  {"GET /after", t_do_fail_after, NULL},
    {"GET /short", t_do_short, NULL},     {"GET /long", t_do_long, NULL},
    {"GET /hello", t_do_hello, NULL},     {NULL, NULL, NULL}};

static int
begin_and_give_a_count(weft_http_exchange *x, void *arg)
{
    (void)arg;
    t_seen.handled++;
    T_OK(weft_http_response_begin(x, 200, T_TEXT, -1));
    T_OK(weft_http_response_write(x, "five!", 5));
    return 5;
}

static const weft_http_route counting[] = {{"GET /count", begin_and_give_a_count, NULL},
                                           {"GET /hello", t_do_hello, NULL},
                                           {NULL, NULL, NULL}};

#define FAILED                                                                                     \
    "HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\n"            \
    "Content-Length: 26\r\nConnection: close\r\n\r\n500 Internal Server Error\n"

WEB_TEST(http_answers, a_handler_that_fails_before_it_answers_is_500, .routes = failing)
{
    t_log_begin();
    static const char *const paths[] = {"/fail", "/begin", "/nothing"};
    for (size_t i = 0; i < 3; i++) {
        char text[200];
        snprintf(text, sizeof text, T_REQUEST("GET /hello") "GET %s HTTP/1.1\r\nHost: a\r\n\r\n",
                 paths[i]);
        T_SAYS(t_talk(web, text), T_OK_TEXT("5", "hello") FAILED);
        cr_assert(t_web_stats(web).failed == i + 1);
    }
    cr_assert(t_logged("GET /fail: the handler failed"), "%s", t_log_text);
    cr_assert(t_logged("GET /nothing: the handler did not answer"), "%s", t_log_text);
    weft_set_log(NULL, NULL);
}

WEB_TEST(http_answers, a_handler_that_fails_in_its_answer_is_cut_off, .routes = failing)
{
    /* Never does it look like a whole answer, and never does another one follow. */
    static const char *const rows[][2] = {
        {"/late", "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\nhalf"},
        {"/short", "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\nhalf"},
        {"/flush",
         "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"},
    };
    for (size_t i = 0; i < 3; i++) {
        char text[200], expected[400];
        snprintf(text, sizeof text, "%sGET %s HTTP/1.1\r\nHost: a\r\n\r\n", T_REQUEST("GET /hello"),
                 rows[i][0]);
        snprintf(expected, sizeof expected, "%s%s", T_OK_TEXT("5", "hello"), rows[i][1]);
        T_SAYS(t_talk(web, text), expected);
        cr_assert(t_web_stats(web).failed == i + 1);
    }
}

WEB_TEST(http_answers, an_answer_is_ended_whatever_its_handler_counts, .routes = counting)
{
    T_SAYS(t_talk(web, T_REQUEST("GET /count") T_LAST_REQUEST("GET /hello")),
           "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
           "5\r\nfive!\r\n0\r\n\r\n" T_LAST_TEXT("5", "hello"));
    cr_assert(t_web_stats(web).failed == 0);
}

static int
flush_to_the_end_and_fail(weft_http_exchange *x, void *arg)
{
    (void)arg;
    t_seen.handled++;
    T_OK(weft_http_response_begin(x, 200, T_TEXT, -1));
    T_OK(weft_http_response_write(x, "half", 4));
    T_OK(weft_event_wait(&t_seen.go)); /* until the client has read it */
    return -EFAULT;
}

static const weft_http_route to_the_end[] = {{"GET /half", flush_to_the_end_and_fail, NULL},
                                             {NULL, NULL, NULL}};

/* The end of the connection is the end of the body there: only a reset is another end. */
WEB_TEST(http_answers, half_an_answer_to_http_1_0_is_not_taken_for_a_whole_one,
         .routes = to_the_end)
{
    weft_stream stream;
    weft_bytes head;
    char bytes[8];
    t_dial(web, &stream);
    t_tell(&stream, "GET /half HTTP/1.0\r\n\r\n");
    T_OK(weft_stream_read_until(&stream, "\r\n\r\n", 4, &head));
    T_OK(weft_stream_read_exact(&stream, bytes, 4, NULL));
    weft_event_set(&t_seen.go);
    T_ERR(-ECONNRESET, (int)weft_stream_read(&stream, bytes, sizeof bytes));
    weft_stream_close(&stream);
    cr_assert(t_web_stats(web).failed == 1);
}

WEB_TEST(http_answers, more_than_was_announced_is_refused, .routes = failing)
{
    T_SAYS(t_talk(web, T_REQUEST("GET /long") T_LAST_REQUEST("GET /hello")),
           T_OK_TEXT("3", "abc") T_LAST_TEXT("5", "hello"));
}

WEB_TEST(http_answers, a_failure_after_the_answer_is_only_counted, .routes = failing)
{
    T_SAYS(t_talk(web, T_REQUEST("GET /after") T_LAST_REQUEST("GET /hello")),
           T_OK_TEXT("9", "all of it") T_LAST_TEXT("5", "hello"));
    cr_assert(t_web_stats(web).failed == 1);
}

static struct {
    unsigned n;
    int rc;
    void *arg;
} told;

static void
on_error(void *arg, weft_stream *connection, int rc)
{
    told.n += connection != NULL;
    told.rc = rc;
    told.arg = arg;
}

WEB_TEST(http_answers, who_wants_to_know_is_told_of_failures, .routes = failing,
         .net = {.on_error = on_error, .arg = &told})
{
    T_STATUS(500, t_talk(web, T_REQUEST("GET /fail")));
    cr_assert(told.n == 1 && told.rc == -EFAULT && told.arg == &told);
    T_STATUS(500, t_talk(web, T_REQUEST("GET /nothing")));
    cr_assert(told.n == 2 && told.rc == 0);
    T_STATUS(400, t_talk(web, "nonsense\r\n\r\n"));
    cr_assert(told.n == 2);
}

WEB_TEST(http_answers, an_answer_that_ends_too_early_is_told_of, .routes = failing,
         .net = {.on_error = on_error, .arg = &told})
{
    weft_ignore(t_talk(web, T_REQUEST("GET /short")));
    cr_assert(told.n == 1 && told.rc == WEFT_E_END, "told %u times, of %d", told.n, told.rc);
}

/* ---- Large answers, and who does not read them ---------------------------------------------- */

static int
big_reply(weft_http_exchange *x, void *arg)
{
    (void)arg;
    t_seen.handled++;
    size_t len = (size_t)t_id(x);
    unsigned char *bytes = malloc(len);
    t_bytes_make(bytes, len, 7, 0);
    int rc = t_note(weft_http_reply(x, 200, T_TEXT, bytes, len));
    free(bytes);
    return rc;
}

static const weft_http_route bigs[] = {{"GET /reply/{id}", big_reply, NULL},
                                       {"GET /big/{id}", t_do_big, NULL},
                                       {"GET /hello", t_do_hello, NULL},
                                       {NULL, NULL, NULL}};

WEB_TEST(http_answers, answers_of_all_sizes_arrive_whole, .routes = bigs)
{
    static const size_t sizes[] = {1, 8191, 8192, 8193, 16384, 100000, 3000000};
    static unsigned char bytes[3000000];
    weft_stream stream;
    t_dial(web, &stream);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int way = 0; way < 2; way++) {
            char text[200];
            weft_bytes head;
            snprintf(text, sizeof text,
                     "GET /%s/%zu HTTP/1.1\r\nHost: a\r\n\r\n" T_REQUEST("GET /hello"),
                     way ? "reply" : "big", sizes[i]);
            t_tell(&stream, text);
            T_OK(weft_stream_read_until(&stream, "\r\n\r\n", 4, &head));
            T_OK(weft_stream_read_exact(&stream, bytes, sizes[i], NULL));
            cr_assert(t_bytes_match(bytes, sizes[i], 7, 0), "%zu bytes", sizes[i]);
            T_SAYS(t_hear(&stream), T_OK_TEXT("5", "hello"));
        }
    weft_stream_close(&stream);
}

WEB_TEST(http_answers, who_reads_nothing_is_cut_off, .routes = bigs, .write_timeout = WEFT_MS(150))
{
    static const char *const paths[] = {"/big/100000000", "/reply/30000000"};
    for (size_t i = 0; i < 2; i++) {
        weft_stream stream;
        char text[100];
        t_seen.failing = 0;
        t_dial(web, &stream);
        snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", paths[i]);
        t_tell(&stream, text);
        T_UNTIL(t_seen.failing == 1);
        cr_assert(t_seen.rc == -ETIME, "%d", t_seen.rc);
        /* What the client has is not whole. */
        static char bytes[65536];
        ssize_t n;
        uint64_t sum = 0;
        while ((n = weft_stream_read(&stream, bytes, sizeof bytes)) > 0)
            sum += (uint64_t)n;
        cr_assert(sum < 30000000);
        weft_stream_close(&stream);
    }
}

WEB_TEST(http_answers, who_reads_slowly_is_not, .routes = bigs, .write_timeout = WEFT_SEC(1))
{
    weft_stream stream;
    weft_bytes head;
    static unsigned char bytes[1000000];
    t_dial(web, &stream);
    t_tell(&stream, T_REQUEST("GET /big/20000000"));
    T_OK(weft_stream_read_until(&stream, "\r\n\r\n", 4, &head));
    for (uint64_t at = 0; at < 20000000; at += sizeof bytes) {
        T_OK(weft_stream_read_exact(&stream, bytes, sizeof bytes, NULL));
        cr_assert(t_bytes_match(bytes, sizeof bytes, 7, at));
        weft_ignore(weft_sleep(WEFT_MS(75)));
    }
    weft_stream_close(&stream);
    cr_assert(t_seen.failing == 0);
}

WEB_TEST(http_answers, who_goes_away_ends_nothing_but_the_answer, .routes = bigs)
{
    for (int i = 0; i < 10; i++) {
        int raw = t_web_raw(web);
        static const char text[] = T_REQUEST("GET /big/30000000");
        cr_assert(write(raw, text, sizeof text - 1) == (ssize_t)sizeof text - 1);
        unsigned before = t_seen.handled;
        T_UNTIL(t_seen.handled > before);
        if (i % 2 == 0)
            t_reset(raw);
        else
            close(raw);
    }
    T_UNTIL(t_seen.failing == 10);
    T_SAYS(t_talk(web, T_LAST_REQUEST("GET /hello")), T_LAST_TEXT("5", "hello"));
}
