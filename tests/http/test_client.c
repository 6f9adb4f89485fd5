/*
 * test_client.c - requests whole and streamed, connections kept and dropped, and whatever servers,
 * deadlines and short memory can do in between.
 */
#include "http/t_peer.h"

TestSuite(http_client, .timeout = 120);

static const weft_options one_loop = {.loops = 1, .signals = WEFT_SIGNALS_NONE};

/* As TASK_TEST, on the real clock: curl has its own. */
#define HTTP_TEST(name)                                                                            \
    static void name##_body(struct t_server *server, weft_http_client *client);                    \
    static int name##_task(void *arg)                                                              \
    {                                                                                              \
        static struct t_server server; /* of a lasting one connections stay behind */              \
        weft_http_client *client;                                                                  \
        T_OK(weft_http_client_new(&client, arg));                                                  \
        t_server_start(&server);                                                                   \
        name##_body(&server, client);                                                              \
        weft_http_client_free(client);                                                             \
        t_server_stop(&server);                                                                    \
        return 0;                                                                                  \
    }                                                                                              \
    Test(http_client, name)                                                                        \
    {                                                                                              \
        warm_up();                                                                                 \
        t_leak_begin();                                                                            \
        T_OK(weft_run(name##_task, NULL, &one_loop));                                              \
        t_leak_end();                                                                              \
    }                                                                                              \
    static void name##_body(struct t_server *server, weft_http_client *client)

static int
warm_up_task(void *arg)
{
    weft_http_client *client;
    (void)arg;
    T_OK(weft_http_client_new(&client, NULL));
    weft_http_client_free(client);
    return 0;
}

/* What libcurl and what it stands on keep for the life of the process. */
static void
warm_up(void)
{
    T_OK(weft_run(warm_up_task, NULL, &one_loop));
}

static int
get(weft_http_client *client, const char *url, weft_http_response *response)
{
    return weft_http_fetch(client, &(weft_http_request){.url = url}, response);
}

/* Fetches and compares. */
static void
expect(weft_http_client *client, const weft_http_request *request, int status, const char *body)
{
    weft_http_response response;
    T_OK(weft_http_fetch(client, request, &response));
    cr_assert(response.status == status, "status %d", response.status);
    cr_assert_str_eq((const char *)response.body.data, body);
    cr_assert(response.body.len == strlen(body));
    weft_http_response_free(&response);
}

static void
fails(weft_http_client *client, const weft_http_request *request, int rc)
{
    weft_http_response response;
    T_ERR(rc, weft_http_fetch(client, request, &response));
    cr_assert(weft_error_text()[0] != '\0' || rc == -ECONNREFUSED, "no detail");
    weft_http_response_free(&response);
}

/* ---- Whole requests ------------------------------------------------------------------------- */

HTTP_TEST(a_response_has_status_headers_and_body)
{
    weft_http_response response;
    T_OK(get(client, t_url(server, "/hello"), &response));
    cr_assert(response.status == 200 && response.body.len == 5);
    cr_assert_str_eq((char *)response.body.data, "hello");
    cr_assert_str_eq(weft_http_response_field(&response, "X-TWO", 0), "a");
    cr_assert_str_eq(weft_http_response_field(&response, "x-two", 1), "b");
    cr_assert(weft_http_response_field(&response, "x-two", 2) == NULL);
    cr_assert(weft_http_response_field(&response, "x-tw", 0) == NULL);
    cr_assert(response.stats.version == 11 && response.stats.connections == 1);
    cr_assert_str_eq(response.stats.peer, "127.0.0.1");
    cr_assert(response.stats.total > 0 && response.stats.received == 5);
    weft_http_response_free(&response);
    cr_assert(response.body.data == NULL);
}

HTTP_TEST(a_connection_is_used_again)
{
    for (int i = 0; i < 5; i++) {
        weft_http_response response;
        T_OK(get(client, t_url(server, "/hello"), &response));
        cr_assert(response.stats.connections == (i == 0));
        weft_http_response_free(&response);
    }
    cr_assert(server->connections == 1 && server->requests == 5);
}

HTTP_TEST(a_connection_the_server_closes_is_not_used_again)
{
    for (int i = 0; i < 3; i++)
        expect(client, &(weft_http_request){.url = t_url(server, "/close")}, 200, "bye");
    cr_assert(server->connections == 3);
}

HTTP_TEST(chunks_and_compressed_bytes_are_put_together)
{
    expect(client, &(weft_http_request){.url = t_url(server, "/chunked")}, 200, "well, hello");
    expect(client, &(weft_http_request){.url = t_url(server, "/gzip")}, 200, "hello");
}

HTTP_TEST(redirects_are_followed_to_a_limit)
{
    const char *three = t_url(server, "/redirect/3");
    expect(client, &(weft_http_request){.url = three}, 200, "hello");
    expect(client, &(weft_http_request){.url = three, .redirects = 3}, 200, "hello");
    fails(client, &(weft_http_request){.url = three, .redirects = 2}, WEFT_E_CURL);
    expect(client, &(weft_http_request){.url = three, .redirects = -1}, 302, "elsewhere");
}

HTTP_TEST(see_other_is_a_get_whatever_the_method_was)
{
    static const char *const methods[] = {"POST", "PUT", "DELETE", "PATCH"};
    const weft_bytes body = {"x", 1};
    for (size_t i = 0; i < 4; i++)
        expect(client,
               &(weft_http_request){
                   .url = t_url(server, "/see-other"), .method = methods[i], .body = body},
               200, "GET");
}

HTTP_TEST(methods_are_sent_as_they_are)
{
    static const char *const methods[] = {"GET", "POST", "PUT", "DELETE", "PATCH", "BREW"};
    for (size_t i = 0; i < 6; i++)
        expect(client, &(weft_http_request){.url = t_url(server, "/method"), .method = methods[i]},
               200, methods[i]);
    expect(client, &(weft_http_request){.url = t_url(server, "/method"), .method = "HEAD"}, 200,
           "");
    expect(client, &(weft_http_request){.url = t_url(server, "/hello")}, 200, "hello");
}

HTTP_TEST(a_body_is_sent_with_any_method)
{
    static const char *const methods[] = {NULL, "POST", "PUT", "PATCH"};
    for (size_t i = 0; i < 4; i++)
        expect(client,
               &(weft_http_request){
                   .url = t_url(server, "/echo"), .method = methods[i], .body = {"over", 4}},
               200, "over");
    expect(client, &(weft_http_request){.url = t_url(server, "/echo"), .body = {"", 0}}, 200, "");
}

HTTP_TEST(headers_keep_their_order)
{
    const char *const headers[] = {"X-One: 1", "X-Two:  2", "Accept:", "X-Three: 3", NULL};
    weft_http_response response;
    T_OK(weft_http_fetch(client,
                         &(weft_http_request){.url = t_url(server, "/headers"),
                                              .headers = headers,
                                              .user = "me",
                                              .password = "secret"},
                         &response));
    const char *text = (const char *)response.body.data;
    const char *one = strstr(text, "X-One: 1\r\n"), *two = strstr(text, "X-Two:  2\r\n"),
               *three = strstr(text, "X-Three: 3\r\n");
    cr_assert(one != NULL && two > one && three > two, "%s", text);
    cr_assert(strstr(text, "Accept:") == NULL && strstr(text, "Content-Type") == NULL);
    cr_assert(strstr(text, "User-Agent: weft/0.1.0\r\n") != NULL);
    cr_assert(strstr(text, "Authorization: Basic bWU6c2VjcmV0\r\n") != NULL);
    weft_http_response_free(&response);
}

HTTP_TEST(what_cannot_be_sent_is_refused)
{
    const char *url = t_url(server, "/hello");
    static const char *const bad[] = {"no colon",     "X-A: b\r\nX-C: d",  "X A: b",    ": b",
                                      "X-A: b\nX: c", "content-length: 9", "X-A: \x01", ""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        fails(client,
              &(weft_http_request){.url = url, .headers = (const char *const[]){bad[i], NULL}},
              -EINVAL);
    fails(client, &(weft_http_request){.url = url, .method = "GE T"}, -EINVAL);
    fails(client, &(weft_http_request){.url = url, .method = ""}, -EINVAL);
    fails(client, &(weft_http_request){.url = url, .upload = 1}, -EINVAL);
    fails(client, &(weft_http_request){.url = url, .redirects = -2}, -EINVAL);
    fails(client, &(weft_http_request){.url = NULL}, WEFT_E_URL);
    static const char *const urls[] = {
        "",        "127.0.0.1/",  "ftp://127.0.0.1/",       "file:///etc/passwd",
        "http://", "http://a b/", "http://127.0.0.1:99999/"};
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++)
        fails(client, &(weft_http_request){.url = urls[i]}, WEFT_E_URL);
    cr_assert(server->requests == 0);
}

HTTP_TEST(a_status_is_an_error_only_when_asked)
{
    weft_http_request request = {.url = t_url(server, "/status/404")};
    expect(client, &request, 404, "so it is");
    request.fail = 1;
    fails(client, &request, WEFT_E_CURL);
    cr_assert(strstr(weft_error_text(), "404") != NULL, "%s", weft_error_text());
    request.url = t_url(server, "/hello");
    expect(client, &request, 200, "hello");
}

HTTP_TEST(a_body_over_the_limit_is_an_error)
{
    expect(client, &(weft_http_request){.url = t_url(server, "/hello"), .limit = 5}, 200, "hello");
    fails(client, &(weft_http_request){.url = t_url(server, "/hello"), .limit = 4},
          WEFT_E_HTTP_LARGE);
    fails(client, &(weft_http_request){.url = t_url(server, "/big/10000000"), .limit = 100000},
          WEFT_E_HTTP_LARGE);
    expect(client, &(weft_http_request){.url = t_url(server, "/hello")}, 200, "hello");
}

HTTP_TEST(broken_responses_have_their_errors)
{
    fails(client, &(weft_http_request){.url = t_url(server, "/cut")}, WEFT_E_END);
    fails(client, &(weft_http_request){.url = t_url(server, "/reset")}, -ECONNRESET);
    fails(client, &(weft_http_request){.url = t_url(server, "/garbage")}, WEFT_E_HTTP);
    fails(client, &(weft_http_request){.url = t_url(server, "/endless")}, WEFT_E_HTTP_LARGE);
    cr_assert(strstr(weft_error_text(), "head") != NULL, "%s", weft_error_text());
    fails(client, &(weft_http_request){.url = "http://weft.invalid/"}, WEFT_E_NAME);
    expect(client, &(weft_http_request){.url = t_url(server, "/hello")}, 200, "hello");
}

HTTP_TEST(nobody_listens)
{
    weft_fd listener;
    (void)server;
    weft_address address = t_listen(&listener, NULL);
    char text[64], url[80];
    snprintf(url, sizeof url, "http://%s/", weft_address_format(&address, text, sizeof text));
    weft_fd_close(&listener);
    fails(client, &(weft_http_request){.url = url}, -ECONNREFUSED);
}

HTTP_TEST(options_of_a_client_hold)
{
    (void)client;
    char resolve[128];
    snprintf(resolve, sizeof resolve, "weft.test%s:127.0.0.1", strrchr(server->base, ':'));
    const char *const entries[] = {resolve, NULL};
    char url[128];
    snprintf(url, sizeof url, "http://weft.test%s/headers", strrchr(server->base, ':'));
    weft_http_client *other;
    T_OK(weft_http_client_new(&other, &(weft_http_client_options){.resolve = entries,
                                                                  .user_agent = "",
                                                                  .no_compression = 1,
                                                                  .cookies = 1,
                                                                  .version = WEFT_HTTP_ONLY1}));
    weft_http_response response;
    T_OK(get(other, url, &response));
    const char *text = (const char *)response.body.data;
    cr_assert(strstr(text, "User-Agent") == NULL && strstr(text, "Accept-Encoding") == NULL);
    cr_assert(strstr(text, "Cookie") == NULL && strstr(text, "Host: weft.test") != NULL);
    weft_http_response_free(&response);

    char cookie[128];
    snprintf(cookie, sizeof cookie, "http://weft.test%s/cookie", strrchr(server->base, ':'));
    T_OK(get(other, cookie, &response));
    weft_http_response_free(&response);
    T_OK(get(other, url, &response));
    cr_assert(strstr((const char *)response.body.data, "Cookie: taste=sweet\r\n") != NULL);
    weft_http_response_free(&response);
    weft_http_client_free(other);
    T_ERR(-EINVAL,
          weft_http_client_new(&other, &(weft_http_client_options){.version = (weft_http_use)9}));
}

HTTP_TEST(the_loop_has_a_client_of_its_own)
{
    (void)client;
    server->lasting = true; /* until the runtime ends */
    weft_http_response response;
    for (int i = 0; i < 3; i++) {
        T_OK(weft_http_get(t_url(server, "/hello"), &response));
        cr_assert(response.status == 200);
        weft_http_response_free(&response);
    }
    T_OK(weft_http_post(t_url(server, "/echo"), "text/plain", (weft_bytes){"abc", 3}, &response));
    cr_assert_str_eq((char *)response.body.data, "abc");
    weft_http_response_free(&response);
    cr_assert(server->connections == 1);
}

HTTP_TEST(a_head_that_is_cut_off_is_no_response)
{
    weft_http_call *call;
    fails(client, &(weft_http_request){.url = t_url(server, "/cut-head")}, WEFT_E_END);
    T_OK(weft_http_call_open(client, &(weft_http_request){.url = t_url(server, "/cut-head")},
                             &call));
    T_ERR(WEFT_E_END, weft_http_call_head(call, NULL));
    weft_http_call_close(call);
}

/* ---- Streamed requests ---------------------------------------------------------------------- */

HTTP_TEST(the_head_is_there_before_the_body)
{
    weft_http_call *call;
    weft_http_response head;
    T_OK(weft_http_call_open(client, &(weft_http_request){.url = t_url(server, "/half")}, &call));
    cr_assert(weft_http_call_head(call, &head) == 200);
    cr_assert_str_eq(weft_http_response_field(&head, "Content-Length", 0), "100");
    char buf[100];
    cr_assert(weft_http_call_read(call, buf, 2) == 2 && memcmp(buf, "ha", 2) == 0);
    cr_assert(weft_http_call_read(call, buf, sizeof buf) == 2 && memcmp(buf, "lf", 2) == 0);
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_MS(20));
    T_ERR(-ETIMEDOUT, weft_http_call_read(call, buf, sizeof buf));
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
    weft_http_call_close(call);
}

HTTP_TEST(a_body_is_read_as_it_comes_and_a_slow_reader_holds_it_back)
{
    weft_http_call *call;
    const size_t len = 32u << 20;
    T_OK(weft_http_call_open(client, &(weft_http_request){.url = t_url(server, "/big/33554432")},
                             &call));
    cr_assert(weft_http_call_head(call, NULL) == 200);
    uint64_t before;
    do { /* until the server can send no more */
        before = server->sent;
        T_OK(weft_sleep(WEFT_MS(50)));
    } while (server->sent != before);
    cr_assert(server->sent < len, "all of it was taken in");
    static unsigned char bytes[50000];
    size_t at = 0;
    ssize_t n;
    while ((n = weft_http_call_read(call, bytes, sizeof bytes)) > 0) {
        cr_assert(t_bytes_match(bytes, (size_t)n, 7, at));
        at += (size_t)n;
    }
    cr_assert(n == 0 && at == len, "%zd after %zu", n, at);
    weft_http_stats stats;
    weft_http_call_stats_get(call, &stats);
    cr_assert(stats.received == len && stats.total > 0);
    weft_http_call_close(call);
    expect(client, &(weft_http_request){.url = t_url(server, "/hello")}, 200, "hello");
    cr_assert(server->connections == 1);
}

struct upload {
    weft_http_call *call;
    size_t len;
    int rc;
};

static int
upload_all(void *arg)
{
    struct upload *upload = arg;
    unsigned char bytes[7000];
    upload->rc = 0;
    for (size_t at = 0; at < upload->len && upload->rc == 0;) {
        size_t n = upload->len - at < sizeof bytes ? upload->len - at : sizeof bytes;
        t_bytes_make(bytes, n, 9, at);
        upload->rc = weft_http_call_write(upload->call, bytes, n);
        at += n;
        if (upload->rc == 0 && at % 70000 == 0)
            upload->rc = weft_yield();
    }
    if (upload->rc == 0)
        upload->rc = weft_http_call_finish(upload->call);
    return upload->rc;
}

static void
echo_both_ways(weft_http_client *client, struct t_server *server, size_t len, bool known)
{
    struct upload upload = {.len = len};
    T_OK(weft_http_call_open(client,
                             &(weft_http_request){.url = t_url(server, "/echo"),
                                                  .upload = 1,
                                                  .upload_length = known ? len : 0},
                             &upload.call));
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, upload_all, &upload);
    int status = weft_http_call_head(upload.call, NULL);
    cr_assert(status == 200, "head gave %d %s", status, weft_error_text());
    unsigned char bytes[9000];
    size_t at = 0;
    ssize_t n;
    while ((n = weft_http_call_read(upload.call, bytes, sizeof bytes)) > 0) {
        cr_assert(t_bytes_match(bytes, (size_t)n, 9, at));
        at += (size_t)n;
    }
    cr_assert(n == 0 && at == len, "%zd after %zu", n, at);
    T_OK(weft_group_close(&group));
    weft_http_call_close(upload.call);
}

HTTP_TEST(bodies_are_streamed_both_ways_at_once)
{
    echo_both_ways(client, server, 3000000, false);
    echo_both_ways(client, server, 3000000, true);
    echo_both_ways(client, server, 1, false);
}

HTTP_TEST(an_upload_waits_for_a_slow_server)
{
    weft_http_call *call;
    T_OK(weft_http_call_open(
        client, &(weft_http_request){.url = t_url(server, "/half"), .upload = 1}, &call));
    static const char zeros[1 << 16];
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_MS(100));
    int rc = 0;
    for (int i = 0; rc == 0 && i < 100000; i++)
        rc = weft_http_call_write(call, zeros, sizeof zeros);
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
    T_ERR(-ETIMEDOUT, rc);
    weft_http_call_close(call);
}

HTTP_TEST(uploads_are_checked)
{
    weft_http_call *call;
    weft_http_request request = {.url = t_url(server, "/echo"), .upload = 1, .upload_length = 5};
    T_OK(weft_http_call_open(client, &request, &call));
    T_OK(weft_http_call_write(call, "abc", 3));
    T_ERR(-EMSGSIZE, weft_http_call_write(call, "def", 3));
    T_ERR(-EINVAL, weft_http_call_finish(call));
    T_ERR(-EINVAL, weft_http_call_head(call, NULL));
    weft_http_call_close(call);
    T_OK(weft_http_call_open(client, &(weft_http_request){.url = t_url(server, "/hello")}, &call));
    T_ERR(-EINVAL, weft_http_call_write(call, "a", 1));
    T_ERR(-EINVAL, weft_http_call_finish(call));
    weft_http_call_close(call);
    /* An answer that did not wait for the body. */
    request.url = t_url(server, "/close");
    T_OK(weft_http_call_open(client, &request, &call));
    cr_assert(weft_http_call_head(call, NULL) == 200);
    weft_http_call_close(call);
}

/* ---- Cancellation and ends ------------------------------------------------------------------ */

static void
times_out(weft_http_client *client, const char *url)
{
    weft_scope scope;
    weft_http_response response;
    weft_scope_open(&scope, weft_now() + WEFT_MS(30));
    T_ERR(-ETIMEDOUT, get(client, url, &response));
    weft_http_response_free(&response);
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
}

HTTP_TEST(a_deadline_ends_a_request_wherever_it_is)
{
    times_out(client, t_url(server, "/stall"));
    times_out(client, t_url(server, "/half"));
    weft_fd full; /* nobody accepts, so that connecting takes for ever */
    weft_address address;
    T_OK(weft_address_parse(&address, "127.0.0.1:0"));
    T_OK(weft_tcp_listen(&full, &address, &(weft_listen_options){.backlog = 1}));
    T_OK(weft_fd_local_address(&full, &address));
    int raws[4];
    for (int i = 0; i < 4; i++) {
        raws[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        weft_ignore(connect(raws[i], (struct sockaddr *)&address.storage, address.len));
    }
    char text[64], url[80];
    snprintf(url, sizeof url, "http://%s/", weft_address_format(&address, text, sizeof text));
    times_out(client, url);
    for (int i = 0; i < 4; i++)
        close(raws[i]);
    weft_fd_close(&full);
    /* None of the connections is used again. */
    weft_http_response response;
    T_OK(get(client, t_url(server, "/hello"), &response));
    cr_assert(response.stats.connections == 1);
    weft_http_response_free(&response);
}

struct fetching {
    weft_http_client *client;
    const char *url;
    int rc;
    bool done;
};

static int
fetch_one(void *arg)
{
    struct fetching *fetching = arg;
    weft_http_response response;
    fetching->rc = get(fetching->client, fetching->url, &response);
    weft_http_response_free(&response);
    fetching->done = true;
    return 0;
}

HTTP_TEST(a_client_freed_ends_its_requests)
{
    (void)client;
    weft_http_client *other;
    T_OK(weft_http_client_new(&other, NULL));
    weft_http_call *call;
    T_OK(weft_http_call_open(other, &(weft_http_request){.url = t_url(server, "/half")}, &call));
    cr_assert(weft_http_call_head(call, NULL) == 200);
    struct fetching fetching = {.client = other, .url = t_url(server, "/stall")};
    weft_task *task = t_start(fetch_one, &fetching);
    T_OK(weft_sleep(WEFT_MS(20)));
    weft_http_client_free(other);
    T_OK(weft_task_join(task, NULL));
    cr_assert(fetching.rc == -ESHUTDOWN);
    char buf[10];
    cr_assert(weft_http_call_read(call, buf, sizeof buf) == 4); /* what had come */
    T_ERR(-ESHUTDOWN, weft_http_call_read(call, buf, sizeof buf));
    weft_http_call_close(call);
    weft_http_client_free(NULL);
}

/* Nothing has run when it is freed, not even the driver. */
HTTP_TEST(a_client_is_freed_before_anything_was_sent)
{
    weft_http_client *other;
    weft_http_call *call;
    (void)client;
    T_OK(weft_http_client_new(&other, NULL));
    T_OK(weft_http_call_open(other, &(weft_http_request){.url = t_url(server, "/half")}, &call));
    weft_http_client_free(other);
    T_ERR(-ESHUTDOWN, weft_http_call_head(call, NULL));
    weft_http_call_close(call);
}

HTTP_TEST(an_idle_client_leaves_the_loop_alone)
{
    expect(client, &(weft_http_request){.url = t_url(server, "/hello")}, 200, "hello");
    T_OK(weft_sleep(WEFT_MS(20)));
    weft_loop_stats before, after;
    weft_loop_stats_get(weft_loop_current(), &before);
    T_OK(weft_sleep(WEFT_MS(100)));
    weft_loop_stats_get(weft_loop_current(), &after);
    cr_assert(after.switches - before.switches < 5 && after.turns - before.turns < 5);
}

#define MANY 1000

static int
fetch_many(void *arg)
{
    struct fetching *fetching = arg;
    weft_http_response response;
    int rc = get(fetching->client, fetching->url, &response);
    if (rc == 0 && (response.status != 200 || response.body.len != 5))
        rc = -EBADMSG;
    weft_http_response_free(&response);
    return rc;
}

HTTP_TEST(a_thousand_at_once)
{
    if (t_raise_nofile() < 3 * MANY)
        return;
    struct fetching fetching = {.client = client, .url = t_url(server, "/hello")};
    for (int round = 0; round < 2; round++) {
        weft_group group;
        weft_group_open(&group, NULL);
        for (int i = 0; i < MANY; i++)
            weft_group_spawn(&group, fetch_many, &fetching);
        T_OK(weft_group_close(&group));
    }
    cr_assert(server->requests == 2 * MANY);
}

/* An old connection may have been closed just before, so that a new one is tried after it. */
HTTP_TEST(no_answer_is_the_same_on_old_connections_and_new)
{
    fails(client, &(weft_http_request){.url = t_url(server, "/nothing")}, WEFT_E_END);
    struct fetching fetching = {.client = client, .url = t_url(server, "/hello")};
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 20; i++)
        weft_group_spawn(&group, fetch_many, &fetching);
    T_OK(weft_group_close(&group));
    fails(client, &(weft_http_request){.url = t_url(server, "/nothing")}, WEFT_E_END);
    expect(client, &(weft_http_request){.url = t_url(server, "/hello")}, 200, "hello");
}

HTTP_TEST(connections_to_a_host_are_limited)
{
    (void)client;
    weft_http_client *other;
    T_OK(weft_http_client_new(&other, &(weft_http_client_options){.host_connections = 3}));
    struct fetching fetching = {.client = other, .url = t_url(server, "/hello")};
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 50; i++)
        weft_group_spawn(&group, fetch_many, &fetching);
    T_OK(weft_group_close(&group));
    cr_assert(server->requests == 50 && server->connections <= 3, "%u connections",
              server->connections);
    weft_http_client_free(other);
}

static int
other_loop(void *arg)
{
    struct fetching fetching = *(struct fetching *)arg;
    T_ERR(-EINVAL, fetch_many(&fetching)); /* that client is another loop's */
    T_OK(weft_http_client_new(&fetching.client, NULL));
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 20; i++)
        weft_group_spawn(&group, fetch_many, &fetching);
    int rc = weft_group_close(&group);
    weft_http_client_free(fetching.client);
    fetching.client = NULL;
    return rc < 0 ? rc : fetch_many(&fetching);
}

static int
two_loops_task(void *arg)
{
    (void)arg;
    static _Thread_local struct t_server server; /* connections stay behind */
    struct fetching fetching = {.client = NULL};
    T_OK(weft_http_client_new(&fetching.client, NULL));
    t_server_start(&server);
    fetching.url = t_url(&server, "/hello");
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn_with(&group, other_loop, &fetching, &(weft_task_options){.on = WEFT_ON(1)});
    for (int i = 0; i < 20; i++)
        weft_group_spawn(&group, fetch_many, &fetching);
    T_OK(weft_group_close(&group));
    weft_http_client_free(fetching.client);
    weft_group_cancel(&server.group);
    weft_ignore(weft_group_close(&server.group));
    weft_fd_close(&server.listener);
    return 0;
}

Test(http_client, two_loops_have_a_client_each)
{
    warm_up();
    t_leak_begin();
    T_OK(weft_run(two_loops_task, NULL, &(weft_options){.loops = 2, .signals = WEFT_SIGNALS_NONE}));
    t_leak_end();
}

/* ---- Torture -------------------------------------------------------------------------------- */

static int
scenario_calls(struct t_server *server)
{
    weft_http_client *client;
    weft_http_response response;
    weft_http_call *call;
    int rc = weft_http_client_new(&client, &(weft_http_client_options){.cookies = 1});
    if (rc < 0)
        return rc;
    rc = get(client, t_url(server, "/redirect/1"), &response);
    weft_http_response_free(&response);
    if (rc == 0) {
        rc = weft_http_call_open(
            client, &(weft_http_request){.url = t_url(server, "/echo"), .upload = 1}, &call);
        if (rc == 0) {
            rc = weft_http_call_write(call, "some bytes", 10);
            if (rc == 0)
                rc = weft_http_call_finish(call);
            char buf[100];
            if (rc == 0)
                rc = weft_http_call_head(call, NULL);
            while (rc > 0)
                rc = (int)weft_http_call_read(call, buf, sizeof buf);
            weft_http_call_close(call);
        }
    }
    weft_http_client_free(client);
    if (rc == 0) {
        rc = weft_http_get(t_url(server, "/hello"), &response);
        weft_http_response_free(&response);
    }
    return rc;
}

static int
scenario_main(void *arg)
{
    (void)arg;
    static struct t_server server; /* connections stay behind */
    memset(&server, 0, sizeof server);
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_SEC(20));
    weft_address address;
    T_OK(weft_address_parse(&address, "127.0.0.1:0"));
    int rc = weft_tcp_listen(&server.listener, &address, NULL);
    if (rc == 0)
        rc = weft_fd_local_address(&server.listener, &address);
    if (rc == 0) {
        char text[64];
        snprintf(server.base, sizeof server.base, "http://%.50s",
                 weft_address_format(&address, text, sizeof text));
        weft_group_open(&server.group, NULL);
        weft_group_spawn(&server.group, t_accept, &server);
        rc = scenario_calls(&server);
        weft_group_cancel(&server.group);
        weft_ignore(weft_group_close(&server.group));
    }
    weft_fd_close(&server.listener);
    weft_scope_close(&scope);
    return rc;
}

static void
scenario(void *arg)
{
    (void)arg;
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    weft_ignore(weft_run(scenario_main, NULL, &one_loop));
    clock_gettime(CLOCK_MONOTONIC, &now);
    cr_assert(now.tv_sec - start.tv_sec < 15, "a wait that nothing ended");
}

static void
torture(enum weft__torture kind, bool from_on, int error)
{
    warm_up();
    uint64_t visited = t_torture_run(&(struct t_torture){.kind = kind,
                                                         .from_on = from_on,
                                                         .error = error,
                                                         .max = 200 / T_SLOW,
                                                         .scenario = scenario});
    cr_assert(visited >= 5, "only %lu points", (unsigned long)visited);
}

Test(http_client, any_wait_is_cancelled)
{
    torture(WEFT__TORTURE_CANCEL, false, 0);
    torture(WEFT__TORTURE_CANCEL, true, 0);
}

Test(http_client, any_wait_runs_into_a_deadline)
{
    torture(WEFT__TORTURE_DEADLINE, false, 0);
    torture(WEFT__TORTURE_DEADLINE, true, 0);
}

Test(http_client, any_allocation_fails)
{
    torture(WEFT__TORTURE_ALLOC, false, 0);
    torture(WEFT__TORTURE_ALLOC, true, 0);
}

Test(http_client, any_system_call_fails)
{
    torture(WEFT__TORTURE_SYSCALL, false, EMFILE);
    torture(WEFT__TORTURE_SYSCALL, false, ENOMEM);
    torture(WEFT__TORTURE_SYSCALL, true, ENOMEM);
}
