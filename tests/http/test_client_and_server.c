/*
 * test_client_and_server.c - the client and the server of this library with each other.
 */
#include <weft/http_client.h>
#include <weft/http_server.h>

#include "io/t_io.h"

TestSuite(http_client_and_server, .timeout = 60);

static int
answer(weft_http_exchange *exchange, void *arg)
{
    (void)arg;
    weft_bytes path = weft_http_request_path(exchange);
    bool empty = path.len == 6 && memcmp(path.data, "/empty", 6) == 0;
    return weft_http_reply(exchange, empty ? 204 : 200, NULL, empty ? NULL : "hello",
                           empty ? 0 : 5);
}

static int
serve(void *server)
{
    return weft_http_server_run(server);
}

static void
fetch(const char *base, const char *path, int status, const char *body)
{
    weft_http_response response;
    char url[128];
    snprintf(url, sizeof url, "http://%s%s", base, path);
    T_OK(weft_http_get(url, &response));
    cr_assert(response.status == status, "status %d", response.status);
    cr_assert_str_eq((const char *)response.body.data, body);
    weft_http_response_free(&response);
}

static int
replies_task(void *arg)
{
    static const char *const listen[] = {"127.0.0.1:0", NULL};
    weft_http_server *server;
    weft_address address;
    char text[64];
    (void)arg;
    T_OK(weft_http_server_new(&server, &(weft_http_server_options){.net.listen = listen,
                                                                   .net.grace = WEFT_MS(1),
                                                                   .handler = answer}));
    T_OK(weft_server_address(weft_http_server_net(server), 0, &address));
    weft_address_format(&address, text, sizeof text);
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, serve, server);
    fetch(text, "/", 200, "hello");
    fetch(text, "/empty", 204, "");
    weft_http_server_stop(server, WEFT_SERVER_GRACE);
    T_OK(weft_group_close(&group));
    weft_http_server_free(server);
    return 0;
}

/* Under UndefinedBehaviorSanitizer this says more. */
Test(http_client_and_server, a_reply_needs_neither_headers_nor_a_body)
{
    T_OK(weft_run(replies_task, NULL, &(weft_options){.loops = 1, .signals = WEFT_SIGNALS_NONE}));
}
