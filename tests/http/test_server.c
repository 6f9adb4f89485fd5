/*
 * test_server.c - HTTP servers as a whole: options, loops, TLS, figures, and very many clients.
 */
#include <weft/tls.h>

#include "http/t_web.h"
#include "t_cert.h"

TestSuite(http_server, .timeout = 240);

/* ---- Options -------------------------------------------------------------------------------- */

LOOPS_TEST(http_server, options_out_of_range_are_refused, 1)
{
    static const char *const listen[] = {"127.0.0.1:0", NULL}, *const nowhere[] = {"nowhere", NULL};
    const weft_http_server_options bad[] = {
        {.net.listen = listen, .header_max = 1001},
        {.net.listen = listen, .head_bytes = (size_t)1 << 40},
        {.net.listen = listen, .idle_timeout = -1},
        {.net.listen = listen, .head_timeout = -1},
        {.net.listen = listen, .body_timeout = -1},
        {.net.listen = listen, .write_timeout = WEFT_FOREVER},
        {.net.listen = listen, .server_name = "a\r\nX: y"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        weft_http_server *server = NULL;
        T_ERR(-EINVAL, weft_http_server_new(&server, &bad[i]));
        cr_assert(weft_error_text()[0] != '\0' && server == NULL, "%zu", i);
    }
    weft_http_server *server = NULL;
    T_ERR(-EINVAL, weft_http_server_new(&server, &(weft_http_server_options){.head_bytes = 0}));
    T_ERR(WEFT_E_ADDRESS,
          weft_http_server_new(&server, &(weft_http_server_options){.net.listen = nowhere}));
    T_ERR(-ENOENT, weft_http_server_new(&server, &(weft_http_server_options){
                                                     .net.listen = listen,
                                                     .access_log = "/nonexistent/folder/log"}));
    cr_assert(server == NULL);
}

WEB_TEST(http_server, a_unix_socket_serves_too,
         .net = {.listen = (const char *const[]){"unix:@weft-http-test", NULL}},
         .access_log = "/dev/null")
{
    T_SAYS(t_talk(web, T_LAST_REQUEST("GET /hello")), T_LAST_TEXT("5", "hello"));
}

/* ---- Many ----------------------------------------------------------------------------------- */

struct asking {
    const struct t_web *web;
    weft_task *task;
    unsigned n, right;
};

static int
ask_often(void *arg)
{
    struct asking *asking = arg;
    weft_stream stream;
    weft_bytes head;
    char body[6] = "";
    t_dial(asking->web, &stream);
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < asking->n; i++) {
        static const char text[] = T_REQUEST("GET /hello");
        rc = weft_stream_write_all(&stream, text, sizeof text - 1, NULL);
        if (rc == 0)
            rc = weft_stream_read_until(&stream, "\r\n\r\n", 4, &head);
        if (rc == 0 && strncmp(head.data, "HTTP/1.1 200 OK\r\n", 17) == 0)
            rc = weft_stream_read_exact(&stream, body, 5, NULL);
        if (rc == 0 && strcmp(body, "hello") == 0)
            asking->right++;
    }
    weft_stream_close(&stream);
    return 0;
}

static void
ask_by_many(const struct t_web *web, unsigned clients, unsigned n)
{
    struct asking *all = calloc(clients, sizeof *all);
    for (unsigned i = 0; i < clients; i++) {
        all[i] = (struct asking){.web = web, .n = n};
        T_OK(weft_task_spawn(&all[i].task, ask_often, &all[i], NULL));
    }
    for (unsigned i = 0; i < clients; i++) {
        T_OK(weft_task_join(all[i].task, NULL));
        cr_assert(all[i].right == n, "client %u: %u of %u", i, all[i].right, n);
    }
    free(all);
}

WEB_TEST(http_server, a_thousand_clients_at_once_are_served, 0)
{
    t_raise_nofile();
    ask_by_many(web, 1000, 3);
    cr_assert(t_web_stats(web).requests == 3000 && t_web_stats(web).bytes_sent == 15000);
}

LOOPS_TEST(http_server, two_loops_serve_at_once, 2)
{
    struct t_web web;
    t_raise_nofile();
    for (int way = 0; way < 3; way++) {
        t_web_begin(&web, &(weft_http_server_options){.net.sharing = (weft_server_sharing)way,
                                                      .access_log = "/dev/null"});
        ask_by_many(&web, 200 / T_SLOW, 20);
        weft_server_stats on[2];
        for (int i = 0; i < 2; i++)
            weft_server_stats_get(weft_http_server_net(web.server), i, &on[i]);
        cr_assert(on[0].accepted + on[1].accepted == 200 / T_SLOW);
        cr_assert(t_web_stats(&web).requests == 200 / T_SLOW * 20);
        t_web_end(&web);
    }
}

static uint64_t
active(const struct t_web *web)
{
    weft_server_stats stats;
    weft_server_stats_get(weft_http_server_net(web->server), -1, &stats);
    return stats.active;
}

WEB_TEST(http_server, ten_thousand_silent_ones_hold_up_nobody, .head_timeout = WEFT_SEC(600))
{
    size_t room = t_raise_nofile(), n = 10000 / T_SLOW;
    if (n > (room - 100) / 2)
        n = (room - 100) / 2;
    int *raws = malloc(n * sizeof *raws);
    for (size_t i = 0; i < n; i++) {
        raws[i] = t_web_raw(web);
        if (i % 3 == 0)
            cr_assert(write(raws[i], "GET /hello HTTP/1.1\r\nHo", 23) == 23);
        /* The kernel's queue is not for so many: it would drop who comes then. */
        if (i % 100 == 99 || i == n - 1)
            T_UNTIL(active(web) == i + 1);
    }
    ask_by_many(web, 20, 50);
    cr_assert(t_web_stats(web).requests == 1000);
    /* One of those who began finds its words. */
    cr_assert(write(raws[0], "st: a\r\n\r\n", 9) == 9);
    T_UNTIL(t_web_stats(web).requests == 1001);
    for (size_t i = 0; i < n; i++)
        close(raws[i]);
    free(raws);
}

WEB_TEST(http_server, beyond_the_most_connections_clients_wait, .net = {.max_connections = 2})
{
    weft_stream a, b, c;
    t_dial(web, &a);
    t_dial(web, &b);
    t_tell(&a, T_REQUEST("GET /hello"));
    t_tell(&b, T_REQUEST("GET /hello"));
    T_STATUS(200, t_hear(&a));
    T_STATUS(200, t_hear(&b));
    t_dial(web, &c);
    t_tell(&c, T_REQUEST("GET /hello"));
    weft_ignore(weft_sleep(WEFT_MS(20)));
    cr_assert(t_web_stats(web).requests == 2);
    weft_stream_close(&a);
    T_STATUS(200, t_hear(&c));
    weft_stream_close(&b);
    weft_stream_close(&c);
}

/* ---- TLS ------------------------------------------------------------------------------------ */

static weft_tls_context *
context_of(const weft_tls_options *options)
{
    weft_tls_context *context = NULL;
    T_OK(weft_tls_context_new(&context, options));
    return context;
}

static weft_tls_context *
server_context(const struct t_cert *cert)
{
    return context_of(
        &(weft_tls_options){.role = WEFT_TLS_SERVER, .cert_pem = t_cert_with_key(cert)});
}

struct secure {
    struct t_web web;
    weft_tls_context *server, *client;
};

static void
secure_begin(struct secure *s, weft_http_server_options options)
{
    s->server = server_context(&t_certs()->server);
    s->client = context_of(&(weft_tls_options){.ca_pem = t_cert_only(&t_certs()->ca)});
    options.tls = s->server;
    t_web_begin(&s->web, &options);
}

static void
secure_end(struct secure *s)
{
    t_web_end(&s->web);
    weft_tls_context_unref(s->server);
    weft_tls_context_unref(s->client);
}

static int
hang_up(weft_stream *tls, weft_stream *inner)
{
    int rc = weft_stream_shutdown(tls);
    weft_stream_close(tls);
    weft_stream_close(inner);
    return rc;
}

/* What a process keeps once it has spoken TLS. */
static int
tls_warm_up(void *arg)
{
    struct secure s;
    weft_stream tls, inner;
    (void)arg;
    secure_begin(&s, (weft_http_server_options){.head_bytes = 0});
    t_dial(&s.web, &inner);
    T_OK(weft_tls_client(&tls, &inner, s.client, "localhost"));
    weft_ignore(hang_up(&tls, &inner));
    secure_end(&s);
    return 0;
}

#define TLS_TEST(name)                                                                             \
    static void name##_tls(void);                                                                  \
    static int name##_tls_task(void *arg)                                                          \
    {                                                                                              \
        (void)arg;                                                                                 \
        name##_tls();                                                                              \
        return 0;                                                                                  \
    }                                                                                              \
    Test(http_server, name)                                                                        \
    {                                                                                              \
        T_OK(weft_run(tls_warm_up, NULL,                                                           \
                      &(weft_options){.loops = 1, .signals = WEFT_SIGNALS_NONE}));                 \
        t_run_loops(name##_tls_task, NULL, 1);                                                     \
    }                                                                                              \
    static void name##_tls(void)

TLS_TEST(https_is_http)
{
    struct secure s;
    weft_stream tls, inner;
    secure_begin(&s, (weft_http_server_options){.head_bytes = 0});
    t_dial(&s.web, &inner);
    T_OK(weft_tls_client(&tls, &inner, s.client, "localhost"));
    t_tell(&tls, T_REQUEST("GET /hello") T_REQUEST("GET /chunks"));
    T_SAYS(t_hear(&tls), T_OK_TEXT("5", "hello"));
    T_STATUS(200, t_hear(&tls));
    t_tell(&tls, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n");
    t_tell(&tls, "body");
    T_SAYS(t_hear(&tls), T_OK_TEXT("4", "body"));
    t_tell(&tls, "GET /big/1000000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    weft_bytes head;
    static unsigned char bytes[1000000];
    T_OK(weft_stream_read_until(&tls, "\r\n\r\n", 4, &head));
    T_OK(weft_stream_read_exact(&tls, bytes, sizeof bytes, NULL));
    cr_assert(t_bytes_match(bytes, sizeof bytes, 7, 0));
    t_hear_end(&tls); /* said good-bye: an answer until the end is known to be whole */
    weft_ignore(hang_up(&tls, &inner));
    secure_end(&s);
}

TLS_TEST(what_is_no_handshake_ends_that_connection_alone)
{
    struct secure s;
    weft_stream tls, inner, stream;
    weft_buf all = {0};
    secure_begin(&s, (weft_http_server_options){.head_timeout = WEFT_MS(300)});
    t_dial(&s.web, &stream);
    t_tell(&stream, T_REQUEST("GET /hello"));
    weft_ignore(weft_stream_read_all(&stream, &all, 10000));
    cr_assert(all.len == 0 || memmem(all.data, all.len, "hello", 5) == NULL);
    weft_buf_free(&all);
    weft_stream_close(&stream);
    cr_assert(t_web_stats(&s.web).tls_failed == 1);
    /* Silence is none either. */
    t_dial(&s.web, &stream);
    weft_ignore(weft_stream_read_all(&stream, &all, 10000));
    weft_buf_free(&all);
    weft_stream_close(&stream);
    T_UNTIL(t_web_stats(&s.web).tls_failed == 2);
    t_dial(&s.web, &inner);
    T_OK(weft_tls_client(&tls, &inner, s.client, "localhost"));
    t_tell(&tls, T_REQUEST("GET /hello"));
    T_SAYS(t_hear(&tls), T_OK_TEXT("5", "hello"));
    weft_ignore(hang_up(&tls, &inner));
    cr_assert(t_seen.handled == 1);
    secure_end(&s);
}

TLS_TEST(a_renewed_certificate_is_for_those_who_come_then)
{
    struct secure s;
    weft_stream old, old_inner, tls, inner;
    char name[64];
    secure_begin(&s, (weft_http_server_options){.head_bytes = 0});
    t_dial(&s.web, &old_inner);
    T_OK(weft_tls_client(&old, &old_inner, s.client, "localhost"));
    weft_tls_context *renewed = server_context(&t_certs()->elsewhere);
    T_ERR(-EINVAL, weft_http_server_set_tls(s.web.server, NULL));
    T_OK(weft_http_server_set_tls(s.web.server, renewed));
    weft_tls_context_unref(renewed);
    t_tell(&old, T_REQUEST("GET /hello"));
    T_SAYS(t_hear(&old), T_OK_TEXT("5", "hello"));
    t_dial(&s.web, &inner);
    weft_tls_context *anybody = context_of(&(weft_tls_options){.insecure = 1});
    T_OK(weft_tls_client(&tls, &inner, anybody, "localhost"));
    T_OK(weft_tls_peer_name(&tls, name, sizeof name) < 0);
    cr_assert(strcmp(name, "localhost") != 0, "%s", name);
    t_tell(&tls, T_REQUEST("GET /hello"));
    T_SAYS(t_hear(&tls), T_OK_TEXT("5", "hello"));
    weft_ignore(hang_up(&tls, &inner));
    weft_ignore(hang_up(&old, &old_inner));
    weft_tls_context_unref(anybody);
    secure_end(&s);
}

TLS_TEST(an_idle_https_connection_ends_with_a_good_bye)
{
    struct secure s;
    weft_stream tls, inner;
    secure_begin(&s, (weft_http_server_options){.head_bytes = 0});
    t_dial(&s.web, &inner);
    T_OK(weft_tls_client(&tls, &inner, s.client, "localhost"));
    t_tell(&tls, T_REQUEST("GET /hello"));
    T_SAYS(t_hear(&tls), T_OK_TEXT("5", "hello"));
    weft_http_server_stop(s.web.server, WEFT_FOREVER);
    char byte;
    ssize_t n = weft_stream_read(&tls, &byte, 1);
    cr_assert(n <= 0);
    weft_ignore(hang_up(&tls, &inner));
    secure_end(&s);
}

LOOPS_TEST(http_server, a_plain_server_takes_no_tls, 1)
{
    struct t_web web;
    t_web_begin(&web, NULL);
    weft_tls_context *context = server_context(&t_certs()->server);
    T_ERR(-EINVAL, weft_http_server_set_tls(web.server, context));
    weft_tls_context_unref(context);
    t_web_end(&web);
}
