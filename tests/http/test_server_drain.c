/*
 * test_server_drain.c - the end of a server: who is between two requests goes at once, who has one
 * under way has its answer, and grace is not for ever.
 */
#include "http/t_web.h"

TestSuite(http_drain, .timeout = 120);

static double
seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

LOOPS_TEST(http_drain, idle_connections_end_at_once, 1)
{
    struct t_web web;
    weft_stream streams[20];
    t_web_begin(&web, NULL);
    for (int i = 0; i < 20; i++) {
        t_dial(&web, &streams[i]);
        t_tell(&streams[i], T_REQUEST("GET /hello"));
        T_SAYS(t_hear(&streams[i]), T_OK_TEXT("5", "hello"));
    }
    weft_ignore(weft_sleep(WEFT_MS(5)));
    double from = seconds();
    weft_http_server_stop(web.server, WEFT_FOREVER);
    for (int i = 0; i < 20; i++) {
        t_hear_end(&streams[i]);
        weft_stream_close(&streams[i]);
    }
    t_web_join(&web);
    T_OK(web.rc);
    cr_assert(seconds() - from < 20);
}

LOOPS_TEST(http_drain, a_request_under_way_has_its_answer, 1)
{
    struct t_web web;
    weft_stream waiting, half, piped;
    t_web_begin(&web, NULL);
    t_dial(&web, &waiting);
    t_tell(&waiting, T_REQUEST("GET /wait"));
    t_dial(&web, &half);
    t_tell(&half, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nha");
    t_dial(&web, &piped);
    t_tell(&piped, T_REQUEST("GET /wait") T_REQUEST("GET /hello"));
    T_UNTIL(t_seen.waiting == 2 && t_seen.handled == 3);
    weft_http_server_stop(web.server, WEFT_FOREVER);
    weft_ignore(weft_sleep(WEFT_MS(10)));
    cr_assert(!web.ended);
    t_tell(&half, "lf");
    T_SAYS(t_hear(&half), T_LAST_TEXT("4", "half"));
    weft_event_set(&t_seen.go);
    T_SAYS(t_hear(&waiting), T_LAST_TEXT("6", "waited"));
    /* After the last answer comes none. */
    T_SAYS(t_hear(&piped), T_LAST_TEXT("6", "waited"));
    t_hear_end(&half);
    t_hear_end(&waiting);
    t_hear_end(&piped);
    weft_stream_close(&half);
    weft_stream_close(&waiting);
    weft_stream_close(&piped);
    t_web_join(&web);
    T_OK(web.rc);
    cr_assert(t_seen.handled == 3);
}

LOOPS_TEST(http_drain, a_head_under_way_counts, 1)
{
    struct t_web web;
    weft_stream stream;
    t_web_begin(&web, NULL);
    t_dial(&web, &stream);
    t_tell(&stream, T_REQUEST("GET /hello"));
    T_SAYS(t_hear(&stream), T_OK_TEXT("5", "hello"));
    t_tell(&stream, "GET /hel");
    weft_ignore(weft_sleep(WEFT_MS(20)));
    weft_http_server_stop(web.server, WEFT_FOREVER);
    weft_ignore(weft_sleep(WEFT_MS(5)));
    t_tell(&stream, "lo HTTP/1.1\r\nHost: a\r\n\r\n");
    T_SAYS(t_hear(&stream), T_LAST_TEXT("5", "hello"));
    t_hear_end(&stream);
    weft_stream_close(&stream);
    t_web_join(&web);
    T_OK(web.rc);
}

LOOPS_TEST(http_drain, who_has_just_connected_may_ask, 1)
{
    struct t_web web;
    weft_stream stream, silent;
    t_web_begin(&web, NULL);
    t_dial(&web, &stream);
    t_dial(&web, &silent);
    t_tell(&stream, T_REQUEST("GET /hello"));
    weft_http_server_stop(web.server, WEFT_FOREVER);
    T_SAYS(t_hear(&stream), T_LAST_TEXT("5", "hello"));
    t_hear_end(&stream);
    t_hear_end(&silent);
    weft_stream_close(&stream);
    weft_stream_close(&silent);
    t_web_join(&web);
    T_OK(web.rc);
}

LOOPS_TEST(http_drain, after_the_grace_requests_are_cancelled, 1)
{
    struct t_web web;
    weft_stream waiting, big;
    t_web_begin(&web, NULL);
    t_dial(&web, &waiting);
    t_tell(&waiting, T_REQUEST("GET /wait"));
    t_dial(&web, &big);
    t_tell(&big, T_REQUEST("GET /big/100000000"));
    T_UNTIL(t_seen.waiting == 1 && t_seen.handled == 2);
    weft_http_server_stop(web.server, WEFT_MS(50));
    t_web_join(&web);
    T_OK(web.rc);
    cr_assert(t_seen.rc == -ECANCELED && t_seen.failing == 2);
    /* Nothing had been sent: it is told. Half an answer is none. */
    const char *answer = t_hear(&waiting);
    T_STATUS(500, answer);
    T_HAS(answer, "Connection: close\r\n");
    weft_stream_close(&waiting);
    static char bytes[65536];
    ssize_t n;
    uint64_t sum = 0;
    while ((n = weft_stream_read(&big, bytes, sizeof bytes)) > 0)
        sum += (uint64_t)n;
    cr_assert(sum < 100000000);
    weft_stream_close(&big);
}

static int
run_in_scope(void *arg)
{
    struct t_web *web = arg;
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_MS(100));
    web->rc = weft_http_server_run(web->server);
    weft_ignore(weft_scope_close(&scope));
    web->ended = true;
    return 0;
}

LOOPS_TEST(http_drain, the_end_of_a_scope_drains_as_well, 2)
{
    struct t_web web;
    static const char *const listen[] = {"127.0.0.1:0", NULL};
    T_OK(weft_http_server_new(&web.server, &(weft_http_server_options){.net.listen = listen,
                                                                       .net.grace = WEFT_SEC(30),
                                                                       .routes = t_routes,
                                                                       .server_name = "",
                                                                       .access_log = "/dev/null"}));
    T_OK(weft_server_address(weft_http_server_net(web.server), 0, &web.address));
    weft_event_open(&t_seen.go);
    T_OK(weft_task_spawn(&web.task, run_in_scope, &web, NULL));
    weft_stream stream;
    t_dial(&web, &stream);
    t_tell(&stream, T_REQUEST("GET /chunks"));
    T_STATUS(200, t_hear(&stream));
    t_hear_end(&stream);
    weft_stream_close(&stream);
    t_web_join(&web);
    T_ERR(-ETIMEDOUT, web.rc);
}

LOOPS_TEST(http_drain, a_server_that_never_ran_is_freed, 1)
{
    static const char *const listen[] = {"127.0.0.1:0", NULL};
    weft_http_server *server;
    weft_http_server_options options = {
        .net.listen = listen, .routes = t_routes, .access_log = "/dev/null"};
    T_OK(weft_http_server_new(&server, &options));
    weft_http_server_free(server);
    weft_http_server_free(NULL);
    T_OK(weft_http_server_new(&server, &options));
    weft_http_server_stop(server, 0);
    T_OK(weft_http_server_run(server));
    weft_http_server_free(server);
}
