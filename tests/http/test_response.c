/*
 * test_response.c - the answer as it goes over the wire.
 */
#include <weft/connect.h>
#include <weft/http_server.h>

#include "io/t_io.h"

TestSuite(http_response, .timeout = 60);

static const weft_options one_loop = {.loops = 1, .signals = WEFT_SIGNALS_NONE};

static int
run_server(void *arg)
{
    return weft_http_server_run(arg);
}

/* The answer's first line, and its headers, to a request for a path without a route. */
static int
without_headers_task(void *arg)
{
    static const weft_http_route routes[] = {{NULL, NULL, NULL}};
    const char *const listen[] = {"127.0.0.1:0", NULL};
    static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    char text[WEFT_ADDRESS_TEXT];
    weft_http_server *server;
    weft_address address;
    weft_stream stream;
    weft_buf answer = {.data = NULL};
    weft_group group;
    (void)arg;
    T_OK(weft_http_server_new(
        &server, &(weft_http_server_options){.net = {.listen = listen}, .routes = routes}));
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, run_server, server);
    T_OK(weft_server_address(weft_http_server_net(server), 0, &address));
    T_OK(weft_connect(&stream, weft_address_format(&address, text, sizeof text), NULL));
    T_OK(weft_stream_write_all(&stream, request, sizeof request - 1, NULL));
    T_OK(weft_stream_read_all(&stream, &answer, 4096));
    T_OK(weft_buf_append(&answer, "", 1));
    cr_expect(strncmp((char *)answer.data, "HTTP/1.1 404 Not Found\r\n", 24) == 0, "%s",
              (char *)answer.data);
    weft_buf_free(&answer);
    weft_stream_close(&stream);
    weft_http_server_stop(server, 0);
    T_OK(weft_group_close(&group));
    weft_http_server_free(server);
    return 0;
}

/* As the first one of its loop: there is no memory for headers of its own yet. */
Test(http_response, an_answer_need_not_have_headers_of_its_own)
{
    T_OK(weft_run(without_headers_task, NULL, &one_loop));
}
