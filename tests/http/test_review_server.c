/*
 * test_review_server.c - what a server must not be led into: by requests that have two readings, by
 * clients and handlers that take their time, by the same exchange used for the next request.
 */
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <weft/connect.h>
#include <weft/http_server.h>
#include <weft/scope.h>
#include <weft/task.h>

#include "io/t_io.h"
#include "t_cert.h"

TestSuite(http_review_server, .timeout = 120);

struct site {
    weft_http_server *server;
    weft_address address;
    weft_group group;
};

static int
site_run(void *arg)
{
    struct site *site = arg;
    return weft_http_server_run(site->server);
}

static void
site_open(struct site *site, const weft_http_server_options *options)
{
    static const char *const listen[] = {"127.0.0.1:0", NULL};
    weft_http_server_options mine = *options;
    mine.net.listen = listen;
    T_OK(weft_http_server_new(&site->server, &mine));
    T_OK(weft_server_address(weft_http_server_net(site->server), 0, &site->address));
    weft_group_open(&site->group, NULL);
    weft_group_spawn(&site->group, site_run, site);
}

static void
site_close(struct site *site)
{
    weft_http_server_stop(site->server, WEFT_SEC(5));
    T_OK(weft_group_close(&site->group));
    weft_http_server_free(site->server);
}

/* What a client got, up to the end of the connection. */
static const char *
read_to_end(weft_fd *fd)
{
    static char text[65536];
    size_t len = 0;
    ssize_t n = 1;
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_SEC(20));
    while (len < sizeof text - 1 && n > 0) {
        n = weft_fd_read(fd, text + len, sizeof text - 1 - len);
        len += n > 0 ? (size_t)n : 0;
    }
    T_OK(weft_scope_close(&scope));
    text[len] = '\0';
    return text;
}

static void
say(weft_fd *fd, const char *text)
{
    T_OK(weft_fd_write_all(fd, text, strlen(text), NULL));
}

/* Sends all of it, and that there is no more. */
static const char *
ask(struct site *site, const char *text)
{
    weft_fd fd;
    T_OK(weft_tcp_connect(&fd, &site->address));
    say(&fd, text);
    shutdown(weft_fd_raw(&fd), SHUT_WR);
    const char *answer = read_to_end(&fd);
    weft_fd_close(&fd);
    return answer;
}

static unsigned
count(const char *text, const char *what)
{
    unsigned n = 0;
    while ((text = strstr(text, what)) != NULL) {
        n++;
        text += strlen(what);
    }
    return n;
}

/* ---- Handlers ------------------------------------------------------------------------------- */

static int
say_path(weft_http_exchange *x, void *arg)
{
    (void)arg;
    weft_bytes path = weft_http_request_path(x);
    return weft_http_reply(x, 200, "text/plain", path.data, path.len);
}

static int
say_body(weft_http_exchange *x, void *arg)
{
    (void)arg;
    weft_buf body = {0};
    int rc = weft_http_request_read_all(x, &body, 1 << 20);
    if (rc == 0)
        rc = weft_http_reply(x, 200, "text/plain", body.data, body.len);
    weft_buf_free(&body);
    return rc;
}

/* Takes its time between two pieces of a body. */
static int
digest(weft_http_exchange *x, void *arg)
{
    char byte;
    ssize_t n;
    size_t all = 0;
    while ((n = weft_http_request_read(x, &byte, 1)) > 0) {
        if (all++ == 0)
            T_OK(weft_sleep(*(weft_time *)arg));
    }
    return n < 0 ? (int)n : weft_http_reply(x, 200, NULL, &all, 0);
}

#define SERVER_TEST(name)                                                                          \
    static void name##_body(void);                                                                 \
    static int name##_task(void *arg)                                                              \
    {                                                                                              \
        (void)arg;                                                                                 \
        name##_body();                                                                             \
        return 0;                                                                                  \
    }                                                                                              \
    Test(http_review_server, name)                                                                 \
    {                                                                                              \
        t_leak_begin();                                                                            \
        T_OK(weft_run(name##_task, NULL,                                                           \
                      &(weft_options){.loops = 1, .signals = WEFT_SIGNALS_NONE}));                 \
        t_leak_end();                                                                              \
    }                                                                                              \
    static void name##_body(void)

/* ---- Two readings --------------------------------------------------------------------------- */

SERVER_TEST(what_follows_a_connect_that_was_refused_is_no_request)
{
    struct site site;
    site_open(&site, &(weft_http_server_options){.handler = say_path});
    const char *answer = ask(&site, "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"
                                    "GET /inside HTTP/1.1\r\nHost: b.example\r\n\r\n");
    cr_assert(count(answer, "HTTP/1.1 ") == 1, "%s", answer);
    cr_assert(strstr(answer, "Connection: close\r\n") != NULL, "%s", answer);
    cr_assert(strstr(answer, "/inside") == NULL);
    site_close(&site);
}

SERVER_TEST(a_head_request_refused_for_its_length_gets_no_body)
{
    struct site site;
    site_open(&site, &(weft_http_server_options){.handler = say_path, .body_bytes = 10});
    const char *answer =
        ask(&site, "HEAD /large HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n12345678901");
    cr_assert(strncmp(answer, "HTTP/1.1 413 ", 13) == 0, "%s", answer);
    const char *end = strstr(answer, "\r\n\r\n");
    cr_assert(end != NULL && end[4] == '\0', "%s", answer);
    site_close(&site);
}

/* ---- Time ----------------------------------------------------------------------------------- */

SERVER_TEST(a_handlers_own_time_does_not_count_against_the_client)
{
    struct site site;
    weft_time pause = WEFT_MS(1500);
    const weft_http_route routes[] = {{"POST /", digest, &pause}, {0}};
    site_open(&site, &(weft_http_server_options){.routes = routes, .body_timeout = WEFT_MS(1000)});
    weft_fd fd;
    T_OK(weft_tcp_connect(&fd, &site.address));
    say(&fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\n");
    T_OK(weft_sleep(WEFT_MS(20)));
    say(&fd, "1");
    T_OK(weft_sleep(WEFT_MS(100)));
    say(&fd, "2"); /* long before the handler asks for it */
    const char *answer = read_to_end(&fd);
    cr_assert(strncmp(answer, "HTTP/1.1 200 ", 13) == 0, "%s", answer);
    weft_fd_close(&fd);
    site_close(&site);
}

SERVER_TEST(a_body_that_trickles_ends_in_408_however_often_it_is_read)
{
    struct site site;
    const weft_http_route routes[] = {{"POST /", say_body, NULL}, {0}};
    site_open(&site, &(weft_http_server_options){
                         .routes = routes, .body_timeout = WEFT_MS(500), .body_rate = 1000000});
    weft_fd fd;
    T_OK(weft_tcp_connect(&fd, &site.address));
    say(&fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
    weft_time from = weft_now();
    for (int i = 0; i < 100; i++) {
        if (weft_fd_write_all(&fd, "x", 1, NULL) < 0)
            break;
        T_OK(weft_sleep(WEFT_MS(50)));
        if (weft_now() - from > WEFT_MS(1500))
            break;
    }
    const char *answer = read_to_end(&fd);
    cr_assert(strncmp(answer, "HTTP/1.1 408 ", 13) == 0, "%s", answer);
    weft_fd_close(&fd);
    site_close(&site);
}

/* ---- Connections kept ----------------------------------------------------------------------- */

SERVER_TEST(a_body_that_came_without_waiting_for_100_keeps_the_connection)
{
    struct site site;
    const weft_http_route routes[] = {{"POST /", say_body, NULL}, {0}};
    site_open(&site, &(weft_http_server_options){.routes = routes});
    const char *answer =
        ask(&site, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
                   "one"
                   "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\ntwo");
    cr_assert(count(answer, "HTTP/1.1 200 ") == 2, "%s", answer);
    cr_assert(strstr(answer, "one") != NULL && strstr(answer, "two") != NULL, "%s", answer);
    cr_assert(strstr(answer, "100 Continue") == NULL, "%s", answer);
    site_close(&site);
}

/* Answers with what the exchange says of this request. */
static int
say_all(weft_http_exchange *x, void *arg)
{
    (void)arg;
    weft_bytes host = weft_http_request_host(x), query = weft_http_request_query(x);
    weft_bytes id = weft_http_request_param(x, "id"), cookie;
    cookie = weft_http_request_header(x, "Cookie");
    weft_buf text = {0};
    T_OK(weft_buf_printf(&text, "[%d %lld %.*s|%.*s|%.*s|%.*s]", weft_http_request_version(x),
                         (long long)weft_http_request_length(x), (int)host.len,
                         host.data ? (const char *)host.data : "", (int)query.len,
                         query.data ? (const char *)query.data : "", (int)id.len,
                         id.data ? (const char *)id.data : "", (int)cookie.len,
                         cookie.data ? (const char *)cookie.data : ""));
    if (id.len > 0)
        T_OK(weft_http_response_header(x, "X-Id", "given"));
    int rc = weft_http_reply(x, 200, "text/plain", text.data, text.len);
    weft_buf_free(&text);
    return rc;
}

SERVER_TEST(nothing_of_a_request_is_seen_by_the_next)
{
    struct site site;
    const weft_http_route routes[] = {{"GET /id/{id}", say_all, NULL}, {0}};
    site_open(&site, &(weft_http_server_options){.routes = routes, .handler = say_all});
    const char *answer = ask(&site, "GET /id/seven?q=1 HTTP/1.1\r\nHost: first\r\nCookie: c\r\n\r\n"
                                    "POST /x HTTP/1.1\r\nHost: second\r\nTransfer-Encoding: "
                                    "chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
                                    "GET / HTTP/1.0\r\n\r\n");
    cr_assert(strstr(answer, "[11 0 first|q=1|seven|c]") != NULL, "%s", answer);
    cr_assert(strstr(answer, "[11 -1 second|||]") != NULL, "%s", answer);
    cr_assert(strstr(answer, "[10 0 |||]") != NULL, "%s", answer);
    cr_assert(count(answer, "X-Id: given") == 1, "%s", answer);
    answer = ask(&site, "GET / HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n");
    cr_assert(strstr(answer, "[11 0 other|||]") != NULL, "%s", answer);
    site_close(&site);
}

/* Adds so many headers that nobody would want to keep their memory. */
static int
say_much(weft_http_exchange *x, void *arg)
{
    (void)arg;
    char value[1001];
    memset(value, 'v', 1000);
    value[1000] = '\0';
    for (int i = 0; i < 1000; i++)
        T_OK(weft_http_response_header(x, "X-Much", value));
    return weft_http_reply(x, 200, NULL, NULL, 0);
}

SERVER_TEST(a_long_answer_head_is_not_kept_for_ever)
{
    struct site site;
    site_open(&site, &(weft_http_server_options){.handler = say_path});
    ask(&site, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    site_close(&site);
    site_open(&site, &(weft_http_server_options){.handler = say_much});
    size_t before = mallinfo2().uordblks;
    weft_fd fd;
    T_OK(weft_tcp_connect(&fd, &site.address));
    say(&fd, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    static char bytes[65536];
    while (weft_fd_read(&fd, bytes, sizeof bytes) > 0)
        continue;
    weft_fd_close(&fd);
    T_OK(weft_sleep(WEFT_MS(20)));
    size_t after = mallinfo2().uordblks; /* 0 under sanitizers */
    cr_assert(after < before + 500000, "%zu bytes before, %zu after", before, after);
    site_close(&site);
}

/* ---- TLS ------------------------------------------------------------------------------------ */

/* What a client reads at the end of a connection over TLS after one request. */
static ssize_t
last_read(struct site *site, bool stop)
{
    weft_tls_context *context;
    weft_stream net, tls;
    char text[64], bytes[4096];
    T_OK(
        weft_tls_context_new(&context, &(weft_tls_options){.ca_pem = t_cert_only(&t_certs()->ca)}));
    T_OK(weft_connect(&net, weft_address_format(&site->address, text, sizeof text), NULL));
    T_OK(weft_tls_client(&tls, &net, context, "localhost"));
    T_OK(weft_stream_write_all(&tls, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27, NULL));
    ssize_t n = weft_stream_read(&tls, bytes, sizeof bytes);
    cr_assert(n > 0 && strncmp(bytes, "HTTP/1.1 200 ", 13) == 0);
    if (stop)
        weft_http_server_stop(site->server, WEFT_SEC(5));
    while (n > 0)
        n = weft_stream_read(&tls, bytes, sizeof bytes);
    weft_stream_close(&tls);
    weft_tls_context_unref(context);
    return n;
}

static void
site_open_tls(struct site *site, weft_http_server_options options)
{
    weft_tls_context *context;
    T_OK(weft_tls_context_new(
        &context, &(weft_tls_options){.role = WEFT_TLS_SERVER,
                                      .cert_pem = t_cert_with_key(&t_certs()->server)}));
    options.tls = context;
    site_open(site, &options);
    weft_tls_context_unref(context);
}

SERVER_TEST(an_idle_connection_is_ended_with_a_good_bye)
{
    struct site site;
    site_open_tls(&site,
                  (weft_http_server_options){.handler = say_path, .idle_timeout = WEFT_MS(50)});
    T_OK(last_read(&site, false));
    site_close(&site);
    site_open_tls(&site, (weft_http_server_options){.handler = say_path});
    T_OK(last_read(&site, true));
    site_close(&site);
}

/* Half an answer, and then nothing. */
static int
say_half(weft_http_exchange *x, void *arg)
{
    (void)arg;
    int rc = weft_http_response_begin(x, 200, NULL, -1);
    return rc < 0 ? rc : weft_http_response_write(x, "half", 4) < 0 ? -EPIPE : -EIO;
}

SERVER_TEST(half_an_answer_is_not_ended_with_a_good_bye)
{
    struct site site;
    site_open_tls(&site, (weft_http_server_options){.handler = say_half});
    T_ERR(WEFT_E_TLS_CUT, last_read(&site, false));
    site_close(&site);
}

/* ---- Files ---------------------------------------------------------------------------------- */

SERVER_TEST(a_file_that_cannot_be_opened_just_now_is_not_missing)
{
    struct site site;
    char folder[] = "/tmp/weft-test-XXXXXX", path[64];
    cr_assert(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/leased", folder);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    cr_assert(fd >= 0);
    weft_http_files files = {.root = folder};
    const weft_http_route routes[] = {{"GET /{path...}", weft_http_serve_files, &files}, {0}};
    site_open(&site, &(weft_http_server_options){.routes = routes});
    void (*old)(int) = signal(SIGIO, SIG_IGN); /* whoever opens it has the lease taken back */
    if (fcntl(fd, F_SETLEASE, F_WRLCK) == 0) {
        const char *answer = ask(&site, "GET /leased HTTP/1.1\r\nHost: a\r\n\r\n");
        cr_assert(strncmp(answer, "HTTP/1.1 503 ", 13) == 0, "%s", answer);
        fcntl(fd, F_SETLEASE, F_UNLCK);
    }
    const char *answer = ask(&site, "GET /leased HTTP/1.1\r\nHost: a\r\n\r\n");
    cr_assert(strncmp(answer, "HTTP/1.1 200 ", 13) == 0, "%s", answer);
    signal(SIGIO, old);
    site_close(&site);
    close(fd);
    unlink(path);
    rmdir(folder);
}

SERVER_TEST(what_is_no_file_is_not_served_and_holds_nobody_up)
{
    struct site site;
    char folder[] = "/tmp/weft-test-XXXXXX", path[64];
    cr_assert(mkdtemp(folder) != NULL);
    weft_http_files files = {.root = folder};
    const weft_http_route routes[] = {{"GET /{path...}", weft_http_serve_files, &files}, {0}};
    site_open(&site, &(weft_http_server_options){.routes = routes});
    snprintf(path, sizeof path, "%s/fifo", folder);
    cr_assert(mkfifo(path, 0600) == 0);
    const char *answer = ask(&site, "GET /fifo HTTP/1.1\r\nHost: a\r\n\r\n");
    cr_assert(strncmp(answer, "HTTP/1.1 404 ", 13) == 0, "%s", answer);
    unlink(path);
    snprintf(path, sizeof path, "%s/link", folder);
    cr_assert(symlink("/etc/hostname", path) == 0);
    answer = ask(&site, "GET /link HTTP/1.1\r\nHost: a\r\n\r\n");
    cr_assert(strncmp(answer, "HTTP/1.1 404 ", 13) == 0, "%s", answer);
    unlink(path);
    snprintf(path, sizeof path, "%s/empty", folder);
    close(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    answer = ask(&site, "GET /empty HTTP/1.1\r\nHost: a\r\nRange: bytes=0-\r\n\r\n");
    cr_assert(strncmp(answer, "HTTP/1.1 416 ", 13) == 0 &&
                  strstr(answer, "Content-Range: bytes */0\r\n") != NULL,
              "%s", answer);
    unlink(path);
    site_close(&site);
    rmdir(folder);
}
